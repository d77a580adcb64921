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
	packTile(avx2, 6, 2)
	packTile(avx512, 12, 2)
	aheadTile(avx2, 6, 2)
	aheadTile(avx512, 12, 2)
	pairAheadTile(12, 2)
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
	transpose8()
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
func tile(s isa, rows, vectors int) { writeTile("tile", "", newTile(s, rows, vectors)) }

// packTile writes a tile that packs as it goes: it reads b where it lies, asking for it some steps before, and leaves it
// in a panel. Multiply-adds hide the copying.
func packTile(s isa, rows, vectors int) {
	t := newTile(s, rows, vectors)
	t.packs = true
	writeTile("packTile", ", to *float32", t)
}

// aheadTile writes a tile that asks for other memory while it runs, a line every few steps: many at once would
// hold up its own loads.
func aheadTile(s isa, rows, vectors int) {
	t := newTile(s, rows, vectors)
	t.asks = true
	writeTile("aheadTile", ", next *byte", t)
}

func newTile(s isa, rows, vectors int) *tileGen {
	return &tileGen{isa: s, rows: rows, vectors: vectors, kind: s.name, acc: s.vectors(rows * vectors),
		multiply: func(b, a, acc reg.VecVirtual) { VFMADD231PS(b, a, acc) }}
}

// writeTile writes a tile as a function of tileFunc's parameters and more.
func writeTile(kind, more string, t *tileGen) {
	name := fmt.Sprintf("%s%dx%d%s", kind, t.rows, t.vectors*t.lanes, t.kind)
	TEXT(name, NOSPLIT, "func(k int, a *float32, aRow, aStep int, b *float32, bStep int, c *float32, cRow int, bias *float32, add bool"+more+")")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s is a %sFunc for %d rows and %d columns%s.", name, kind, t.rows, t.vectors*t.lanes, t.about))
	t.write()
}

// stepsAsked is how many steps such a tile does for each line that it asks for.
const stepsAsked = 4

type tileGen struct {
	isa
	rows, vectors int
	kind, about   string           // in its name, and what its documentation adds
	packs         bool             // b into a panel
	asks          bool             // for lines
	acc           []reg.VecVirtual // row by row
	multiply      func(b, a, acc reg.VecVirtual)
}

const lineBytes = 64 // of the cache

// stepsAhead is how many steps before it needs them a tile that packs asks for elements of b.
const stepsAhead = 16

