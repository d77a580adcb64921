package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/cpu"
)

// The shapes M×N×K that a step of GPT-2 124M has, and two square ones; each in every form.
var (
	shapes = [][3]int{{1024, 1024, 1024}, {2048, 2048, 2048}, {256, 3072, 768}, {256, 768, 3072}, {256, vocabulary, 768}}
	forms  = []string{"NN", "NT", "TN"}
)

const (
	meanShare   = 0.88 // of the peak that the products' geometric mean must reach
	turnSeconds = 0.05 // that a side's turn takes at least
)

// ceilings is what a device can measure of its own limits.
type ceilings interface {
	PeakFlops(kernels.DType) float64
}

// contest is gsc's device and OpenBLAS's process, side by side.
type contest struct {
	*session
	device *cpu.Device
	blas   *server // nil where there is none
	peak   float64 // the highest seen
}

func sgemm(s *session, r row) ([]line, error) {
	device, err := cpu.New(s.threads)
	if err != nil {
		return nil, err
	}
	defer device.Close()
	c := &contest{session: s, device: device}
	missing := c.startBLAS()
	if c.blas != nil {
		defer c.blas.close()
	}
	var lines []line
	for _, shape := range shapes {
		found, err := c.shape(r, shape)
		if lines = append(lines, found...); err != nil {
			return lines, err
		}
	}
	return append(c.shares(lines, missing), c.mean(r, lines)), nil
}

// startBLAS starts OpenBLAS's process, or says why it cannot.
func (c *contest) startBLAS() error {
	if c.openblas == "" {
		return errors.New("no OpenBLAS: install libopenblas0-openmp, or name it by -openblas")
	}
	var about struct{ Version, Core string }
	var err error
	c.blas, err = serve(c.ctx, nil, &about, c.python, filepath.Join(peerScripts, "openblas.py"), c.openblas, fmt.Sprint(c.threads))
	if err == nil {
		c.facts["OpenBLAS"] = about.Version + ", kernels for " + about.Core
	}
	return err
}

// shape measures all forms of one shape.
func (c *contest) shape(r row, shape [3]int) ([]line, error) {
	p := product{shape[0], shape[1], shape[2], "NN"}
	o := randomOperands(p)
	if err := o.write(c.path("a"), c.path("b")); err != nil {
		return nil, err
	}
	var lines []line
	for _, p.form = range forms {
		l, err := c.product(r, p, o)
		if err != nil {
			return lines, err
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// product checks both sides, then measures them by turns, and the peak in between.
func (c *contest) product(r row, p product, o operands) (line, error) {
	l := r.line("GFLOP/s")
	l.Work, l.Must = "sgemm "+p.String(), "≥ 1.00 ×"
	x, err := bindProduct(c.device, p, o)
	if err != nil {
		return l, err
	}
	defer x.memory.Close()
	once := x.run(1)
	if err := p.check(x.c, o); err != nil {
		return l, fmt.Errorf("gsc: %w", err)
	}
	if err := c.load(p, o); err != nil {
		return l, fmt.Errorf("OpenBLAS: %w", err)
	}
	calls := int(min(1+math.Floor(turnSeconds/once), 100))
	sides := []side{func() ([]float64, error) { return []float64{p.flops() / 1e9 / x.run(calls)}, nil }, c.measurePeak}
	if c.blas != nil {
		sides = slices.Insert(sides, 1, func() ([]float64, error) { return c.run(p, calls) })
	}
	samples, err := interleave(c.measurements, sides...)
	if err != nil {
		return l, err
	}
	if c.blas != nil {
		l.compare(samples[0], samples[1])
	} else {
		l.compare(samples[0], nil)
	}
	l.Verdict = verdictOf(l.Ratio >= 1)
	return l, nil
}

// load has OpenBLAS read the operands and multiply them once, and checks what it makes of them.
func (c *contest) load(p product, o operands) error {
	if c.blas == nil {
		return nil
	}
	var answer struct{ Seconds float64 }
	for _, question := range [][]any{
		{"load", p.m, p.n, p.k, p.form, c.path("a"), c.path("b")}, {"run", 1}, {"save", c.path("c")},
	} {
		if err := c.blas.ask(&answer, question...); err != nil {
			return err
		}
	}
	raw, err := os.ReadFile(c.path("c"))
	if err != nil {
		return err
	}
	return p.check(floats(raw), o)
}

// run gives OpenBLAS's rate of so many calls, after one that warms the caches.
func (c *contest) run(p product, calls int) ([]float64, error) {
	time.Sleep(settle)
	var answer struct{ Seconds float64 }
	if err := c.blas.ask(&answer, "run", 1); err != nil {
		return nil, err
	}
	if err := c.blas.ask(&answer, "run", calls); err != nil {
		return nil, err
	}
	return []float64{p.flops() * float64(calls) / answer.Seconds / 1e9}, nil
}

// measurePeak is a side without a sample of its own to compare: it keeps the highest peak.
func (c *contest) measurePeak() ([]float64, error) {
	if d, ok := any(c.device).(ceilings); ok {
		c.peak = max(c.peak, d.PeakFlops(kernels.F32))
	}
	return []float64{c.peak}, nil
}

// shares puts the share of the peak to each line, now that all of the run's peaks are known, and why there is no peer.
func (c *contest) shares(lines []line, missing error) []line {
	for i := range lines {
		l := &lines[i]
		if l.Ceiling = c.peak; c.peak > 0 {
			l.Share = l.GSC * 1e9 / c.peak
		}
		if missing != nil {
			l.Verdict, l.Note = skipped, missing.Error()
		}
	}
	return lines
}

// mean is the line of the geometric mean over all products.
func (c *contest) mean(r row, lines []line) line {
	l := r.line("GFLOP/s")
	l.Work, l.Must, l.Ceiling = "sgemm, geometric mean", "≥ 88 % of the peak", c.peak
	if c.peak == 0 {
		l.Verdict, l.Note = skipped, "the device measures no peak"
		return l
	}
	var gsc, peer []float64
	for _, x := range lines {
		gsc = append(gsc, x.GSC)
		if x.Peer > 0 {
			peer = append(peer, x.Peer)
		}
	}
	l.compare([]float64{geometricMean(gsc)}, []float64{geometricMean(peer)})
	l.Share = l.GSC * 1e9 / c.peak
	l.Verdict = verdictOf(l.Share >= meanShare)
	if l.Peer > 0 {
		l.Note = fmt.Sprintf("OpenBLAS %.1f %%", 100*l.Peer*1e9/c.peak)
	}
	return l
}
