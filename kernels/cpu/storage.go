package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

func bindWiden(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, y := kernels.Slice[uint16](c.Args[0]), floats(c.Args[1])
	return d.overPieces(len(y), pieceElements, func(_, lo, hi int) {
		to := y[lo:hi]
		for i, half := range x[lo:hi] {
			to[i] = math.Float32frombits(uint32(half) << 16)
		}
	}), nil
}

func bindRound(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, y := floats(c.Args[0]), kernels.Slice[uint16](c.Args[3])
	if c.Attrs.Rounding == "" {
		return d.overPieces(len(x), pieceElements, func(_, lo, hi int) {
			to := y[lo:hi]
			for i, v := range x[lo:hi] {
				to[i] = uint16(math.Float32bits(kernels.RoundBF16(v)) >> 16)
			}
		}), nil
	}
	seed, step, key := scalar[int64](c.Args[1]), scalar[int64](c.Args[2]), c.Attrs.Key
	return d.overPieces(len(x), pieceElements, func(_, lo, hi int) {
		for i := lo; i < hi; i += 4 { // pieces are whole blocks of words
			words := kernels.Philox(uint64(*seed), uint64(i)/4, uint32(*step), key)
			for j := range min(4, hi-i) {
				y[i+j] = roundByWord(x[i+j], words[j])
			}
		}
	}), nil
}

// roundByWord adds the word to the bits that are cut off: what carries over moves the value away from 0.
func roundByWord(x float32, word uint32) uint16 {
	bits := math.Float32bits(x)
	if x != x {
		return uint16(bits>>16) | 0x40 // which keeps it a NaN
	}
	return uint16((bits + word&0xFFFF) >> 16)
}
