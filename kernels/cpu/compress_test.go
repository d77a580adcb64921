package cpu

import (
	"math"
	"testing"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/ref"
)

// A run that is not finite shows, in scale and numbers; its neighbours do not suffer. A run of zeros, or of what is pruned, is 0, and what is off is as it was.
func TestFakeQuantizeOfOddRuns(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	device, err := New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for _, c := range []struct {
		name  string
		x     []float64
		mask  []int8
		on    int64
		y     []float64
		scale []float64
	}{
		{"not finite", []float64{2, -2, nan, 4, inf, 0, 0, 0}, nil, 1, []float64{2, -2, nan, nan, nan, nan, 0, 0}, []float64{2. / 127, nan, nan, 0}},
		{"pruned", []float64{1, -2, 3, nan, 5, 6, -7, 7}, []int8{1, 0, 1, 0, 0, 0, 1, 1}, 1, []float64{1, 0, 3, 0, 0, 0, -7, 7}, []float64{1. / 127, 3. / 127, 0, 7. / 127}},
		{"off", []float64{0.1, -2, 3, 4, 5, 6, -7, 8}, []int8{1, 1, 0, 1, 1, 1, 1, 1}, 0, []float64{0.1, -2, 0, 4, 5, 6, -7, 8}, []float64{0, 0, 0, 0}},
	} {
		for _, across := range []bool{false, true} {
			shape, scaled := []int{4, 2, 1}, []int{4, 1, 1}
			place := func(i int) int { return i }
			if across { // [1, K, B]: element k of run a is at k·4 + a
				shape, scaled = []int{1, 2, 4}, []int{1, 1, 4}
				place = func(i int) int { return i%2*4 + i/2 }
			}
			x, y, scale, mask := make([]float64, 8), make([]float64, 8), make([]float64, 4), make([]int8, 8)
			for i := range x {
				x[place(i)], mask[place(i)] = c.x[i], 1
				if c.mask != nil {
					mask[place(i)] = c.mask[i]
				}
			}
			x32, y32, scale32 := make([]float32, 8), make([]float32, 8), make([]float32, 4)
			for i, v := range x {
				x32[i] = float32(v)
			}
			a := kernels.Attrs{Bits: 8, Symmetric: true}
			on := tensorOf(kernels.I64, []int{1}, []int64{c.on})
			run := func(d kernels.Device, args ...kernels.Tensor) {
				k, err := d.Bind(kernels.Call{Op: kernels.FakeQuantize, Attrs: a, Args: args})
				if err != nil {
					t.Fatal(err)
				}
				k()
			}
			run(ref.New(), tensorOf(kernels.F64, shape, x), tensorOf(kernels.I8, shape, mask), on, tensorOf(kernels.F64, shape, y), tensorOf(kernels.F64, scaled, scale), kernels.Tensor{})
			run(device, tensorOf(kernels.F32, shape, x32), tensorOf(kernels.I8, shape, mask), on, tensorOf(kernels.F32, shape, y32), tensorOf(kernels.F32, scaled, scale32), kernels.Tensor{})
			for i, want := range c.y {
				for device, got := range map[string]float64{"ref": y[place(i)], "cpu": float64(y32[place(i)])} {
					if math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 1e-6 {
						t.Errorf("%s, across %t, %s: element %d is %g, want %g", c.name, across, device, i, got, want)
					}
				}
			}
			for i, want := range c.scale {
				for device, got := range map[string]float64{"ref": scale[i], "cpu": float64(scale32[i])} {
					if math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 1e-6 {
						t.Errorf("%s, across %t, %s: scale %d is %g, want %g", c.name, across, device, i, got, want)
					}
				}
			}
		}
	}
}
