package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// prefetch writes the function that asks for memory ahead of its use.
func prefetch() {
	TEXT("prefetch", NOSPLIT, "func(p *float32, lines int)")
	Doc("prefetch asks for so many cache lines from p on, and waits for none.")
	p, lines := GP64(), GP64()
	Load(Param("p"), p)
	Load(Param("lines"), lines)
	Label("next")
	TESTQ(lines, lines)
	JLE(LabelRef("done"))
	PREFETCHT0(Mem{Base: p})
	ADDQ(Imm(64), p)
	DECQ(lines)
	JMP(LabelRef("next"))
	Label("done")
	RET()
}
