package kernels

import (
	"hash/fnv"
	"math"
	"math/bits"
)

// Purpose separates the streams of random bits that one seed feeds.
type Purpose uint8

// The purposes. Their values are part of what a seed means: never renumber.
const (
	PurposeInit    Purpose = 1 // starting weights
	PurposeDropout Purpose = 2
	PurposeOrder   Purpose = 3 // order of the data
	PurposeSample  Purpose = 4 // generation
	PurposePlugin  Purpose = 5
	PurposeRound   Purpose = 6 // stochastic rounding
)

// StreamKey names one stream of random bits: the FNV-1a hash of the purpose and the
// operation's (or tensor's) logical name. It does not depend on where the
// operation runs.
func StreamKey(p Purpose, name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte{byte(p)})
	h.Write([]byte(name))
	return h.Sum32()
}

// Philox gives four random words for one counter: Philox4x32-10 with key
// (seed low, seed high) and counter (block low, block high, step, stream). Element
// i of a logical tensor takes word i mod 4 of block i div 4, whatever
// the shard, micro-batch or thread that asks.
//
// Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (SC '11), section 3.3.
func Philox(seed uint64, block uint64, step, stream uint32) [4]uint32 {
	const m0, m1, w0, w1 = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85
	k0, k1 := uint32(seed), uint32(seed>>32)
	c := [4]uint32{uint32(block), uint32(block >> 32), step, stream}
	for range 10 {
		hi0, lo0 := bits.Mul32(m0, c[0])
		hi1, lo1 := bits.Mul32(m1, c[2])
		c = [4]uint32{hi1 ^ c[1] ^ k0, lo1, hi0 ^ c[3] ^ k1, lo0}
		k0 += w0
		k1 += w1
	}
	return c
}

// Uniform maps a random word to (0, 1), never the ends: (w + ½) / 2³².
func Uniform(word uint32) float64 { return (float64(word) + 0.5) / (1 << 32) }

// Normals maps two random words to two independent standard normal values by
// the method of Box and Muller.
func Normals(w0, w1 uint32) (float64, float64) {
	r := math.Sqrt(-2 * math.Log(Uniform(w0)))
	sin, cos := math.Sincos(2 * math.Pi * Uniform(w1))
	return r * cos, r * sin
}

// DropThreshold is the word below which an element is dropped at rate p:
// element i is kept exactly when its random word is at least this.
func DropThreshold(p float64) uint32 { return uint32(math.Min(p*(1<<32), math.MaxUint32)) }
