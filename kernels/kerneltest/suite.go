package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/ref"
)

// Options says how much to try. The zero value tries every operation.
type Options struct {
	Seed       int64
	CasesPerOp int          // 0: DefaultCases
	Ops        []kernels.Op // nil: all
}

// DefaultCases is the number of calls of each operation that [Run] makes when Options leave it open.
const DefaultCases = 24

func (o Options) cases() int {
	if o.CasesPerOp == 0 {
		return DefaultCases
	}
	return o.CasesPerOp
}

func (o Options) ops() []kernels.Op {
	if o.Ops == nil {
		return kernels.Ops()
	}
	return o.Ops
}

// random gives case n of an operation its own stream.
func (o Options) random(op kernels.Op, n int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(o.Seed), uint64(op)<<32|uint64(n)))
}

// Result is what came out for one operation.
type Result struct {
	Op        kernels.Op
	Cases     int
	MaxError  float64 // see the package's compare.go for how it is measured; of calls with a tolerance of their own, scaled to Tolerance
	Tolerance float64
	Worst     string // the call and the output of MaxError
	Err       error  // the first call that failed in another way
}

// Pass says whether the operation conforms.
func (r Result) Pass() bool { return r.Err == nil && r.Cases > 0 && r.MaxError <= r.Tolerance }

func (r Result) String() string {
	switch {
	case r.Err != nil:
		return fmt.Sprintf("%v: %v", r.Op, r.Err)
	case !r.Pass():
		return fmt.Sprintf("%v: error %.3g above %.3g: %s", r.Op, r.MaxError, r.Tolerance, r.Worst)
	}
	return fmt.Sprintf("%v: %d cases, error %.3g within %.3g", r.Op, r.Cases, r.MaxError, r.Tolerance)
}

// note keeps the largest error; a NaN counts as one.
func (r *Result) note(err float64, format string, args ...any) {
	if math.IsNaN(err) {
		err = math.Inf(1)
	}
	if err > r.MaxError {
		r.MaxError, r.Worst = err, fmt.Sprintf(format, args...)
	}
}

// Run holds a device to the contract, one result for each operation.
func Run(dev kernels.Device, opts Options) []Result {
	kind, ok := kernels.Kinds[dev.Kind()]
	results := make([]Result, 0, len(opts.ops()))
	for _, op := range opts.ops() {
		r := Result{Op: op, Tolerance: recipes[op].tolerance}
		if ok {
			r.try(dev, kind, opts)
		} else {
			r.Err = fmt.Errorf("device kind %q is not in kernels.Kinds", dev.Kind())
		}
		results = append(results, r)
	}
	return results
}

func (r *Result) try(dev kernels.Device, kind kernels.Kind, opts Options) {
	for n := range opts.cases() {
		s, err := generate(r.Op, opts.random(r.Op, n), full)
		if err != nil {
			r.Err = fmt.Errorf("case %d: %w", n, err)
			return
		}
		err = r.compare(dev, s, n)
		if err == nil && n == 0 {
			err = refusals(dev, kind, s)
		}
		if err != nil {
			r.Err = fmt.Errorf("case %d: %w: %v", n, err, s)
			return
		}
		r.Cases++
	}
}

// compare runs one call on the device and on ref.
func (r *Result) compare(dev kernels.Device, s *sample, n int) error {
	got, err := execute(dev, s)
	if err != nil {
		return err
	}
	want, err := execute(ref.New(), s)
	if err != nil {
		return fmt.Errorf("on ref: %w", err)
	}
	scale := r.Tolerance / recipes[s.op].toleranceOf(s.attrs)
	if r.Tolerance == exact {
		scale = 1
	}
	for i, p := range s.contract().Params {
		if want[i].floats == nil && want[i].ints == nil {
			continue
		}
		size := 0.0
		if terms := recipes[s.op].terms; terms != nil {
			size = terms(s, p.Name)
		}
		r.note(scale*difference(got[i], want[i], size), "case %d: output %s: %v", n, p.Name, s)
	}
	return nil
}
