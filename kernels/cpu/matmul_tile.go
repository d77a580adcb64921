package cpu

import "unsafe"

// tileFunc computes one tile of a product of fixed height and width:
//
//	c[i*cRow + j] = Σ_p a[i*aRow + p*aStep]·b[p*bStep + j] + bias[j]      p < k
//
// in ascending order of p, one fused multiply-add each, and adds to c with add. bias may be nil.
// All strides are in floats. b, c and bias must be readable for the whole width.
type tileFunc func(k int, a *float32, aRow, aStep int, b *float32, bStep int, c *float32, cRow int, bias *float32, add bool)

// packTileFunc is a tileFunc that also copies what it reads of b into a panel: to[p*width + j] = b[p*bStep + j]. It asks for b
// some steps ahead, also beyond its end.
type packTileFunc func(k int, a *float32, aRow, aStep int, b *float32, bStep int, c *float32, cRow int, bias *float32, add bool, to *float32)

// aheadTileFunc is a tileFunc that asks for lines of other memory as it goes. next is a [lines].
type aheadTileFunc func(k int, a *float32, aRow, aStep int, b *float32, bStep int, c *float32, cRow int, bias *float32, add bool, next *byte)

// tileSet is what products are made of at one level.
type tileSet struct {
	rows, cols int // of the largest tile
	aStep      int // floats from one step of a packed panel of a to the next; at least rows
	steps      int // of a product in one element of a panel: 1, or 2 that are bf16
	heights    []int
	widths     []int // of the tiles, ascending
	tiles      [][]tileFunc
	packTile   packTileFunc  // the largest tile; nil: none
	aheadTile  aheadTileFunc // the largest tile; nil: none

	// dots1 is for one row of a and dotsN for dotRows.
	dots1, dotsN dotFunc
	dotRows      int
	// axpy1 is for one row of b and axpy8 for eight.
	axpy1, axpy8 axpyFunc
	// transpose4 sets dst[p*dstStep+i] = src[i*srcRow+p] for i < 4 and p < k, k a multiple of 8; nil: none. With pairs of
	// steps, p counts pairs.
	transpose4 func(k int, dst *float32, dstStep int, src *float32, srcRow int)
	// transpose8 is the same for i < 8; nil: none.
	transpose8 func(k int, dst *float32, dstStep int, src *float32, srcRow int)
	// strips copy rows of a fixed width: dst[p*dstStep+i] = src[p*srcStep+i] for i < width, p < k; with pairs of steps, rows 2p and 2p+1.
	strips map[int]func(k int, dst *float32, dstStep int, src *float32, srcStep int)
}

// panels is an operand of a product, cut into panels as high (or wide) as the
// largest tile: lane i at step p of panel q is data[q*panel + i*lane + p*step].
type panels struct {
	data              *float32
	panel, lane, step int
}

// from is the panels from panel q on.
func (x panels) from(q int) panels {
	x.data = at(x.data, q*x.panel)
	return x
}

// block is a product small enough for one worker: c[i, j] = Σ_p a[i, p]·b[p, j] + bias[j].
type block struct {
	m, n, k int
	a, b    panels
	c       *float32
	cRow    int
	bias    *float32 // nil: none
	add     bool     // add to c
}

// edgeFloats is the size of the buffer for tiles that reach over the edge of c.
const edgeFloats = 12 * 32

// run computes the block. The panel of a stays in the first cache while those
// of b, in the second, pass by. edge has edgeFloats elements.
func (t *tileSet) run(x *block, edge []float32) {
	for i := 0; i < x.m; i += t.rows {
		for j := 0; j < x.n; j += t.cols {
			t.tile(x, i, j, edge)
		}
	}
}

// tile computes the tile of x whose first element is (i, j). Rows that are left
// at the end are cut into tiles of lesser height, so that a is never read beyond its rows.
func (t *tileSet) tile(x *block, i, j int, edge []float32) {
	b := at(x.b.data, j/t.cols*x.b.panel)
	cols := min(t.cols, x.n-j)
	w := fit(t.widths, cols)
	for end := min(i+t.rows, x.m); i < end; {
		h := len(t.heights) - 1
		for t.heights[h] > end-i {
			h--
		}
		a := at(x.a.data, i/t.rows*x.a.panel+i%t.rows*x.a.lane)
		c := at(x.c, i*x.cRow+j)
		if t.widths[w] == cols {
			t.tiles[h][w](x.k, a, x.a.lane, x.a.step, b, x.b.step, c, x.cRow, x.biasAt(j), x.add)
		} else {
			t.tiles[h][w](x.k, a, x.a.lane, x.a.step, b, x.b.step, &edge[0], t.cols, nil, false)
			for r := range t.heights[h] {
				x.mergeRow(unsafe.Slice(at(c, r*x.cRow), cols), edge[r*t.cols:], j)
			}
		}
		i += t.heights[h]
	}
}

func (x *block) biasAt(j int) *float32 {
	if x.bias == nil {
		return nil
	}
	return at(x.bias, j)
}

