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

// prefetchRows writes the same for a part of a matrix.
func prefetchRows() {
	TEXT("prefetchRows", NOSPLIT, "func(p *float32, row, rows, lines int)")
	Doc("prefetchRows asks for so many cache lines of each of some rows, which lie row floats apart.")
	p, row, rows := pointer("p"), floats("row"), pointer("rows")
	lines, at, left := pointer("lines"), GP64(), GP64()
	Label("row")
	TESTQ(rows, rows)
	JLE(LabelRef("done"))
	MOVQ(p, at)
	MOVQ(lines, left)
	Label("line")
	PREFETCHT0(Mem{Base: at})
	ADDQ(Imm(64), at)
	DECQ(left)
	JG(LabelRef("line"))
	ADDQ(row, p)
	DECQ(rows)
	JMP(LabelRef("row"))
	Label("done")
	RET()
}
