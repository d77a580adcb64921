package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// activation writes the loops of one activation: its value, and its value with its derivative.
type activation struct {
	name string
	need func(f *span)
	// apply gives f(x), and f′(x) when slope is asked for.
	apply func(f *span, x reg.VecVirtual, slope bool) (y, dy reg.VecVirtual)
}

var activations = []activation{
	{"relu", func(f *span) { f.need(1) }, relu},
	{"gelu", needGelu, gelu},
	{"geluTanh", needGeluTanh, geluTanh},
	{"silu", needSilu, silu},
	{"sigmoid", needSilu, sigmoid},
	{"tanh", needTanh, tanh},
}

func (a activation) write(s isa) {
	f := newSpan(s, a.name, "func(y, x []float32)", "sets y = f(x).", "y", "x")
	a.need(f)
	f.each(1, func() {
		y, _ := a.apply(f, f.load("x"), false)
		f.store(y, "y")
	})
	f.end()

	f = newSpan(s, a.name+"Both", "func(y, dy, x []float32)", "sets y = f(x) and dy = f′(x).", "y", "dy", "x")
	a.need(f)
	f.each(1, func() {
		y, dy := a.apply(f, f.load("x"), true)
		f.store(y, "y")
		f.store(dy, "dy")
	})
	f.end()
}

func relu(f *span, x reg.VecVirtual, slope bool) (y, dy reg.VecVirtual) {
	y = f.vector()
	f.zero(y)
	VMAXPS(x, y, y)
	if slope {
		dy = f.positive(x)
	}
	return y, dy
}

func needSilu(f *span) {
	f.needLogistic()
	f.needBits(signBit)
}

// silu: y = x·s, dy = s + y·(1 − s), s = 1/(1 + e), 1 − s = e·s.
func silu(f *span, x reg.VecVirtual, slope bool) (y, dy reg.VecVirtual) {
	e, d := f.logistic(f.negate(x))
	if !slope {
		VDIVPS(d, x, x)
		return x, nil
	}
	VDIVPS(d, f.reg(1), d)
	VMULPS(d, x, x)
	VMULPS(d, e, e)
	VFMADD231PS(e, x, d)
	return x, d
}

// sigmoid: y = s, dy = s·(1 − s).
func sigmoid(f *span, x reg.VecVirtual, slope bool) (y, dy reg.VecVirtual) {
	e, d := f.logistic(f.negate(x))
	VDIVPS(d, f.reg(1), d)
	if slope {
		VMULPS(d, e, e)
		VMULPS(d, e, e)
	}
	return d, e
}

const (
	geluA     = 2 * 0.79788456080286535588 // 2√(2/π)
	geluB     = 0.044715
	geluLimit = 10 // beyond, s is 0 or 1
)

func needGeluTanh(f *span) {
	f.needExp()
	f.need(-geluA, -geluA*geluB, geluA, 3*geluA*geluB, geluLimit, -geluLimit)
}

// geluTanh: y = x·s, dy = s + z·s·(1 − s)·u′ with s = 1/(1 + e⁻ᵘ), u = z·(a + ab·z²), u′ = a + 3ab·z², z = x within ±10.
func geluTanh(f *span, x reg.VecVirtual, slope bool) (y, dy reg.VecVirtual) {
	z, z2, u := f.vector(), f.vector(), f.vector()
	VMOVAPS(x, z)
	f.atMost(z, geluLimit)
	f.atLeast(z, -geluLimit)
	VMULPS(z, z, z2)
	VMOVAPS(f.reg(-geluA*geluB), u)
	VFMADD213PS(f.c(-geluA), z2, u)
	VMULPS(z, u, u)
	e := f.expCore(u)
	d := f.vector()
	VADDPS(f.c(1), e, d)
	if !slope {
		VDIVPS(d, x, x)
		return x, nil
	}
	VDIVPS(d, f.reg(1), d)
	VFMADD213PS(f.c(geluA), f.reg(3*geluA*geluB), z2)
	VMULPS(z, z2, z2)
	VMULPS(d, e, e)
	VMULPS(z2, e, e)
	VMULPS(d, x, x)
	VFMADD213PS(d, d, e)
	return x, e
}

func needGelu(f *span) {
	f.needNormal()
	f.need(inverseRoot)
}

const inverseRoot = 0.39894228040143267794 // 1/√(2π)

// gelu: y = max(x, 0) − a·tail; dy = Φ(x) + x·φ(x), Φ = [x > 0] − sign(x)·tail.
func gelu(f *span, x reg.VecVirtual, slope bool) (y, dy reg.VecVirtual) {
	a, tail, e := f.normal(x)
	if slope {
		dy = f.gaussSlope(x, a, tail, e)
	}
	y = f.vector()
	f.zero(y)
	VMAXPS(x, y, y)
	VFNMADD231PS(a, tail, y)
	return y, dy
}

// gaussSlope gives step + sign(x)·(a·e/√(2π) − tail), step being 1 where the sign of x is positive. e is overwritten.
func (f *span) gaussSlope(x, a, tail, e reg.VecVirtual) reg.VecVirtual {
	VMULPS(f.c(inverseRoot), e, e)
	VFMSUB213PS(tail, a, e)
	s := f.vector()
	VANDPS(f.word(signBit), x, s)
	VXORPS(s, e, e)
	VPSRAD(Imm(31), s, s)
	VANDNPS(f.c(1), s, s)
	VADDPS(s, e, e)
	return e
}

const tanhLimit = 40

func needTanh(f *span) {
	f.needExp()
	f.need(tanhLimit, -tanhLimit, 2, 4)
}

// tanh: y = t/(t + 2), dy = 4·e^(2x)/(t + 2)², t = e^(2x) − 1, which is 2ⁿ·(e^r − 1) + (2ⁿ − 1).
func tanh(f *span, x reg.VecVirtual, slope bool) (y, dy reg.VecVirtual) {
	VADDPS(x, x, x)
	f.atMost(x, tanhLimit)
	f.atLeast(x, -tanhLimit)
	n, r := f.reduce(x)
	p := f.expSeries(r)
	VMULPS(r, p, p)
	power, t := f.vector(), f.vector()
	VMOVAPS(f.reg(1), power)
	f.power(power, n)
	VSUBPS(f.c(1), power, t)
	VFMADD231PS(p, power, t)
	d := f.vector()
	VADDPS(f.c(2), t, d)
	if !slope {
		VDIVPS(d, t, t)
		return t, nil
	}
	VFMADD213PS(power, power, p) // e^(2x)
	VDIVPS(d, f.reg(1), d)
	VMULPS(d, t, t)
	VMULPS(d, d, d)
	VMULPS(f.c(4), p, p)
	VMULPS(d, p, p)
	return t, p
}
