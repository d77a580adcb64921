package ref

import "github.com/gsc-project/gsc/kernels"

func zero(c *call) {
	switch c.tensor("y").DType {
	case kernels.I32:
		clear(c.indices("y").data)
	case kernels.I8:
		clear(c.quantised("y").data)
	default:
		clear(c.floats("y").data)
	}
}

func copyElements(c *call) {
	switch c.tensor("x").DType {
	case kernels.I32:
		assign(c.indices("y"), c.indices("x"))
	case kernels.I8:
		assign(c.quantised("y"), c.quantised("x"))
	default:
		assign(c.floats("y"), c.floats("x"))
	}
}

func assign[T float64 | int32 | int8](y, x view[T]) {
	for i := range y.len() {
		*y.flat(i) = *x.flat(i)
	}
}

func iotas(c *call) {
	y := c.indices("y")
	for b := range c.sizes["B"] {
		for t := range c.sizes["T"] {
			*y.at(b, t) = int32(c.counter("offset") + int64(t))
		}
	}
}

func shift(c *call) {
	x, y := c.indices("x"), c.indices("y")
	for i := range x.len() {
		*y.flat(i) = *x.flat(i) - int32(c.counter("place"))*int32(c.Index)
	}
}

func embedding(c *call) {
	ids, table, y := c.indices("ids"), c.floats("table"), c.floats("y")
	for i := range ids.len() {
		id := int(*ids.flat(i))
		if id < 0 || id >= c.sizes["V"] {
			clear(y.row(i))
			continue
		}
		copy(y.row(i), table.row(id))
	}
}

func embeddingGrad(c *call) {
	ids, dy, dtable := c.indices("ids"), c.floats("dy"), c.sums("dtable")
	for i := range ids.len() {
		if id := int(*ids.flat(i)); id >= 0 && id < c.sizes["V"] {
			addScaled(dtable.row(id), 1, dy.row(i))
		}
	}
}

func selectPosition(c *call) {
	x, y := c.floats("x"), c.floats("y")
	for b := range c.sizes["B"] {
		copy(y.vector(b), x.vector(b, c.Index))
	}
}

func selectPositionGrad(c *call) {
	dy, dx := c.floats("dy"), c.floats("dx")
	clear(dx.data)
	for b := range c.sizes["B"] {
		copy(dx.vector(b, c.Index), dy.vector(b))
	}
}

func cacheWrite(c *call) {
	x, cache := c.floats("x"), c.floats("cache")
	for b := range c.sizes["B"] {
		for t := range c.sizes["T"] {
			s := c.counter("offset") + int64(t)
			if s < 0 || s >= int64(c.sizes["S"]) {
				continue
			}
			for g := range c.sizes["G"] {
				copy(cache.vector(b, int(s), g), x.vector(b, t, g))
			}
		}
	}
}
