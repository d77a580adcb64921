package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// span writes a function that runs over slices of equal length: vectors while
// they last, then one more under a mask.
type span struct {
	isa
	base      map[string]reg.GPVirtual // of each slice
	halves    map[string]bool          // slices of 16-bit elements
	at, left  reg.GPVirtual            // elements done, times the unit; elements to do
	unit      int                      // bytes of the smallest element
	step      int                      // place of the vector within an unrolled round
	tail      bool                     // whether the mask is in force
	mask      reg.Register             // of the tail: opmask on AVX-512, vector on AVX2
	constants map[uint32]Op
}

// newSpan begins a function. slices name its slice parameters, the first of which gives the length.
func newSpan(s isa, name, signature, doc string, slices ...string) *span {
	TEXT(name+s.name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + s.name + " " + doc)
	f := &span{isa: s, base: map[string]reg.GPVirtual{}, unit: 4, constants: map[uint32]Op{}}
	for _, slice := range slices {
		f.base[slice] = Load(Param(slice).Base(), GP64()).(reg.GPVirtual)
	}
	f.left, f.at = Load(Param(slices[0]).Len(), GP64()).(reg.GPVirtual), GP64()
	XORQ(f.at, f.at)
	return f
}

// each runs body for every vector, unrolled so many times.
func (f *span) each(unroll int, body func()) {
	if unroll > 1 {
		f.loop(unroll, body)
	}
	f.loop(1, body)
	TESTQ(f.left, f.left)
	JZ(LabelRef("end"))
	f.makeMask()
	f.step, f.tail = 0, true
	body()
	Label("end")
}

// loop runs body for n vectors at a time while there are as many.
func (f *span) loop(n int, body func()) {
	name := fmt.Sprintf("by%d", n)
	Label(name)
	CMPQ(f.left, U32(n*f.lanes))
	JLT(LabelRef("under" + name))
	for f.step = range n {
		body()
	}
	ADDQ(U32(n*f.lanes*f.unit), f.at)
	SUBQ(U32(n*f.lanes), f.left)
	JMP(LabelRef(name))
	Label("under" + name)
}

// makeMask selects the first left lanes.
func (f *span) makeMask() {
	if f.lanes == 16 {
		bits, k := GP32(), K()
		MOVL(I32(-1), bits)
		BZHIL(f.left.As32(), bits, bits)
		KMOVW(bits, k)
		f.mask = k
		return
	}
	table, mask := GP64(), YMM()
	LEAQ(maskTable(), table)
	NEGQ(f.left)
	VMOVUPS(Mem{Base: table, Index: f.left, Scale: 4, Disp: 32}, mask)
	f.mask = mask
}

// maskTable is eight words of ones, then eight of zeros.
func maskTable() Mem {
	if !tables["mask"] {
		tables["mask"] = true
		GLOBL("vectorMask", RODATA|NOPTR)
		for i, ones := range []uint64{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64, 0, 0, 0, 0} {
			DATA(8*i, U64(ones))
		}
	}
	return NewDataAddr(NewStaticSymbol("vectorMask"), 0)
}

// tables are the data written so far.
var tables = map[string]bool{}

func (f *span) mem(slice string) Mem {
	size := 4
	if f.halves[slice] {
		size = 2
	}
	return Mem{Base: f.base[slice], Index: f.at, Scale: uint8(size / f.unit), Disp: f.step * f.lanes * size}
}

// withHalves says which slice has elements of 16 bits. What has one is written for whole vectors: it calls loop, not each.
func (f *span) withHalves(slice string) { f.halves, f.unit = map[string]bool{slice: true}, 2 }

// load reads a vector of a slice; lanes beyond its end are 0.
func (f *span) load(slice string) reg.VecVirtual {
	v := f.vector()
	switch {
	case !f.tail:
		VMOVUPS(f.mem(slice), v)
	case f.lanes == 16:
		VMOVUPS_Z(f.mem(slice), f.mask, v)
	default:
		VMASKMOVPS(f.mem(slice), f.mask, v)
	}
	return v
}

// loadOr is load with another value in the lanes beyond the end.
func (f *span) loadOr(slice string, other reg.VecVirtual) reg.VecVirtual {
	if !f.tail {
		return f.load(slice)
	}
	v := f.vector()
	if f.lanes == 16 {
		VMOVAPS(other, v)
		VMOVUPS(f.mem(slice), f.mask, v)
	} else {
		VMASKMOVPS(f.mem(slice), f.mask, v)
		VBLENDVPS(f.mask, v, other, v)
	}
	return v
}

