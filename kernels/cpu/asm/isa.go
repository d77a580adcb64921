package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is one level of the processor's vector instructions.
type isa struct {
	name  string
	lanes int // floats in a vector
}

var (
	avx2   = isa{"AVX2", 8}
	avx512 = isa{"AVX512", 16}
	levels = []isa{avx2, avx512}
)

// bytes is the size of a vector.
func (s isa) bytes() int { return 4 * s.lanes }

func (s isa) vector() reg.VecVirtual {
	if s.lanes == 16 {
		return ZMM()
	}
	return YMM()
}

func (s isa) vectors(n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = s.vector()
	}
	return v
}

// zero clears v.
func (s isa) zero(v reg.VecVirtual) {
	if s.lanes == 16 {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
}

// floats loads a parameter that counts floats and turns it into bytes.
func floats(param string) reg.GPVirtual {
	r := Load(Param(param), GP64()).(reg.GPVirtual)
	SHLQ(operand.Imm(2), r)
	return r
}

// pointer loads a parameter that is a pointer or a plain count.
func pointer(param string) reg.GPVirtual { return Load(Param(param), GP64()).(reg.GPVirtual) }
