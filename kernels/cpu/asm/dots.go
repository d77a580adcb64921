package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dots writes the products of some rows with four others, all of them dense.
func dots(s isa, rows int) {
	name := fmt.Sprintf("dots%dx4%s", rows, s.name)
	TEXT(name, NOSPLIT, "func(k int, a *float32, aRow int, b *float32, bRow int, out *float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s is a dotFunc for %d rows.", name, rows))
	d := &dotGen{isa: s, rows: rows, acc: s.vectors(4 * rows), b: s.vectors(4), a: s.vector()}
	for _, v := range d.acc {
		s.zero(v)
	}
	d.aAt, d.bAt = rowPointers("a", "aRow", rows), rowPointers("b", "bRow", 4)
	k := pointer("k")
	Label("loop")
	CMPQ(k, Imm(uint64(s.lanes)))
	JLT(LabelRef("tail"))
	d.step(func(m Mem, v reg.VecVirtual) { VMOVUPS(m, v) })
	for _, m := range append(d.aAt, d.bAt...) {
		ADDQ(Imm(uint64(s.bytes())), m.Base)
	}
	SUBQ(Imm(uint64(s.lanes)), k)
	JMP(LabelRef("loop"))
	Label("tail")
	TESTQ(k, k)
	JZ(LabelRef("sum"))
	d.tail(k)
	Label("sum")
	d.sum()
	VZEROUPPER()
	RET()
}

type dotGen struct {
	isa
	rows     int
	acc      []reg.VecVirtual // of row i of a and row j of b at 4i+j
	b        []reg.VecVirtual
	a        reg.VecVirtual
	aAt, bAt []Mem
}

// rowPointers gives the current places in n rows.
func rowPointers(param, stride string, n int) []Mem {
	row := floats(stride)
	at := []Mem{{Base: pointer(param)}}
	for range n - 1 {
		next := GP64()
		MOVQ(at[len(at)-1].Base, next)
		ADDQ(row, next)
		at = append(at, Mem{Base: next})
	}
	return at
}

// step adds one vector of each row.
func (d *dotGen) step(load func(Mem, reg.VecVirtual)) {
	for j, v := range d.b {
		load(d.bAt[j], v)
	}
	for i := range d.rows {
		load(d.aAt[i], d.a)
		for j, v := range d.b {
			VFMADD231PS(v, d.a, d.acc[4*i+j])
		}
	}
}

// tail adds the last k elements of each row, fewer than a vector.
func (d *dotGen) tail(k reg.GPVirtual) {
	d.step(newTail(d.isa, k).load)
}

// tailMask is eight words of ones, then eight of zeros.
func tailMask() Mem {
	const name = "dotsTail"
	if !tailMaskDone {
		tailMaskDone = true
		GLOBL(name, 8|16) // RODATA|NOPTR
		for i := range 16 {
			word := uint32(0)
			if i < 8 {
				word--
			}
			DATA(4*i, U32(word))
		}
	}
	return NewDataAddr(NewStaticSymbol(name), 0)
}

var tailMaskDone bool

// sum adds up the lanes of each accumulator: pairs, pairs of pairs, then the two halves.
func (d *dotGen) sum() {
	out := pointer("out")
	for i := range d.rows {
		acc := d.acc[4*i : 4*i+4]
		for _, v := range acc {
			if d.lanes == 16 {
				VEXTRACTF64X4(Imm(1), v, d.a.AsY())
				VADDPS(d.a.AsY(), v.AsY(), v.AsY())
			}
		}
		y := func(j int) reg.Register { return acc[j].AsY() }
		VHADDPS(y(1), y(0), y(0))
		VHADDPS(y(3), y(2), y(2))
		VHADDPS(y(2), y(0), y(0))
		VEXTRACTF128(Imm(1), y(0), acc[1].AsX())
		VADDPS(acc[1].AsX(), acc[0].AsX(), acc[0].AsX())
		VMOVUPS(acc[0].AsX(), Mem{Base: out, Disp: 16 * i})
	}
}

// axpy writes the adding of some rows, each times its factor, to one row.
func axpy(s isa, rows int) {
	name := fmt.Sprintf("axpy%d%s", rows, s.name)
	TEXT(name, NOSPLIT, "func(n int, y, x *float32, xStep int, b *float32, bRow int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s is an axpyFunc for %d rows.", name, rows))
	x, xStep := pointer("x"), floats("xStep")
	factors := s.vectors(rows)
	for i, v := range factors {
		VBROADCASTSS(Mem{Base: x}, v)
		if i < rows-1 {
			ADDQ(xStep, x)
		}
	}
	row, y, n := floats("bRow"), pointer("y"), pointer("n")
	bases := rowBases(pointer("b"), row, rows)
	sum, v := s.vector(), s.vector()
	step := func(load, store func(Mem, reg.VecVirtual)) {
		load(Mem{Base: y}, sum)
		for i, factor := range factors {
			load(rowAddress(bases, row, i), v)
			VFMADD231PS(v, factor, sum)
		}
		store(Mem{Base: y}, sum)
	}
	Label("loop")
	CMPQ(n, Imm(uint64(s.lanes)))
	JLT(LabelRef("tail"))
	step(func(m Mem, v reg.VecVirtual) { VMOVUPS(m, v) }, func(m Mem, v reg.VecVirtual) { VMOVUPS(v, m) })
	for _, base := range append(bases, y) {
		ADDQ(Imm(uint64(s.bytes())), base)
	}
	SUBQ(Imm(uint64(s.lanes)), n)
	JMP(LabelRef("loop"))
	Label("tail")
	TESTQ(n, n)
	JZ(LabelRef("end"))
	t := newTail(s, n)
	step(t.load, t.store)
	Label("end")
	VZEROUPPER()
	RET()
}

// tail moves fewer floats than a vector has.
type tail struct {
	isa
	opmask reg.OpmaskVirtual // on AVX-512
	mask   reg.VecVirtual    // on AVX2
}

// newTail is for n floats; it changes n.
func newTail(s isa, n reg.GPVirtual) *tail {
	if s.lanes == 16 {
		t, bits := &tail{isa: s, opmask: K()}, GP32()
		MOVL(U32(0xffffffff), bits)
		BZHIL(n.As32(), bits, bits)
		KMOVW(bits, t.opmask)
		return t
	}
	t, table := &tail{isa: s, mask: s.vector()}, GP64()
	LEAQ(tailMask(), table)
	SHLQ(Imm(2), n)
	SUBQ(n, table)
	VMOVUPS(Mem{Base: table, Disp: 32}, t.mask)
	return t
}

// load clears the lanes that it does not load.
func (t *tail) load(m Mem, v reg.VecVirtual) {
	if t.lanes == 16 {
		VMOVUPS_Z(m, t.opmask, v)
	} else {
		VMASKMOVPS(m, t.mask, v)
	}
}

func (t *tail) store(m Mem, v reg.VecVirtual) {
	if t.lanes == 16 {
		VMOVUPS(v, t.opmask, m)
	} else {
		VMASKMOVPS(v, t.mask, m)
	}
}
