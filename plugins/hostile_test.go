package plugins_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/gsc-project/gsc/plugins"
)

// bound is how long a call of a hostile module may take.
const bound = 200 * time.Millisecond

// TestHostile runs every module of testdata/hostile, each a text with the error that it must give: in time, in memory, and without harm to a plugin beside it.
func TestHostile(t *testing.T) {
	h := newHost(t)
	beside := load(t, h, "cross_entropy.wasm")
	texts, err := filepath.Glob("testdata/hostile/*.wat")
	if err != nil || len(texts) < 46 {
		t.Fatal(texts, err)
	}
	for _, text := range texts {
		name := strings.TrimSuffix(filepath.Base(text), ".wat")
		t.Run(name, func(t *testing.T) {
			want := wanted(t, text)
			wasm, err := os.ReadFile(strings.TrimSuffix(text, ".wat") + ".wasm")
			if err != nil {
				t.Fatal(err)
			}
			var before, after goruntime.MemStats
			goruntime.ReadMemStats(&before)
			start := time.Now()
			got := "nothing"
			limit := bound
			if name == "endless-recursion" { // it ends by its stack, which takes time to grow on a busy machine
				limit = plugins.DefaultLimits.Time
			}
			if err := attempt(h, wasm, limit); err != nil {
				got = err.Error()
			}
			took := time.Since(start)
			if goruntime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 256<<20 {
				t.Errorf("it took %d MiB of memory", (after.TotalAlloc-before.TotalAlloc)>>20)
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if took > 20*bound { // compiling, four calls at most, and a machine that does other things
				t.Errorf("it took %v", took)
			}
			newBatch(3, 4).run(t, beside, "{}", 1, alone)
		})
	}
}

// wanted is the error that a text names in its second line.
func wanted(t *testing.T, text string) string {
	t.Helper()
	b, err := os.ReadFile(text)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n;; want: ")
	want, _, ok := strings.Cut(rest, "\n")
	if !ok {
		t.Fatalf("%s does not say what it gives", text)
	}
	return want
}

// attempt loads a module and has it compute three rows, twice.
func attempt(h *plugins.Host, wasm []byte, limit time.Duration) error {
	p, err := h.Load(ctx, "F", wasm, plugins.Limits{MemoryBytes: 4 << 20, Time: limit})
	if err != nil {
		return err
	}
	b := newBatch(4, 4)
	b.labels[0], b.labels[3] = 1, -100
	l, err := p.NewLoss(ctx, []byte("{}"), b.classes, 1, 1)
	if err != nil {
		return err
	}
	defer l.Close()
	rows := b.bind()
	for range p.Manifest.Inputs {
		rows.Inputs = append(rows.Inputs, rows.Logits)
	}
	run := l.Bind(rows, alone)
	if err := run(); err != nil {
		return err
	}
	return run()
}

// TestMalformed: bytes that are no module give an error, whatever they are.
func TestMalformed(t *testing.T) {
	h := newHost(t)
	whole, err := os.ReadFile("testdata/hostile/harmless.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		if err := attempt(h, whole[:cut], bound); err == nil || !strings.HasPrefix(err.Error(), "plugin F") {
			t.Errorf("the first %d bytes of %d give %v", cut, len(whole), err)
		}
	}
	large := append(bytes.Clone(whole), make([]byte, 100<<20)...)
	if err := attempt(h, large, bound); err == nil || !strings.Contains(err.Error(), "more than 33554432") {
		t.Errorf("a module of 100 MiB gives %v", err)
	}
}

// TestEndlessLoop: it ends within twice its bound, and meanwhile a collection of garbage takes no more than 20 ms longer than beside a loop of Go's own, which
// can be interrupted anywhere.
func TestEndlessLoop(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes time by the clock")
	}
	for _, name := range []string{"endless-loop", "endless-loop-of-fills", "endless-mutual-tables"} {
		t.Run(name, func(t *testing.T) {
			wasm, err := os.ReadFile("testdata/hostile/" + name + ".wasm")
			if err != nil {
				t.Fatal(err)
			}
			const limit = 500 * time.Millisecond
			usual := collections(spin(limit))
			least, longest := time.Hour, time.Hour
			for range 3 { // others may use the machine meanwhile: the best of three
				h := newHost(t)
				took, stall := loopFor(t, h, wasm, limit)
				if n := h.Progress(); n < 5 { // others are to see that it gets on
					t.Errorf("it asked %d times whether to go on", n)
				}
				least, longest = min(least, took), min(longest, stall)
			}
			t.Logf("bound %v: ended after %v; the longest collection took %v, and %v beside Go's own loop", limit, least, longest, usual)
			if least < limit || least > 2*limit {
				t.Errorf("it ended after %v, of %v", least, limit)
			}
			if longest > usual+20*time.Millisecond {
				t.Errorf("a collection of garbage took %v, and %v beside Go's own loop", longest, usual)
			}
		})
	}
}

