package cpu

// tileSets holds the tile set of every level.
var tileSets = [...]*tileSet{generic: genericTiles, neon: neonTiles}

// neonTiles has tiles square, since a value of a is a lane of a vector: a step of the largest loads four vectors for sixteen multiplications.
var neonTiles = &tileSet{
	rows: 8, cols: 8, aStep: 8, steps: 1,
	heights: []int{1, 2, 4, 8}, widths: []int{4, 8},
	tiles: [][]tileFunc{
		{tile1x4NEON, tile1x8NEON},
		{tile2x4NEON, tile2x8NEON},
		{tile4x4NEON, tile4x8NEON},
		{tile8x4NEON, tile8x8NEON},
	},
	dots1: dots1x4NEON, dotsN: dots4x4NEON, dotRows: 4, axpy1: axpy1NEON, axpy8: axpy8NEON,
	transpose4: transpose4NEON,
	strips:     map[int]func(k int, dst *float32, dstStep int, src *float32, srcStep int){8: copyStrip8NEON},
}

// pairTiles is nil: there is no set for products of bf16.
func pairTiles(level) *tileSet { return nil }

func pairsAreFast() bool { return false }
