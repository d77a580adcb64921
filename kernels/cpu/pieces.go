package cpu

import (
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// pieceElements is the least number of elements worth handing to another
// worker: some 5 µs of light work. A call with fewer runs on its caller.
const pieceElements = 1 << 14

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// spread makes a kernel that runs job for each piece, over the workers when the
// call touches at least pieceElements elements.
func (d *Device) spread(pieces, elements int, job func(piece, worker int)) kernels.Kernel {
	if pieces <= 1 || elements < pieceElements {
		return func() {
			for i := range pieces {
				job(i, 0)
			}
		}
	}
	return func() { d.pool.run(pieces, job) }
}

// overRows makes a kernel that runs f for each row, in pieces of whole rows.
func (d *Device) overRows(rows, width int, f func(row, worker int)) kernels.Kernel {
	each := max(1, pieceElements/max(1, width))
	return d.spread(ceilDiv(rows, each), rows*width, func(piece, worker int) {
		for row := piece * each; row < min(rows, (piece+1)*each); row++ {
			f(row, worker)
		}
	})
}

// overPieces makes a kernel that runs f for each run [lo, hi) of n elements.
func (d *Device) overPieces(n, each int, f func(piece, lo, hi int)) kernels.Kernel {
	return d.spread(ceilDiv(n, each), n, func(piece, _ int) {
		f(piece, piece*each, min(n, (piece+1)*each))
	})
}

// spans is the common iteration over tensors of one shape: dims that are
// contiguous in every tensor are merged, and what remains is rows of consecutive elements.
type spans struct {
	rows, width int
	total       int     // elements; a dense tensor's last row may be short
	shape       []int   // of the dims that count rows
	strides     [][]int // of these dims, for each tensor
}

// offsets are the places, in elements, where a row begins in each tensor.
type offsets [5]int

// newSpans merges what it can. With keep the last dim stays the row, whatever lies before it.
func newSpans(keep bool, ts ...kernels.Tensor) spans {
	s := spans{width: 1, total: ts[0].Len(), strides: make([][]int, len(ts))}
	last := len(ts[0].Shape) - 1
	if last < 0 {
		s.rows = 1
		return s
	}
	s.width = ts[0].Shape[last]
	for i := last - 1; i >= 0; i-- {
		if n := ts[0].Shape[i]; n != 1 {
			s.prepend(ts, i, n, keep)
		}
	}
	s.rows = kernels.Elements(s.shape)
	if !keep && len(s.shape) == 0 {
		s.cut(len(ts))
	}
	return s
}

// prepend adds dim i, of length n, before the dims taken so far, or merges it into the first of them.
func (s *spans) prepend(ts []kernels.Tensor, i, n int, keep bool) {
	inner := s.width
	if len(s.shape) > 0 {
		inner = s.shape[0]
	}
	merge := len(s.shape) > 0 || !keep
	for t := range ts {
		step := 1
		if len(s.shape) > 0 {
			step = s.strides[t][0]
		}
		merge = merge && ts[t].Stride(i) == inner*step
	}
	switch {
	case merge && len(s.shape) > 0:
		s.shape[0] *= n
	case merge:
		s.width *= n
	default:
		s.shape = append([]int{n}, s.shape...)
		for t := range ts {
			s.strides[t] = append([]int{ts[t].Stride(i)}, s.strides[t]...)
		}
	}
}

// cut splits one long run into rows of pieceElements.
func (s *spans) cut(tensors int) {
	if s.width <= pieceElements {
		return
	}
	s.width, s.rows = pieceElements, ceilDiv(s.total, pieceElements)
	s.shape = []int{s.rows}
	for t := range tensors {
		s.strides[t] = []int{pieceElements}
	}
}

// at gives the offset of a row in tensor t.
func (s *spans) at(t, row int) int {
	if len(s.shape) == 1 {
		return row * s.strides[t][0]
	}
	offset := 0
	for i := len(s.shape) - 1; i >= 0; i-- {
		offset += row % s.shape[i] * s.strides[t][i]
		row /= s.shape[i]
	}
	return offset
}

// length is the number of elements of a row.
func (s *spans) length(row int) int { return min(s.width, s.total-row*s.width) }

// overSpans makes a kernel that runs f for each row of consecutive elements of tensors of one shape.
func (d *Device) overSpans(ts []kernels.Tensor, f func(worker, n int, at offsets)) kernels.Kernel {
	s := newSpans(false, ts...)
	return d.overRows(s.rows, s.width, func(row, worker int) {
		var at offsets
		for t := range s.strides {
			at[t] = s.at(t, row)
		}
		f(worker, s.length(row), at)
	})
}

// floats is the storage of a float operand; nil when it is absent.
func floats(t kernels.Tensor) []float32 { return kernels.Slice[float32](t) }

// orConstant is the storage of an optional operand of n elements, or n times the value that stands for it.
func orConstant(t kernels.Tensor, n int, value float32) []float32 {
	if !t.Absent() {
		return floats(t)
	}
	s := make([]float32, n)
	for i := range s {
		s[i] = value
	}
	return s
}

// scalar is the address of a scalar operand, which is read when the kernel runs.
func scalar[T float64 | int64](t kernels.Tensor) *T { return (*T)(t.Data) }

// floatsOf gives the bytes of a workspace as n floats; an absent workspace is allocated.
func floatsOf(workspace kernels.Tensor, n int) []float32 {
	if workspace.Absent() || workspace.Len() < 4*n {
		return make([]float32, n)
	}
	return unsafe.Slice((*float32)(workspace.Data), n)
}

// doublesOf is a part of the scratch as n float64; what does not fit is allocated.
func doublesOf(scratch []float32, n int) []float64 {
	if 2*n > len(scratch) {
		return make([]float64, n)
	}
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(scratch))), n)
}

// intsOf is a part of the scratch as n int32; what does not fit is allocated.
func intsOf(scratch []float32, n int) []int32 {
	if n > len(scratch) {
		return make([]int32, n)
	}
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(scratch))), n)
}

// workerDoubles gives each worker n float64 of its scratch.
func (d *Device) workerDoubles(n int) [][]float64 {
	var all [][]float64
	for _, scratch := range d.scratch.worker {
		all = append(all, doublesOf(scratch, n))
	}
	return all
}
