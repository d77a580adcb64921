package ref

import "github.com/gsc-project/gsc/kernels"

// call is a checked call: its attributes, and its operands by name.
type call struct {
	kernels.Attrs
	contract *kernels.Contract
	args     []kernels.Tensor
	sizes    kernels.Sizes
}

func (c *call) tensor(name string) kernels.Tensor { return c.args[c.contract.Param(name)] }

func (c *call) has(name string) bool { return !c.tensor(name).Absent() }

func (c *call) floats(name string) view[float64] { return viewOf[float64](c.tensor(name)) }

// operand is a float operand as products take it: rounded to the compute type.
func (c *call) operand(name string) view[float64] {
	v := c.floats(name)
	if c.Compute == "" || v.absent() {
		return v
	}
	rounded := make([]float64, len(v.data))
	for i, x := range v.data {
		rounded[i] = c.round(x)
	}
	v.data = rounded
	return v
}

// round is the rounding of what is multiplied.
func (c *call) round(x float64) float64 {
	switch c.Compute {
	case "bf16":
		return kernels.BF16.Round(x)
	case "f16":
		return kernels.F16.Round(x)
	}
	return x
}

func (c *call) indices(name string) view[int32] { return viewOf[int32](c.tensor(name)) }

func (c *call) quantised(name string) view[int8] { return viewOf[int8](c.tensor(name)) }

// sums is an output that is added to: it starts from 0 unless the call accumulates.
func (c *call) sums(name string) view[float64] {
	v := c.floats(name)
	if !c.Accumulate {
		for i := range v.len() {
			*v.flat(i) = 0
		}
	}
	return v
}

func (c *call) scalar(name string) float64 { return c.floats(name).data[0] }

// counter is the value of a counter, 0 when it is absent.
func (c *call) counter(name string) int64 {
	if !c.has(name) {
		return 0
	}
	return kernels.Slice[int64](c.tensor(name))[0]
}

// view gives a tensor's elements by index, whatever its strides. The view of
// an absent operand has no data.
type view[T float64 | int32 | int8] struct {
	data           []T
	shape, strides []int
}

func viewOf[T float64 | int32 | int8](t kernels.Tensor) view[T] {
	if t.Absent() {
		return view[T]{}
	}
	strides := make([]int, len(t.Shape))
	for i := range strides {
		strides[i] = t.Stride(i)
	}
	return view[T]{kernels.Slice[T](t), t.Shape, strides}
}

func (v view[T]) absent() bool { return v.data == nil }

func (v view[T]) len() int {
	if v.absent() {
		return 0
	}
	return kernels.Elements(v.shape)
}

// at is the element at an index, one number for each dim.
func (v view[T]) at(index ...int) *T {
	offset := 0
	for d, i := range index {
		offset += i * v.strides[d]
	}
	return &v.data[offset]
}

// cell is the value at row i and column j of a matrix.
func (v view[T]) cell(i, j int) T { return v.data[i*v.strides[0]+j*v.strides[1]] }

// flat is element i in row-major order.
func (v view[T]) flat(i int) *T {
	offset := 0
	for d := len(v.shape) - 1; d >= 0; d-- {
		offset += i % v.shape[d] * v.strides[d]
		i /= v.shape[d]
	}
	return &v.data[offset]
}

// vector is what lies along the last dim, which is dense, at an index of the dims before it.
func (v view[T]) vector(index ...int) []T {
	offset := 0
	for d, i := range index {
		offset += i * v.strides[d]
	}
	return v.data[offset:][:v.shape[len(index)]]
}

// row is vector i in row-major order.
func (v view[T]) row(i int) []T {
	offset := 0
	last := len(v.shape) - 1
	for d := last - 1; d >= 0; d-- {
		offset += i % v.shape[d] * v.strides[d]
		i /= v.shape[d]
	}
	return v.data[offset:][:v.shape[last]]
}

// transposed swaps the two dims of a matrix when the operand is stored swapped.
func (v view[T]) transposed(swap bool) view[T] {
	if !swap {
		return v
	}
	return view[T]{v.data, []int{v.shape[1], v.shape[0]}, []int{v.strides[1], v.strides[0]}}
}

// or is element i of a vector, or a value when the operand is absent.
func (v view[T]) or(i int, absent T) T {
	if v.absent() {
		return absent
	}
	return *v.flat(i)
}

// add adds x to element i of a vector, unless the operand is absent.
func (v view[T]) add(i int, x T) {
	if !v.absent() {
		*v.flat(i) += x
	}
}

func dot(x, y []float64) float64 {
	sum := 0.0
	for i := range x {
		sum += x[i] * y[i]
	}
	return sum
}

// addScaled sets y += a·x.
func addScaled(y []float64, a float64, x []float64) {
	for i := range y {
		y[i] += a * x[i]
	}
}

func sum(x []float64) float64 {
	total := 0.0
	for _, v := range x {
		total += v
	}
	return total
}