// store writes a vector of a slice, no further than its end.
func (f *span) store(v reg.VecVirtual, slice string) {
	switch {
	case !f.tail:
		VMOVUPS(v, f.mem(slice))
	case f.lanes == 16:
		VMOVUPS(v, f.mask, f.mem(slice))
	default:
		VMASKMOVPS(v, f.mask, f.mem(slice))
	}
}

// end returns from the function.
func (f *span) end() {
	VZEROUPPER()
	RET()
}

// parameter broadcasts a float32 parameter.
func (f *span) parameter(name string) reg.VecVirtual {
	at, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := f.vector()
	VBROADCASTSS(at.Addr, v)
	return v
}

// need makes constants available to the loop: in registers on AVX-512, which
// has 32, and in memory on AVX2.
func (f *span) need(values ...float32) {
	for _, v := range values {
		f.needBits(math.Float32bits(v))
	}
}

func (f *span) needBits(bits uint32) {
	if f.constants[bits] != nil {
		return
	}
	m := constant(bits)
	if f.lanes == 8 {
		f.constants[bits] = m
		return
	}
	v := f.vector()
	VBROADCASTSS(m, v)
	f.constants[bits] = v
}

// constant is a vector of eight equal words in memory.
func constant(bits uint32) Mem {
	name := fmt.Sprintf("vectorWord%08X", bits)
	if !tables[name] {
		tables[name] = true
		GLOBL(name, RODATA|NOPTR)
		for i := range 4 {
			DATA(8*i, U64(uint64(bits)<<32|uint64(bits)))
		}
	}
	return NewDataAddr(NewStaticSymbol(name), 0)
}

// c is a constant that need named.
func (f *span) c(value float32) Op { return f.word(math.Float32bits(value)) }

func (f *span) word(bits uint32) Op {
	op := f.constants[bits]
	if op == nil {
		panic(fmt.Sprintf("constant %08X (%v) was not asked for", bits, math.Float32frombits(bits)))
	}
	return op
}

// reg gives a constant in a register.
func (f *span) reg(value float32) reg.VecVirtual {
	if v, ok := f.c(value).(reg.VecVirtual); ok {
		return v
	}
	v := f.vector()
	VMOVUPS(f.c(value), v)
	return v
}

// loadWide is load, turned into two vectors of doubles.
func (f *span) loadWide(slice string) (lo, hi reg.VecVirtual) {
	if f.tail {
		return f.widen(f.load(slice))
	}
	lo, hi = f.vector(), f.vector()
	at := f.mem(slice)
	VCVTPS2PD(at, lo)
	VCVTPS2PD(at.Offset(f.bytes()/2), hi)
	return lo, hi
}

// widen turns a vector of floats into two of doubles.
func (f *span) widen(v reg.VecVirtual) (lo, hi reg.VecVirtual) {
	lo, hi = f.vector(), f.vector()
	if f.lanes == 16 {
		upper := YMM()
		VEXTRACTF64X4(Imm(1), v, upper)
		VCVTPS2PD(v.AsY(), lo)
		VCVTPS2PD(upper, hi)
		return lo, hi
	}
	upper := XMM()
	VEXTRACTF128(Imm(1), v, upper)
	VCVTPS2PD(v.AsX(), lo)
	VCVTPS2PD(upper, hi)
	return lo, hi
}

// total returns the sum of the lanes of doubles as a result of the function.
func (f *span) total(sum reg.VecVirtual, result int) {
	if f.lanes == 16 {
		upper := YMM()
		VEXTRACTF64X4(Imm(1), sum, upper)
		VADDPD(upper, sum.AsY(), sum.AsY())
	}
	upper := XMM()
	VEXTRACTF128(Imm(1), sum.AsY(), upper)
	VADDPD(upper, sum.AsX(), sum.AsX())
	VUNPCKHPD(sum.AsX(), sum.AsX(), upper)
	VADDSD(upper, sum.AsX(), sum.AsX())
	f.result(sum.AsX(), result, VMOVSD)
}

// result returns the low lane of v.
func (f *span) result(v reg.Register, i int, move func(...Op)) {
	at, err := ReturnIndex(i).Resolve()
	if err != nil {
		panic(err)
	}
	move(v, at.Addr)
}

// totalFloats is total of lanes of floats.
func (f *span) totalFloats(sum reg.VecVirtual, result int) {
	lo, hi := f.widen(sum)
	VADDPD(lo, hi, hi)
	f.total(hi, result)
}

// zeros gives n cleared vectors.
func (f *span) zeros(n int) []reg.VecVirtual {
	v := f.vectors(n)
	for _, acc := range v {
		f.zero(acc)
	}
	return v
}
