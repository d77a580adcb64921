package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
)

// contexts are the lengths that 8,192 tokens a step are cut into.
var contexts = []int{512, 1024, 2048, 4096, 8192}

const (
	contextTime   = 0.15 // from what attention's operations predict
	contextMemory = 0.05 // between the most and the least
)

func contextTask(length int) task {
	return task{strategy: "context", tags: []string{fmt.Sprintf("length=%d", length)}}
}

// stretch is what a step takes at one length.
type stretch struct {
	task
	steps     []float64
	attention []float64 // seconds of its operations
	flops     float64   // of them
}

// contextScaling compares how much longer attention takes at each length than at the first with what the operations that are added
// come to, all at one rate: the median of those of the lengths. At the first length itself tiles on the diagonal, of which the mask takes
// half, are a larger part than of what is added.
func contextScaling(s *session, r row) ([]line, error) {
	list := make([]*stretch, len(contexts))
	sides := make([]side, len(contexts))
	for i, length := range contexts {
		x := &stretch{task: contextTask(length)}
		list[i], sides[i] = x, func() ([]float64, error) { return s.stretch(x) }
	}
	if _, err := interleave(s.measurements, sides...); err != nil {
		return nil, err
	}
	var lines []line
	var rates []float64
	for _, x := range list[1:] {
		rates = append(rates, x.rateBeyond(list[0]))
	}
	for i, x := range list[1:] {
		lines = append(lines, x.beside(r, list[0], contexts[i+1], median(rates)))
	}
	kept, err := s.activations(r, list)
	return append(lines, kept), err
}

func (s *session) stretch(x *stretch) ([]float64, error) {
	b, err := s.bench(x.task, "--steps", "3")
	if err != nil {
		return nil, err
	}
	seconds := 0.0
	x.flops = 0
	for _, o := range b.Operations {
		if strings.HasPrefix(o.Op, "attention") {
			seconds += o.Seconds
			x.flops += o.Flops
		}
	}
	if seconds == 0 {
		return nil, fmt.Errorf("gsc bench --json names no attention among its operations")
	}
	x.steps, x.attention = append(x.steps, b.StepsSeconds...), append(x.attention, seconds)
	return b.StepsSeconds, nil
}

// beyond is how much longer attention takes than at the first length, and with how many more operations.
func (x *stretch) beyond(first *stretch) (seconds, flops float64) {
	return median(x.attention) - median(first.attention), x.flops - first.flops
}

// rateBeyond is the rate of what is added to the first length.
func (x *stretch) rateBeyond(first *stretch) float64 {
	seconds, flops := x.beyond(first)
	return flops / seconds
}

// beside is the line of a length beside the first, what is added taken at a rate.
func (x *stretch) beside(r row, first *stretch, length int, rate float64) line {
	l := r.line("s")
	l.Work, l.Must = fmt.Sprintf("context %d, attention's time a step above that at %d", length, contexts[0]), "0.85 to 1.15 ×"
	seconds, flops := x.beyond(first)
	l.compare([]float64{seconds}, []float64{flops / rate})
	l.Verdict = verdictOf(math.Abs(l.Ratio-1) <= contextTime)
	l.Note = fmt.Sprintf("peer: by its operations at the median rate of all that is added, %.0f GFLOP/s; the rate at %d %.0f; whole step %+.3f s",
		rate/1e9, contexts[0], first.flops/median(first.attention)/1e9, median(x.steps)-median(first.steps))
	return l
}

// activations is the line of the memory that the plans hold activations in.
func (s *session) activations(r row, list []*stretch) (line, error) {
	l := r.line("MiB")
	l.Work, l.Must = fmt.Sprintf("context %d to %d, activation memory", contexts[0], contexts[len(contexts)-1]), "0.95 to 1.05 ×"
	var sizes []float64
	for _, x := range list {
		o := gsc.Options{Tags: append([]string{"data=" + s.dir}, x.tags...), Set: x.set, Threads: s.threads}
		p, err := gsc.Plan("bench/strategies/context.cue", o)
		if err != nil {
			return l, err
		}
		for _, c := range p.Memory().Classes {
			if c.Class == plan.Activation {
				sizes = append(sizes, float64(c.SizeBytes)/(1<<20))
			}
		}
	}
	l.compare(sizes[len(sizes)-1:], sizes[:1])
	far := 0.0
	for _, v := range sizes {
		far = max(far, math.Abs(v/sizes[0]-1))
	}
	l.Verdict, l.Note = verdictOf(far <= contextMemory), "the longest beside the shortest, by the plan"
	return l, nil
}
