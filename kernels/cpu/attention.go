package cpu

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// maxHeadWidth follows from the workers' scratch.
const maxHeadWidth = 512

// attention is what the forward and the backward pass share.
//
// Both work on tiles of queryTile queries of one head, against blocks of keys: s = k·qᵀ, a row for each key, by the
// tiles of matrix products. Keys that no query of a tile sees are not touched.
type attention struct {
	d           *Device
	ops         *scoreOps
	b, t, s     int
	h, g, width int // heads, key-value heads, head width
	keyBlock    int // keys whose scores are in hand at a time: these, and the keys, fit the second cache
	q, k, v     heads
	mask        mask
	drop        dropper
	round       roundFunc // of what is multiplied; nil: none
	scale, cap  float32
}

// heads is a strided tensor [B, T, H, D] whose last dim is dense.
type heads struct {
	data    *float32
	b, t, h int // strides
}

func headsOf(t kernels.Tensor) heads {
	return heads{(*float32)(t.Data), t.Stride(0), t.Stride(1), t.Stride(2)}
}

func (x heads) at(b, t, h int) *float32 { return at(x.data, b*x.b+t*x.t+h*x.h) }

// newAttention takes q, k, v, the operands of the mask, in the order of the contract, and the number of the first key.
func newAttention(d *Device, qkv, masks []kernels.Tensor, firstKey kernels.Tensor, a kernels.Attrs, s kernels.Sizes) (*attention, error) {
	if s["D"] > maxHeadWidth {
		return nil, fmt.Errorf("attention: head width %d is more than the %d that the cpu device has scratch for", s["D"], maxHeadWidth)
	}
	x := &attention{
		d: d, ops: scoreSets[d.level], b: s["B"], t: s["T"], s: s["S"], h: s["H"], g: s["G"], width: s["D"], keyBlock: 256,
		q: headsOf(qkv[0]), k: headsOf(qkv[1]), v: headsOf(qkv[2]), scale: float32(a.Scale), cap: float32(a.Cap),
		round: d.rounding(a.Compute),
	}
	if x.width > 256 {
		x.keyBlock = 128
	}
	x.mask, x.drop = newMask(masks, firstKey, a, s), newDropper(d, x.keyBlock, masks, firstKey, a, s)
	return x, nil
}

func (x *attention) queryTiles() int { return ceilDiv(x.t, queryTile) }

// rowsAsLanes is the operand a of a product whose rows are rows of a matrix.
func (x *attention) rowsAsLanes(data *float32, row int) panels {
	return panels{data: data, panel: x.d.tiles.rows * row, lane: row, step: 1}
}

// columnsAsLanes is the operand a of a product whose rows are columns of a matrix.
func (x *attention) columnsAsLanes(data *float32, row int) panels {
	return panels{data: data, panel: x.d.tiles.rows, lane: 1, step: row}
}

// rowMajor is the operand b of a product as it lies in memory.
func (x *attention) rowMajor(data *float32, row int) panels {
	return panels{data: data, panel: x.d.tiles.cols, lane: 1, step: row}
}

// rowsOf is rows of one head, as they lie or as they were copied.
type rowsOf struct {
	data *float32
	row  int // stride
}

func (r rowsOf) from(i int) rowsOf { return rowsOf{at(r.data, i*r.row), r.row} }

// padded is the head width, filled up to a vector.
func (x *attention) padded() int { return up(x.width, x.d.tiles.widths[0]) }

// rows is rows [i, i+n) of one head, copied into space where they must be rounded, where to use them as they lie would be
// slow, since they fall on the same lines of the first cache, or, with whole, where operand b of a product would be read
// beyond their width.
func (x *attention) rows(m heads, b, i, h, n int, whole bool, space []float32) rowsOf {
	if x.round == nil && m.t%1024 != 0 && !(whole && x.width != x.padded()) {
		return rowsOf{m.at(b, i, h), m.t}
	}
	for r := range n {
		x.copyRow(space[r*x.padded():][:x.width], row(m, b, i+r, h, x.width))
	}
	return rowsOf{&space[0], x.padded()}
}

// copyRow copies, and rounds what is multiplied.
func (x *attention) copyRow(to, from []float32) {
	if x.round != nil {
		x.round(to, from)
	} else {
		copy(to, from)
	}
}

// roundAll rounds what is multiplied, in place.
func (x *attention) roundAll(v []float32) {
	if x.round != nil {
		x.round(v, v)
	}
}

// scores sets out = m·x, where m has a row for each key and xT is a tile of queries, transposed.
func (x *attention) scores(out []float32, m rowsOf, keys, n int, xT, edge []float32) {
	x.d.tiles.run(&block{
		m: keys, n: up(n, x.ops.lanes), k: x.width,
		a: x.rowsAsLanes(m.data, m.row), b: x.rowMajor(&xT[0], queryTile),
		c: &out[0], cRow: queryTile,
	}, edge)
}

// transpose packs rows [i, i+n) of one head, rounded, a lane for each; lanes beyond n are 0.
func (x *attention) transpose(out []float32, m heads, b, i, h, n int) {
	x.d.tiles.packPanel(out, queryTile, source{m.at(b, i, h), m.t, 1}, n, x.width, false)
	x.roundAll(out[:x.width*queryTile])
}

// untranspose is the inverse of transpose.
func (x *attention) untranspose(m heads, b, i, h, n int, in []float32) {
	out := unsafe.Slice(m.at(b, i, h), (n-1)*m.t+x.width)
	x.d.tiles.packAcross(out, m.t, source{&in[0], queryTile, 1}, x.width, n, true)
}

// factors are what q is multiplied by before, and the scores after the soft cap, so that scores end as logarithms to base 2.
func (x *attention) factors() (before, after float32) {
	if x.cap == 0 {
		return float32(float64(x.scale) * math.Log2E), 1
	}
	return x.scale / x.cap, float32(float64(x.cap) * math.Log2E)
}

// scaleAll multiplies a tile of so many rows by f.
func (x *attention) scaleAll(tile []float32, rows int, f float32) {
	x.d.vector().scale(tile[:rows*queryTile], tile[:rows*queryTile], f)
}

// row is row t of head h.
func row(x heads, b, t, h, width int) []float32 { return unsafe.Slice(x.at(b, t, h), width) }

// dot is Σ x·y, in four sums.
func dot(x, y []float32) float32 {
	var s [4]float32
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s[0] += x[i] * y[i]
		s[1] += x[i+1] * y[i+1]
		s[2] += x[i+2] * y[i+2]
		s[3] += x[i+3] * y[i+3]
	}
	for ; i < len(x); i++ {
		s[0] += x[i] * y[i]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}
