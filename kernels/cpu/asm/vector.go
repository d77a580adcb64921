package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vector writes the loops of package cpu's vectorTable.
func vector() {
	for _, s := range levels {
		binary(s, "add", "sets z = x + y.", VADDPS)
		binary(s, "mul", "sets z = x·y.", VMULPS)
		scale(s)
		carry(s, false)
		carry(s, true)
		maximum(s)
		sum(s)
		moments(s)
		accumulate(s)
		expSum(s)
		expScale(s)
		for _, a := range activations {
			a.write(s)
		}
		layerNorm(s)
		rmsNorm(s)
		normSums(s)
		normGrad(s, true)
		normGrad(s, false)
		rotate(s)
		dropout(s)
		adam(s)
		lion(s)
		roundBF16(s)
		roundF16(s)
		widenBF16(s)
		narrowBF16(s)
		narrowByWords(s)
	}
}

func binary(s isa, name, doc string, op func(...Op)) {
	f := newSpan(s, name, "func(z, x, y []float32)", doc, "z", "x", "y")
	f.each(4, func() {
		x, y := f.load("x"), f.load("y")
		op(x, y, y)
		f.store(y, "z")
	})
	f.end()
}

func scale(s isa) {
	f := newSpan(s, "scale", "func(y, x []float32, alpha float32)", "sets y = alpha·x.", "y", "x")
	alpha := f.parameter("alpha")
	f.each(4, func() {
		x := f.load("x")
		VMULPS(alpha, x, x)
		f.store(x, "y")
	})
	f.end()
}

// carry adds up 0·x, in which any x that is not finite leaves a NaN. Past the caches it writes whole vectors, which y has to be aligned to: lines that nobody
// reads soon are not fetched to be written.
func carry(s isa, past bool) {
	name, doc := "carry", "sets y = alpha·x, and gives 0, or NaN where any x is not finite."
	if past {
		name, doc = "stream", "is carry past the caches, with y aligned to vectors, of which there are no parts."
	}
	f := newSpan(s, name, "func(y, x []float32, alpha float32) float64", doc, "y", "x")
	alpha, nothing, acc := f.parameter("alpha"), f.zeros(1)[0], f.zeros(4)
	body := func() {
		x := f.load("x")
		VFMADD231PS(nothing, x, acc[f.step])
		VMULPS(alpha, x, x)
		if past {
			VMOVNTPS(x, f.mem("y"))
		} else {
			f.store(x, "y")
		}
	}
	if past {
		f.loop(4, body)
		f.loop(1, body)
		SFENCE()
	} else {
		f.each(4, body)
	}
	for _, v := range acc[1:] {
		VADDPS(v, acc[0], acc[0])
	}
	f.totalFloats(acc[0], 0)
	f.end()
}

// maximum: VMAXPS gives back its first operand when either is NaN, so a NaN in x leaves the largest so far.
func maximum(s isa) {
	f := newSpan(s, "max", "func(x []float32) float32", "gives the largest of x that is no NaN, or −Inf.", "x")
	least := float32(math.Inf(-1))
	f.need(least)
	acc := f.vectors(4)
	for _, v := range acc {
		VMOVUPS(f.c(least), v)
	}
	f.each(4, func() {
		VMAXPS(acc[f.step], f.loadOr("x", f.reg(least)), acc[f.step])
	})
	VMAXPS(acc[1], acc[0], acc[0])
	VMAXPS(acc[3], acc[2], acc[2])
	VMAXPS(acc[2], acc[0], acc[0])
	if s.lanes == 16 {
		upper := YMM()
		VEXTRACTF64X4(Imm(1), acc[0], upper)
		VMAXPS(upper, acc[0].AsY(), acc[0].AsY())
	}
	top, other := acc[0].AsX(), XMM()
	VEXTRACTF128(Imm(1), acc[0].AsY(), other)
	VMAXPS(other, top, top)
	VPERMILPS(Imm(0b1110), top, other)
	VMAXPS(other, top, top)
	VPERMILPS(Imm(0b01), top, other)
	VMAXSS(other, top, top)
	f.result(top, 0, VMOVSS)
	f.end()
}

