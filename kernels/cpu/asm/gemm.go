package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemm writes the kernels of matrix products: tiles of every height and width,
// the packing of panels, and the dot products of skinny shapes.
func gemm() {
	for _, rows := range []int{1, 2, 4, 6} {
		tile(avx2, rows, 1)
		tile(avx2, rows, 2)
	}
	for _, rows := range []int{1, 4, 8, 12} {
		tile(avx512, rows, 1)
		tile(avx512, rows, 2)
	}
	for _, rows := range []int{1, 4, 8, 12} {
		pairTile(rows, 1)
		pairTile(rows, 2)
	}
	pairTranspose4()
	for _, width := range []int{12, 16, 32} {
		pairStrip(width)
	}
	dots(avx2, 1)
	dots(avx2, 2)
	dots(avx512, 1)
	dots(avx512, 4)
	for _, s := range levels {
		axpy(s, 1)
		axpy(s, 8)
	}
	transpose4()
	for _, width := range []int{8, 12, 16, 32} {
		copyStrip(width)
	}
	for _, s := range levels {
		peak(s)
	}
}

// tile writes a kernel that keeps a tile of c in registers while it runs over k:
// each step broadcasts one value of every row of a, and multiplies it by the
// step's vectors of b.
func tile(s isa, rows, vectors int) {
	name := fmt.Sprintf("tile%dx%d%s", rows, vectors*s.lanes, s.name)
	TEXT(name, NOSPLIT, "func(k int, a *float32, aRow, aStep int, b *float32, bStep int, c *float32, cRow int, bias *float32, add bool)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s is a tileFunc for %d rows and %d columns.", name, rows, vectors*s.lanes))
	t := &tileGen{isa: s, rows: rows, vectors: vectors, acc: s.vectors(rows * vectors),
		multiply: func(b, a, acc reg.VecVirtual) { VFMADD231PS(b, a, acc) }}
	t.write()
}

type tileGen struct {
	isa
	rows, vectors int
	acc           []reg.VecVirtual // row by row
	multiply      func(b, a, acc reg.VecVirtual)
}

func (t *tileGen) write() {
	t.prefetch()
	t.start()
	t.loop()
	t.store()
	RET()
}

// prefetch asks for the lines of c, which are needed only after the loop.
func (t *tileGen) prefetch() {
	c, cRow := pointer("c"), floats("cRow")
	for i := range t.rows {
		PREFETCHT0(Mem{Base: c})
		PREFETCHT0(Mem{Base: c, Disp: t.vectors*t.bytes() - 4})
		if i < t.rows-1 {
			ADDQ(cRow, c)
		}
	}
}

// start sets the accumulators to the bias, or to zero.
func (t *tileGen) start() {
	bias := pointer("bias")
	TESTQ(bias, bias)
	JZ(LabelRef("zero"))
	for i, acc := range t.acc {
		VMOVUPS(Mem{Base: bias, Disp: i % t.vectors * t.bytes()}, acc)
	}
	JMP(LabelRef("begin"))
	Label("zero")
	for _, acc := range t.acc {
		t.zero(acc)
	}
	Label("begin")
}

func (t *tileGen) loop() {
	k, b, bStep := pointer("k"), pointer("b"), floats("bStep")
	aRow, aStep := floats("aRow"), floats("aStep")
	bases := rowBases(pointer("a"), aRow, t.rows)
	bs, as := t.isa.vectors(t.vectors), t.isa.vectors(min(4, t.rows))
	TESTQ(k, k)
	JLE(LabelRef("end"))
	Label("loop")
	for j, v := range bs {
		VMOVUPS(Mem{Base: b, Disp: j * t.bytes()}, v)
	}
	for i := range t.rows {
		a := as[i%len(as)]
		VBROADCASTSS(rowAddress(bases, aRow, i), a)
		for j, v := range bs {
			t.multiply(v, a, t.acc[i*t.vectors+j])
		}
	}
	for _, base := range bases {
		ADDQ(aStep, base)
	}
	ADDQ(bStep, b)
	DECQ(k)
	JNZ(LabelRef("loop"))
	Label("end")
}

// rowBases gives a pointer to every third of n rows; the two after it are reached by an index.
func rowBases(first, row reg.GPVirtual, n int) []reg.GPVirtual {
	bases := []reg.GPVirtual{first}
	for i := 3; i < n; i += 3 {
		next := GP64()
		LEAQ(Mem{Base: bases[len(bases)-1], Index: row, Scale: 2}, next)
		ADDQ(row, next)
		bases = append(bases, next)
	}
	return bases
}

// rowAddress is the current place in row i.
func rowAddress(bases []reg.GPVirtual, row reg.GPVirtual, i int) Mem {
	m := Mem{Base: bases[i/3]}
	if i%3 > 0 {
		m.Index, m.Scale = row, uint8(i%3)
	}
	return m
}

// store writes the accumulators to c, or adds them.
func (t *tileGen) store() {
	c, cRow := pointer("c"), floats("cRow")
	add := Load(Param("add"), GP8())
	TESTB(add, add)
	JZ(LabelRef("store"))
	t.eachVector(c, cRow, func(m Mem, acc reg.VecVirtual) { VADDPS(m, acc, acc); VMOVUPS(acc, m) })
	t.done()
	Label("store")
	t.eachVector(c, cRow, func(m Mem, acc reg.VecVirtual) { VMOVUPS(acc, m) })
	VZEROUPPER()
}

func (t *tileGen) done() {
	VZEROUPPER()
	RET()
}

