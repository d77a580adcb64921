package ref

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// A bf16 is the upper half of the float32 of the same value.

func widen(c *call) {
	y := c.floats("y").data
	for i, half := range kernels.Slice[uint16](c.tensor("x")) {
		y[i] = float64(math.Float32frombits(uint32(half) << 16))
	}
}

func roundStored(c *call) {
	y, seed, step := kernels.Slice[uint16](c.tensor("y")), uint64(c.counter("seed")), uint32(c.counter("step"))
	for i, x := range c.floats("x").data {
		rounded := kernels.BF16.Round(x)
		if c.Rounding == "stochastic" {
			rounded = kernels.BF16.RoundStochastically(x, kernels.Philox(seed, uint64(i)/4, step, c.Key)[i%4])
		}
		y[i] = uint16(math.Float32bits(float32(rounded)) >> 16)
	}
}