// mergeRow ends a row of an edge tile as the kernel would have done.
func (x *block) mergeRow(c, sum []float32, j int) {
	sum = sum[:len(c)]
	if x.bias != nil {
		for i, v := range unsafe.Slice(at(x.bias, j), len(c)) {
			sum[i] += v
		}
	}
	if !x.add {
		copy(c, sum)
		return
	}
	for i, v := range sum {
		c[i] += v
	}
}

// fit is the index of the first of the ascending sizes that holds n.
func fit(sizes []int, n int) int {
	i := 0
	for i < len(sizes)-1 && sizes[i] < n {
		i++
	}
	return i
}

func at(p *float32, i int) *float32 { return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*i)) }

// genericTiles is the tile set in plain Go.
var genericTiles = &tileSet{rows: 4, cols: 4, aStep: 4, steps: 1, heights: []int{1, 4}, widths: []int{4},
	tiles: [][]tileFunc{{tile1x4}, {tile4x4}}, dots1: dots1x4, dotsN: dots1x4, dotRows: 1,
	axpy1: axpy1Generic, axpy8: axpy8Generic}

// tile4x4 is the tileFunc for 4 rows and 4 columns in plain Go.
func tile4x4(k int, a *float32, aRow, aStep int, b *float32, bStep int, c *float32, cRow int, bias *float32, add bool) {
	var s [4][4]float32
	if bias != nil {
		row := *(*[4]float32)(unsafe.Pointer(bias))
		s = [4][4]float32{row, row, row, row}
	}
	if k > 0 {
		sum4x4(&s, k, unsafe.Slice(a, 3*aRow+(k-1)*aStep+1), aRow, aStep, unsafe.Slice(b, (k-1)*bStep+4), bStep)
	}
	out := unsafe.Slice(c, 3*cRow+4)
	for i := range s {
		for j, v := range s[i] {
			if add {
				v += out[i*cRow+j]
			}
			out[i*cRow+j] = v
		}
	}
}

// sum4x4 adds the products of a tile to s, which the compiler would not keep in registers.
func sum4x4(s *[4][4]float32, k int, a []float32, aRow, aStep int, b []float32, bStep int) {
	s00, s01, s02, s03 := s[0][0], s[0][1], s[0][2], s[0][3]
	s10, s11, s12, s13 := s[1][0], s[1][1], s[1][2], s[1][3]
	s20, s21, s22, s23 := s[2][0], s[2][1], s[2][2], s[2][3]
	s30, s31, s32, s33 := s[3][0], s[3][1], s[3][2], s[3][3]
	for p := range k {
		v, at := b[p*bStep:][:4], p*aStep
		b0, b1, b2, b3 := v[0], v[1], v[2], v[3]
		x := a[at]
		s00, s01, s02, s03 = s00+x*b0, s01+x*b1, s02+x*b2, s03+x*b3
		x = a[at+aRow]
		s10, s11, s12, s13 = s10+x*b0, s11+x*b1, s12+x*b2, s13+x*b3
		x = a[at+2*aRow]
		s20, s21, s22, s23 = s20+x*b0, s21+x*b1, s22+x*b2, s23+x*b3
		x = a[at+3*aRow]
		s30, s31, s32, s33 = s30+x*b0, s31+x*b1, s32+x*b2, s33+x*b3
	}
	*s = [4][4]float32{{s00, s01, s02, s03}, {s10, s11, s12, s13}, {s20, s21, s22, s23}, {s30, s31, s32, s33}}
}

// tile1x4 is the tileFunc for one row and 4 columns in plain Go.
func tile1x4(k int, a *float32, _, aStep int, b *float32, bStep int, c *float32, _ int, bias *float32, add bool) {
	var s [4]float32
	if bias != nil {
		s = *(*[4]float32)(unsafe.Pointer(bias))
	}
	if k > 0 {
		as, bs := unsafe.Slice(a, (k-1)*aStep+1), unsafe.Slice(b, (k-1)*bStep+4)
		for p := range k {
			x, v := as[p*aStep], bs[p*bStep:][:4]
			s[0], s[1], s[2], s[3] = s[0]+x*v[0], s[1]+x*v[1], s[2]+x*v[2], s[3]+x*v[3]
		}
	}
	out := (*[4]float32)(unsafe.Pointer(c))
	for j, v := range s {
		if add {
			v += out[j]
		}
		out[j] = v
	}
}

// dots1x4 is the dotFunc for one row in plain Go.
func dots1x4(k int, a *float32, _ int, b *float32, bRow int, out *float32) {
	x, sums := unsafe.Slice(a, k), unsafe.Slice(out, 4)
	for j := range sums {
		sums[j] = dot(x, unsafe.Slice(at(b, j*bRow), k))
	}
}

// axpy1Generic is the axpyFunc for one row in plain Go.
func axpy1Generic(n int, y, x *float32, _ int, b *float32, _ int) {
	sums, row, factor := unsafe.Slice(y, n), unsafe.Slice(b, n), *x
	for j, v := range row {
		sums[j] += factor * v
	}
}

// axpy8Generic is the axpyFunc for eight rows in plain Go.
func axpy8Generic(n int, y, x *float32, xStep int, b *float32, bRow int) {
	for p := range 8 {
		axpy1Generic(n, y, at(x, p*xStep), 0, at(b, p*bRow), 0)
	}
}
