package ref

import "math"

func rotaryTable(c *call) {
	positions, table := c.indices("positions"), c.floats("table")
	half := c.sizes["R"] / 2
	for b := range c.sizes["B"] {
		for t := range c.sizes["T"] {
			row := table.vector(b, t)
			for i := range half {
				angle := float64(*positions.at(b, t)) * c.frequency(i)
				row[i], row[half+i] = math.Cos(angle), math.Sin(angle)
			}
		}
	}
}

// frequency is f_i, scaled as the attributes say.
func (c *call) frequency(i int) float64 {
	f := math.Pow(c.Theta, -2*float64(i)/float64(c.sizes["R"]))
	switch c.RopeScaling {
	case "linear":
		return f / c.RopeFactor
	case "llama3":
		return c.stretched(f)
	}
	return f
}

// stretched is the rule llama3.
func (c *call) stretched(f float64) float64 {
	wavelength := 2 * math.Pi / f
	switch {
	case wavelength < c.RopeOriginal/c.RopeHigh:
		return f
	case wavelength > c.RopeOriginal/c.RopeLow:
		return f / c.RopeFactor
	}
	s := (c.RopeOriginal/wavelength - c.RopeLow) / (c.RopeHigh - c.RopeLow)
	return (1-s)*f/c.RopeFactor + s*f
}

func rotary(c *call) {
	x, table, y := c.floats("x"), c.floats("table"), c.floats("y")
	for b := range c.sizes["B"] {
		for t := range c.sizes["T"] {
			angles := table.vector(b%c.sizes["E"], t)
			for h := range c.sizes["H"] {
				c.turn(y.vector(b, t, h), x.vector(b, t, h), angles)
			}
		}
	}
}

// turn rotates the pairs of one head; y may be x.
func (c *call) turn(y, x, angles []float64) {
	half := len(angles) / 2
	copy(y[2*half:], x[2*half:])
	for i := range half {
		p, q := i, i+half
		if c.Interleaved {
			p, q = 2*i, 2*i+1
		}
		cos, sin := angles[i], angles[half+i]
		if c.Inverse {
			sin = -sin
		}
		y[p], y[q] = x[p]*cos-x[q]*sin, x[q]*cos+x[p]*sin
	}
}
