package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/cpu"
)

// product is a matrix product c[M, N] = a·b, its operands given as the form says: NN as they are, NT with b stored [N, K],
// TN with a stored [K, M].
type product struct {
	m, n, k int
	form    string
}

func (p product) String() string { return fmt.Sprintf("%d×%d×%d %s", p.m, p.n, p.k, p.form) }

func (p product) flops() float64 { return 2 * float64(p.m) * float64(p.n) * float64(p.k) }

// operands are the values of a and b, for every form the same.
type operands struct{ a, b []float32 }

func randomOperands(p product) operands {
	r := rand.New(rand.NewPCG(uint64(p.m), uint64(p.n)))
	uniform := func(n int) []float32 {
		list := make([]float32, n)
		for i := range list {
			list[i] = 2*r.Float32() - 1
		}
		return list
	}
	return operands{uniform(p.m * p.k), uniform(p.k * p.n)}
}

func rawBytes(values []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
}

// write writes the operands into files that the peer reads.
func (o operands) write(a, b string) error {
	if err := os.WriteFile(a, rawBytes(o.a), 0o666); err != nil {
		return err
	}
	return os.WriteFile(b, rawBytes(o.b), 0o666)
}

// ours is a product bound to gsc's cpu device.
type ours struct {
	memory kernels.Memory
	kernel kernels.Kernel
	c      []float32
}

func bindProduct(d *cpu.Device, p product, o operands) (*ours, error) {
	const align = 64
	room := func(floats int) int64 { return (4*int64(floats) + align - 1) / align * align }
	atB := room(p.m * p.k)
	atC := atB + room(p.k*p.n)
	memory, err := d.Alloc(kernels.DeviceMemory, atC+room(p.m*p.n))
	if err != nil {
		return nil, err
	}
	x := &ours{memory: memory, c: unsafe.Slice((*float32)(memory.Pointer(atC)), p.m*p.n)}
	for at, values := range map[int64][]float32{0: o.a, atB: o.b} {
		if _, err = memory.WriteAt(rawBytes(values), at); err != nil {
			return nil, err
		}
	}
	x.kernel, err = d.Bind(p.call(memory.Pointer(0), memory.Pointer(atB), memory.Pointer(atC)))
	return x, err
}

func (p product) call(a, b, c unsafe.Pointer) kernels.Call {
	matrix := func(rows, columns int, transposed bool, data unsafe.Pointer) kernels.Tensor {
		if transposed {
			rows, columns = columns, rows
		}
		return kernels.Tensor{DType: kernels.F32, Shape: []int{rows, columns}, Data: data}
	}
	attrs := kernels.Attrs{TransA: p.form[0] == 'T', TransB: p.form[1] == 'T'}
	call := kernels.Call{Op: kernels.MatMul, Attrs: attrs, Args: make([]kernels.Tensor, len(kernels.Contracts[kernels.MatMul].Params))}
	contract := &kernels.Contracts[kernels.MatMul]
	call.Args[contract.Param("a")] = matrix(p.m, p.k, attrs.TransA, a)
	call.Args[contract.Param("b")] = matrix(p.k, p.n, attrs.TransB, b)
	call.Args[contract.Param("c")] = matrix(p.m, p.n, false, c)
	return call
}

// settle is how long a side waits before its turn: the other's threads spin for some milliseconds before they sleep.
const settle = 20 * time.Millisecond

// run gives the seconds of one of so many calls, after one that warms the caches.
func (x *ours) run(calls int) float64 {
	time.Sleep(settle)
	x.kernel()
	begin := time.Now()
	for range calls {
		x.kernel()
	}
	return time.Since(begin).Seconds() / float64(calls)
}

// check holds some elements of c against sums in float64. The tolerance is what some roundings of the sum of the terms'
// absolute values come to: a wrong index is far outside.
func (p product) check(c []float32, o operands) error {
	r := rand.New(rand.NewPCG(7, 7))
	for range 64 {
		i, j := r.IntN(p.m), r.IntN(p.n)
		sum, size := 0.0, 0.0
		for q := range p.k {
			term := float64(o.a[p.at(i, q, p.m, p.k, p.form[0])]) * float64(o.b[p.at(q, j, p.k, p.n, p.form[1])])
			sum += term
			size += math.Abs(term)
		}
		if got := float64(c[i*p.n+j]); !(math.Abs(got-sum) <= size*0x1p-20) {
			return fmt.Errorf("%v: c[%d, %d] is %v instead of %v", p, i, j, got, sum)
		}
	}
	return nil
}

// at is the index of element [i, j] of a matrix of rows × columns, stored transposed or not.
func (product) at(i, j, rows, columns int, stored byte) int {
	if stored == 'T' {
		return j*rows + i
	}
	return i*columns + j
}

// floats reads raw float32.
func floats(raw []byte) []float32 {
	list := make([]float32, len(raw)/4)
	copy(rawBytes(list), raw)
	return list
}
