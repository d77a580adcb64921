package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// maker writes the function that reads who made the processor.
func maker() {
	TEXT("maker", NOSPLIT, "func() (first, second, third uint32)")
	Doc("maker gives the twelve letters by which a processor's maker is known, four at a time.")
	XORL(reg.EAX, reg.EAX)
	XORL(reg.ECX, reg.ECX)
	CPUID()
	Store(reg.EBX, ReturnIndex(0))
	Store(reg.EDX, ReturnIndex(1))
	Store(reg.ECX, ReturnIndex(2))
	RET()
}
