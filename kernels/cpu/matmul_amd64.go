package cpu

import "golang.org/x/sys/cpu"

// tileSets holds the tile set of every level.
var tileSets = [...]*tileSet{generic: genericTiles, avx2: avx2Tiles, avx512: avx512Tiles}

// packing is shared by the levels: moving floats needs no wide vectors.
var stripsAVX2 = map[int]func(k int, dst *float32, dstStep int, src *float32, srcStep int){
	8: copyStrip8AVX2, 12: copyStrip12AVX2, 16: copyStrip16AVX2, 32: copyStrip32AVX2,
}

// avx2Tiles pads panels of a to 8 lanes, so that they are packed in whole groups of four.
var avx2Tiles = &tileSet{
	rows: 6, cols: 16, aStep: 8, steps: 1,
	heights: []int{1, 2, 4, 6}, widths: []int{8, 16},
	tiles: [][]tileFunc{
		{tile1x8AVX2, tile1x16AVX2},
		{tile2x8AVX2, tile2x16AVX2},
		{tile4x8AVX2, tile4x16AVX2},
		{tile6x8AVX2, tile6x16AVX2},
	},
	packTile: packTile6x16AVX2, aheadTile: aheadTile6x16AVX2,
	dots1: dots1x4AVX2, dotsN: dots2x4AVX2, dotRows: 2, axpy1: axpy1AVX2, axpy8: axpy8AVX2,
	transpose4: transpose4AVX2, transpose8: transpose8AVX2, strips: stripsAVX2,
}

var avx512Tiles = &tileSet{
	rows: 12, cols: 32, aStep: 12, steps: 1,
	heights: []int{1, 4, 8, 12}, widths: []int{16, 32},
	tiles: [][]tileFunc{
		{tile1x16AVX512, tile1x32AVX512},
		{tile4x16AVX512, tile4x32AVX512},
		{tile8x16AVX512, tile8x32AVX512},
		{tile12x16AVX512, tile12x32AVX512},
	},
	packTile: packTile12x32AVX512, aheadTile: aheadTile12x32AVX512,
	dots1: dots1x4AVX512, dotsN: dots4x4AVX512, dotRows: 4, axpy1: axpy1AVX512, axpy8: axpy8AVX512,
	transpose4: transpose4AVX2, transpose8: transpose8AVX2, strips: stripsAVX2,
}

// pairTiles is the set for products of bf16 at a level; nil: the processor has no instruction for them.
func pairTiles(l level) *tileSet {
	if l != avx512 || !cpu.X86.HasAVX512BF16 {
		return nil
	}
	return bf16Tiles
}

// pairsAreFast says whether that instruction does more than multiply-adds of floats in the same time: twice as much on an EPYC of Zen 4. On an Emerald Rapids a tile of bf16 takes some 1.5 times as
// long as one of floats with as many products; what makes Intel's bf16 fast is AMX. It goes by the maker, since a measurement could differ from run to run, and with it the bits.
func pairsAreFast() bool {
	first, second, third := maker()
	return first != 0x756e6547 || second != 0x49656e69 || third != 0x6c65746e // "Genu" "ineI" "ntel"
}

var bf16Tiles = &tileSet{
	rows: 12, cols: 32, aStep: 12, steps: 2,
	heights: []int{1, 4, 8, 12}, widths: []int{16, 32},
	tiles: [][]tileFunc{
		{tile1x16BF16, tile1x32BF16},
		{tile4x16BF16, tile4x32BF16},
		{tile8x16BF16, tile8x32BF16},
		{tile12x16BF16, tile12x32BF16},
	},
	aheadTile:  aheadTile12x32BF16,
	transpose4: pairTranspose4AVX512,
	strips: map[int]func(k int, dst *float32, dstStep int, src *float32, srcStep int){
		12: pairStrip12AVX512, 16: pairStrip16AVX512, 32: pairStrip32AVX512,
	},
}
