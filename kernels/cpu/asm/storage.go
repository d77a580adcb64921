package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Storage in bf16, whose values are upper halves of floats.

func widenBF16(s isa) {
	f := newSpan(s, "widenBF16", "func(y []float32, x []uint16)", "is the loop of widenGeneric over whole vectors.", "y", "x")
	f.withHalves("x")
	body := func() {
		v := f.vector()
		VPMOVZXWD(f.mem("x"), v)
		VPSLLD(Imm(16), v, v)
		f.store(v, "y")
	}
	f.loop(4, body)
	f.loop(1, body)
	f.end()
}

func narrowBF16(s isa) {
	f := newSpan(s, "narrowBF16", "func(y []uint16, x []float32)", "is the loop of narrowGeneric over whole vectors.", "y", "x")
	f.withHalves("y")
	f.needBits(1)
	f.needBits(0x7FFF)
	f.needBits(0x40)
	body := func() {
		x, odd := f.load("x"), f.vector()
		VPSRLD(Imm(16), x, odd)
		f.and(f.word(1), odd)
		VPADDD(f.word(0x7FFF), odd, odd)
		f.storeUpper(x, odd)
	}
	f.loop(2, body)
	f.loop(1, body)
	f.end()
}

func narrowByWords(s isa) {
	f := newSpan(s, "narrowByWords", "func(y []uint16, x []float32, p *uint32, block uint64)",
		"is the loop of narrowByWordsGeneric over whole pairs of vectors; the low half of block must not overflow.", "y", "x")
	f.withHalves("y")
	f.needBits(0xFFFF)
	f.needBits(0x40)
	newPhilox(f).each(func(words reg.VecVirtual) {
		f.and(f.word(0xFFFF), words)
		f.storeUpper(f.load("x"), words)
	})
	f.end()
}

// storeUpper writes the upper halves of x + add; where x is a NaN those of x, with the bit that keeps it one. x and add are overwritten.
func (f *span) storeUpper(x, add reg.VecVirtual) {
	const unordered = 3
	VPADDD(x, add, add)
	VPSRLD(Imm(16), add, add)
	if f.lanes == 16 {
		nan := K()
		VCMPPS(Imm(unordered), x, x, nan)
		VPSRLD(Imm(16), x, x)
		VPORD(f.word(0x40), x, nan, add)
		VPMOVDW(add, f.mem("y"))
		return
	}
	nan, upper := f.vector(), XMM()
	VCMPPS(Imm(unordered), x, x, nan)
	VPSRLD(Imm(16), x, x)
	VPOR(f.word(0x40), x, x)
	VBLENDVPS(nan, x, add, add)
	VEXTRACTI128(Imm(1), add, upper)
	VPACKUSDW(upper, add.AsX(), upper)
	VMOVDQU(upper, f.mem("y"))
}
