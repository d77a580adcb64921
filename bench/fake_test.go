package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The test's own program stands for gsc and for the peers, so that rows can be run without any of them.
const fakeVariable = "GSC_BENCH_FAKE"

func TestMain(m *testing.M) {
	if os.Getenv(fakeVariable) == "" {
		os.Exit(m.Run())
	}
	if strings.HasSuffix(os.Args[1], ".py") {
		fakePeer()
	} else {
		fakeGSC(os.Args[1:])
	}
}

// fakeGSC steps in 1 s, in bf16 in 0.5 s.
func fakeGSC(args []string) {
	narrow := slices.Contains(args, bf16)
	switch args[0] {
	case "vet":
		if narrow && os.Getenv(fakeVariable) == "old" {
			fmt.Fprintln(os.Stderr, "gsc: precision.compute: not possible:\n    somewhere")
			os.Exit(1)
		}
	case "bench":
		seconds := 1.0
		if narrow {
			seconds = 0.5
		}
		fmt.Printf(`{"steps_seconds": [%v, %v], "median_seconds": 1, "peak_flops": 2e11, "sustained_flops": 1.8e11, "weight_bytes": 5e8, "read_bytes_per_second": 1e9, "predicted_seconds": 1}`, seconds, seconds)
	case "train":
		run := args[slices.Index(args, "--run")+1]
		steps := 3
		if strings.Contains(args[1], "nanogpt") {
			steps = loopSteps
		}
		var metrics strings.Builder
		for n := range steps {
			fmt.Fprintf(&metrics, "{\"step\": %d, \"loss\": 4.2}\n", n+1)
		}
		os.Mkdir(run, 0o777)
		os.WriteFile(filepath.Join(run, "metrics.jsonl"), []byte(metrics.String()), 0o666)
	default:
		fmt.Fprintf(os.Stderr, "gsc: unknown command %q\nusage\n", args[0])
		os.Exit(2)
	}
}

// fakePeer steps in 2 s and holds a terabyte.
func fakePeer() {
	fmt.Println(`{"version": "0", "loss": 4.2}`)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if strings.HasSuffix(os.Args[1], "torch_loop.py") {
			fmt.Println(`{"seconds": 1000, "loss": 4}`)
		} else {
			fmt.Println(`{"seconds": [2, 2, 2], "rss_bytes": 1e12}`)
		}
	}
}

// fakeSession is a session of fakes.
func fakeSession(t *testing.T, kind string) *session {
	t.Helper()
	t.Setenv(fakeVariable, kind)
	t.Chdir("..")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSession(t.Context(), options{measurements: 3, threads: 2, gsc: self, python: self})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// only runs one row and gives its only line.
func only(t *testing.T, s *session, name string) line {
	t.Helper()
	chosen, err := choose(rows, []string{name})
	if err != nil {
		t.Fatal(err)
	}
	lines := s.measure(chosen)
	if len(lines) != 1 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	return lines[0]
}

func TestRows(t *testing.T) {
	s := fakeSession(t, "new")
	for _, c := range []struct {
		row     string
		ratio   float64
		verdict verdict
	}{
		{"char6", 2, met}, // half the peer's seconds
		{"char6-bf16", 2, met},
		{"generate-f32", 0, shown},
		{"generate-int8", 0, notMet}, // half of the bandwidth
		{"curve-bf16", 1, met},
		{"bert", 0, skipped},   // the fakes' loss is not that of nine labels
		{"plugin", 0, skipped}, // nor that of a vocabulary
		{"llmc", 0, skipped},
		{"predicted", 0, skipped},
	} {
		if l := only(t, s, c.row); l.Ratio != c.ratio || l.Verdict != c.verdict || l.Verdict == skipped && l.Note == "" {
			t.Errorf("%s: ratio %v, %s (%s); want %v, %s", c.row, l.Ratio, l.Verdict, l.Note, c.ratio, c.verdict)
		}
	}
	if l := only(t, s, "char6"); l.Share != char6.flops()/2e11 || len(l.GSCSamples) < 3 || len(l.PeerSamples) < 3 || l.Note != debianTorch+"; multiply-adds in registers sustain 90.0 % of the peak" {
		t.Errorf("%+v", l)
	}
	if l := only(t, s, "nanogpt"); l.Peer != 1000 || l.Verdict != met || !(l.GSC > 0) {
		t.Errorf("%+v", l)
	}
}

// A row says why it could not run, and names what is missing.
func TestMissing(t *testing.T) {
	s := fakeSession(t, "old")
	s.python, s.openblas = filepath.Join(s.dir, "no-python"), ""
	for row, want := range map[string]string{"char6-bf16": "precision.compute: not possible", "nanogpt": "no-python", "char6": "no-python", "memory-t64": "loss"} {
		if l := only(t, s, row); l.Verdict != skipped || !strings.Contains(l.Note, want) {
			t.Errorf("%s: %s, %q; want a word of %q", row, l.Verdict, l.Note, want)
		}
	}
	s.gsc = filepath.Join(s.dir, "no-gsc")
	if l := only(t, s, "char6"); l.Verdict != skipped || !strings.Contains(l.Note, "no-gsc") {
		t.Errorf("%+v", l)
	}
}
