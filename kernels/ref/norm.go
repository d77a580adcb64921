package ref

import "math"

func layerNorm(c *call) {
	x, weight, bias := c.floats("x"), c.floats("weight"), c.floats("bias")
	y, mean, rstd := c.floats("y"), c.floats("mean"), c.floats("rstd")
	width := float64(c.sizes["C"])
	for i := range c.sizes["..."] {
		xi, yi := x.row(i), y.row(i)
		mu, variance := sum(xi)/width, 0.0
		for _, v := range xi {
			variance += (v - mu) * (v - mu) / width
		}
		r := 1 / math.Sqrt(variance+c.Epsilon)
		for j, v := range xi {
			yi[j] = (v-mu)*r*weight.or(j, 1) + bias.or(j, 0)
		}
		*mean.flat(i), *rstd.flat(i) = mu, r
	}
}

func layerNormGrad(c *call) {
	dy, x, weight := c.floats("dy"), c.floats("x"), c.floats("weight")
	mean, rstd := c.floats("mean"), c.floats("rstd")
	dx, dweight, dbias := c.floats("dx"), c.sums("dweight"), c.sums("dbias")
	width := float64(c.sizes["C"])
	for i := range c.sizes["..."] {
		d, xi, dxi := dy.row(i), x.row(i), dx.row(i)
		mu, r := *mean.flat(i), *rstd.flat(i)
		sumG, sumGX := 0.0, 0.0
		for j := range xi {
			normed, g := (xi[j]-mu)*r, d[j]*weight.or(j, 1)
			sumG += g
			sumGX += g * normed
			dweight.add(j, d[j]*normed)
			dbias.add(j, d[j])
		}
		for j := range xi {
			normed, g := (xi[j]-mu)*r, d[j]*weight.or(j, 1)
			dxi[j] = r * (g - sumG/width - normed*sumGX/width)
		}
	}
}

// gain is what RMSNorm multiplies column j by.
func (c *call) gain(weight view[float64], j int) float64 {
	if weight.absent() {
		return 1
	}
	return *weight.flat(j) + c.Offset
}

func rmsNorm(c *call) {
	x, weight, y, rstd := c.floats("x"), c.floats("weight"), c.floats("y"), c.floats("rstd")
	for i := range c.sizes["..."] {
		xi, yi := x.row(i), y.row(i)
		r := 1 / math.Sqrt(dot(xi, xi)/float64(c.sizes["C"])+c.Epsilon)
		for j, v := range xi {
			yi[j] = v * r * c.gain(weight, j)
		}
		*rstd.flat(i) = r
	}
}

func rmsNormGrad(c *call) {
	dy, x, weight, rstd := c.floats("dy"), c.floats("x"), c.floats("weight"), c.floats("rstd")
	dx, dweight := c.floats("dx"), c.sums("dweight")
	for i := range c.sizes["..."] {
		d, xi, dxi, r := dy.row(i), x.row(i), dx.row(i), *rstd.flat(i)
		sumGX := 0.0
		for j := range xi {
			sumGX += d[j] * c.gain(weight, j) * xi[j] * r
			dweight.add(j, d[j]*xi[j]*r)
		}
		for j := range xi {
			normed, g := xi[j]*r, d[j]*c.gain(weight, j)
			dxi[j] = r * (g - normed*sumGX/float64(c.sizes["C"]))
		}
	}
}
