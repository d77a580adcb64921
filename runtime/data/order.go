package data

import (
	"math"
	"math/bits"

	"github.com/gsc-project/gsc/kernels"
)

// The streams of random bits of the order. They are part of what a seed means.
var (
	shuffleKey = kernels.StreamKey(kernels.PurposeOrder, "shuffle")
	placeKey   = kernels.StreamKey(kernels.PurposeOrder, "place")
)

// feistelRounds is well past the four that make a Feistel network a good
// permutation of a large set, since small ones gain from more.
const feistelRounds = 8

// permute is π(i) of the permutation of 0 … n−1 that seed and epoch draw, without a table: a generalised Feistel
// network over a·b ≥ n places, walked until it comes back among the n. Round j adds F(j, right half) to the left half,
// modulo a and b in turn, F being Philox4x32-10 with counter (right half + j·2⁴⁸, epoch).
//
// Source: Black and Rogaway, Ciphers with Arbitrary Finite Domains (CT-RSA 2002), sections 3 and 5.
func permute(seed uint64, epoch uint32, i, n int64) int64 {
	if n < 2 {
		return 0
	}
	a := uint64(math.Ceil(math.Sqrt(float64(n))))
	b := (uint64(n) + a - 1) / a
	x := uint64(i)
	for {
		x = feistel(seed, epoch, x, a, b)
		if x < uint64(n) {
			return int64(x)
		}
	}
}

func feistel(seed uint64, epoch uint32, x, a, b uint64) uint64 {
	left, right := x%a, x/a
	for j := range feistelRounds {
		word := kernels.Philox(seed, right+uint64(j)<<48, epoch, shuffleKey)
		f := uint64(word[0]) | uint64(word[1])<<32
		modulus := a
		if j%2 == 1 {
			modulus = b
		}
		left, right = right, (left+f%modulus)%modulus
	}
	return left + a*right
}

// draw is a number in 0 … n−1 for row i of a step.
func draw(seed uint64, step uint32, i int, n int64) int64 {
	word := kernels.Philox(seed, uint64(i), step, placeKey)
	high, _ := bits.Mul64(uint64(word[0])|uint64(word[1])<<32, uint64(n))
	return int64(high)
}
