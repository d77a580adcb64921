package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The multipliers of Philox4x32-10, as in package kernels.
const philoxM0, philoxM1 = 0xD2511F53, 0xCD9E8D57

// Fields of philoxParams and dropoutParams, by offset.
const (
	philoxStep, philoxStream = 0, 4
	philoxKeys               = 8 // two for each of ten rounds
	dropThreshold, dropScale = 96, 100
)

// dropout multiplies by scale where the word is at least the threshold, and by 0 elsewhere.
func dropout(s isa) {
	f := newSpan(s, "dropout", "func(y, x []float32, p *uint32, block uint64)",
		"is the loop of dropoutGeneric over whole pairs of vectors; the low half of block must not overflow.", "y", "x")
	d := newPhilox(f)
	threshold, scale := f.vector(), f.vector()
	VPBROADCASTD(Mem{Base: d.p, Disp: dropThreshold}, threshold)
	VBROADCASTSS(Mem{Base: d.p, Disp: dropScale}, scale)
	if f.lanes == 8 { // AVX2 compares as signed numbers
		f.needBits(signBit)
		VPXOR(f.word(signBit), threshold, threshold)
	}
	d.each(func(words reg.VecVirtual) {
		x := f.load("x")
		if f.lanes == 16 {
			k := K()
			VPCMPUD(Imm(5), threshold, words, k)
			VMULPS_Z(scale, x, k, x)
		} else {
			VPXOR(f.word(signBit), words, words)
			VPCMPGTD(words, threshold, words)
			VMULPS(scale, x, x)
			VANDNPS(x, words, x)
		}
		f.store(x, "y")
	})
	f.end()
}

// philoxGen runs one block of Philox in each 64-bit lane. The four words of its state stand in four vectors, in the low half
// of the lane; the upper half is never looked at, since VPMULUDQ multiplies low halves.
type philoxGen struct {
	*span
	p      reg.GPVirtual
	c      [4]reg.VecVirtual // the counters that the next round of the loop begins with
	m0, m1 reg.VecVirtual
	low    reg.Register // AVX-512: selects the low halves
}

// newPhilox takes the parameters p, philoxParams, and block.
func newPhilox(f *span) *philoxGen {
	d := &philoxGen{span: f, p: pointer("p")}
	d.begin()
	return d
}

// each runs keep for every vector of words, two vectors a round.
func (d *philoxGen) each(keep func(words reg.VecVirtual)) {
	d.loop(2, func() { d.round(keep) })
}

// begin sets the counters: lanes 2g and 2g+1 hold blocks g and g + half, so that
// the words of the first and of the second half come out in order.
func (d *philoxGen) begin() {
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
	VPBROADCASTD(Mem{Base: d.p, Disp: philoxStep}, d.c[2])
	VPBROADCASTD(Mem{Base: d.p, Disp: philoxStream}, d.c[3])
	d.m0, d.m1 = d.vector(), d.vector()
	VPBROADCASTD(constant(philoxM0), d.m0)
	VPBROADCASTD(constant(philoxM1), d.m1)
	d.needBits(uint32(d.lanes / 2))
	if d.lanes == 8 {
		return
	}
	bits := GP32()
	d.low = K()
	MOVL(U32(0x5555), bits)
	KMOVW(bits, d.low.(reg.OpmaskVirtual))
}

// laneTable holds the block of each lane, relative to the first.
func (d *philoxGen) laneTable() Mem {
	name, lanes := "vectorBlocks"+d.name, d.lanes/2
	if !tables[name] {
		tables[name] = true
		GLOBL(name, RODATA|NOPTR)
		for i := range lanes {
			DATA(8*i, U64(i/2+i%2*lanes/2))
		}
	}
	return NewDataAddr(NewStaticSymbol(name), 0)
}

// round does two vectors; as the body of a loop over vectors it is called for each, and does its work at the first.
func (d *philoxGen) round(keep func(words reg.VecVirtual)) {
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
	keep(lo)
	d.step = 1
	keep(hi)
	VPADDD(d.word(uint32(d.lanes/2)), d.c[0], d.c[0])
}

// unpack puts the four words of a block side by side: of even lanes in lo, of odd ones in hi.
func (d *philoxGen) unpack(words23, words01, lo, hi reg.VecVirtual) {
	VPUNPCKLQDQ(words23, words01, lo)
	VPUNPCKHQDQ(words23, words01, hi)
}

// takeLow replaces the low half of each lane of v by that of from.
func (d *philoxGen) takeLow(from, v reg.VecVirtual) {
	if d.lanes == 16 {
		VMOVDQA32(from, d.low, v)
	} else {
		VPBLENDD(Imm(0x55), from, v, v)
	}
}

// philox gives the four words of each lane's block.
func (d *philoxGen) philox() [4]reg.VecVirtual {
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
func (d *philoxGen) xor(v, w reg.VecVirtual, key int) {
	m := Mem{Base: d.p, Disp: philoxKeys + 4*key}
	if d.lanes == 16 {
		VPTERNLOGD_BCST(Imm(0x96), m, w, v)
		return
	}
	k := d.vector()
	VPBROADCASTD(m, k)
	VPXOR(w, v, v)
	VPXOR(k, v, v)
}
