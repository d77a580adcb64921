package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

func bindRotaryTable(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	positions, table, width := kernels.Slice[int32](c.Args[0]), floats(c.Args[1]), s["R"]
	frequencies := make([]float64, width/2)
	for i := range frequencies {
		frequencies[i] = scaleFrequency(math.Pow(c.Attrs.Theta, -2*float64(i)/float64(width)), c.Attrs)
	}
	return d.overRows(len(positions), width, func(row, _ int) {
		to := table[row*width:][:width]
		for i, f := range frequencies {
			sin, cos := math.Sincos(float64(positions[row]) * f)
			to[i], to[width/2+i] = float32(cos), float32(sin)
		}
	}), nil
}

// scaleFrequency is the attribute rope_scaling, as [kernels.RotaryTable] defines it.
func scaleFrequency(f float64, a kernels.Attrs) float64 {
	switch a.RopeScaling {
	case "linear":
		return f / a.RopeFactor
	case "llama3":
		wavelength := 2 * math.Pi / f
		if wavelength < a.RopeOriginal/a.RopeHigh {
			return f
		}
		if wavelength > a.RopeOriginal/a.RopeLow {
			return f / a.RopeFactor
		}
		s := (a.RopeOriginal/wavelength - a.RopeLow) / (a.RopeHigh - a.RopeLow)
		return (1-s)*f/a.RopeFactor + s*f
	}
	return f
}

func bindRotary(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	x, table, y := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2])
	rotated, width, times, heads := s["R"], s["D"], s["T"], s["H"]
	rotate := rotateInterleaved
	if !c.Attrs.Interleaved {
		rotate = rotateHalves
	}
	sign := float32(1)
	if c.Attrs.Inverse {
		sign = -1
	}
	perBatch := times * rotated // of the table; 0 when one serves the whole batch
	if s["E"] == 1 {
		perBatch = 0
	}
	in, out, vec := headStrides(c.Args[0]), headStrides(c.Args[2]), d.vector()
	return d.overRows(s["B"]*times, heads*width, func(row, _ int) {
		b, t := row/times, row%times
		turn := table[b*perBatch+t*rotated:][:rotated]
		from, to := b*in[0]+t*in[1], b*out[0]+t*out[1]
		for range heads {
			head, turned := x[from:][:width], y[to:][:width]
			rotate(vec, turned, head, turn, sign)
			copy(turned[rotated:], head[rotated:])
			from, to = from+in[2], to+out[2]
		}
	}), nil
}

// headStrides are the strides of batch, time and head.
func headStrides(t kernels.Tensor) [3]int { return [3]int{t.Stride(0), t.Stride(1), t.Stride(2)} }

// rotateHalves turns the pairs (i, i+R/2); turn holds R/2 cosines, then the sines.
func rotateHalves(vec *vectorTable, y, x, turn []float32, sign float32) {
	half := len(turn) / 2
	vec.rotate(y[:half], y[half:2*half], x[:half], x[half:2*half], turn[:half], turn[half:], sign)
}

// rotateInterleaved turns the pairs (2i, 2i+1).
func rotateInterleaved(_ *vectorTable, y, x, turn []float32, sign float32) {
	half := len(turn) / 2
	cos, sin := turn[:half], turn[half:]
	for i, c := range cos {
		a, b, s := x[2*i], x[2*i+1], sin[i]*sign
		y[2*i], y[2*i+1] = a*c-b*s, b*c+a*s
	}
}
