package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The functions below compute in float32 what functions.go of package cpu does
// in float64, with the same formulas; errors are stated in units in the last place (ulp)
// and held by the package's tests.

// expPoly are c of e^r = 1 + r + r²·(c[0] + c[1]·r + … + c[4]·r⁴) for |r| ≤ ln 2/2: a minimax
// fit made for gsc, with an error of 1.4e-8·|r|.
var expPoly = []float32{0.5000000062273208, 0.16666542545608992, 0.041666280630263466, 0.008366643945812196, 0.0013946554451399137}

// ln 2 in two parts, the first so short that n·ln2Hi is exact. Source: the Cephes library, expf.
const (
	log2E = 1.44269504088896341
	ln2Hi = 0.693359375
	ln2Lo = -2.12194440e-4
)

func (f *span) needExp() {
	f.need(log2E, ln2Hi, ln2Lo, 1)
	f.need(expPoly...)
}

// reduce gives n and r with x = n·ln 2 + r; x is overwritten by r.
func (f *span) reduce(x reg.VecVirtual) (n, r reg.VecVirtual) {
	n = f.vector()
	VMULPS(f.c(log2E), x, n)
	f.round(n)
	VFNMADD231PS(f.c(ln2Hi), n, x)
	VFNMADD231PS(f.c(ln2Lo), n, x)
	return n, x
}

// round makes the lanes integers, the even one of two that are as near.
func (f *span) round(v reg.VecVirtual) {
	if f.lanes == 16 {
		VRNDSCALEPS(Imm(0), v, v)
	} else {
		VROUNDPS(Imm(0), v, v)
	}
}

// expSeries gives (e^r − 1)/r.
func (f *span) expSeries(r reg.VecVirtual) reg.VecVirtual {
	return f.horner(r, append([]float32{1}, expPoly...))
}

// horner evaluates c[0] + c[1]·x + ….
func (f *span) horner(x reg.VecVirtual, c []float32) reg.VecVirtual {
	p := f.vector()
	last := len(c) - 1
	VMOVUPS(f.c(c[last]), p)
	for i := last - 1; i >= 0; i-- {
		VFMADD213PS(f.c(c[i]), x, p)
	}
	return p
}

// power multiplies x by 2ⁿ, for |n| ≤ 126 on AVX2 and any n on AVX-512. n is overwritten.
func (f *span) power(x, n reg.VecVirtual) {
	if f.lanes == 16 {
		VSCALEFPS(n, x, x)
		return
	}
	VCVTPS2DQ(n, n)
	VPSLLD(Imm(23), n, n)
	VPADDD(n, x, x)
}

// expCore is e^x for |x| ≤ 87, with an error below 1.1 ulp. x is overwritten.
func (f *span) expCore(x reg.VecVirtual) reg.VecVirtual {
	n, r := f.reduce(x)
	p := f.expSeries(r)
	VFMADD213PS(f.c(1), r, p)
	f.power(p, n)
	return p
}

// expLeast is where e^x ends: on AVX2, below, 2ⁿ has no normal representation; on AVX-512, the result is 0.
func (f *span) expLeast() float32 {
	if f.lanes == 16 {
		return -104
	}
	return -87.33
}

func (f *span) needExpAny() {
	f.needExp()
	f.need(f.expLeast())
}

// expAny is e^x for any x ≤ 87: 0 where that is too small for a normal number
// (AVX2) or any number (AVX-512), NaN for NaN. x is overwritten.
func (f *span) expAny(x reg.VecVirtual) reg.VecVirtual {
	if f.lanes == 16 {
		f.atLeast(x, f.expLeast())
		return f.expCore(x)
	}
	least, under := f.reg(f.expLeast()), f.vector()
	VCMPPS(Imm(1), least, x, under) // x < least; false for NaN
	VMAXPS(x, least, x)
	e := f.expCore(x)
	VANDNPS(e, under, e)
	return e
}

// atLeast raises the lanes of x to a constant; a NaN stays one, which is why x is the operand that VMAXPS gives back.
func (f *span) atLeast(x reg.VecVirtual, value float32) { VMAXPS(x, f.reg(value), x) }

func (f *span) atMost(x reg.VecVirtual, value float32) { VMINPS(x, f.reg(value), x) }

// logisticLimit is where e^x leaves the normal numbers.
const logisticLimit = 87

func (f *span) needLogistic() {
	f.needExp()
	f.need(logisticLimit, -logisticLimit)
}

// logistic gives e = e^x and d = 1 + e, x being minus the argument of 1/(1 + e⁻ˣ). x is overwritten.
func (f *span) logistic(x reg.VecVirtual) (e, d reg.VecVirtual) {
	f.atMost(x, logisticLimit)
	f.atLeast(x, -logisticLimit)
	e = f.expCore(x)
	d = f.vector()
	VADDPS(f.c(1), e, d)
	return e, d
}

// negate gives −x.
func (f *span) negate(x reg.VecVirtual) reg.VecVirtual {
	v := f.vector()
	VXORPS(f.word(signBit), x, v)
	return v
}

const signBit, magnitude = 1 << 31, math.MaxUint32 >> 1

// positive gives 1 where x > 0, else 0.
func (f *span) positive(x reg.VecVirtual) reg.VecVirtual {
	v, zero := f.vector(), f.vector()
	f.zero(zero)
	if f.lanes == 16 {
		k := K()
		VCMPPS(Imm(30), zero, x, k) // greater, quiet
		VMOVAPS_Z(f.reg(1), k, v)
	} else {
		VCMPPS(Imm(30), zero, x, v)
		VANDPS(f.c(1), v, v)
	}
	return v
}

// phi and phiPole are those of package cpu.
const phiPole = 0.265

var phi = []float32{
	0.1057421235213599, 0.10523707895376821, 0.1027701141298936, 0.060038585857431666, 0.13861052185021008,
	-0.1173365842040119, 0.21868844939781865, -0.14466309140554315, 0.030912807399833597,
}

// normalLimit is where e^(−x²/2) leaves the normal numbers.
const normalLimit = 13

func (f *span) needNormal() {
	f.needExp()
	f.need(normalLimit, -normalLimit, phiPole, 0.5)
	f.need(phi...)
	f.needBits(signBit)
	f.needBits(magnitude)
}

// normal gives, for x brought into [−13, 13], a = |x|, the tail Φ(−a) and e^(−a²/2). x is kept.
//
// The rounding error l of h = a·(a/2), which e^h would blow up, is exact in a fused multiply-subtract and taken off the exponent.
func (f *span) normal(x reg.VecVirtual) (a, tail, e reg.VecVirtual) {
	a = f.vector()
	VANDPS(f.word(magnitude), x, a)
	f.atMost(a, normalLimit)
	half, h, l := f.vector(), f.vector(), f.vector()
	VMULPS(f.c(0.5), a, half)
	VMULPS(half, a, h)
	VMOVAPS(h, l)
	VFMSUB231PS(half, a, l)
	h = f.negate(h)
	n, r := f.reduce(h)
	VSUBPS(l, r, r)
	e = f.expSeries(r)
	VFMADD213PS(f.c(1), r, e)
	f.power(e, n)

	t := f.vector()
	VMOVAPS(f.reg(1), t)
	VMOVAPS(a, l)
	VFMADD213PS(f.c(1), f.reg(phiPole), l)
	VDIVPS(l, t, t)
	tail = f.horner(t, phi)
	VMULPS(t, tail, tail)
	VMULPS(e, tail, tail)
	return a, tail, e
}
