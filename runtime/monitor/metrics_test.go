package monitor

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func record(step int64) *Record {
	return &Record{Step: step, Loss: 2.5, Rate: 1e-3, GradNorm: 0.1, Tokens: 64 * step, TokensPerSecond: 1234.5}
}

func openMetrics(t *testing.T, path string, after int64) *Metrics {
	t.Helper()
	m, err := OpenMetrics(path, after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func write(t *testing.T, m *Metrics, steps ...int64) {
	t.Helper()
	for _, step := range steps {
		if err := m.Write(record(step)); err != nil {
			t.Fatal(err)
		}
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A step that loss scaling skipped has no norm; its record is kept with the run's state all the same.
func TestSkippedStep(t *testing.T) {
	r := record(3)
	r.Loss, r.GradNorm, r.LossScale, r.Skipped = math.NaN(), math.Inf(1), 65536, 2
	if got, want := string(r.appendJSON(nil)), `"loss_scale":65536,"skipped":2}`+"\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want it to end with %s", got, want)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Record
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(back.Loss) || !math.IsNaN(back.GradNorm) || back.Step != 3 || back.LossScale != 65536 || back.Skipped != 2 {
		t.Errorf("%s is read as %+v", text, back)
	}
	text, _ = json.Marshal(record(4))
	if err := json.Unmarshal(text, &back); err != nil || back.Loss != 2.5 || back.GradNorm != 0.1 {
		t.Errorf("%s is read as %+v: %v", text, back, err)
	}
}

func TestLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	m := openMetrics(t, path, 0)
	write(t, m, 1)
	last := record(2)
	last.Loss, last.GradNorm, last.Rate = math.NaN(), math.Inf(1), 1e-22
	last.Validation = []Value{{"loss", 1.0 / 3}, {"entity_f1", 0}}
	if err := m.Write(last); err != nil {
		t.Fatal(err)
	}
	want := `{"step":1,"loss":2.5,"lr":0.001,"grad_norm":0.1,"tokens":64,"tokens_per_second":1234.5}
{"step":2,"loss":null,"lr":1e-22,"grad_norm":null,"tokens":128,"tokens_per_second":1234.5,"validation_loss":0.3333333333333333,"validation_entity_f1":0}
`
	got := content(t, path)
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for line := range strings.Lines(got) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestStepsAscend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	m := openMetrics(t, path, 0)
	write(t, m, 0, 1, 4)
	for _, step := range []int64{4, 3} {
		if err := m.Write(record(step)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("step %d: %v", step, err)
		}
	}
}

// Resuming after a step removes what will be written again.
func TestResume(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	write(t, openMetrics(t, path, 0), 0, 1, 2, 3, 4, 5)
	whole := content(t, path)
	for after := int64(5); after >= 0; after-- {
		m := openMetrics(t, path, after)
		want := strings.Join(strings.SplitAfter(whole, "\n")[:after+1], "")
		if got := content(t, path); got != want {
			t.Errorf("after %d: got\n%swant\n%s", after, got, want)
		}
		write(t, m, after+1)
	}
}

// Wherever the last line was torn, the ones before it are kept.
func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	write(t, openMetrics(t, path, 0), 1, 2, 3)
	whole := content(t, path)
	two := strings.Join(strings.SplitAfter(whole, "\n")[:2], "")
	for cut := len(two); cut < len(whole); cut++ {
		for _, tail := range []string{"", "\x00\x00\x00", "\n"} {
			if err := os.WriteFile(path, []byte(whole[:cut]+tail), 0o666); err != nil {
				t.Fatal(err)
			}
			m := openMetrics(t, path, 5)
			want := two
			if whole[:cut]+tail == whole {
				want = whole
			}
			if got := content(t, path); got != want {
				t.Fatalf("cut at %d: got\n%s", cut, got)
			}
			m.Close()
		}
	}
}

func TestBrokenFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	for _, text := range []string{
		"{\"step\":1}\nrubbish\n{\"step\":2}\n",
		"{\"step\":1}\n{\"step\":1}\n{\"step\":2}\n",
		"{\"step\":1}\n{\"loss\":1}\n{\"step\":2}\n",
		"{\"step\":1}\n{\"step\":9}\n{\"step\":2}\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenMetrics(path, 5); err == nil || !strings.HasPrefix(err.Error(), path+":2: not the line") {
			t.Errorf("%q: got %v", text, err)
		}
		if content(t, path) != text {
			t.Errorf("%q was changed", text)
		}
	}
	if _, err := OpenMetrics(t.TempDir(), 0); err == nil {
		t.Error("opened a folder")
	}
}

func TestWriteFailureIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	m := openMetrics(t, path, 0)
	m.Close()
	if err := m.Write(record(1)); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	m := openMetrics(t, filepath.Join(t.TempDir(), "metrics.jsonl"), 0)
	r := record(0)
	r.Validation = []Value{{"loss", 1.25}}
	if n := testing.AllocsPerRun(100, func() {
		r.Step++
		if err := m.Write(r); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a line", n)
	}
}

func FuzzOpenMetrics(f *testing.F) {
	f.Add([]byte("{\"step\":1}\n{\"step\":2,\"loss\":null}\n{\"st"), int64(1))
	f.Add([]byte("\n\x00{}\n"), int64(0))
	path := filepath.Join(f.TempDir(), "metrics.jsonl")
	f.Fuzz(func(t *testing.T, text []byte, after int64) {
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := OpenMetrics(path, after)
		if err != nil {
			return
		}
		m.Close()
		kept := content(t, path)
		if !strings.HasPrefix(string(text), kept) {
			t.Errorf("%q became %q", text, kept)
		}
		again, err := OpenMetrics(path, after)
		if err != nil || again.last > after && again.last >= 0 {
			t.Fatal(err)
		}
		again.Close()
		if content(t, path) != kept {
			t.Error("opening twice is not opening once")
		}
	})
}
