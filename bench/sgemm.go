package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
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
	device  *cpu.Device
	blas    *server // nil where there is none
	pairs   []*pair
	missing error // why there is no OpenBLAS
}

// pair is one product on both sides.
type pair struct {
	product
	ours      *ours
	calls     int // of a turn
	gsc, peer []float64
	peaks     []float64 // measured right after gsc's turns
}

// sgemm checks all products, then goes through all of them again and again, each by turns: a machine whose speed changes for
// seconds at a time slows no product in all of its samples.
func sgemm(s *session, r row) ([]line, error) {
	c := &contest{session: s}
	defer c.close()
	var err error
	if c.device, err = cpu.New(s.threads); err != nil {
		return nil, err
	}
	c.missing = c.startBLAS()
	for _, shape := range shapes {
		if err := c.add(shape); err != nil {
			return nil, err
		}
	}
	if _, err := interleave(2*s.measurements, c.sides()...); err != nil {
		return nil, err
	}
	var lines []line
	for _, x := range c.pairs {
		lines = append(lines, c.line(r, x))
	}
	return append(lines, c.mean(r, lines)), nil
}

func (c *contest) close() {
	for _, x := range c.pairs {
		x.ours.memory.Close()
	}
	if c.device != nil {
		c.device.Close()
	}
	if c.blas != nil {
		c.blas.close()
	}
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

// add has both sides multiply all forms of a shape once, and checks what they make of it.
func (c *contest) add(shape [3]int) error {
	p := product{shape[0], shape[1], shape[2], ""}
	o := randomOperands(p)
	if err := o.write(c.path("a"), c.path("b")); err != nil {
		return err
	}
	for _, p.form = range forms {
		x := &pair{product: p}
		var err error
		if x.ours, err = bindProduct(c.device, p, o); err != nil {
			return err
		}
		c.pairs = append(c.pairs, x)
		x.calls = int(min(1+math.Floor(turnSeconds/x.ours.run(1)), 100))
		if err := p.check(x.ours.c, o); err != nil {
			return fmt.Errorf("gsc: %w", err)
		}
		if err := c.load(x, o); err != nil {
			return fmt.Errorf("OpenBLAS: %w", err)
		}
	}
	return nil
}

// load has OpenBLAS read the operands and multiply them once, and checks what it makes of them.
func (c *contest) load(x *pair, o operands) error {
	if c.blas == nil {
		return nil
	}
	var answer struct{ Seconds float64 }
	for _, question := range [][]any{
		{"load", x.name(), x.m, x.n, x.k, x.form, c.path("a"), c.path("b")}, {"run", x.name(), 1}, {"save", x.name(), c.path("c")},
	} {
		if err := c.blas.ask(&answer, question...); err != nil {
			return err
		}
	}
	raw, err := os.ReadFile(c.path("c"))
	if err != nil {
		return err
	}
	return x.check(floats(raw), o)
}

func (p product) name() string { return fmt.Sprintf("%dx%dx%d%s", p.m, p.n, p.k, p.form) }

// sides are those of all products, each of gsc, with the peak after it, beside OpenBLAS.
func (c *contest) sides() []side {
	var list []side
	for _, x := range c.pairs {
		list = append(list, func() ([]float64, error) {
			x.gsc = append(x.gsc, x.flops()/1e9/x.ours.run(x.calls))
			if d, ok := any(c.device).(ceilings); ok {
				x.peaks = append(x.peaks, d.PeakFlops(kernels.F32))
			}
			return x.gsc[len(x.gsc)-1:], nil
		})
		if c.blas != nil {
			list = append(list, func() ([]float64, error) { return c.run(x) })
		}
	}
	return list
}

// run takes OpenBLAS's turn: so many calls, after one that warms the caches.
func (c *contest) run(x *pair) ([]float64, error) {
	time.Sleep(settle)
	var answer struct{ Seconds float64 }
	for _, calls := range []int{1, x.calls} {
		if err := c.blas.ask(&answer, "run", x.name(), calls); err != nil {
			return nil, err
		}
	}
	x.peer = append(x.peer, x.flops()*float64(x.calls)/answer.Seconds/1e9)
	return x.peer[len(x.peer)-1:], nil
}

// line is that of one product.
func (c *contest) line(r row, x *pair) line {
	l := r.line("GFLOP/s")
	l.Work, l.Must, l.Ceiling = "sgemm "+x.String(), "≥ 1.00 ×", median(x.peaks)
	l.compare(x.gsc, x.peer)
	if l.Ceiling > 0 {
		l.Share = l.GSC * 1e9 / l.Ceiling
	}
	l.Verdict = verdictOf(l.Ratio >= 1)
	if c.missing != nil {
		l.Verdict, l.Note = skipped, c.missing.Error()
	}
	return l
}

// mean is the line of the geometric mean over all products.
func (c *contest) mean(r row, lines []line) line {
	l := r.line("GFLOP/s")
	l.Work, l.Must = "sgemm, geometric mean", "≥ 88 % of the peak"
	var gsc, peer, peaks []float64
	for _, x := range lines {
		if x.Ceiling == 0 {
			l.Verdict, l.Note = skipped, "the device measures no peak"
			return l
		}
		gsc, peaks = append(gsc, x.GSC), append(peaks, x.Ceiling)
		if x.Peer > 0 {
			peer = append(peer, x.Peer)
		}
	}
	l.compare([]float64{geometricMean(gsc)}, []float64{geometricMean(peer)})
	l.Ceiling = geometricMean(peaks)
	l.Share = l.GSC * 1e9 / l.Ceiling
	l.Verdict = verdictOf(l.Share >= meanShare)
	if l.Peer > 0 {
		l.Note = fmt.Sprintf("OpenBLAS %.1f %%", 100*l.Peer*1e9/l.Ceiling)
	}
	return l
}
