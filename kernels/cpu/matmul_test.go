package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// matrix is a row-major matrix of random values with a gap between its rows.
func matrix(r *rand.Rand, rows, cols, gap int) kernels.Tensor {
	data := make([]float32, max(1, rows*(cols+gap)))
	for i := range data {
		data[i] = float32(r.NormFloat64())
	}
	return kernels.Tensor{DType: kernels.F32, Shape: []int{rows, cols}, Strides: []int{cols + gap, 1}, Data: unsafe.Pointer(&data[0])}
}

func clone(t kernels.Tensor) kernels.Tensor {
	data := append([]float32(nil), unsafe.Slice((*float32)(t.Data), max(1, t.Extent()))...)
	t.Data = unsafe.Pointer(&data[0])
	return t
}

type matmulCase struct {
	m, n, k               int
	transA, transB        bool
	bias, accumulate, gap bool
	compute               string
}

func (x matmulCase) String() string {
	return fmt.Sprintf("%dx%dx%d ta=%t tb=%t bias=%t acc=%t gap=%t %s", x.m, x.n, x.k, x.transA, x.transB, x.bias, x.accumulate, x.gap, x.compute)
}

func (x matmulCase) call(r *rand.Rand) kernels.Call {
	gap := 0
	if x.gap {
		gap = 5
	}
	a, b := matrix(r, x.m, x.k, gap), matrix(r, x.k, x.n, gap)
	if x.transA {
		a = matrix(r, x.k, x.m, gap)
	}
	if x.transB {
		b = matrix(r, x.n, x.k, gap)
	}
	c := kernels.Call{Op: kernels.MatMul, Args: []kernels.Tensor{a, b, {}, matrix(r, x.m, x.n, gap), {}, {}, {}}}
	c.Attrs = kernels.Attrs{TransA: x.transA, TransB: x.transB, Accumulate: x.accumulate, Compute: x.compute}
	if x.bias {
		c.Args[2] = random(r, x.n)
	}
	return c
}

// wantMatMul is the product by three loops, in float64.
func wantMatMul(c kernels.Call, s kernels.Sizes) []float64 {
	m, n, k := s["M"], s["N"], s["K"]
	a, b := lanesOf(c.Args[0], m, k, c.Attrs.TransA), lanesOf(c.Args[1], n, k, !c.Attrs.TransB)
	roundLanes(a, c.Attrs.Compute)
	roundLanes(b, c.Attrs.Compute)
	want := make([]float64, m*n)
	for i := range m {
		for j := range n {
			sum, row := 0.0, b[j*k:][:k]
			for p, v := range a[i*k:][:k] {
				sum += v * row[p]
			}
			if !c.Args[2].Absent() {
				sum += float64(floats(c.Args[2])[j])
			}
			if c.Attrs.Accumulate {
				sum += float64(floats(c.Args[3])[i*c.Args[3].Stride(0)+j])
			}
			want[i*n+j] = sum
		}
	}
	return want
}

func roundLanes(x []float64, compute string) {
	if d, err := kernels.ParseDType(compute); err == nil {
		for i, v := range x {
			x[i] = d.Round(v)
		}
	}
}

// lanesOf gives the rows of t, or its columns when swapped, one after another.
func lanesOf(t kernels.Tensor, lanes, k int, swapped bool) []float64 {
	all, data, row := make([]float64, lanes*k), floats(t), t.Stride(0)
	for i := range lanes {
		for p := range k {
			at := i*row + p
			if swapped {
				at = p*row + i
			}
			all[i*k+p] = float64(data[at])
		}
	}
	return all
}

func checkMatMul(t *testing.T, d *Device, x matmulCase) {
	t.Helper()
	c := x.call(rand.New(rand.NewPCG(1, uint64(x.m*x.n+x.k))))
	s, err := kernels.Check(c.Op, c.Attrs, c.Args)
	if err != nil {
		t.Fatal(err)
	}
	want := wantMatMul(c, s)
	before := floats(clone(c.Args[3]))
	mustBind(t, d, c)()
	x.compare(t, c, want, before)
}

// compare holds c against what is wanted, and against what lay between its rows before.
func (x matmulCase) compare(t *testing.T, c kernels.Call, want []float64, before []float32) {
	t.Helper()
	got, row := floats(c.Args[3]), c.Args[3].Stride(0)
	for i, w := range want {
		g := float64(got[i/x.n*row+i%x.n])
		if !(math.Abs(g-w) <= 1e-5*math.Sqrt(float64(x.k+4))) {
			t.Fatalf("%v: c[%d,%d] = %v, want %v", x, i/x.n, i%x.n, g, w)
		}
	}
	for i := range got {
		if i%row >= x.n && got[i] != before[i] {
			t.Fatalf("%v: wrote between the rows", x)
		}
	}
}

