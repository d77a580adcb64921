package monitor

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) add(d time.Duration) { c.now = c.now.Add(d) }

// progress is a run of 2000 steps that goes on after step 100. No width: no terminal.
func progress(width int) (*Progress, *clock, *strings.Builder) {
	c, b := &clock{now: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}, &strings.Builder{}
	p := &Progress{Steps: 2000, After: 100, Out: b, Now: func() time.Time { return c.now }}
	if width > 0 {
		p.Width = func() int { return width }
	}
	p.Start()
	return p, c, b
}

func TestPlainLines(t *testing.T) {
	p, c, b := progress(0)
	for step := int64(101); step <= 107; step++ {
		c.add(2 * time.Second)
		r := record(step)
		if step == 105 {
			r.Validation = []Value{{"loss", 1.92}, {"accuracy", 0.5}}
		}
		p.Step(r)
	}
	p.Note("saved %s", "step-00000107")
	c.add(time.Millisecond)
	p.Step(&Record{Step: 2000, Loss: math.NaN(), Rate: 1e-4, TokensPerSecond: math.Inf(1)})
	p.Close()
	want := `step 101/2000  loss 2.5000  lr 0.001  1.23k tokens/s  1h03m left
step 104/2000  loss 2.5000  lr 0.001  1.23k tokens/s  1h03m left
step 105/2000  validation loss 1.9200  accuracy 0.5000
step 107/2000  loss 2.5000  lr 0.001  1.23k tokens/s  1h03m left
saved step-00000107
step 2000/2000  loss NaN  lr 0.0001  ? tokens/s
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
}

func TestTerminalRedrawsInPlace(t *testing.T) {
	p, c, b := progress(80)
	show := func(r *Record) {
		c.add(60 * time.Millisecond)
		p.Step(r)
		b.WriteByte('|')
	}
	show(record(101))
	show(record(102)) // too soon
	show(record(103))
	evaluated := record(104)
	evaluated.Validation = []Value{{"loss", 1.5}}
	show(evaluated)
	show(record(105)) // drawn anew at once
	p.Note("ü")
	show(record(2000))
	p.Close()
	p.Close()
	want := "\rstep 101/2000  loss 2.5000  lr 0.001  1.23k tokens/s  1m54s left||" +
		"\rstep 103/2000  loss 2.5000  lr 0.001  1.23k tokens/s  1m54s left|" +
		"\rstep 104/2000  validation loss 1.5000" + strings.Repeat(" ", 27) + "\n|" +
		"\rstep 105/2000  loss 2.5000  lr 0.001  1.23k tokens/s  1m54s left|" +
		"\rü" + strings.Repeat(" ", 63) + "\n" +
		"\rstep 2000/2000  loss 2.5000  lr 0.001  1.23k tokens/s|\n"
	if b.String() != want {
		t.Errorf("got\n%q\nwant\n%q", b, want)
	}
}

func TestShorterLineErasesLonger(t *testing.T) {
	p, c, b := progress(80)
	p.Steps = 10_000_000
	p.Step(record(101))
	b.Reset()
	c.add(time.Minute)
	p.Steps = 101
	p.Step(record(101))
	if got, want := b.String(), "\rstep 101/101  loss 2.5000  lr 0.001  1.23k tokens/s"+strings.Repeat(" ", 14); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNarrowTerminals(t *testing.T) {
	for width, want := range map[int]string{
		66: "step 101/2000  loss 2.5000  lr 0.001  1.23k tokens/s  31m39s left",
		65: "step 101/2000  loss 2.5000  1.23k tokens/s  31m39s left",
		50: "step 101/2000  loss 2.5000  31m39s left",
		30: "step 101/2000  loss 2.5000",
		27: "step 101/2000  loss 2.5000",
		26: "step 101/2000",
		10: "step 101/",
		1:  "",
		0:  "",
	} {
		p, c, b := progress(1)
		p.Width = func() int { return width }
		c.add(time.Second)
		p.Step(record(101))
		if got := b.String(); got != "\r"+want {
			t.Errorf("width %d: got %q, want %q", width, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.5: "0.50", 7: "7", 9.994: "9.99", 9.996: "10.0", 99.96: "100", 950: "950", 999.6: "1.00k", 12345: "12.3k", 1.234e6: "1.23M",
		9.99e8: "999M", 2e9: "2G", 5e12: "5000G",
	} {
		if got := count(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59400 * time.Millisecond: "59s", 59600 * time.Millisecond: "1m00s", 200 * time.Second: "3m20s",
		time.Hour + 5*time.Minute: "1h05m", 51 * time.Hour: "2d03h",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestFilesAreNoTerminals(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := NewProgress(f, 10, 0)
	p.Step(record(10))
	p.Close()
	if got := content(t, f.Name()); got != "step 10/10  loss 2.5000  lr 0.001  1.23k tokens/s\n" {
		t.Errorf("got %q", got)
	}
}

func TestStepAllocatesNothingUnlessShown(t *testing.T) {
	p, _, _ := progress(80)
	r := record(101)
	p.Step(r)
	if n := testing.AllocsPerRun(100, func() { p.Step(r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
