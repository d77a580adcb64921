package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Kernels of products in bf16: a panel's element is the bf16 of two steps, the earlier one in the lower half.

// pairTile is tile over pairs.
func pairTile(rows, vectors int) { writeTile("tile", "", newPairTile(rows, vectors)) }

// pairAheadTile is aheadTile over pairs.
func pairAheadTile(rows, vectors int) {
	t := newPairTile(rows, vectors)
	t.asks = true
	writeTile("aheadTile", ", next *byte", t)
}

func newPairTile(rows, vectors int) *tileGen {
	return &tileGen{isa: avx512, rows: rows, vectors: vectors, kind: "BF16", about: ", whose steps are pairs of bf16",
		acc: avx512.vectors(rows * vectors), multiply: vdpbf16ps}
}

// pairStrip writes the packing of a strip of a row-major matrix: rows 2p and 2p+1 become step p of a panel.
func pairStrip(width int) {
	name := fmt.Sprintf("pairStrip%dAVX512", width)
	TEXT(name, NOSPLIT, "func(k int, dst *float32, dstStep int, src *float32, srcStep int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s sets dst[p*dstStep+i] to the bf16 of src[2*p*srcStep+i] and src[(2*p+1)*srcStep+i] for i < %d and p < k.", name, width))
	k, dst, dstStep := pointer("k"), pointer("dst"), floats("dstStep")
	src, srcStep := pointer("src"), floats("srcStep")
	order, index := ZMM(), GP64()
	LEAQ(interleave(), index)
	VMOVUPS(Mem{Base: index}, order)
	load, store := whole, func(v reg.VecVirtual, m Mem) { VMOVUPS(v, m) }
	if width < avx512.lanes {
		bits, mask := GP32(), K()
		MOVL(U32(1<<width-1), bits)
		KMOVW(bits, mask)
		load = func(m Mem, v reg.VecVirtual) { VMOVUPS_Z(m, mask, v) }
		store = func(v reg.VecVirtual, m Mem) { VMOVUPS(v, mask, m) }
	}
	TESTQ(k, k)
	JLE(LabelRef("end"))
	Label("loop")
	for at := 0; at < width; at += avx512.lanes {
		first, second := ZMM(), ZMM()
		load(Mem{Base: src, Disp: 4 * at}, first)
		load(Mem{Base: src, Index: srcStep, Scale: 1, Disp: 4 * at}, second)
		vcvtne2ps2bf16(first, second, first)
		VPERMW(first, order, first)
		store(first, Mem{Base: dst, Disp: 4 * at})
	}
	LEAQ(Mem{Base: src, Index: srcStep, Scale: 2}, src)
	ADDQ(dstStep, dst)
	DECQ(k)
	JNZ(LabelRef("loop"))
	Label("end")
	VZEROUPPER()
	RET()
}

func whole(m Mem, v reg.VecVirtual) { VMOVUPS(m, v) }

// interleave is the order of 32 words that puts those of the two halves side by side.
func interleave() Mem {
	if !tables["interleave"] {
		tables["interleave"] = true
		GLOBL("interleave", 8|16) // RODATA|NOPTR
		for i := range 16 {
			DATA(4*i, U32(uint32(16+i)<<16|uint32(i)))
		}
	}
	return NewDataAddr(NewStaticSymbol("interleave"), 0)
}

// pairTranspose4 is transpose4 for pairs: 16 floats of each of four rows become 8 steps of four lanes.
func pairTranspose4() {
	TEXT("pairTranspose4AVX512", NOSPLIT, "func(k int, dst *float32, dstStep int, src *float32, srcRow int)")
	Pragma("noescape")
	Doc("pairTranspose4AVX512 sets dst[p*dstStep+i] to the bf16 of src[i*srcRow+2*p] and src[i*srcRow+2*p+1] for i < 4 and p < k, k a multiple of 8.")
	transpose(2, func(at []Mem, r []reg.VecVirtual) {
		for i, m := range at {
			v := ZMM()
			VMOVUPS(m, v)
			vcvtneps2bf16(v, v)
			VMOVAPS(v.AsY(), r[i])
		}
	})
}
