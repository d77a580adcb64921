package ref

import "math"

func muonMomentum(c *call) {
	m, u, gradient := c.floats("m").data, c.floats("u").data, c.gradient()
	for i := range m {
		g := gradient(i)
		m[i] = c.Momentum*m[i] + (1-c.Momentum)*g
		u[i] = m[i]
		if c.Nesterov {
			u[i] = (1-c.Momentum)*g + c.Momentum*m[i]
		}
	}
}

func muonApply(c *call) {
	w, u, eta := c.floats("weight").data, c.floats("u").data, c.eta()
	for i := range w {
		w[i] -= eta * c.Decay * w[i]
		w[i] -= eta * c.Alpha * u[i]
	}
}

// The coefficients of Muon's polynomial a·x + b·x³ + c·x⁵ of the singular values.
const newtonA, newtonB, newtonC = 3.4445, -4.7750, 2.0315

func newtonSchulz(c *call) {
	x := newMatrix(c.sizes["M"], c.sizes["N"])
	copy(x.data, c.floats("x").data)
	if x.rows > x.columns {
		x = x.transposed()
	}
	norm := max(math.Sqrt(dot(x.data, x.data)), c.Epsilon)
	for i := range x.data {
		x.data[i] /= norm
	}
	for range c.Steps {
		a := c.product(x, x.transposed())
		b := combine(newtonB, a, newtonC, c.product(a, a))
		x = combine(newtonA, x, 1, c.product(b, x))
	}
	if c.sizes["M"] > c.sizes["N"] {
		x = x.transposed()
	}
	copy(c.floats("y").data, x.data)
}

// product is x·y, of rounded operands.
func (c *call) product(x, y matrix) matrix { return c.rounded(x).times(c.rounded(y)) }

func (c *call) rounded(x matrix) matrix {
	y := newMatrix(x.rows, x.columns)
	for i, v := range x.data {
		y.data[i] = c.round(v)
	}
	return y
}

// matrix is dense and row-major.
type matrix struct {
	rows, columns int
	data          []float64
}

func newMatrix(rows, columns int) matrix {
	return matrix{rows, columns, make([]float64, rows*columns)}
}

func (m matrix) transposed() matrix {
	t := newMatrix(m.columns, m.rows)
	for i := range m.rows {
		for j := range m.columns {
			t.data[j*m.rows+i] = m.data[i*m.columns+j]
		}
	}
	return t
}

func (m matrix) times(n matrix) matrix {
	product := newMatrix(m.rows, n.columns)
	for i := range m.rows {
		for k := range m.columns {
			addScaled(product.data[i*n.columns:][:n.columns], m.data[i*m.columns+k], n.data[k*n.columns:][:n.columns])
		}
	}
	return product
}

// combine is p·x + q·y.
func combine(p float64, x matrix, q float64, y matrix) matrix {
	z := newMatrix(x.rows, x.columns)
	addScaled(z.data, p, x.data)
	addScaled(z.data, q, y.data)
	return z
}
