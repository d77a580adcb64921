package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// bindSumSquares sums pieces of SquaresPiece elements in float64, then the pieces in order.
func bindSumSquares(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, total, moments := floats(c.Args[0]), scalar[float64](c.Args[1]), d.vector().moments
	partial := make([]float64, ceilDiv(len(x), kernels.SquaresPiece))
	run := d.overPieces(len(x), kernels.SquaresPiece, func(piece, lo, hi int) {
		_, partial[piece] = moments(x[lo:hi])
	})
	return func() {
		run()
		sum := 0.0
		for _, p := range partial {
			sum += p
		}
		if c.Attrs.Accumulate {
			sum += *total
		}
		*total = sum
	}, nil
}

// bindClipFactor: a NaN total gives a NaN norm and a NaN factor, never a factor of 1.
func bindClipFactor(_ *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	totals, scale := kernels.Slice[float64](c.Args[0]), orOne(c.Args[1])
	norm, factor := scalar[float64](c.Args[2]), scalar[float64](c.Args[3])
	finite, maxNorm := scalar[int64](c.Args[4]), c.Attrs.MaxNorm
	return func() {
		total := 0.0
		for _, t := range totals {
			total += t
		}
		*norm, *factor, *finite = math.Sqrt(total) / *scale, 1, 1
		if maxNorm != 0 {
			*factor = min(1, maxNorm/(*norm+1e-6))
		}
		*factor /= *scale
		if !isFinite(*norm) {
			*finite = 0
		}
	}, nil
}

// one stands for a scale that is absent; it is never written.
var one = 1.0

// orOne is a scalar, or 1 where it is absent.
func orOne(t kernels.Tensor) *float64 {
	if t.Absent() {
		return &one
	}
	return scalar[float64](t)
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func bindLossScale(_ *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	finite, loss, scale := scalar[int64](c.Args[0]), scalar[float64](c.Args[1]), scalar[float64](c.Args[2])
	good, updates, a := scalar[int64](c.Args[3]), scalar[int64](c.Args[4]), c.Attrs
	return func() {
		if *finite == 0 || !isFinite(*loss) {
			*scale, *good = *scale*a.Backoff, 0
			return
		}
		*updates++
		if *good++; *good == int64(a.GrowthInterval) {
			*scale, *good = *scale*a.Growth, 0
		}
	}, nil
}

// overNorms makes the kernel of an operation that also gives two sums of squares:
// before runs first, on the caller; f then returns the two sums of each
// piece of SquaresPiece elements, which are combined in order.
func (d *Device) overNorms(n int, norms kernels.Tensor, before func(), f func(lo, hi int) (a, b float64)) kernels.Kernel {
	out := kernels.Slice[float64](norms)
	partial := make([][2]float64, ceilDiv(n, kernels.SquaresPiece))
	run := d.overPieces(n, kernels.SquaresPiece, func(piece, lo, hi int) {
		a, b := f(lo, hi)
		partial[piece] = [2]float64{a, b}
	})
	return func() {
		before()
		run()
		out[0], out[1] = 0, 0
		for _, p := range partial {
			out[0] += p[0]
			out[1] += p[1]
		}
	}
}

// lambParams are the scalars of [kernels.LAMBMoments] and [kernels.LAMBApply]; take is 1−β.
type lambParams struct {
	factor, take1, take2, floor            float32
	unbias1, unbias2, epsilon, decay, step float64
}

func (p *lambParams) set(a kernels.Attrs, step int64, factor float64) {
	unbias1, unbias2 := unbias(a, step)
	*p = lambParams{
		factor: float32(factor), take1: float32(1 - a.Beta1), take2: takeSquares(a, step), floor: squaresFloor(a, step),
		unbias1: unbias1, unbias2: unbias2, epsilon: a.Epsilon, decay: a.Decay,
	}
}

// direction is r = m̂/(√v̂ + epsilon) + λ·w.
func (p *lambParams) direction(w, m, v float32) float64 {
	return p.unbias1*float64(m)/(math.Sqrt(float64(v)*p.unbias2)+p.epsilon) + p.decay*float64(w)
}

func (p *lambParams) moments(w, g, m, v []float32) (ww, rr float64) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	for i, x := range w {
		grad := p.factor * g[i]
		m[i] += p.take1 * (grad - m[i])
		v[i] = max(v[i]+p.take2*(grad*grad-v[i]), p.floor*grad*grad)
		r := p.direction(x, m[i], v[i])
		ww += float64(x) * float64(x)
		rr += r * r
	}
	return ww, rr
}

func (p *lambParams) apply(w, m, v []float32) {
	m, v = m[:len(w)], v[:len(w)]
	for i, x := range w {
		w[i] = float32(float64(x) - p.step*p.direction(x, m[i], v[i]))
	}
}

func bindLAMBMoments(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	w, g, m, v := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2]), floats(c.Args[3])
	step, factor := scalar[int64](c.Args[4]), scalar[float64](c.Args[5])
	p := &lambParams{}
	return d.overNorms(len(w), c.Args[6], func() { p.set(c.Attrs, *step, *factor) }, func(lo, hi int) (ww, rr float64) {
		return p.moments(w[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi])
	}), nil
}

func bindLAMBApply(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	w, m, v, norms := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2]), kernels.Slice[float64](c.Args[3])
	rate, step := rateOf(c.Args[4], c.Attrs), scalar[int64](c.Args[5])
	p := &lambParams{}
	before := func() {
		p.set(c.Attrs, *step, 1)
		ratio := 1.0
		if norms[0] != 0 && norms[1] != 0 {
			ratio = math.Sqrt(norms[0]) / math.Sqrt(norms[1])
		}
		p.step = rate.now() * ratio
	}
	return d.overWeights(len(w), before, func(lo, hi int) { p.apply(w[lo:hi], m[lo:hi], v[lo:hi]) }), nil
}
