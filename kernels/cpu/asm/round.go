package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// roundBF16 adds half a unit of the last bit kept, less one where that bit is 0, and cuts; a NaN stays as it is.
func roundBF16(s isa) {
	f := newSpan(s, "roundBF16", "func(y, x []float32)", "sets y to x rounded to bf16.", "y", "x")
	f.needBits(1)
	f.needBits(0x7FFF)
	f.needBits(0xFFFF0000)
	f.each(2, func() {
		x, y := f.load("x"), f.vector()
		VPSRLD(Imm(16), x, y)
		f.and(f.word(1), y)
		VPADDD(f.word(0x7FFF), y, y)
		VPADDD(x, y, y)
		f.and(f.word(0xFFFF0000), y)
		const unordered = 3
		if f.lanes == 16 {
			k := K()
			VCMPPS(Imm(unordered), x, x, k)
			VMOVAPS(x, k, y)
		} else {
			nan := f.vector()
			VCMPPS(Imm(unordered), x, x, nan)
			VBLENDVPS(nan, x, y, y)
		}
		f.store(y, "y")
	})
	f.end()
}

// and sets v &= mask.
func (f *span) and(mask Op, v Op) {
	if f.lanes == 16 {
		VPANDD(mask, v, v)
	} else {
		VPAND(mask, v, v)
	}
}

// roundF16 converts there and back.
func roundF16(s isa) {
	f := newSpan(s, "roundF16", "func(y, x []float32)", "sets y to x rounded to f16.", "y", "x")
	f.each(2, func() {
		x := f.load("x")
		if f.lanes == 16 {
			half := YMM()
			VCVTPS2PH(Imm(0), x, half)
			VCVTPH2PS(half, x)
		} else {
			half := XMM()
			VCVTPS2PH(Imm(0), x, half)
			VCVTPH2PS(half, x)
		}
		f.store(x, "y")
	})
	f.end()
}