func (t *tileGen) eachVector(c, cRow reg.GPVirtual, do func(Mem, reg.VecVirtual)) {
	for i, acc := range t.acc {
		do(Mem{Base: c, Disp: i % t.vectors * t.bytes()}, acc)
		if i%t.vectors == t.vectors-1 && i < len(t.acc)-1 {
			ADDQ(cRow, c)
		}
	}
}

// transpose4 writes the packing of four rows into four lanes of a panel, eight steps at a time:
//
//	dst[k*dstStep + i] = src[i*srcRow + k] for i < 4
//
// Each half of the vectors is a 4×4 transposition: pairs are interleaved twice.
func transpose4() {
	TEXT("transpose4AVX2", NOSPLIT, "func(k int, dst *float32, dstStep int, src *float32, srcRow int)")
	Pragma("noescape")
	Doc("transpose4AVX2 sets dst[p*dstStep+i] = src[i*srcRow+p] for i < 4 and p < k, k a multiple of 8.")
	transpose(1, func(at []Mem, r []reg.VecVirtual) {
		for i, m := range at {
			VMOVUPS(m, r[i])
		}
	})
}

// transpose writes the body of a transposition of four rows of which load reads 8 elements at a time, each of so many floats.
func transpose(floatsEach int, load func(at []Mem, r []reg.VecVirtual)) {
	k, dst, step := pointer("k"), pointer("dst"), floats("dstStep")
	src, row := pointer("src"), floats("srcRow")
	row3, step3, next := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: src, Index: row, Scale: 4}, next)
	LEAQ(Mem{Base: row, Index: row, Scale: 2}, row3)
	LEAQ(Mem{Base: step, Index: step, Scale: 2}, step3)
	Label("loop")
	CMPQ(k, Imm(8))
	JLT(LabelRef("end"))
	for _, m := range []Mem{{Base: next}, {Base: next, Index: row, Scale: 1}, {Base: next, Index: row, Scale: 2}, {Base: next, Index: row3, Scale: 1}} {
		PREFETCHT0(m) // of the four rows below, which are packed next
	}
	r, t := avx2.vectors(4), avx2.vectors(4)
	load([]Mem{{Base: src}, {Base: src, Index: row, Scale: 1}, {Base: src, Index: row, Scale: 2}, {Base: src, Index: row3, Scale: 1}}, r)
	VUNPCKLPS(r[1], r[0], t[0])
	VUNPCKHPS(r[1], r[0], t[1])
	VUNPCKLPS(r[3], r[2], t[2])
	VUNPCKHPS(r[3], r[2], t[3])
	VUNPCKLPD(t[2], t[0], r[0])
	VUNPCKHPD(t[2], t[0], r[1])
	VUNPCKLPD(t[3], t[1], r[2])
	VUNPCKHPD(t[3], t[1], r[3])
	at := []Mem{{Base: dst}, {Base: dst, Index: step, Scale: 1}, {Base: dst, Index: step, Scale: 2}, {Base: dst, Index: step3, Scale: 1}}
	for i, v := range r {
		VMOVUPS(v.AsX(), at[i])
	}
	LEAQ(Mem{Base: dst, Index: step, Scale: 4}, dst)
	for i, v := range r {
		VEXTRACTF128(Imm(1), v, at[i])
	}
	LEAQ(Mem{Base: dst, Index: step, Scale: 4}, dst)
	ADDQ(Imm(uint64(32*floatsEach)), src)
	ADDQ(Imm(uint64(32*floatsEach)), next)
	SUBQ(Imm(8), k)
	JMP(LabelRef("loop"))
	Label("end")
	VZEROUPPER()
	RET()
}

// copyStrip writes the copying of a strip of a row-major matrix into a panel.
func copyStrip(width int) {
	name := fmt.Sprintf("copyStrip%dAVX2", width)
	TEXT(name, NOSPLIT, "func(k int, dst *float32, dstStep int, src *float32, srcStep int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s sets dst[p*dstStep+i] = src[p*srcStep+i] for i < %d and p < k.", name, width))
	k, dst, dstStep := pointer("k"), pointer("dst"), floats("dstStep")
	src, srcStep := pointer("src"), floats("srcStep")
	TESTQ(k, k)
	JLE(LabelRef("end"))
	Label("loop")
	for at := 0; at < width; {
		v, n := reg.Register(YMM()), 8
		if width-at < 8 {
			v, n = XMM(), 4
		}
		VMOVUPS(Mem{Base: src, Disp: 4 * at}, v)
		VMOVUPS(v, Mem{Base: dst, Disp: 4 * at})
		at += n
	}
	ADDQ(srcStep, src)
	ADDQ(dstStep, dst)
	DECQ(k)
	JNZ(LabelRef("loop"))
	Label("end")
	VZEROUPPER()
	RET()
}

// peak writes a loop of independent multiply-adds, which measures what the processor can do at most.
func peak(s isa) {
	name := "peak" + s.name
	TEXT(name, NOSPLIT, "func(n int)")
	Doc(fmt.Sprintf("%s runs n times %d multiply-adds of %d floats that need nothing from memory.", name, peakChains, s.lanes))
	n, acc, x := pointer("n"), s.vectors(peakChains), s.vector()
	s.zero(x)
	for _, v := range acc {
		s.zero(v)
	}
	Label("loop")
	for _, v := range acc {
		VFMADD231PS(x, x, v)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// peakChains is the number of sums that the peak loop keeps in flight: more than latency times throughput asks for.
const peakChains = 12