func sum(s isa) {
	f := newSpan(s, "sum", "func(x []float32) float64", "gives Σ x.", "x")
	acc := f.zeros(4)
	f.each(2, func() {
		lo, hi := f.loadWide("x")
		VADDPD(lo, acc[2*f.step], acc[2*f.step])
		VADDPD(hi, acc[2*f.step+1], acc[2*f.step+1])
	})
	f.total(fold(acc), 0)
	f.end()
}

// fold adds up four vectors of doubles.
func fold(acc []reg.VecVirtual) reg.VecVirtual {
	VADDPD(acc[1], acc[0], acc[0])
	VADDPD(acc[3], acc[2], acc[2])
	VADDPD(acc[2], acc[0], acc[0])
	return acc[0]
}

func moments(s isa) {
	f := newSpan(s, "moments", "func(x []float32) (sum, squares float64)", "gives Σ x and Σ x², in float64.", "x")
	acc, squares := f.zeros(4), f.zeros(4)
	f.each(2, func() {
		lo, hi := f.loadWide("x")
		for i, v := range []reg.VecVirtual{lo, hi} {
			VADDPD(v, acc[2*f.step+i], acc[2*f.step+i])
			VFMADD231PD(v, v, squares[2*f.step+i])
		}
	})
	f.total(fold(acc), 0)
	f.total(fold(squares), 1)
	f.end()
}

// accumulate adds floats to doubles; what remains after the vectors goes one by one.
func accumulate(s isa) {
	f := newSpan(s, "accumulate", "func(sums []float64, x []float32)", "adds x to sums.", "sums", "x")
	for _, n := range []int{2, 1} {
		f.loop(n, func() {
			lo, hi := f.loadWide("x")
			for i, v := range []reg.VecVirtual{lo, hi} {
				m := Mem{Base: f.base["sums"], Index: f.at, Scale: 2, Disp: (2*f.step + i) * f.bytes()}
				VADDPD(m, v, v)
				VMOVUPD(v, m)
			}
		})
	}
	Label("one")
	TESTQ(f.left, f.left)
	JZ(LabelRef("end"))
	x, m := XMM(), Mem{Base: f.base["sums"], Index: f.at, Scale: 2}
	VXORPS(x, x, x)
	VCVTSS2SD(Mem{Base: f.base["x"], Index: f.at, Scale: 1}, x, x)
	VADDSD(m, x, x)
	VMOVSD(x, m)
	ADDQ(Imm(4), f.at)
	DECQ(f.left)
	JMP(LabelRef("one"))
	Label("end")
	f.end()
}

func expSum(s isa) {
	f := newSpan(s, "expSum", "func(x []float32, shift float32) float64", "gives Σ e^(x−shift), in float32 lanes.", "x")
	least := float32(math.Inf(-1))
	f.needExpAny()
	f.need(least)
	shift, acc := f.parameter("shift"), f.zeros(2)
	f.each(2, func() {
		x := f.loadOr("x", f.reg(least))
		VSUBPS(shift, x, x)
		VADDPS(f.expAny(x), acc[f.step], acc[f.step])
	})
	VADDPS(acc[1], acc[0], acc[0])
	f.totalFloats(acc[0], 0)
	f.end()
}

func expScale(s isa) {
	f := newSpan(s, "expScale", "func(y, x []float32, shift, k, b float32)", "sets y = k·e^(x−shift) + b.", "y", "x")
	f.needExpAny()
	shift, k, b := f.parameter("shift"), f.parameter("k"), f.parameter("b")
	f.each(1, func() {
		x := f.load("x")
		VSUBPS(shift, x, x)
		e := f.expAny(x)
		VFMADD213PS(b, k, e)
		f.store(e, "y")
	})
	f.end()
}

