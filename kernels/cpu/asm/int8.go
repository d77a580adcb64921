package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// int8Products writes what products with int8 weights are made of, and the loops that read memory.
func int8Products() {
	for _, s := range levels {
		int8Rows(s, false)
		int8Rows(s, true)
		read(s)
	}
	largest()
	digits()
}

// int8Gen writes the products of one row of activations with four rows of weights at a time.
//
// On AVX-512 these are VNNI's products of an unsigned with a signed byte: the weights, moved up by 128, and the digits
// of the activations. What the move adds, 128 times the sum of the digits, is taken off at the end. On AVX2 both
// are widened to 16 bits.
type int8Gen struct {
	isa
	hi, lo       []reg.VecVirtual // sums of the products with the higher and the lower digits, of each row
	x            [2]Mem           // the digits: higher, lower
	at, whole, k reg.GPVirtual    // the current place in a row, the last step's end, the row's
	move         reg.VecVirtual
	mask         reg.OpmaskVirtual
}

// int8Rows writes an int8RowsFunc: the rows of four side by side, for weights in the first cache, or, as a stream, one row
// after another, in the order of memory, which the processor reads ahead by itself: asking for lines made it slower.
func int8Rows(s isa, stream bool) {
	name := "int8Rows"
	if stream {
		name = "int8Stream"
	}
	if s.lanes == 16 {
		name += "VNNI"
	} else {
		name += "AVX2"
	}
	TEXT(name, NOSPLIT, "func(n, k int, w *int8, hi, lo *int8, bases *[2]int32, step float32, scale, bias, c *float32)")
	Pragma("noescape")
	Doc(name + " is an int8RowsFunc.")
	g := &int8Gen{isa: s, hi: s.vectors(4), lo: s.vectors(4), at: GP64(), whole: GP64(), k: pointer("k")}
	w, n := pointer("w"), pointer("n")
	g.x = [2]Mem{{Base: pointer("hi"), Index: g.at, Scale: 1}, {Base: pointer("lo"), Index: g.at, Scale: 1}}
	MOVQ(g.k, g.whole)
	ANDQ(I32(-g.step()), g.whole)
	if s.lanes == 16 {
		g.prepare()
	}
	scale, bias, c := pointer("scale"), pointer("bias"), pointer("c")
	Label("group")
	for _, v := range append(g.hi, g.lo...) {
		s.zero(v)
	}
	if stream {
		for i := range 4 {
			g.along(fmt.Sprintf("row%d", i), []Mem{{Base: w, Index: g.at, Scale: 1}}, i)
			ADDQ(g.k, w)
		}
	} else {
		g.along("rows", g.rowsFrom(w), 0)
		LEAQ(Mem{Base: w, Index: g.k, Scale: 4}, w)
	}
	g.finish(scale, bias, c)
	for _, p := range []reg.Register{scale, bias, c} {
		ADDQ(Imm(16), p)
	}
	SUBQ(Imm(4), n)
	JG(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// prepare makes the constants of VNNI: what moves weights up, and the mask of the rest of a row.
func (g *int8Gen) prepare() {
	g.move, g.mask = ZMM(), K()
	bits := GP64()
	MOVL(U32(0x80808080), bits.As32())
	VPBROADCASTD(bits.As32(), g.move)
	left := GP64()
	MOVQ(g.k, left)
	ANDQ(Imm(63), left)
	MOVQ(I32(-1), bits)
	BZHIQ(left, bits, bits)
	KMOVQ(bits, g.mask)
}

// rowsFrom gives the current places in four rows.
func (g *int8Gen) rowsFrom(w reg.Register) []Mem {
	rows := []Mem{{Base: w, Index: g.at, Scale: 1}}
	for i := range 3 {
		next := GP64()
		MOVQ(rows[i].Base, next)
		ADDQ(g.k, next)
		rows = append(rows, Mem{Base: next, Index: g.at, Scale: 1})
	}
	return rows
}

// along adds all products of some rows to the sums from first on.
func (g *int8Gen) along(label string, rows []Mem, first int) {
	XORQ(g.at, g.at)
	Label(label)
	CMPQ(g.at, g.whole)
	JGE(LabelRef(label + "rest"))
	g.products(rows, first, false)
	ADDQ(Imm(uint64(g.step())), g.at)
	JMP(LabelRef(label))
	Label(label + "rest")
	CMPQ(g.at, g.k)
	JGE(LabelRef(label + "end"))
	g.products(rows, first, true)
	Label(label + "end")
}

// step is the weights of a row that are multiplied at a time.
func (g *int8Gen) step() int { return 4 * g.lanes * g.lanes / 16 }

// products adds those of the weights at the current place. What is left at the end of a row, less than a step, is taken with
// a mask, or, on AVX2, with weights of the next row: the digits are filled up with zeros.
func (g *int8Gen) products(rows []Mem, first int, rest bool) {
	hi, lo := g.vector(), g.vector()
	if g.lanes == 8 {
		VPMOVSXBW(g.x[0], hi)
		VPMOVSXBW(g.x[1], lo)
		w, t := YMM(), YMM()
		for i, row := range rows {
			VPMOVSXBW(row, w)
			VPMADDWD(hi, w, t)
			VPADDD(t, g.hi[first+i], g.hi[first+i])
			VPMADDWD(lo, w, t)
			VPADDD(t, g.lo[first+i], g.lo[first+i])
		}
		return
	}
	VMOVDQU8(g.x[0], hi)
	VMOVDQU8(g.x[1], lo)
	for i, row := range rows {
		w := ZMM()
		if rest {
			VMOVDQU8_Z(row, g.mask, w)
			VPXORD(w, g.move, w)
		} else {
			VPXORD(row, g.move, w)
		}
		VPDPBUSD(hi, w, g.hi[first+i])
		VPDPBUSD(lo, w, g.lo[first+i])
	}
}

// finish turns four pairs of sums into elements of c: (256·hi + lo)·(step·scale) + bias.
func (g *int8Gen) finish(scale, bias, c reg.Register) {
	hi, lo := g.total(g.hi), g.total(g.lo)
	bases, t := pointer("bases"), XMM()
	VPBROADCASTD(Mem{Base: bases}, t)
	VPSUBD(t, hi, hi)
	VPBROADCASTD(Mem{Base: bases, Disp: 4}, t)
	VPSUBD(t, lo, lo)
	VCVTDQ2PS(hi, hi)
	VCVTDQ2PS(lo, lo)
	bits := GP32()
	MOVL(U32(0x43800000), bits) // 256
	VMOVD(bits, t)
	VBROADCASTSS(t, t)
	VFMADD231PS(t, hi, lo) // the product is exact
	step, err := Param("step").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(step.Addr, t)
	VMULPS(Mem{Base: scale}, t, t)
	VMULPS(t, lo, lo)
	VADDPS(Mem{Base: bias}, lo, lo)
	VMOVUPS(lo, Mem{Base: c})
}

// total adds up the lanes of each of four vectors.
func (g *int8Gen) total(acc []reg.VecVirtual) reg.Register {
	for _, v := range acc {
		if g.lanes == 16 {
			upper := YMM()
			VEXTRACTI64X4(Imm(1), v, upper)
			VPADDD(upper, v.AsY(), v.AsY())
		}
	}
	y := func(i int) reg.Register { return acc[i].AsY() }
	VPHADDD(y(1), y(0), y(0))
	VPHADDD(y(3), y(2), y(2))
	VPHADDD(y(2), y(0), y(0))
	upper := XMM()
	VEXTRACTI128(Imm(1), y(0), upper)
	VPADDD(upper, acc[0].AsX(), acc[0].AsX())
	return acc[0].AsX()
}

// largest writes the search for the largest absolute value of a row; as a whole number a NaN is larger than all others.
func largest() {
	TEXT("largestBitsAVX512", NOSPLIT, "func(x *float32, n int) uint32")
	Pragma("noescape")
	Doc("largestBitsAVX512 gives the largest of the bits of x without signs; n is a multiple of 16 and positive.")
	x, n, top, v, sign := pointer("x"), pointer("n"), ZMM(), ZMM(), ZMM()
	bits := GP32()
	MOVL(U32(0x7fffffff), bits)
	VPBROADCASTD(bits, sign)
	VPXORD(top, top, top)
	Label("loop")
	VPANDD(Mem{Base: x}, sign, v)
	VPMAXSD(v, top, top)
	ADDQ(Imm(64), x)
	SUBQ(Imm(16), n)
	JG(LabelRef("loop"))
	upper := YMM()
	VEXTRACTI64X4(Imm(1), top, upper)
	VPMAXSD(upper, top.AsY(), top.AsY())
	other := XMM()
	VEXTRACTI128(Imm(1), top.AsY(), other)
	t := top.AsX()
	VPMAXSD(other, t, t)
	VPSHUFD(Imm(0b1110), t, other)
	VPMAXSD(other, t, t)
	VPSHUFD(Imm(0b01), t, other)
	VPMAXSD(other, t, t)
	out := GP32()
	VMOVD(t, out)
	Store(out, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// digits writes the rounding of a row of activations to two digits.
func digits() {
	TEXT("digitsAVX512", NOSPLIT, "func(x *float32, n int, inverse float64, hi, lo *int8, sums *[2]int32)")
	Pragma("noescape")
	Doc("digitsAVX512 rounds x·inverse to 256·hi + lo, and sums the digits; n is a multiple of 16 and positive.")
	x, n, hi, lo := pointer("x"), pointer("n"), pointer("hi"), pointer("lo")
	inverse, half := ZMM(), ZMM()
	address, err := Param("inverse").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSD(address.Addr, inverse)
	bits := GP32()
	MOVL(U32(128), bits)
	VPBROADCASTD(bits, half)
	hiSum, loSum := ZMM(), ZMM()
	VPXORD(hiSum, hiSum, hiSum)
	VPXORD(loSum, loSum, loSum)
	Label("loop")
	a, b, q, up := ZMM(), ZMM(), ZMM(), ZMM()
	VCVTPS2PD(Mem{Base: x}, a)
	VCVTPS2PD(Mem{Base: x, Disp: 32}, b)
	VMULPD(inverse, a, a)
	VMULPD(inverse, b, b)
	VCVTPD2DQ(a, q.AsY())
	VCVTPD2DQ(b, b.AsY())
	VINSERTI64X4(Imm(1), b.AsY(), q, q)
	VPMOVDB(q, Mem{Base: lo})
	VPADDD(half, q, up)
	VPSRAD(Imm(8), up, up)
	VPMOVDB(up, Mem{Base: hi})
	VPADDD(up, hiSum, hiSum)
	VPSLLD(Imm(8), up, up)
	VPSUBD(up, q, q)
	VPADDD(q, loSum, loSum)
	ADDQ(Imm(64), x)
	ADDQ(Imm(16), hi)
	ADDQ(Imm(16), lo)
	SUBQ(Imm(16), n)
	JG(LabelRef("loop"))
	sums := pointer("sums")
	for i, v := range []reg.VecVirtual{hiSum, loSum} {
		upper, other := YMM(), XMM()
		VEXTRACTI64X4(Imm(1), v, upper)
		VPADDD(upper, v.AsY(), v.AsY())
		VEXTRACTI128(Imm(1), v.AsY(), other)
		t := v.AsX()
		VPADDD(other, t, t)
		VPHADDD(t, t, t)
		VPHADDD(t, t, t)
		VMOVD(t, Mem{Base: sums, Disp: 4 * i})
	}
	VZEROUPPER()
	RET()
}

// read writes a loop that only reads.
func read(s isa) {
	name := "read" + s.name
	TEXT(name, NOSPLIT, "func(p *byte, n int) uint32")
	Pragma("noescape")
	Doc(name + " reads n bytes, a positive multiple of 1024, and gives something that depends on all of them.")
	p, n, acc := pointer("p"), pointer("n"), s.vectors(4)
	for _, v := range acc {
		s.zero(v)
	}
	Label("loop")
	for i := range 1024 / s.bytes() {
		m, v := Mem{Base: p, Disp: i * s.bytes()}, acc[i%4]
		if s.lanes == 16 {
			VPORD(m, v, v)
		} else {
			VPOR(m, v, v)
		}
	}
	ADDQ(U32(1024), p)
	SUBQ(U32(1024), n)
	JG(LabelRef("loop"))
	for _, v := range acc[1:] {
		if s.lanes == 16 {
			VPORD(v, acc[0], acc[0])
		} else {
			VPOR(v, acc[0], acc[0])
		}
	}
	out := GP32()
	VMOVD(acc[0].AsX(), out)
	Store(out, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
