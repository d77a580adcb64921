package monitor

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Progress shows people where a run is. On a terminal, one line is redrawn in
// place; elsewhere a line is written every few seconds. Evaluations and notes get lines of their
// own on both. Its methods may be called from several goroutines at a time.
type Progress struct {
	Steps int64            // of the whole run
	After int64            // the step that this process goes on from
	Out   io.Writer        // errors of it are ignored
	Width func() int       // columns of the terminal; nil: no terminal
	Now   func() time.Time // the clock

	mu      sync.Mutex
	started time.Time
	drawn   time.Time
	shown   int // columns that the line in place takes
}

// NewProgress shows a run of so many steps, which goes on after a step, on f.
func NewProgress(f *os.File, steps, after int64) *Progress {
	p := &Progress{Steps: steps, After: after, Out: f, Now: time.Now}
	if term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		p.Width = func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil || width <= 0 {
				return 80
			}
			return width
		}
	}
	p.Start()
	return p
}

// How often a line is drawn on a terminal, and written elsewhere.
const (
	redrawEvery = 100 * time.Millisecond
	lineEvery   = 5 * time.Second
)

// Start starts the clock by which the time left is told.
func (p *Progress) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started = p.Now()
	p.drawn = time.Time{}
}

// Step shows a step, unless another one was shown just before. The first and
// the last one are always shown.
func (p *Progress) Step(r *Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.Now()
	every := lineEvery
	if p.Width != nil {
		every = redrawEvery
	}
	if now.Sub(p.drawn) >= every || r.Step == p.Steps {
		p.drawn = now
		p.show(p.fields(r, now))
	}
	if len(r.Validation) > 0 {
		p.line(p.evaluation(r))
	}
}

// Note writes a line that stays.
func (p *Progress) Note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(fmt.Sprintf(format, args...))
}

// Close ends the line in place, so that what follows starts on a new one.
func (p *Progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown > 0 {
		fmt.Fprintln(p.Out)
		p.shown = 0
	}
}

// field is one part of a progress line. Where the terminal is too narrow, the
// parts of the lowest rank go first.
type field struct {
	text string
	rank int
}

// fields is the parts of the line of a step.
func (p *Progress) fields(r *Record, now time.Time) []field {
	list := []field{
		{fmt.Sprintf("step %d/%d", r.Step, p.Steps), 5},
		{fmt.Sprintf("loss %.4f", r.Loss), 4},
		{fmt.Sprintf("lr %.3g", r.Rate), 1},
		{count(r.TokensPerSecond) + " tokens/s", 2},
	}
	if done := r.Step - p.After; done > 0 && r.Step < p.Steps {
		left := now.Sub(p.started) / time.Duration(done) * time.Duration(p.Steps-r.Step)
		list = append(list, field{duration(left) + " left", 3})
	}
	return list
}

// evaluation is the line of an evaluated step.
func (p *Progress) evaluation(r *Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "step %d/%d  validation", r.Step, p.Steps)
	for i, v := range r.Validation {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, " %s %.4f", v.Name, v.Value)
	}
	return b.String()
}

// show draws the fields in place, or writes them as a line.
func (p *Progress) show(fields []field) {
	if p.Width == nil {
		fmt.Fprintln(p.Out, join(fields))
		return
	}
	columns := p.Width() - 1
	text := fit(fields, columns)
	blank := strings.Repeat(" ", max(0, min(p.shown, columns)-len(text)))
	fmt.Fprint(p.Out, "\r"+text+blank)
	p.shown = len(text)
}

// line writes a line that stays; the one in place is drawn anew by the next step.
func (p *Progress) line(text string) {
	if p.shown > 0 {
		text = "\r" + text + strings.Repeat(" ", max(0, p.shown-utf8.RuneCountInString(text)))
		p.shown = 0
		p.drawn = time.Time{}
	}
	fmt.Fprintln(p.Out, text)
}

func join(fields []field) string {
	texts := make([]string, len(fields))
	for i, f := range fields {
		texts[i] = f.text
	}
	return strings.Join(texts, "  ")
}

// fit joins as many fields as the columns take.
func fit(fields []field, columns int) string {
	for least := 0; ; least++ {
		kept := fields[:0:0]
		for _, f := range fields {
			if f.rank > least {
				kept = append(kept, f)
			}
		}
		text := join(kept)
		if len(text) <= columns {
			return text
		}
		if len(kept) == 1 {
			return text[:max(0, columns)]
		}
	}
}

// count is a number in three figures: 950, 12.3k, 1.23M.
func count(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "?"
	}
	for _, unit := range []string{"", "k", "M"} {
		if v < 999.5 {
			return figures(v) + unit
		}
		v /= 1000
	}
	return figures(v) + "G"
}

func figures(v float64) string {
	switch {
	case v >= 99.95 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// duration is a length of time in two units: 45s, 3m20s, 1h05m, 2d03h.
func duration(d time.Duration) string {
	const day = 24 * time.Hour
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
}
