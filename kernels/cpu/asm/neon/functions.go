package main

// The functions below compute in float32 what functions.go of package cpu does in float64, with the same formulas.

// expPoly are c of e^r = 1 + r + r²·(c[0] + c[1]·r + … + c[4]·r⁴) for |r| ≤ ln 2/2: a minimax
// fit made for gsc, with an error of 1.4e-8·|r|.
var expPoly = []float64{0.5000000062273208, 0.16666542545608992, 0.041666280630263466, 0.008366643945812196, 0.0013946554451399137}

// ln 2 in two parts, the first so short that n·ln2Hi is exact. Source: the Cephes library, expf.
const (
	log2E = 1.44269504088896341
	ln2Hi = 0.693359375
	ln2Lo = -2.12194440e-4
)

// expLeast is where e^x ends: below, 2ⁿ has no normal representation.
const expLeast = -87.33

// exponential is e^x; its constants are those that are multiplied by. Those that are added to are loaded where they
// are needed, since a multiplication that adds overwrites them.
type exponential struct {
	*span
	log2E, ln2Hi, ln2Lo, one, least vec
}

func (f *span) newExp() *exponential {
	return &exponential{f, f.float(log2E), f.float(ln2Hi), f.float(ln2Lo), f.float(1), f.float(expLeast)}
}

// reduce gives n with x = n·ln 2 + r; x is overwritten by r.
func (e *exponential) reduce(x vec) (n vec) {
	n = e.vec()
	e.three(fmul, n, x, e.log2E)
	e.two(frintn, n, n)
	e.three(fmls, x, n, e.ln2Hi)
	e.three(fmls, x, n, e.ln2Lo)
	return n
}

// series gives (e^r − 1)/r.
func (e *exponential) series(r vec) vec { return e.horner(r, append([]float64{1}, expPoly...)) }

// horner evaluates c[0] + c[1]·x + ….
func (f *function) horner(x vec, c []float64) vec {
	p, next := f.vec(), f.vec()
	last := len(c) - 1
	f.set(p, c[last])
	for i := last - 1; i >= 0; i-- {
		f.set(next, c[i])
		f.three(fmla, next, p, x)
		p, next = next, p
	}
	return p
}

// power multiplies x by 2ⁿ, for |n| ≤ 126. n is overwritten.
func (f *function) power(x, n vec) {
	f.two(fcvtns, n, n)
	f.two(shl23, n, n)
	f.three(addS, x, x, n)
}

// core is e^x for |x| ≤ 87. x is overwritten.
func (e *exponential) core(x vec) vec {
	n := e.reduce(x)
	return e.raise(x, n)
}

// raise is 2ⁿ·e^r. n is overwritten.
func (e *exponential) raise(r, n vec) vec {
	p, y := e.series(r), e.vec()
	e.move(y, e.one)
	e.three(fmla, y, p, r)
	e.power(y, n)
	return y
}

// any is e^x for any x ≤ 87: 0 where that is too small for a normal number, NaN for NaN. x is overwritten.
func (e *exponential) any(x vec) vec {
	under := e.vec()
	e.three(fcmgt, under, e.least, x)
	e.three(fmax, x, x, e.least)
	y := e.core(x)
	e.three(bic, y, y, under)
	return y
}

// limits is the range that an argument is brought into; a NaN stays one.
type limits struct{ least, most vec }

func (f *span) within(limit float64) limits { return limits{f.float(-limit), f.float(limit)} }

func (f *span) clamp(y, x vec, l limits) {
	f.three(fmin, y, x, l.most)
	f.three(fmax, y, y, l.least)
}

// phi and phiPole are those of package cpu.
const phiPole = 0.265

var phi = []float64{
	0.1057421235213599, 0.10523707895376821, 0.1027701141298936, 0.060038585857431666, 0.13861052185021008,
	-0.1173365842040119, 0.21868844939781865, -0.14466309140554315, 0.030912807399833597,
}

// normalLimit is where e^(−x²/2) leaves the normal numbers.
const normalLimit = 13

type normal struct {
	*exponential
	limit, half, pole vec
}

func (f *span) newNormal() *normal {
	return &normal{f.newExp(), f.float(normalLimit), f.float(0.5), f.float(phiPole)}
}

// apply gives, for x brought into [−13, 13], a = |x|, the tail Φ(−a) and e^(−a²/2). x is kept.
//
// The rounding error of h = a·(a/2), which e^h would blow up, is exact in a fused multiplication and taken off the exponent.
func (f *normal) apply(x vec) (a, tail, e vec) {
	a = f.vec()
	half, h, lost := f.vec(), f.vec(), f.vec()
	f.two(fabs, a, x)
	f.three(fmin, a, a, f.limit)
	f.three(fmul, half, a, f.half)
	f.three(fmul, h, half, a)
	f.move(lost, h)
	f.three(fmls, lost, half, a)
	f.two(fneg, h, h)
	n := f.reduce(h)
	f.three(fadd, h, h, lost)
	e = f.raise(h, n)

	t := f.vec()
	f.move(t, f.one)
	f.three(fmla, t, a, f.pole)
	f.three(fdiv, t, f.one, t)
	tail = f.horner(t, phi)
	f.three(fmul, tail, tail, t)
	f.three(fmul, tail, tail, e)
	return a, tail, e
}
