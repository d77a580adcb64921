package ref

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// quantise rounds a row to whole numbers of at most steps, and gives the size of a step. A
// row that is not finite gives zeros and a step that is not.
func quantise(row func(k int) float64, width int, steps float64, put func(k int, q float64)) (step float64) {
	largest := 0.0
	for k := range width {
		if v := math.Abs(row(k)); v > largest || math.IsNaN(v) {
			largest = v
		}
	}
	for k := range width {
		q := 0.0
		if largest > 0 && largest <= math.MaxFloat64 {
			q = math.RoundToEven(row(k) * (steps / largest))
		}
		put(k, q)
	}
	return largest / steps
}

func quantizeRows(c *call) {
	x, q, scale := c.floats("x").transposed(c.TransA), c.quantised("q"), c.floats("scale")
	for n := range c.sizes["N"] {
		*scale.at(n) = quantise(func(k int) float64 { return x.cell(n, k) }, c.sizes["K"], 127,
			func(k int, v float64) { *q.at(n, k) = int8(v) })
	}
}

func matMulInt8(c *call) {
	a, b, scale, bias, out := c.floats("a"), c.quantised("b"), c.floats("scale"), c.floats("bias"), c.floats("c")
	epilogue := c.epilogue()
	x := make([]int64, c.sizes["K"])
	for m := range c.sizes["M"] {
		step := quantise(func(k int) float64 { return a.cell(m, k) }, len(x), kernels.ActivationSteps,
			func(k int, v float64) { x[k] = int64(v) })
		for n := range c.sizes["N"] {
			sum := int64(0)
			for k := range x {
				sum += x[k] * int64(b.cell(n, k))
			}
			*out.at(m, n) = epilogue(m, n, step**scale.at(n)*float64(sum), bias.or(n, 0))
		}
	}
}

func embeddingInt8(c *call) {
	ids, table, scale, y := c.indices("ids"), c.quantised("table"), c.floats("scale"), c.floats("y")
	for i := range ids.len() {
		id := int(*ids.flat(i))
		if id < 0 || id >= c.sizes["V"] {
			clear(y.row(i))
			continue
		}
		for j, v := range table.row(id) {
			y.row(i)[j] = *scale.at(id) * float64(v)
		}
	}
}
