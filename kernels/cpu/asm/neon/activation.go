package main

// activation writes the loops of one activation: its value, and its value with its derivative.
type activation struct {
	name string
	// begin loads the constants and gives what writes f(x), and f′(x) when slope is asked for.
	begin func(f *span) func(x vec, slope bool) (y, dy vec)
}

var activations = []activation{
	{"relu", relu},
	{"gelu", gelu},
	{"geluTanh", geluTanh},
	{"silu", silu},
	{"sigmoid", sigmoid},
	{"tanh", tanh},
}

func (a activation) write(out *file) {
	f := newSpan(out, a.name, "func(y, x []float32)", "sets y = f(x).", "y", "x")
	apply := a.begin(f)
	f.each(1, func() {
		y, _ := apply(f.read("x"), false)
		f.write(y, "y")
	})
	f.ret()

	f = newSpan(out, a.name+"Both", "func(y, dy, x []float32)", "sets y = f(x) and dy = f′(x).", "y", "dy", "x")
	apply = a.begin(f)
	f.each(1, func() {
		y, dy := apply(f.read("x"), true)
		f.write(y, "y")
		f.write(dy, "dy")
	})
	f.ret()
}

func relu(f *span) func(x vec, slope bool) (y, dy vec) {
	zero, one := f.float(0), f.float(1)
	return func(x vec, slope bool) (y, dy vec) {
		y = f.vec()
		f.three(fmax, y, x, zero)
		if slope {
			f.two(positive, x, x)
			f.three(and, x, x, one)
		}
		return y, x
	}
}

// logisticLimit is where e^x leaves the normal numbers.
const logisticLimit = 87

// logistic is the part that silu and sigmoid share: e = e⁻ˣ and d = 1 + e. x is kept.
func logistic(f *span) (apply func(x vec) (e, d vec), one vec) {
	exp, l := f.newExp(), f.within(logisticLimit)
	return func(x vec) (e, d vec) {
		minus := f.vec()
		f.two(fneg, minus, x)
		f.clamp(minus, minus, l)
		e, d = exp.core(minus), f.vec()
		f.three(fadd, d, e, exp.one)
		return e, d
	}, exp.one
}

// silu: y = x·s, dy = s + y·(1 − s), s = 1/(1 + e), 1 − s = e·s.
func silu(f *span) func(x vec, slope bool) (y, dy vec) {
	apply, one := logistic(f)
	return func(x vec, slope bool) (y, dy vec) {
		e, d := apply(x)
		if !slope {
			f.three(fdiv, x, x, d)
			return x, 0
		}
		f.three(fdiv, d, one, d)
		f.three(fmul, x, x, d)
		f.three(fmul, e, e, d)
		f.three(fmla, d, x, e)
		return x, d
	}
}

// sigmoid: y = s, dy = s·(1 − s).
func sigmoid(f *span) func(x vec, slope bool) (y, dy vec) {
	apply, one := logistic(f)
	return func(x vec, slope bool) (y, dy vec) {
		e, d := apply(x)
		f.three(fdiv, d, one, d)
		if slope {
			f.three(fmul, e, e, d)
			f.three(fmul, e, e, d)
		}
		return d, e
	}
}

const (
	geluA     = 2 * 0.79788456080286535588 // 2√(2/π)
	geluB     = 0.044715
	geluLimit = 10 // beyond, s is 0 or 1
)

// geluTanh: y = x·s, dy = s + z·s·(1 − s)·u′ with s = 1/(1 + e⁻ᵘ), u = z·(a + ab·z²), u′ = a + 3ab·z², z = x within ±10.
func geluTanh(f *span) func(x vec, slope bool) (y, dy vec) {
	exp, l := f.newExp(), f.within(geluLimit)
	cubic, square := f.float(-geluA*geluB), f.float(3*geluA*geluB)
	return func(x vec, slope bool) (y, dy vec) {
		z, z2, u, d := f.vec(), f.vec(), f.vec(), f.vec()
		f.clamp(z, x, l)
		f.three(fmul, z2, z, z)
		f.set(u, -geluA)
		f.three(fmla, u, z2, cubic)
		f.three(fmul, u, u, z)
		e := exp.core(u)
		f.three(fadd, d, e, exp.one)
		if !slope {
			f.three(fdiv, x, x, d)
			return x, 0
		}
		f.three(fdiv, d, exp.one, d)
		f.set(u, geluA)
		f.three(fmla, u, z2, square)
		f.three(fmul, u, u, z)
		f.three(fmul, e, e, d)
		f.three(fmul, e, e, u)
		f.three(fmul, x, x, d)
		f.move(u, d)
		f.three(fmla, u, e, d)
		return x, u
	}
}

const inverseRoot = 0.39894228040143267794 // 1/√(2π)

// gelu: y = max(x, 0) − a·tail; dy = Φ(x) + x·φ(x), Φ = [x > 0] − sign(x)·tail.
func gelu(f *span) func(x vec, slope bool) (y, dy vec) {
	n, zero, root, sign := f.newNormal(), f.float(0), f.float(inverseRoot), f.bits(signBit)
	return func(x vec, slope bool) (y, dy vec) {
		a, tail, e := n.apply(x)
		y = f.vec()
		f.three(fmax, y, x, zero)
		f.three(fmls, y, a, tail)
		if slope { // step + sign(x)·(a·e/√(2π) − tail), step being 1 where the sign of x is positive
			f.three(fmul, e, e, root)
			f.three(fmls, tail, e, a)
			f.two(fneg, tail, tail)
			f.three(and, e, x, sign)
			f.three(eor, tail, tail, e)
			f.two(sshr31, e, x)
			f.three(bic, e, n.one, e)
			f.three(fadd, tail, tail, e)
		}
		return y, tail
	}
}

const tanhLimit = 40

// tanh: y = t/(t + 2), dy = 4·e^(2x)/(t + 2)², t = e^(2x) − 1, which is 2ⁿ·(e^r − 1) + (2ⁿ − 1).
func tanh(f *span) func(x vec, slope bool) (y, dy vec) {
	exp, l, two, four := f.newExp(), f.within(tanhLimit), f.float(2), f.float(4)
	return func(x vec, slope bool) (y, dy vec) {
		f.three(fadd, x, x, x)
		f.clamp(x, x, l)
		n := exp.reduce(x)
		p, power, t, d := exp.series(x), f.vec(), f.vec(), f.vec()
		f.three(fmul, p, p, x)
		f.move(power, exp.one)
		f.power(power, n)
		f.three(fsub, t, power, exp.one)
		f.three(fmla, t, power, p)
		f.three(fadd, d, t, two)
		if !slope {
			f.three(fdiv, t, t, d)
			return t, 0
		}
		f.move(n, power)
		f.three(fmla, n, power, p) // e^(2x)
		f.three(fdiv, d, exp.one, d)
		f.three(fmul, t, t, d)
		f.three(fmul, d, d, d)
		f.three(fmul, n, n, four)
		f.three(fmul, n, n, d)
		return t, n
	}
}
