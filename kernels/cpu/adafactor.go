package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// adafactor is what the three operations share: the gradient of a matrix [rows, width]
// and the estimate of its variance, either factored or whole.
type adafactor struct {
	grad        []float32
	row, column []float32 // nil when variance is whole
	variance    []float32
	rows, width int
	factor      *float64
	epsilon     float64
	rowMean     float64 // max(mean(row), epsilon) of the current call
}

func newAdafactor(grad, row, column, variance, factor kernels.Tensor, s kernels.Sizes, a kernels.Attrs) *adafactor {
	return &adafactor{
		grad: floats(grad), row: floats(row), column: floats(column), variance: floats(variance),
		rows: s["R"], width: s["C"], factor: scalar[float64](factor), epsilon: a.Epsilon,
	}
}

func bindAdafactorMoments(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	f := newAdafactor(c.Args[0], c.Args[3], c.Args[4], c.Args[5], c.Args[1], s, c.Attrs)
	step := scalar[int64](c.Args[2])
	if f.variance != nil {
		return f.whole(d, step), nil
	}
	return f.factored(d, step), nil
}

// take is b = t^(−0.8), the share of the new value in a running mean.
func take(step int64) float64 { return math.Pow(float64(step), -0.8) }

func (f *adafactor) whole(d *Device, step *int64) kernels.Kernel {
	var b, factor float64
	before := func() { b, factor = take(*step), *f.factor }
	return d.overWeights(len(f.grad), before, func(lo, hi int) {
		v := f.variance[lo:hi]
		for i, x := range f.grad[lo:hi] {
			g := factor * float64(x)
			v[i] = float32((1-b)*float64(v[i]) + b*g*g)
		}
	})
}

// factored sums squares over rows and, in pieces of rows that are combined in order, over columns.
func (f *adafactor) factored(d *Device, step *int64) kernels.Kernel {
	each := max(sumRowsPiece, ceilDiv(f.rows, sumRowsPieces))
	pieces, moments := ceilDiv(f.rows, each), d.vector().moments
	partial := doublesOf(d.scratch.a, pieces*f.width)
	var b, square float64
	run := d.spread(pieces, len(f.grad), func(piece, _ int) {
		sums := partial[piece*f.width:][:f.width]
		clear(sums)
		for r := piece * each; r < min(f.rows, (piece+1)*each); r++ {
			g := f.grad[r*f.width:][:f.width]
			for i, x := range g {
				sums[i] += float64(x) * float64(x)
			}
			_, squares := moments(g)
			f.row[r] = float32((1-b)*float64(f.row[r]) + b*square*squares/float64(f.width))
		}
	})
	return func() {
		b, square = take(*step), *f.factor**f.factor
		run()
		for i := range f.column {
			sum := 0.0
			for p := range pieces {
				sum += partial[p*f.width+i]
			}
			f.column[i] = float32((1-b)*float64(f.column[i]) + b*square*sum/float64(f.rows))
		}
	}
}

// prepare reads what all elements of a call share.
func (f *adafactor) prepare() {
	if f.variance != nil {
		return
	}
	sum := 0.0
	for _, x := range f.row {
		sum += float64(x)
	}
	f.rowMean = max(sum/float64(f.rows), f.epsilon)
}

// each calls do with the update u = g/√max(V, epsilon²) of elements lo to hi. It
// computes in float64: epsilon² is too small for float32.
func (f *adafactor) each(lo, hi int, do func(i int, u float64)) {
	least, factor := f.epsilon*f.epsilon, *f.factor
	for lo < hi {
		r := lo / f.width
		end := min(hi, (r+1)*f.width)
		scale := 1.0
		if f.variance == nil {
			scale = float64(f.row[r]) / f.rowMean
		}
		for ; lo < end; lo++ {
			v := scale
			if f.variance != nil {
				v = float64(f.variance[lo])
			} else {
				v *= float64(f.column[lo-r*f.width])
			}
			do(lo, factor*float64(f.grad[lo])/math.Sqrt(max(v, least)))
		}
	}
}

func bindAdafactorNorms(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	w := floats(c.Args[0])
	f := newAdafactor(c.Args[1], c.Args[2], c.Args[3], c.Args[4], c.Args[5], s, c.Attrs)
	return d.overNorms(len(w), c.Args[6], f.prepare, func(lo, hi int) (ww, uu float64) {
		f.each(lo, hi, func(i int, u float64) {
			ww += float64(w[i]) * float64(w[i])
			uu += u * u
		})
		return ww, uu
	}), nil
}

func bindAdafactorApply(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	w, norms, a := floats(c.Args[0]), kernels.Slice[float64](c.Args[5]), c.Attrs
	f := newAdafactor(c.Args[1], c.Args[2], c.Args[3], c.Args[4], c.Args[8], s, a)
	rate, t := rateOf(c.Args[6], a), scalar[int64](c.Args[7])
	var decay, step float64
	before := func() {
		f.prepare()
		decay = rate.now() * a.Decay
		step = min(rate.now(), a.RateScale/math.Sqrt(float64(*t))) * max(a.Epsilon2, rms(norms[0], len(w))) /
			max(1, rms(norms[1], len(w))/a.MaxRMS)
	}
	return d.overWeights(len(w), before, func(lo, hi int) {
		f.each(lo, hi, func(i int, u float64) {
			w[i] = float32(float64(w[i]) - decay*float64(w[i]) - step*u)
		})
	}), nil
}

// rms is the root mean square of n elements with the given sum of squares.
func rms(squares float64, n int) float64 { return math.Sqrt(squares / float64(n)) }