func layerNorm(s isa) {
	f := newSpan(s, "layerNorm", "func(y, x, w, b []float32, mean, rstd float32)", "sets y = (x−mean)·rstd·w + b.", "y", "x", "w", "b")
	mean, rstd := f.parameter("mean"), f.parameter("rstd")
	f.each(2, func() {
		x := f.load("x")
		VSUBPS(mean, x, x)
		VMULPS(rstd, x, x)
		VFMADD213PS(f.load("b"), f.load("w"), x)
		f.store(x, "y")
	})
	f.end()
}

func rmsNorm(s isa) {
	f := newSpan(s, "rmsNorm", "func(y, x, w []float32, rstd, offset float32)", "sets y = x·rstd·(w + offset).", "y", "x", "w")
	rstd, offset := f.parameter("rstd"), f.parameter("offset")
	f.each(2, func() {
		x, w := f.load("x"), f.load("w")
		VADDPS(offset, w, w)
		VMULPS(rstd, x, x)
		VMULPS(w, x, x)
		f.store(x, "y")
	})
	f.end()
}

func normSums(s isa) {
	f := newSpan(s, "normSums", "func(dy, x, w []float32, mean, rstd, offset float32) (sg, sgx float64)",
		"gives Σ g and Σ g·x̂ with g = dy·(w + offset), x̂ = (x−mean)·rstd.", "dy", "x", "w")
	mean, rstd, offset := f.parameter("mean"), f.parameter("rstd"), f.parameter("offset")
	sg, sgx := f.zeros(2), f.zeros(2)
	f.each(2, func() {
		g, x, w := f.load("dy"), f.load("x"), f.load("w")
		VADDPS(offset, w, w)
		VMULPS(w, g, g)
		VSUBPS(mean, x, x)
		VMULPS(rstd, x, x)
		VADDPS(g, sg[f.step], sg[f.step])
		VFMADD231PS(x, g, sgx[f.step])
	})
	VADDPS(sg[1], sg[0], sg[0])
	VADDPS(sgx[1], sgx[0], sgx[0])
	f.totalFloats(sg[0], 0)
	f.totalFloats(sgx[0], 1)
	f.end()
}

// normGrad has a form with the sum of dy, for LayerNorm, and one without, for RMSNorm.
func normGrad(s isa, bias bool) {
	name, slices := "rmsGrad", []string{"dx", "dy", "x", "w", "dw"}
	signature := "func(dx, dy, x, w, dw []float32, rstd, offset, b float32)"
	doc := "sets dx = rstd·(g − x̂·b) and dw += dy·x̂ with g = dy·(w + offset), x̂ = x·rstd."
	if bias {
		name, slices = "layerGrad", append(slices, "db")
		signature = "func(dx, dy, x, w, dw, db []float32, mean, rstd, a, b float32)"
		doc = "sets dx = rstd·(g − a − x̂·b), dw += dy·x̂ and db += dy with g = dy·w, x̂ = (x−mean)·rstd."
	}
	f := newSpan(s, name, signature, doc, slices...)
	rstd, b := f.parameter("rstd"), f.parameter("b")
	var mean, a, offset reg.VecVirtual
	if bias {
		mean, a = f.parameter("mean"), f.parameter("a")
	} else {
		offset = f.parameter("offset")
	}
	f.each(1, func() {
		dy, x, g, dw := f.load("dy"), f.load("x"), f.load("w"), f.load("dw")
		if bias {
			VSUBPS(mean, x, x)
			db := f.load("db")
			VADDPS(dy, db, db)
			f.store(db, "db")
		} else {
			VADDPS(offset, g, g)
		}
		VMULPS(rstd, x, x)
		VFMADD231PS(dy, x, dw)
		f.store(dw, "dw")
		VMULPS(dy, g, g)
		if bias {
			VSUBPS(a, g, g)
		}
		VFNMADD231PS(x, b, g)
		VMULPS(rstd, g, g)
		f.store(g, "dx")
	})
	f.end()
}

