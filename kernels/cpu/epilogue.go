package cpu

import (
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// epilogue is what happens to the elements of a product once their sums are complete (see [kernels.MatMul]). It works on
// the blocks of c that the workers finish, while these are in cache.
type epilogue struct {
	c, v, x, residual, pre grid     // v holds the sums: c or pre
	bias                   *float32 // nil: none, or in the sums already
	alpha                  float32
	slope                  bool
	act                    *activator // nil: none
	vec                    *vectorTable
	scratch                [][]float32 // of each worker
}

// grid is a matrix whose rows are dense. Without data it stands for an absent operand.
type grid struct {
	data *float32
	row  int
}

func gridOf(t kernels.Tensor) grid {
	if t.Absent() {
		return grid{}
	}
	return grid{(*float32)(t.Data), t.Stride(0)}
}

// at is n elements of row i from column j on.
func (g grid) at(i, j, n int) []float32 { return unsafe.Slice(at(g.data, i*g.row+j), n) }

// newEpilogue makes the epilogue of a product, and directs the product's sums to where it finds them; nil when there is nothing to do.
func newEpilogue(x *matmul, c kernels.Call) *epilogue {
	a := c.Attrs
	e := &epilogue{c: gridOf(c.Args[3]), x: gridOf(c.Args[4]), residual: gridOf(c.Args[5]), pre: gridOf(c.Args[6]),
		alpha: float32(a.Alpha), slope: a.Derivative, vec: x.d.vector(), scratch: x.d.scratch.worker}
	if a.Kind != "" {
		e.act = x.d.newActivator(a)
	}
	if e.act == nil && a.Alpha == 0 && e.residual.data == nil {
		return nil
	}
	if a.Alpha != 0 { // the bias is not multiplied
		e.bias, x.bias = x.bias, nil
	}
	e.v = e.c
	if e.pre.data != nil {
		e.v = e.pre
	}
	x.c, x.cRow = e.v.data, e.v.row
	return e
}

// finish works on rows [i, i+m) and columns [j, j+n). It does nothing on a nil epilogue.
func (e *epilogue) finish(i, j, m, n, worker int) {
	if e == nil {
		return
	}
	for r := i; r < i+m; r++ {
		if next := r + rowsAhead; next < i+m {
			e.fetch(next, j, n)
		}
		for from := j; from < j+n; from += tile {
			e.run(r, from, min(tile, j+n-from), worker)
		}
	}
}

// rowsAhead is the distance at which an epilogue asks for what it will read and write: the rows of a block lie far
// apart, and no processor foresees the next.
const rowsAhead = 4

// fetch asks for n elements of row i from column j on of what the product itself has not touched.
func (e *epilogue) fetch(i, j, n int) {
	lines := ceilDiv(4*n, lineBytes)
	for _, g := range [...]grid{e.x, e.residual} {
		if g.data != nil {
			prefetchRows(at(g.data, i*g.row+j), g.row, 1, lines)
		}
	}
	if e.c.data != e.v.data {
		prefetchRows(at(e.c.data, i*e.c.row+j), e.c.row, 1, lines)
	}
}

const lineBytes = 64

// run works on n elements of row i from column j on.
func (e *epilogue) run(i, j, n, worker int) {
	v, c := e.v.at(i, j, n), e.c.at(i, j, n)
	if e.alpha != 0 {
		e.vec.scale(v, v, e.alpha)
	}
	if e.bias != nil {
		e.vec.add(v, v, unsafe.Slice(at(e.bias, j), n))
	}
	switch {
	case e.act == nil:
	case e.x.data == nil:
		e.act.apply(c, v)
	default:
		e.vec.mul(c, v, e.factor(e.x.at(i, j, n), worker))
	}
	if e.residual.data != nil {
		e.vec.add(c, c, e.residual.at(i, j, n))
	}
}

// factor is f(x) or f′(x), in the worker's scratch.
func (e *epilogue) factor(x []float32, worker int) []float32 {
	if e.slope {
		_, slope := e.act.differentiate(x, worker)
		return slope
	}
	f := e.scratch[worker][:len(x)]
	e.act.apply(f, x)
	return f
}
