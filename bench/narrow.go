package main

import (
	"fmt"
	"math"
)

// Narrow rows train with products in bf16, and are held against gsc's own fp32.

const bf16 = `precision.compute="bf16"`

// narrowSteps is a row of training steps in bf16. PyTorch's are told for information.
func narrowSteps(m model, times float64) func(*session, row) ([]line, error) {
	return func(s *session, r row) ([]line, error) {
		narrow := m.with(bf16)
		if err := s.can(narrow); err != nil {
			return nil, fmt.Errorf("this gsc has no bf16: %w", err)
		}
		if _, err := s.checked(m, narrow); err != nil {
			return nil, err
		}
		list, missing, err := s.peers(m, "bf16")
		if err != nil {
			return nil, err
		}
		defer closeAll(list)
		l, err := s.narrowRace(r, m, narrow, list)
		if missing != nil {
			l.add(missing.Error())
		}
		l.Verdict = verdictOf(l.Ratio >= times)
		return []line{l}, err
	}
}

// narrowRace measures gsc in both precisions and the PyTorches in bf16, by turns.
func (s *session) narrowRace(r row, m model, narrow task, list []*trainer) (line, error) {
	l := r.line("tokens/s")
	var p, wide peaks
	sides := []side{s.stepSide(narrow, m.turn, &p), s.stepSide(m.task, m.turn, &wide)}
	for _, t := range list {
		sides = append(sides, t.side(m.turn))
	}
	samples, err := interleave(s.measurements, sides...)
	if err != nil {
		return l, err
	}
	l.compare(over(m.tokens(), samples[0]), over(m.tokens(), samples[1]))
	l.add("share of the fp32 peak")
	for i, t := range list {
		l.add(fmt.Sprintf("%s in bf16 %s", t.name, m.rate(median(samples[2+i]))))
	}
	l.ofPeak(m.flops(), samples[0], p)
	return l, nil
}

const curveWindow = 25 // steps whose losses are averaged before they are compared

// curve trains the same run in both precisions and compares the losses, which see the same batches from the same weights.
func curve(s *session, r row) ([]line, error) {
	wide := task{strategy: "curve"}
	narrow := wide.with(bf16)
	if err := s.can(narrow); err != nil {
		return nil, fmt.Errorf("this gsc has no bf16: %w", err)
	}
	a, err := s.train(narrow)
	if err != nil {
		return nil, err
	}
	b, err := s.train(wide)
	if err != nil {
		return nil, err
	}
	l := r.line("nats")
	far, at := farthest(windows(a.losses, curveWindow), windows(b.losses, curveWindow))
	l.compare(a.losses[len(a.losses)-1:], b.losses[len(b.losses)-1:])
	l.Verdict = verdictOf(far <= 0.01)
	l.Note = fmt.Sprintf("last losses of %d; peer: gsc in fp32; means of %d steps differ by at most %.2f %%, around step %d",
		len(a.losses), curveWindow, 100*far, curveWindow*(at+1))
	return []line{l}, nil
}

// windows are the means of n values after another; what is left at the end is left out.
func windows(values []float64, n int) []float64 {
	var means []float64
	for ; len(values) >= n; values = values[n:] {
		sum := 0.0
		for _, v := range values[:n] {
			sum += v
		}
		means = append(means, sum/float64(n))
	}
	return means
}

// farthest is the largest difference of two lists relative to the second, and where it is; lists of different lengths are infinitely far apart.
func farthest(a, b []float64) (far float64, at int) {
	if len(a) != len(b) {
		return math.Inf(1), 0
	}
	for i := range a {
		if d := math.Abs(a[i]-b[i]) / math.Abs(b[i]); !(d <= far) {
			far, at = d, i
		}
	}
	return far, at
}
