package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Instructions that neither avo nor Go's assembler knows. They are kept by name until registers are allocated, then
// written as bytes.

// evex is an instruction on vectors in EVEX form, opcode map 0F38. Source: Intel's instruction set extensions
// programming reference, chapter 2.
type evex struct {
	opcode byte
	prefix byte // 1: 66, 2: F3, 3: F2
}

var byteInstructions = map[string]evex{
	"VDPBF16PS":      {0x52, 2}, // acc += pairs of a times pairs of b
	"VCVTNE2PS2BF16": {0x72, 3}, // a's floats in the low half, b's in the high one
	"VCVTNEPS2BF16":  {0x72, 2},
}

// vdpbf16ps adds to each float of acc the products of the two bf16 in the same place of b and a.
func vdpbf16ps(b, a, acc reg.VecVirtual) { asBytes("VDPBF16PS", acc, true, b, a, acc) }

// vcvtne2ps2bf16 rounds the floats of low and high to nearest even, into the halves of dst.
func vcvtne2ps2bf16(low, high, dst reg.VecVirtual) {
	asBytes("VCVTNE2PS2BF16", dst, false, low, high, dst)
}

// vcvtneps2bf16 rounds the floats of src into the lower half of dst.
func vcvtneps2bf16(src, dst reg.VecVirtual) { asBytes("VCVTNEPS2BF16", dst, false, src, dst) }

// asBytes adds an instruction on whole vectors, operands in the order of Go's assembler. reads says whether dst is read as well.
func asBytes(name string, dst reg.VecVirtual, reads bool, operands ...operand.Op) {
	i := &ir.Instruction{Opcode: name, Operands: operands, Outputs: []operand.Op{dst}, ISA: []string{"AVX512_BF16"}}
	i.Inputs = append(i.Inputs, operands[:len(operands)-1]...)
	if reads {
		i.Inputs = append(i.Inputs, dst)
	}
	build.Instruction(i)
}

// encode is a pass that writes these instructions as bytes.
func encode(f *ir.File) error {
	for _, fn := range f.Functions() {
		var nodes []ir.Node
		for _, n := range fn.Nodes {
			i, ok := n.(*ir.Instruction)
			if !ok || byteInstructions[i.Opcode] == (evex{}) {
				nodes = append(nodes, n)
				continue
			}
			nodes = append(nodes, bytesOf(i)...)
		}
		fn.Nodes = nodes
	}
	return nil
}

// bytesOf is an instruction's bytes: 62, P0 to P2, the opcode, ModRM.
func bytesOf(i *ir.Instruction) []ir.Node {
	e, last := byteInstructions[i.Opcode], len(i.Operands)-1
	rm, dst, source := register(i.Operands[0]), register(i.Operands[last]), byte(0)
	if last == 2 {
		source = register(i.Operands[1])
	}
	not := func(x, bit byte) byte { return ^x >> bit & 1 }
	p0 := not(dst, 3)<<7 | not(rm, 4)<<6 | not(rm, 3)<<5 | not(dst, 4)<<4 | 2
	p1 := (^source&15)<<3 | 4 | e.prefix
	p2 := byte(2)<<5 | not(source, 4)<<3
	code := []byte{0x62, p0, p1, p2, e.opcode, 0xC0 | dst&7<<3 | rm&7}

	nodes := []ir.Node{ir.NewComment(fmt.Sprintf("%s %s", i.Opcode, names(i.Operands)))}
	for _, b := range code {
		nodes = append(nodes, &ir.Instruction{Opcode: "BYTE", Operands: []operand.Op{operand.U8(b)}})
	}
	return nodes
}

func register(o operand.Op) byte { return byte(o.(reg.Physical).PhysicalIndex()) }

func names(operands []operand.Op) string {
	text := ""
	for i, o := range operands {
		if i > 0 {
			text += ", "
		}
		text += o.Asm()
	}
	return text
}
