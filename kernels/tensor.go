package kernels

import (
	"fmt"
	"unsafe"
)

// Tensor is a view of device memory. Shape is in elements, outermost first;
// Strides, in elements too, are nil for a dense row-major tensor. A device
// reads the memory at Data only through its own kernels.
type Tensor struct {
	DType   DType
	Shape   []int
	Strides []int
	Data    unsafe.Pointer
}

// Absent says whether t stands for an optional operand that was left out.
func (t Tensor) Absent() bool { return t.DType == Invalid }

// Len is the number of elements.
func (t Tensor) Len() int { return Elements(t.Shape) }

// Dense says whether the elements lie one after another in row-major order.
func (t Tensor) Dense() bool {
	want := 1
	for i := len(t.Strides) - 1; i >= 0; i-- {
		if t.Shape[i] != 1 && t.Strides[i] != want {
			return false
		}
		want *= t.Shape[i]
	}
	return true
}

// Stride is the distance in elements between neighbours along dim i.
func (t Tensor) Stride(i int) int {
	if t.Strides != nil {
		return t.Strides[i]
	}
	return Elements(t.Shape[i+1:])
}

// Extent is the number of elements from the first to the last one, both
// counted; it is Len for a dense tensor.
func (t Tensor) Extent() int { return Extent(t.Shape, t.Strides) }

// Elements is the product of a shape; that of a scalar is 1.
func Elements(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}

// Extent is what [Tensor.Extent] says, for a shape and strides (nil: dense).
func Extent(shape, strides []int) int {
	n := Elements(shape)
	if strides == nil || n == 0 {
		return n
	}
	last := 0
	for i, s := range shape {
		last += (s - 1) * strides[i]
	}
	return last + 1
}

// Slice gives the elements from the first to the last of a tensor in
// host-addressable memory, gaps of a strided view included. It panics when T is not the tensor's type:
// a device checks types when it binds, before any work is done.
func Slice[T float32 | float64 | int32 | int64 | uint16 | uint8 | int8](t Tensor) []T {
	if t.Absent() {
		return nil
	}
	var zero T
	if int(unsafe.Sizeof(zero)) != t.DType.Size() {
		panic(fmt.Sprintf("kernels: %T slice of a tensor of type %v", zero, t.DType))
	}
	return unsafe.Slice((*T)(t.Data), t.Extent())
}
