package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// rate is a bound learning rate: the operand times rate_scale, read when the kernel runs.
type rate struct {
	operand *float64
	scale   float64
}

func rateOf(t kernels.Tensor, a kernels.Attrs) rate { return rate{scalar[float64](t), a.RateScale} }

func (r rate) now() float64 { return *r.operand * r.scale }

// overWeights makes the kernel of an elementwise update: before runs first, on
// the caller, and reads the scalars; update then runs on each piece.
func (d *Device) overWeights(n int, before func(), update func(lo, hi int)) kernels.Kernel {
	run := d.overPieces(n, pieceElements, func(_, lo, hi int) { update(lo, hi) })
	return func() {
		before()
		run()
	}
}

func bindSGD(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	w, g, m := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2])
	rate, factor := rateOf(c.Args[3], c.Attrs), scalar[float64](c.Args[4])
	momentum, decay := float32(c.Attrs.Momentum), float32(c.Attrs.Decay)
	var eta, scale float32
	before := func() { eta, scale = float32(rate.now()), float32(*factor) }
	switch {
	case m == nil:
		return d.overWeights(len(w), before, func(lo, hi int) { sgdPlain(w[lo:hi], g[lo:hi], eta, scale, decay) }), nil
	case c.Attrs.Nesterov:
		return d.overWeights(len(w), before, func(lo, hi int) {
			sgdNesterov(w[lo:hi], g[lo:hi], m[lo:hi], eta, scale, decay, momentum)
		}), nil
	}
	return d.overWeights(len(w), before, func(lo, hi int) {
		sgdMomentum(w[lo:hi], g[lo:hi], m[lo:hi], eta, scale, decay, momentum)
	}), nil
}

func sgdPlain(w, g []float32, eta, factor, decay float32) {
	g = g[:len(w)]
	for i, x := range w {
		w[i] = x - eta*(factor*g[i]+decay*x)
	}
}

func sgdMomentum(w, g, m []float32, eta, factor, decay, momentum float32) {
	g, m = g[:len(w)], m[:len(w)]
	for i, x := range w {
		m[i] = momentum*m[i] + (factor*g[i] + decay*x)
		w[i] = x - eta*m[i]
	}
}

func sgdNesterov(w, g, m []float32, eta, factor, decay, momentum float32) {
	g, m = g[:len(w)], m[:len(w)]
	for i, x := range w {
		grad := factor*g[i] + decay*x
		m[i] = momentum*m[i] + grad
		w[i] = x - eta*(grad+momentum*m[i])
	}
}

func bindAdam(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	return bindAdamDecay(d, c, func(p *adamParams, _ float64) { p.coupled = float32(c.Attrs.Decay) })
}

func bindAdamW(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	return bindAdamDecay(d, c, func(p *adamParams, eta float64) { p.decay = float32(eta * c.Attrs.Decay) })
}

// bindAdamDecay binds Adam with the given way of weight decay.
func bindAdamDecay(d *Device, c kernels.Call, decay func(p *adamParams, eta float64)) (kernels.Kernel, error) {
	w, g, m, v := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2]), floats(c.Args[3])
	rate, step, factor := rateOf(c.Args[4], c.Attrs), scalar[int64](c.Args[5]), scalar[float64](c.Args[6])
	p, adam, a := &adamParams{}, d.vector().adam, c.Attrs
	var floor float32
	before := func() {
		eta := rate.now()
		floor = squaresFloor(a, *step)
		unbias1, unbias2 := unbias(a, *step)
		*p = adamParams{
			factor: float32(*factor), take1: float32(1 - a.Beta1), take2: takeSquares(a, *step),
			rate: float32(eta * unbias1), unbias: float32(unbias2), epsilon: float32(a.Epsilon),
		}
		decay(p, eta)
	}
	return d.overWeights(len(w), before, func(lo, hi int) {
		if floor > 0 {
			raise(w[lo:hi], g[lo:hi], v[lo:hi], p, floor)
		}
		adam(w[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi], p)
	}), nil
}

// unbias gives 1/(1−β₁ᵗ) and 1/(1−β₂ᵗ), of v the steps that it takes gradients in.
func unbias(a kernels.Attrs, step int64) (m, v float64) {
	return 1 / (1 - math.Pow(a.Beta1, float64(step))), 1 / (1 - math.Pow(a.Beta2, float64(a.VarianceStep(step))))
}

// takeSquares is what v takes in of a step's squares: 1−β₂, or nothing where v stays.
func takeSquares(a kernels.Attrs, step int64) float32 {
	if a.VarianceStep(step) < step {
		return 0
	}
	return float32(1 - a.Beta2)
}

// squaresFloor is the share of a gradient's square that v is no less than, where it stays; 0 where it does not.
func squaresFloor(a kernels.Attrs, step int64) float32 {
	s := a.VarianceStep(step)
	if s == step {
		return 0
	}
	return float32((1 - math.Pow(a.Beta2, float64(s))) / (kernels.SpreadLimit * kernels.SpreadLimit))
}

// raise makes v no less than a share of the squares.
func raise(w, g, v []float32, p *adamParams, floor float32) {
	g, v = g[:len(w)], v[:len(w)]
	for i, x := range w {
		grad := p.factor*g[i] + p.coupled*x
		v[i] = max(v[i], floor*grad*grad)
	}
}

func bindLion(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	w, g, m := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2])
	rate, factor := rateOf(c.Args[3], c.Attrs), scalar[float64](c.Args[4])
	p, lion := &lionParams{}, d.vector().lion
	before := func() {
		*p = lionParams{
			factor: float32(*factor), take1: float32(1 - c.Attrs.Beta1), take2: float32(1 - c.Attrs.Beta2),
			decay: float32(c.Attrs.Decay), rate: float32(rate.now()),
		}
	}
	return d.overWeights(len(w), before, func(lo, hi int) { lion(w[lo:hi], g[lo:hi], m[lo:hi], p) }), nil
}

func bindMuonMomentum(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	g, m, factor, u := floats(c.Args[0]), floats(c.Args[1]), scalar[float64](c.Args[2]), floats(c.Args[3])
	take, nesterov := float32(1-c.Attrs.Momentum), c.Attrs.Nesterov
	var scale float32
	return d.overWeights(len(g), func() { scale = float32(*factor) }, func(lo, hi int) {
		muonMomentum(g[lo:hi], m[lo:hi], u[lo:hi], scale, take, nesterov)
	}), nil
}

// muonMomentum moves m toward g by take = 1−momentum, and with nesterov u as far again from m toward g.
func muonMomentum(g, m, u []float32, factor, take float32, nesterov bool) {
	m, u = m[:len(g)], u[:len(g)]
	for i := range g {
		grad := factor * g[i]
		m[i] += take * (grad - m[i])
		u[i] = m[i]
		if nesterov {
			u[i] += take * (grad - m[i])
		}
	}
}

func bindMuonApply(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	w, u, rate := floats(c.Args[0]), floats(c.Args[1]), rateOf(c.Args[2], c.Attrs)
	var decay, step float32
	before := func() { decay, step = float32(rate.now()*c.Attrs.Decay), float32(rate.now()*c.Attrs.Alpha) }
	return d.overWeights(len(w), before, func(lo, hi int) {
		w, u := w[lo:hi], u[lo:hi]
		for i, x := range w {
			w[i] = x - (decay*x + step*u[i])
		}
	}), nil
}
