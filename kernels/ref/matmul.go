package ref

func matMul(c *call) {
	a, b := c.floats("a").transposed(c.TransA), c.floats("b").transposed(c.TransB)
	bias, out := c.floats("bias"), c.floats("c")
	epilogue := c.epilogue()
	for m := range c.sizes["M"] {
		for n := range c.sizes["N"] {
			sum := 0.0
			for k := range c.sizes["K"] {
				sum += a.cell(m, k) * b.cell(k, n)
			}
			if c.Accumulate {
				*out.at(m, n) += sum + bias.or(n, 0)
			} else {
				*out.at(m, n) = epilogue(m, n, sum, bias.or(n, 0))
			}
		}
	}
}

// epilogue is what becomes of the sum for element (m, n) of a product.
func (c *call) epilogue() func(m, n int, sum, bias float64) float64 {
	x, residual, pre := c.floats("x"), c.floats("residual"), c.floats("pre")
	alpha := c.Alpha
	if alpha == 0 {
		alpha = 1
	}
	return func(m, n int, sum, bias float64) float64 {
		v := alpha*sum + bias
		if !pre.absent() {
			*pre.at(m, n) = v
		}
		switch f := activations[c.Kind]; {
		case c.Derivative:
			v *= f.slope(x.cell(m, n), c.Cap)
		case !x.absent():
			v *= f.value(x.cell(m, n), c.Cap)
		case c.Kind != "":
			v = f.value(v, c.Cap)
		}
		if !residual.absent() {
			v += residual.cell(m, n)
		}
		return v
	}
}

func sumRows(c *call) {
	x, y := c.floats("x"), c.sums("y")
	for m := range c.sizes["..."] {
		for n, value := range x.row(m) {
			y.add(n, value)
		}
	}
}
