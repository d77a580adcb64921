package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The multipliers of Philox4x32-10, as in package kernels.
const philoxM0, philoxM1 = 0xD2511F53, 0xCD9E8D57

// dropoutParams' fields, by offset.
const (
	dropStep, dropStream, dropThreshold, dropScale = 0, 4, 8, 12
	dropKeys                                       = 16 // two for each of ten rounds
)

// dropout runs one block of Philox in each 64-bit lane. The four words of its state stand in four vectors, in the low half
// of the lane; the upper half is never looked at, since VPMULUDQ multiplies low halves.
func dropout(s isa) {
	f := newSpan(s, "dropout", "func(y, x []float32, p *uint32, block uint64)",
		"is the loop of dropoutGeneric over whole pairs of vectors; the low half of block must not overflow.", "y", "x")
	d := &dropoutGen{span: f, p: pointer("p")}
	d.begin()
	d.loop(2, d.round)
	f.end()
}

type dropoutGen struct {
	*span
	p                reg.GPVirtual
	c                [4]reg.VecVirtual // the counters that the next round of the loop begins with
	threshold, scale reg.VecVirtual
	m0, m1           reg.VecVirtual
	low              reg.Register // AVX-512: selects the low halves
}

// begin sets the counters: lanes 2g and 2g+1 hold blocks g and g + half, so that
// the words of the first and of the second half come out in order.
func (d *dropoutGen) begin() {
	for i := range d.c {
		d.c[i] = d.vector()
	}
	block, x := pointer("block"), XMM()
	VMOVQ(block, x)
	VPBROADCASTD(x, d.c[0])
	VPADDD(d.laneTable(), d.c[0], d.c[0])
	SHRQ(Imm(32), block)
	VMOVQ(block, x)
	VPBROADCASTD(x, d.c[1])
	VPBROADCASTD(Mem{Base: d.p, Disp: dropStep}, d.c[2])
	VPBROADCASTD(Mem{Base: d.p, Disp: dropStream}, d.c[3])
	d.threshold, d.scale, d.m0, d.m1 = d.vector(), d.vector(), d.vector(), d.vector()
	VPBROADCASTD(Mem{Base: d.p, Disp: dropThreshold}, d.threshold)
	VBROADCASTSS(Mem{Base: d.p, Disp: dropScale}, d.scale)
	VPBROADCASTD(constant(philoxM0), d.m0)
	VPBROADCASTD(constant(philoxM1), d.m1)
	d.needBits(uint32(d.lanes / 2))
	d.needBits(signBit)
	if d.lanes == 8 { // AVX2 compares as signed numbers
		VPXOR(d.word(signBit), d.threshold, d.threshold)
		return
	}
	bits := GP32()
	d.low = K()
	MOVL(U32(0x5555), bits)
	KMOVW(bits, d.low.(reg.OpmaskVirtual))
}

// laneTable holds the block of each lane, relative to the first.
func (d *dropoutGen) laneTable() Mem {
	name, lanes := "vectorBlocks"+d.name, d.lanes/2
	GLOBL(name, RODATA|NOPTR)
	for i := range lanes {
		DATA(8*i, U64(i/2+i%2*lanes/2))
	}
	return NewDataAddr(NewStaticSymbol(name), 0)
}

// round does two vectors; as the body of a loop over vectors it is called for each, and does its work at the first.
func (d *dropoutGen) round() {
	if d.step != 0 {
		return
	}
	c := d.philox()
	// Words 0 and 1, then 2 and 3, of a block side by side in its lane.
	for i := 0; i < 4; i += 2 {
		VPSLLQ(Imm(32), c[i+1], c[i+1])
		d.takeLow(c[i], c[i+1])
	}
	lo, hi := d.vector(), d.vector()
	d.unpack(c[3], c[1], lo, hi)
	d.keep(lo)
	d.step = 1
	d.keep(hi)
	VPADDD(d.word(uint32(d.lanes/2)), d.c[0], d.c[0])
}

// unpack puts the four words of a block side by side: of even lanes in lo, of odd ones in hi.
func (d *dropoutGen) unpack(words23, words01, lo, hi reg.VecVirtual) {
	VPUNPCKLQDQ(words23, words01, lo)
	VPUNPCKHQDQ(words23, words01, hi)
}

// takeLow replaces the low half of each lane of v by that of from.
func (d *dropoutGen) takeLow(from, v reg.VecVirtual) {
	if d.lanes == 16 {
		VMOVDQA32(from, d.low, v)
	} else {
		VPBLENDD(Imm(0x55), from, v, v)
	}
}

// philox gives the four words of each lane's block.
func (d *dropoutGen) philox() [4]reg.VecVirtual {
	c := d.c
	for round := range 10 {
		p0, p1, h0, h1 := d.vector(), d.vector(), d.vector(), d.vector()
		VPMULUDQ(d.m0, c[0], p0)
		VPMULUDQ(d.m1, c[2], p1)
		VPSRLQ(Imm(32), p0, h0)
		VPSRLQ(Imm(32), p1, h1)
		d.xor(h1, c[1], 2*round)
		d.xor(h0, c[3], 2*round+1)
		c = [4]reg.VecVirtual{h1, p1, h0, p0}
	}
	return c
}

// xor sets v = v ^ w ^ key.
func (d *dropoutGen) xor(v, w reg.VecVirtual, key int) {
	m := Mem{Base: d.p, Disp: dropKeys + 4*key}
	if d.lanes == 16 {
		VPTERNLOGD_BCST(Imm(0x96), m, w, v)
		return
	}
	k := d.vector()
	VPBROADCASTD(m, k)
	VPXOR(w, v, v)
	VPXOR(k, v, v)
}

// keep writes a vector: x·scale where the word is at least the threshold, else 0.
func (d *dropoutGen) keep(words reg.VecVirtual) {
	x := d.span.load("x")
	if d.lanes == 16 {
		k := K()
		VPCMPUD(Imm(5), d.threshold, words, k)
		VMULPS_Z(d.scale, x, k, x)
	} else {
		VPXOR(d.word(signBit), words, words)
		VPCMPGTD(words, d.threshold, words)
		VMULPS(d.scale, x, x)
		VANDNPS(x, words, x)
	}
	d.store(x, "y")
}
