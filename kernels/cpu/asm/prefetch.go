package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// prefetchRows writes the function that asks for memory ahead of its use.
func prefetchRows() {
	TEXT("prefetchRows", NOSPLIT, "func(p *float32, row, rows, lines int)")
	Doc("prefetchRows asks for so many cache lines of each of some rows, which lie row floats apart, and waits for none.")
	p, row, rows := pointer("p"), floats("row"), pointer("rows")
	lines, at, left := pointer("lines"), GP64(), GP64()
	Label("row")
	TESTQ(rows, rows)
	JLE(LabelRef("done"))
	MOVQ(p, at)
	MOVQ(lines, left)
	Label("line")
	PREFETCHT0(Mem{Base: at})
	ADDQ(Imm(lineBytes), at)
	DECQ(left)
	JG(LabelRef("line"))
	ADDQ(row, p)
	DECQ(rows)
	JMP(LabelRef("row"))
	Label("done")
	RET()
}