// loopFor has a module compute while garbage is collected again and again.
func loopFor(t *testing.T, h *plugins.Host, wasm []byte, limit time.Duration) (took, stall time.Duration) {
	t.Helper()
	p, err := h.Load(ctx, "F", wasm, plugins.Limits{MemoryBytes: 4 << 20, Time: limit})
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.NewLoss(ctx, []byte("{}"), 4, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	run, done := l.Bind(newBatch(4, 4).bind(), alone), make(chan error, 1)
	start := time.Now()
	go func() { done <- run() }()
	stall = collections(done)
	return time.Since(start), stall
}

// spin ends after a time that it spends computing.
func spin(length time.Duration) <-chan error {
	done := make(chan error, 1)
	go func() {
		for start := time.Now(); time.Since(start) < length; {
		}
		done <- nil
	}()
	return done
}

// collections collects garbage again and again until something is done, and gives the longest time that it took.
func collections(done <-chan error) (longest time.Duration) {
	for {
		begun := time.Now()
		goruntime.GC()
		longest = max(longest, time.Since(begun))
		select {
		case <-done:
			return longest
		case <-time.After(time.Millisecond):
		}
	}
}

// TestSources holds the modules to their texts, where wat2wasm is there.
func TestSources(t *testing.T) {
	tool, err := exec.LookPath("wat2wasm")
	if err != nil {
		t.Skip("wat2wasm (Debian: wabt) is not installed: the modules in testdata are not compared with their texts")
	}
	texts, _ := filepath.Glob("testdata/*/*.wat")
	for _, text := range texts {
		out := filepath.Join(t.TempDir(), "out.wasm")
		if message, err := exec.Command(tool, "--no-check", text, "-o", out).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", text, message)
			continue
		}
		made, _ := os.ReadFile(out)
		if kept, _ := os.ReadFile(strings.TrimSuffix(text, ".wat") + ".wasm"); !bytes.Equal(made, kept) {
			t.Errorf("%s: the .wasm beside it is not what wat2wasm makes of it", text)
		}
	}
}

// TestFuel: a call ends at the same instruction wherever and however often it is made, whatever was left of the call before, and one that takes less does not.
func TestFuel(t *testing.T) {
	h := newHost(t)
	wasm, err := os.ReadFile("../examples/plugin-losses/cross_entropy.wasm")
	if err != nil {
		t.Fatal(err)
	}
	fits := func(fuel int64, before int) bool {
		t.Helper()
		p, err := h.Load(ctx, "F", wasm, plugins.Limits{Fuel: fuel})
		if err != nil {
			t.Fatal(err)
		}
		l, err := p.NewLoss(ctx, []byte("{}"), 5003, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		small, large := newBatch(1, 5003), newBatch(6, 5003)
		small.labels[0] = 0
		for range before {
			if err := l.Bind(small.bind(), alone)(); err != nil {
				t.Fatal(err)
			}
		}
		err = l.Bind(large.bind(), alone)()
		var spent plugins.FuelError
		if err != nil && (!errors.As(err, &spent) || spent.Limit != fuel) {
			t.Fatal(err)
		}
		return err == nil
	}
	least, most := int64(40_000), int64(10_000_000) // of one row, and more than of all
	for least+1 < most {
		if mid := (least + most) / 2; fits(mid, 0) {
			most = mid
		} else {
			least = mid
		}
	}
	for _, before := range []int{1, 2, 7} {
		if fits(most-1, before) || !fits(most, before) {
			t.Errorf("with %d calls before it a call does not end at %d instructions", before, most)
		}
	}
}
