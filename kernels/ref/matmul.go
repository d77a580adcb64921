package ref

func matMul(c *call) {
	a, b := c.operand("a").transposed(c.TransA), c.operand("b").transposed(c.TransB)
	bias, out := c.floats("bias"), c.sums("c")
	for m := range c.sizes["M"] {
		for n := range c.sizes["N"] {
			sum := 0.0
			for k := range c.sizes["K"] {
				sum += a.cell(m, k) * b.cell(k, n)
			}
			*out.at(m, n) += sum + bias.or(n, 0)
		}
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
