package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// int8Case is a product of activations with int8 weights.
type int8Case struct{ m, n, k int }

func (x int8Case) call(r *rand.Rand) kernels.Call {
	w := make([]int8, max(1, x.n*x.k))
	for i := range w {
		w[i] = int8(r.IntN(256))
	}
	weights := kernels.Tensor{DType: kernels.I8, Shape: []int{x.n, x.k}, Data: unsafe.Pointer(&w[0])}
	return kernels.Call{Op: kernels.MatMulInt8, Args: []kernels.Tensor{random(r, x.m, x.k), weights, random(r, x.n), random(r, x.n), random(r, x.m, x.n), {}, {}, {}}}
}

// TestInt8LevelsAgree: sums of whole numbers are exact, so every level gives the same bits.
func TestInt8LevelsAgree(t *testing.T) {
	for _, x := range []int8Case{{1, 1, 1}, {1, 7, 5}, {1, 64, 64}, {3, 50, 130}, {1, 33, 768}, {70, 130, 100}, {2, 9, 3072}} {
		t.Run(fmt.Sprint(x), func(t *testing.T) {
			var want []uint32
			eachLevel(t, 2, func(t *testing.T, d *Device) {
				c := onDevice(t, d, x.call(rand.New(rand.NewPCG(1, 2))))
				mustBind(t, d, c)()
				got := bitsOf(c, []int{4})
				if want == nil {
					want = got
				}
				for i := range got {
					if got[i] != want[i] {
						t.Fatalf("element %d: %v, want %v", i, math.Float32frombits(got[i]), math.Float32frombits(want[i]))
					}
				}
			})
		})
	}
}

// TestInt8ShowsWhatIsNotFinite: activations that are not numbers give no numbers, and touch no other row.
func TestInt8ShowsWhatIsNotFinite(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		eachLevel(t, 1, func(t *testing.T, d *Device) {
			c := int8Case{3, 20, 40}.call(rand.New(rand.NewPCG(1, 2)))
			floats(c.Args[0])[40+17] = bad
			mustBind(t, d, c)()
			for i, v := range floats(c.Args[4]) {
				if isNaN(v) != (i/20 == 1) {
					t.Fatalf("%v in row 1: element %d of row %d is %v", bad, i%20, i/20, v)
				}
			}
		})
	}
}

func BenchmarkMatMulInt8(b *testing.B) {
	best, _ := chooseLevel()
	for l := best; l >= avx2; l-- {
		for _, threads := range []int{1, 2} {
			ceiling, err := openLevel(b, threads, l).ReadBytesPerSecond()
			if err != nil {
				b.Fatal(err)
			}
			for _, x := range []int8Case{{1, 50257, 768}, {1, 3072, 768}, {1, 768, 3072}, {1, 768, 768}, {64, 3072, 768}} {
				b.Run(fmt.Sprintf("%v/threads=%d/%v", l, threads, x), func(b *testing.B) {
					d := openLevel(b, threads, l)
					runs := distinctWeights(b, d, x)
					for i := 0; b.Loop(); i++ {
						runs[i%len(runs)]()
					}
					rate := float64(x.n*x.k*b.N) / b.Elapsed().Seconds()
					b.ReportMetric(rate/1e9, "GB/s")
					b.ReportMetric(100*rate/ceiling, "%read")
				})
			}
		}
	}
}

// distinctWeights binds a product with as many matrices as no cache holds.
func distinctWeights(b *testing.B, d *Device, x int8Case) []kernels.Kernel {
	const bytes = 1 << 28
	var runs []kernels.Kernel
	memory, err := d.Alloc(kernels.DeviceMemory, bytes)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { memory.Close() })
	c := onDevice(b, d, x.call(rand.New(rand.NewPCG(1, 2))))
	weights := unsafe.Slice((*byte)(c.Args[1].Data), x.n*x.k)
	for at := int64(0); at+int64(len(weights)) <= bytes; at += int64(up(len(weights), 64)) {
		if _, err := memory.WriteAt(weights, at); err != nil {
			b.Fatal(err)
		}
		c.Args[1].Data = memory.Pointer(at)
		runs = append(runs, mustBind(b, d, c))
	}
	return runs
}