func TestMatMul(t *testing.T) {
	sizes := [][3]int{{1, 1, 1}, {1, 1, 0}, {3, 5, 7}, {12, 32, 16}, {13, 33, 9}, {24, 64, 385}, {5, 129, 70}, {1, 300, 200}, {2, 37, 129},
		{3, 64, 64}, {4, 100, 33}, {97, 65, 130}, {110, 270, 390}, {200, 1, 40}, {33, 2, 800}, {300, 7, 35}, {16, 1000, 300}, {15, 17, 600}, {16, 16, 17}, {64, 64, 64}}
	eachLevel(t, 2, func(t *testing.T, d *Device) {
		for i, s := range sizes {
			if testing.Short() && i%4 != 0 {
				continue
			}
			for bits := range 8 { // the other flags go with these: each pair of values occurs
				x := matmulCase{s[0], s[1], s[2], bits&1 > 0, bits&2 > 0, bits&4 > 0, bits&1 > 0 != (bits&4 > 0), bits&2 > 0 != (bits&4 > 0), ""}
				checkMatMul(t, d, x)
				x.compute = []string{"bf16", "f16"}[(i+bits/2)%2]
				checkMatMul(t, d, x)
			}
		}
	})
}

// TestMatMulSlabs takes shapes that need several slabs of rows and columns.
func TestMatMulSlabs(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode")
	}
	eachLevel(t, 2, func(t *testing.T, d *Device) {
		for _, x := range []matmulCase{
			{m: 5000, n: 40, k: 400, bias: true}, {m: 3100, n: 130, k: 390, transA: true}, // a read where it lies, and packed
			{m: 20, n: 5000, k: 400, accumulate: true, transB: true}, {m: 7, n: 5000, k: 100, bias: true},
			{m: 3100, n: 130, k: 390, compute: "bf16"}, {m: 2, n: 5, k: 70000, transB: true, compute: "f16"}, // no room for rounded rows
			{m: 310, n: 420, k: 390}, {m: 310, n: 421, k: 391, transB: true, gap: true}, {m: 620, n: 301, k: 390, bias: true}, // packed by the workers, and more than a pass
			{m: 620, n: 301, k: 390, compute: "bf16"}, {m: 310, n: 420, k: 391, transA: true, transB: true, compute: "bf16"},
		} {
			checkMatMul(t, d, x)
		}
	})
	t.Run("more than one slab of the inner operand", func(t *testing.T) {
		all := levels()
		checkMatMul(t, openLevel(t, 2, all[len(all)-1]), matmulCase{m: 1400, n: 1410, k: 770})
	})
}

// TestMatMulBF16 holds products of rounded operands against float64.
func TestMatMulBF16(t *testing.T) {
	all := levels()
	d := openLevel(t, 2, all[len(all)-1])
	tiles := pairTiles(d.level)
	if tiles == nil {
		t.Skip("this processor has no AVX512_BF16")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i, s := range [][3]int{{12, 32, 2}, {13, 33, 9}, {24, 64, 385}, {110, 270, 390}, {97, 65, 130}, {200, 300, 1601}, {3, 5, 7}, {1400, 20, 800}, {20, 1400, 801}} {
		for bits := range 8 {
			x := matmulCase{m: s[0], n: s[1], k: s[2], transA: bits&1 > 0, transB: bits&2 > 0, bias: bits&4 > 0, accumulate: i%2 > 0, gap: bits&1 > 0}
			c := x.call(r)
			sizes, err := kernels.Check(c.Op, c.Attrs, c.Args)
			if err != nil {
				t.Fatal(err)
			}
			before := clone(c.Args[3])
			p := newMatMul(d, x.m, x.n, x.k, sourceOf(c.Args[0], x.transA), sourceOf(c.Args[1], !x.transB))
			p.use(tiles)
			p.c, p.cRow, p.bias, p.add = (*float32)(c.Args[3].Data), c.Args[3].Stride(0), (*float32)(c.Args[2].Data), x.accumulate
			p.cut()
			p.run()
			rounded := kernels.Call{Op: c.Op, Attrs: c.Attrs, Args: []kernels.Tensor{roundedBF16(c.Args[0]), roundedBF16(c.Args[1]), c.Args[2], before}}
			x.compare(t, c, wantMatMul(rounded, sizes), floats(before))
		}
	}
}

// roundedBF16 is a copy whose elements are bf16.
func roundedBF16(t kernels.Tensor) kernels.Tensor {
	t = clone(t)
	for i, v := range floats(t) {
		floats(t)[i] = kernels.RoundBF16(v)
	}
	return t
}