func rotate(s isa) {
	f := newSpan(s, "rotate", "func(y1, y2, x1, x2, cos, sin []float32, sign float32)",
		"sets y1 = x1·cos − x2·sin and y2 = x2·cos + x1·sin, sin multiplied by sign.", "y1", "y2", "x1", "x2", "cos", "sin")
	sign := f.parameter("sign")
	f.each(1, func() {
		x1, x2, cos, sin := f.load("x1"), f.load("x2"), f.load("cos"), f.load("sin")
		y1, y2 := f.vector(), f.vector()
		VMULPS(sign, sin, sin)
		VMULPS(cos, x1, y1)
		VMULPS(cos, x2, y2)
		VFNMADD231PS(sin, x2, y1)
		VFMADD231PS(sin, x1, y2)
		f.store(y1, "y1")
		f.store(y2, "y2")
	})
	f.end()
}

// adam is the update of adamParams, whose fields p points to.
func adam(s isa) {
	f := newSpan(s, "adam", "func(w, g, m, v []float32, p *float32)", "updates w, m and v as adamParams says.", "w", "g", "m", "v")
	p := pointer("p")
	var factor, coupled, take1, take2, decay, rate, unbias, epsilon = f.field(p, 0), f.field(p, 1), f.field(p, 2),
		f.field(p, 3), f.field(p, 4), f.field(p, 5), f.field(p, 6), f.field(p, 7)
	f.each(1, func() {
		w, g, m, v := f.load("w"), f.load("g"), f.load("m"), f.load("v")
		VMULPS(factor, g, g)
		VFMADD231PS(coupled, w, g)
		d := f.vector()
		VSUBPS(m, g, d)
		VFMADD231PS(take1, d, m)
		f.store(m, "m")
		VFMSUB213PS(v, g, g)
		VFMADD231PS(take2, g, v)
		f.store(v, "v")
		VMULPS(unbias, v, v)
		VSQRTPS(v, v)
		VADDPS(epsilon, v, v)
		VMULPS(rate, m, m)
		VDIVPS(v, m, m)
		VFMADD231PS(decay, w, m)
		VSUBPS(m, w, w)
		f.store(w, "w")
	})
	f.end()
}

// lion is the update of lionParams, whose fields p points to.
func lion(s isa) {
	f := newSpan(s, "lion", "func(w, g, m []float32, p *float32)", "updates w and m as lionParams says.", "w", "g", "m")
	p := pointer("p")
	factor, take1, take2, decay, rate := f.field(p, 0), f.field(p, 1), f.field(p, 2), f.field(p, 3), f.field(p, 4)
	f.need(1)
	f.needBits(signBit)
	f.each(1, func() {
		w, g, m, u := f.load("w"), f.load("g"), f.load("m"), f.vector()
		VMULPS(factor, g, g)
		VSUBPS(m, g, g)
		VMOVAPS(g, u)
		VFMADD213PS(m, take1, u)
		VFMADD231PS(take2, g, m)
		f.store(m, "m")
		u = f.sign(u)
		VFMADD231PS(decay, w, u)
		VFNMADD231PS(rate, u, w)
		f.store(w, "w")
	})
	f.end()
}

// sign gives −1, 0 or 1; a NaN stays one.
func (f *span) sign(x reg.VecVirtual) reg.VecVirtual {
	one, zero := f.vector(), f.vector()
	VANDPS(f.word(signBit), x, one)
	VORPS(f.c(1), one, one)
	f.zero(zero)
	const equalOrUnordered = 8
	if f.lanes == 16 {
		k := K()
		VCMPPS(Imm(equalOrUnordered), zero, x, k)
		VMOVAPS(x, k, one)
	} else {
		VCMPPS(Imm(equalOrUnordered), zero, x, zero)
		VBLENDVPS(zero, x, one, one)
	}
	return one
}

// field broadcasts float i of the struct that p points to.
func (f *span) field(p reg.GPVirtual, i int) reg.VecVirtual {
	v := f.vector()
	VBROADCASTSS(Mem{Base: p, Disp: 4 * i}, v)
	return v
}
