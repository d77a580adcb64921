package cpu

import (
	"math"
	"slices"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// Products with int8 weights are bound by the reading of the weights, which are read once, in the order they lie in. What
// they are multiplied with is quantised first, into the scratch.

const (
	int8Pieces   = 16      // of a matrix, as far as it is large enough
	int8Least    = 1 << 15 // bytes of weights in one piece, at least,
	int8Most     = 1 << 18 // and at most
	int8Block    = 1 << 14 // bytes of weights that several rows of activations are multiplied with: they stay in the first cache
	digitPadding = 64      // rows of digits are filled up with zeros to a multiple of it
)

// int8RowsFunc computes n elements of a row of c from the digits of a row of activations:
//
//	c[j] = ((256·(Σ_p hi[p]·w[j*k+p] − bases[0]) + Σ_p lo[p]·w[j*k+p] − bases[1]) · (step·scale[j])) + bias[j]     j < n, p < k
//
// Both sums are exact; every operation that follows is rounded to float32. n is a multiple of 4. Digits are filled up to digitPadding.
type int8RowsFunc func(n, k int, w, hi, lo *int8, bases *[2]int32, step float32, scale, bias, c *float32)

// int8Set is what products with int8 weights are made of at one level.
type int8Set struct {
	rows   int8RowsFunc // for weights in the first cache; nil: none
	stream int8RowsFunc // for weights that come from memory
	base   int32        // what rows adds to each weight, and takes off by bases
	over   int          // bytes that rows may read behind the last weight

	// largest gives the bits of the largest absolute value, digits rounds x·inverse to 256·hi + lo and sums the digits. n is a
	// positive multiple of 16. nil: none.
	largest func(x *float32, n int) uint32
	digits  func(x *float32, n int, inverse float64, hi, lo *int8, sums *[2]int32)
}

// matMulInt8 is a bound product.
type matMulInt8 struct {
	d           *Device
	set         int8Set
	m, n, k     int
	a           []float32
	aRow        int
	w           []int8
	scale, bias []float32
	c           []float32
	cRow        int
	end         *epilogue // nil: none

	padded int        // length of a row of digits
	digits []int8     // higher ones of all rows of a block, then the lower ones
	bases  [][2]int32 // of each row of the block
	steps  []float32
	first  int // row of the block
	count  int // rows of the block
	each   int // weights' rows in a piece

	quantise, compute func(piece, worker int)
}

func bindMatMulInt8(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	x := &matMulInt8{d: d, set: int8Sets(d.level), m: s["M"], n: s["N"], k: s["K"], a: floats(c.Args[0]), aRow: c.Args[0].Stride(0),
		w: kernels.Slice[int8](c.Args[1]), scale: floats(c.Args[2])}
	x.finishBy(c)
	x.padded = up(x.k, digitPadding)
	x.digits = unsafe.Slice((*int8)(unsafe.Pointer(&d.scratch.a[0])), 4*len(d.scratch.a))
	rows := min(max(x.m, 1), len(x.digits)/(2*max(1, x.padded)))
	x.digits = x.digits[:2*rows*x.padded]
	x.bases, x.steps = make([][2]int32, rows), make([]float32, rows)
	bytes := min(max(x.n*x.k/int8Pieces, int8Least), int8Most)
	x.each = max(4, up(bytes/max(1, x.k), 4))
	x.quantise, x.compute = x.quantiseRow, x.piece
	return x.run, nil
}

// finishBy takes in what becomes of the sums, as a product of floats does: its operands are the same but for scale.
func (x *matMulInt8) finishBy(c kernels.Call) {
	c.Args = slices.Delete(slices.Clone(c.Args), 2, 3)
	like := &matmul{d: x.d, bias: (*float32)(c.Args[2].Data), c: (*float32)(c.Args[3].Data), cRow: c.Args[3].Stride(0)}
	x.end = newEpilogue(like, c)
	x.c, x.cRow = unsafe.Slice(like.c, (x.m-1)*like.cRow+x.n), like.cRow
	if like.bias == nil {
		x.bias = make([]float32, x.n)
	} else {
		x.bias = floats(c.Args[2])
	}
}

func (x *matMulInt8) run() {
	for x.first = 0; x.first < x.m; x.first += x.count {
		x.count = min(len(x.steps), x.m-x.first)
		if x.count*x.k < pieceElements {
			for i := range x.count {
				x.quantise(i, 0)
			}
		} else {
			x.d.pool.run(x.count, x.quantise)
		}
		x.d.pool.run(ceilDiv(x.n, x.each), x.compute)
	}
}

// row is the digits of row i of the block.
func (x *matMulInt8) row(i int) (hi, lo []int8) {
	half := len(x.digits) / 2
	return x.digits[i*x.padded:][:x.padded], x.digits[half+i*x.padded:][:x.padded]
}

// quantiseRow makes the digits of row i of the block.
func (x *matMulInt8) quantiseRow(i, _ int) {
	a := x.a[(x.first+i)*x.aRow:][:x.k]
	hi, lo := x.row(i)
	x.bases[i] = [2]int32{}
	clear(hi[x.k:])
	clear(lo[x.k:])
	largest := float64(math.Float32frombits(x.set.largestOf(a)))
	x.steps[i] = float32(largest / kernels.ActivationSteps)
	if !(largest > 0 && largest <= math.MaxFloat32) {
		clear(hi)
		clear(lo)
		return
	}
	x.set.split(a, kernels.ActivationSteps/largest, hi, lo, &x.bases[i])
	x.bases[i][0] *= x.set.base
	x.bases[i][1] *= x.set.base
}

// largestOf gives the bits of the largest absolute value; as a whole number a NaN is larger than all others.
func (s *int8Set) largestOf(a []float32) uint32 {
	top, n := uint32(0), 0
	if s.largest != nil && len(a) >= 16 {
		n = len(a) / 16 * 16
		top = s.largest(&a[0], n)
	}
	for _, v := range a[n:] {
		top = max(top, math.Float32bits(v)&^(1<<31))
	}
	return top
}

// split rounds a·inverse to two digits each, and sums them.
func (s *int8Set) split(a []float32, inverse float64, hi, lo []int8, sums *[2]int32) {
	n := 0
	if s.digits != nil && len(a) >= 16 {
		n = len(a) / 16 * 16
		s.digits(&a[0], n, inverse, &hi[0], &lo[0], sums)
	}
	for i := n; i < len(a); i++ {
		q := int32(math.RoundToEven(float64(a[i]) * inverse))
		hi[i], lo[i] = int8((q+128)>>8), int8(q)
		sums[0] += int32(hi[i])
		sums[1] += int32(lo[i])
	}
}

// piece computes the block's part of some columns of c.
func (x *matMulInt8) piece(piece, worker int) {
	from := piece * x.each
	to := min(x.n, from+x.each)
	rows, step := x.set.stream, x.each
	if x.count > 1 {
		rows, step = x.set.rows, max(4, int8Block/max(1, x.k)/4*4)
	}
	for ; from < to; from += step {
		for i := range x.count {
			x.columns(rows, i, from, min(to, from+step))
			x.end.finish(x.first+i, from, 1, min(to, from+step)-from, worker)
		}
	}
}

// columns computes columns [from, to) of row i of the block. What rows cannot do, since it is not four or would read
// beyond the weights, plain Go does.
func (x *matMulInt8) columns(rows int8RowsFunc, i, from, to int) {
	hi, lo := x.row(i)
	c := x.c[(x.first+i)*x.cRow:][:x.n]
	if whole := x.whole(from, to); whole > from {
		rows(whole-from, x.k, &x.w[from*x.k], &hi[0], &lo[0], &x.bases[i], x.steps[i], &x.scale[from], &x.bias[from], &c[from])
		from = whole
	}
	for j := from; j < to; j++ {
		c[j] = float32(int8Dot(x.w[j*x.k:][:x.k], hi, lo)*float32(x.steps[i]*x.scale[j])) + x.bias[j]
	}
}

// whole is the end of the columns that rows can do.
func (x *matMulInt8) whole(from, to int) int {
	if x.set.rows == nil || x.k == 0 {
		return from
	}
	if x.k%(x.set.over+1) != 0 {
		to = min(to, x.n-ceilDiv(x.set.over, x.k))
	}
	return from + max(0, to-from)/4*4
}

// int8Dot is the exact sum of the products of w with 256·hi + lo, rounded as int8RowsFunc does.
func int8Dot(w, hi, lo []int8) float32 {
	var h, l int32
	hi, lo = hi[:len(w)], lo[:len(w)]
	for p, v := range w {
		h += int32(v) * int32(hi[p])
		l += int32(v) * int32(lo[p])
	}
	return float32(h)*256 + float32(l)
}

// bindQuantizeRows cuts x into pieces of rows; where rows lie across, into as many as make runs of whole lines.
func bindQuantizeRows(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	n, k := s["N"], s["K"]
	x := sourceOf(c.Args[0], c.Attrs.TransA)
	q, scale := kernels.Slice[int8](c.Args[1]), floats(c.Args[2])
	each := max(1, min(16, pieceElements/max(1, k)))
	return d.spread(ceilDiv(n, each), n*k, func(piece, _ int) {
		for row := piece * each; row < min(n, (piece+1)*each); row++ {
			scale[row] = quantizeRow(q[row*k:][:k], x.at(row, 0))
		}
	}), nil
}

// quantizeRow is one row of QuantizeRows; x.step is the distance of its elements.
func quantizeRow(q []int8, x source) float32 {
	value := func(p int) float32 { return *at(x.data, p*x.step) }
	top := uint32(0)
	for p := range q {
		top = max(top, math.Float32bits(value(p))&^(1<<31))
	}
	largest := float64(math.Float32frombits(top))
	if !(largest > 0 && largest <= math.MaxFloat32) {
		clear(q)
		return float32(largest / 127)
	}
	inverse := 127 / largest
	for p := range q {
		q[p] = int8(math.RoundToEven(float64(value(p)) * inverse))
	}
	return float32(largest / 127)
}

func bindEmbeddingInt8(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	ids, table, scale, y := kernels.Slice[int32](c.Args[0]), kernels.Slice[int8](c.Args[1]), floats(c.Args[2]), floats(c.Args[3])
	vocabulary, width := s["V"], s["C"]
	return d.overRows(len(ids), width, func(row, _ int) {
		to := y[row*width:][:width]
		id := int(ids[row])
		if id < 0 || id >= vocabulary {
			clear(to)
			return
		}
		for i, v := range table[id*width:][:width] {
			to[i] = scale[id] * float32(v)
		}
	}), nil
}
