package cpu

import (
	"math"
	"unsafe"
)

// queryTile is the number of queries that attention works on at a time. A tile
// of scores has a row for each key and in it a lane for each query, so that
// maxima and sums over the keys are sums of vectors.
const queryTile = 32

// scoreOps is what one level does to the first vectors·lanes queries of a tile
// of scores. keys and vectors are at least 1. Scores are logarithms to base 2.
type scoreOps struct {
	lanes int
	// softmax takes a block of keys into the running softmax of every lane. With m the
	// larger of max and the block's largest score, α = 2^(max−m):
	//
	//	s = 2^(s−m); sum = α·sum + Σ s; alpha = α; max = m
	softmax func(keys, vectors int, s, max, sum, alpha *float32)
	// grad sets p = 2^(p−lse); dp = scale·p·(dp−d).
	grad func(keys, vectors int, p, dp, lse, d *float32, scale float32)
	// scale multiplies lane i of every row by by[i].
	scale func(keys, vectors int, x, by *float32)
	// segments sets x = −Inf where the query's and the key's segment differ.
	segments func(keys, vectors int, x *float32, q, k *int32)
}

// genericScores is the set in plain Go; a vector is 4 queries.
var genericScores = &scoreOps{lanes: 4, softmax: softmaxTile, grad: gradTile, scale: scaleLanes, segments: maskSegments}

func tileOf(p *float32, keys int) []float32 { return unsafe.Slice(p, keys*queryTile) }

func exp2(x float32) float32 { return float32(math.Exp2(float64(x))) }

func softmaxTile(keys, vectors int, s, maxima, sums, alphas *float32) {
	tile, ms, ls, as := tileOf(s, keys), tileOf(maxima, 1), tileOf(sums, 1), tileOf(alphas, 1)
	for i := range vectors * 4 {
		m := ms[i]
		for j := i; j < len(tile); j += queryTile {
			m = max(m, tile[j])
		}
		as[i] = exp2(ms[i] - m)
		ls[i] *= as[i]
		for j := i; j < len(tile); j += queryTile {
			tile[j] = exp2(tile[j] - m)
			ls[i] += tile[j]
		}
		ms[i] = m
	}
}

func gradTile(keys, vectors int, p, dp, lse, d *float32, scale float32) {
	ps, dps, lses, ds := tileOf(p, keys), tileOf(dp, keys), tileOf(lse, 1), tileOf(d, 1)
	for j := 0; j < len(ps); j += queryTile {
		for i := range vectors * 4 {
			ps[j+i] = exp2(ps[j+i] - lses[i])
			dps[j+i] = scale * ps[j+i] * (dps[j+i] - ds[i])
		}
	}
}

func scaleLanes(keys, vectors int, x, by *float32) {
	tile, factors := tileOf(x, keys), tileOf(by, 1)
	for j := 0; j < len(tile); j += queryTile {
		for i := range vectors * 4 {
			tile[j+i] *= factors[i]
		}
	}
}

func maskSegments(keys, vectors int, x *float32, q, k *int32) {
	tile, qs, ks := tileOf(x, keys), unsafe.Slice(q, queryTile), unsafe.Slice(k, keys)
	for j, segment := range ks {
		for i := range vectors * 4 {
			if qs[i] != segment {
				tile[j*queryTile+i] = hidden
			}
		}
	}
}

// hidden is the score of a key that the query does not see.
var hidden = float32(math.Inf(-1))