func (t *tileGen) write() {
	t.start()
	t.loop()
	t.store()
	RET()
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

// loop runs over k, twice at most: its first steps ask for the rows of c, which are needed only after the last.
func (t *tileGen) loop() {
	k, b, bStep := pointer("k"), pointer("b"), floats("bStep")
	aRow, aStep := floats("aRow"), floats("aStep")
	bases := rowBases(pointer("a"), aRow, t.rows)
	bs, as := t.isa.vectors(t.vectors), t.isa.vectors(min(4, t.rows))
	TESTQ(k, k)
	JLE(LabelRef("end"))
	copyStep := func() {}
	if t.packs {
		copyStep = t.packing(b, bStep, bs)
	}
	step := func() {
		for j, v := range bs {
			VMOVUPS(Mem{Base: b, Disp: j * t.bytes()}, v)
		}
		copyStep()
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
	}
	t.askForC(k, step)
	if t.asks {
		t.askForNext(k, step)
	} else {
		Label("loop")
		step()
		JNZ(LabelRef("loop"))
	}
	Label("end")
}

// askForC does the first steps, and goes to the end where there are no more.
func (t *tileGen) askForC(k reg.GPVirtual, step func()) {
	c, cRow, left, until := pointer("c"), floats("cRow"), GP64(), GP64()
	MOVQ(U32(t.rows), left)
	Label("row")
	PREFETCHT0(Mem{Base: c})
	PREFETCHT0(Mem{Base: c, Disp: t.vectors*t.bytes() - 4})
	ADDQ(cRow, c)
	MOVQ(k, until)
	SUBQ(Imm(stepsAsked), until)
	Label("first")
	step()
	JZ(LabelRef("end"))
	CMPQ(k, until)
	JG(LabelRef("first"))
	DECQ(left)
	JNZ(LabelRef("row"))
}

// askForNext does the other steps of a tile that asks for lines.
func (t *tileGen) askForNext(k reg.GPVirtual, step func()) {
	next, line, left, until := pointer("next"), GP64(), GP64(), GP64()
	field := func(i int) Mem { return Mem{Base: next, Disp: 8 * i} }
	MOVQ(field(0), line)
	MOVQ(field(1), left)
	Label("line")
	PREFETCHT0(Mem{Base: line})
	ADDQ(Imm(lineBytes), line)
	DECQ(left)
	JNZ(LabelRef("asked"))
	ADDQ(field(2), line)
	MOVQ(field(3), left)
	Label("asked")
	MOVQ(k, until)
	SUBQ(Imm(stepsAsked), until)
	Label("loop")
	step()
	JZ(LabelRef("last"))
	CMPQ(k, until)
	JG(LabelRef("loop"))
	JMP(LabelRef("line"))
	Label("last")
	MOVQ(line, field(0))
	MOVQ(left, field(1))
}

// packing prepares the packing of b's vectors, and gives what each step does for it.
func (t *tileGen) packing(b, bStep reg.GPVirtual, bs []reg.VecVirtual) func() {
	to, ahead := pointer("to"), GP64()
	IMUL3Q(Imm(stepsAhead), bStep, ahead)
	ADDQ(b, ahead)
	return func() {
		for j, v := range bs {
			VMOVUPS(v, Mem{Base: to, Disp: j * t.bytes()})
		}
		for at := 0; at < t.vectors*t.bytes(); at += lineBytes {
			PREFETCHT0(Mem{Base: ahead, Disp: at})
		}
		ADDQ(bStep, ahead)
		ADDQ(Imm(uint64(t.vectors*t.bytes())), to)
	}
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

// transpose8 writes the same for eight rows, four steps at a time: a half of each vector is loaded from one of the first
// four rows, the other from one of the last, so that eight lanes are stored at once.
func transpose8() {
	TEXT("transpose8AVX2", NOSPLIT, "func(k int, dst *float32, dstStep int, src *float32, srcRow int)")
	Pragma("noescape")
	Doc("transpose8AVX2 sets dst[p*dstStep+i] = src[i*srcRow+p] for i < 8 and p < k, k a multiple of 8.")
	k, dst, step := pointer("k"), pointer("dst"), floats("dstStep")
	src, row := pointer("src"), floats("srcRow")
	row3, step3, src4 := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: row, Index: row, Scale: 2}, row3)
	LEAQ(Mem{Base: step, Index: step, Scale: 2}, step3)
	LEAQ(Mem{Base: src, Index: row, Scale: 4}, src4)
	rows := func(base reg.GPVirtual, disp int) []Mem {
		return []Mem{{Base: base, Disp: disp}, {Base: base, Index: row, Scale: 1, Disp: disp},
			{Base: base, Index: row, Scale: 2, Disp: disp}, {Base: base, Index: row3, Scale: 1, Disp: disp}}
	}
	at := []Mem{{Base: dst}, {Base: dst, Index: step, Scale: 1}, {Base: dst, Index: step, Scale: 2}, {Base: dst, Index: step3, Scale: 1}}
	Label("loop")
	CMPQ(k, Imm(8))
	JLT(LabelRef("end"))
	r, t := avx2.vectors(4), avx2.vectors(4)
	for half := range 2 {
		low, high := rows(src, 16*half), rows(src4, 16*half)
		for i, v := range r {
			VMOVUPS(low[i], v.AsX())
			VINSERTF128(Imm(1), high[i], v, v)
		}
		transposeLanes(r, t)
		for i, v := range r {
			VMOVUPS(v, at[i])
		}
		LEAQ(Mem{Base: dst, Index: step, Scale: 4}, dst)
	}
	ADDQ(Imm(32), src)
	ADDQ(Imm(32), src4)
	SUBQ(Imm(8), k)
	JMP(LabelRef("loop"))
	Label("end")
	VZEROUPPER()
	RET()
}

// transposeLanes transposes the 4×4 floats of each half of r, using t.
func transposeLanes(r, t []reg.VecVirtual) {
	VUNPCKLPS(r[1], r[0], t[0])
	VUNPCKHPS(r[1], r[0], t[1])
	VUNPCKLPS(r[3], r[2], t[2])
	VUNPCKHPS(r[3], r[2], t[3])
	VUNPCKLPD(t[2], t[0], r[0])
	VUNPCKHPD(t[2], t[0], r[1])
	VUNPCKLPD(t[3], t[1], r[2])
	VUNPCKHPD(t[3], t[1], r[3])
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
	transposeLanes(r, t)
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
