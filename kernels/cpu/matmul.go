package cpu

import "github.com/gsc-project/gsc/kernels"

// The cutting of a product. Slabs of a and b, at most panelFloats each, are packed into panels; then
// pieces of the slab's part of c are computed in any order. All sizes follow from the shapes.
const (
	kBlock       = 384     // steps of one slab: a panel of a then fits the first cache
	pieceRows    = 96      // of c in one piece
	pieceCols    = 256     // with kBlock, what a piece reads of b fits the second cache
	packFloats   = 1 << 14 // packed by one piece
	enoughPieces = 16      // to share out evenly
	directCols   = 128     // products no wider read a where it lies: packing it would not pay
	inlineFlops  = 1 << 19 // smaller products are one piece: waking workers costs more
)

// matmul is a bound product c = a·b + bias.
type matmul struct {
	d       *Device
	m, n, k int
	a, b    source
	c       *float32
	cRow    int
	bias    *float32
	add     bool
	round   roundFunc // of a and b where they are packed or copied; nil: none
	direct  bool      // a is read where it lies
	kStep   int       // of the slabs
	mStep   int
	nStep   int

	slab          slab // the current one
	aPer, bPer    int  // panels that one piece packs
	aPieces       int  // pieces of packing that are of a
	rows, cols    int  // of c in one piece
	pack, compute func(piece, worker int)
}

// slab is a part of the product: rows [i, i+m), columns [j, j+n) and steps [p, p+k).
type slab struct{ i, j, p, m, n, k int }

func bindMatMul(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	args := c.Args
	x := newMatMul(d, s["M"], s["N"], s["K"])
	x.a = sourceOf(args[0], c.Attrs.TransA)
	x.b = sourceOf(args[1], !c.Attrs.TransB)
	x.bias = (*float32)(args[2].Data)
	x.c, x.cRow = (*float32)(args[3].Data), args[3].Stride(0)
	x.add, x.round = c.Attrs.Accumulate, d.rounding(c.Attrs.Compute)
	if run := x.skinny(); run != nil {
		return run, nil
	}
	if x.direct = x.round == nil && x.n <= directCols && x.a.lane%512 != 0 && x.a.step%512 != 0; x.direct {
		x.mStep = up(x.m, d.tiles.rows)
	}
	return x.run, nil
}

// sourceOf gives the rows of t as lanes, or its columns when swapped.
func sourceOf(t kernels.Tensor, swapped bool) source {
	s := source{data: (*float32)(t.Data), lane: t.Stride(0), step: 1}
	if swapped {
		s.lane, s.step = s.step, s.lane
	}
	return s
}

func newMatMul(d *Device, m, n, k int) *matmul {
	t := d.tiles
	x := &matmul{d: d, m: m, n: n, k: k}
	x.kStep = evenly(k, kBlock, 1)
	x.mStep = evenly(m, panelFloats/(t.aStep*max(1, x.kStep))*t.rows, t.rows)
	x.nStep = evenly(n, panelFloats/(t.cols*max(1, x.kStep))*t.cols, t.cols)
	x.rows, x.cols = x.pieceSize(min(m, x.mStep), min(n, x.nStep))
	x.aPer = max(1, packFloats/(t.aStep*max(1, x.kStep)))
	x.bPer = max(1, packFloats/(t.cols*max(1, x.kStep)))
	if 2*m*n*k <= inlineFlops {
		x.rows, x.cols = up(m, t.rows), up(n, t.cols)
		x.aPer, x.bPer = m, n
	}
	x.pack, x.compute = x.packPiece, x.computePiece
	return x
}

// pieceSize cuts m × n elements of c, smaller while there are few pieces and each is worth handing out.
func (x *matmul) pieceSize(m, n int) (rows, cols int) {
	t := x.d.tiles
	rows, cols = evenly(m, pieceRows, t.rows), evenly(n, pieceCols, t.cols)
	for ceilDiv(m, rows)*ceilDiv(n, cols) < enoughPieces && 2*rows*cols*x.kStep > 2*inlineFlops {
		switch {
		case cols > t.cols && (cols >= rows || rows == t.rows):
			cols = up(cols/2, t.cols)
		case rows > t.rows:
			rows = up(rows/2, t.rows)
		default:
			return rows, cols
		}
	}
	return rows, cols
}

// evenly is the step that cuts n into parts of at most limit, as equal as multiples of unit allow.
func evenly(n, limit, unit int) int {
	parts := max(1, ceilDiv(n, limit))
	return max(unit, up(ceilDiv(n, parts), unit))
}

func up(n, unit int) int { return ceilDiv(n, unit) * unit }

func (x *matmul) run() {
	if x.m == 0 || x.n == 0 {
		return
	}
	for j := 0; j < x.n; j += x.nStep {
		for p := 0; p < max(1, x.k); p += x.kStep {
			for i := 0; i < x.m; i += x.mStep {
				x.slab = slab{i, j, p, min(x.mStep, x.m-i), min(x.nStep, x.n-j), min(x.kStep, x.k-p)}
				x.runSlab()
			}
		}
	}
}

func (x *matmul) runSlab() {
	s, t := &x.slab, x.d.tiles
	x.aPieces = ceilDiv(ceilDiv(s.m, t.rows), x.aPer)
	if x.direct {
		x.aPieces = 0
	}
	bPieces := 0
	if s.i == 0 { // later slabs of rows find b packed
		bPieces = ceilDiv(ceilDiv(s.n, t.cols), x.bPer)
	}
	x.d.pool.run(x.aPieces+bPieces, x.pack)
	x.d.pool.run(ceilDiv(s.m, x.rows)*ceilDiv(s.n, x.cols), x.compute)
}

// packPiece packs some panels of a, or of b.
func (x *matmul) packPiece(piece, _ int) {
	s, t := &x.slab, x.d.tiles
	if piece < x.aPieces {
		x.packPanels(x.d.scratch.a, t.aStep, t.rows, x.a.at(s.i, s.p), s.m, piece*x.aPer, x.aPer)
	} else {
		x.packPanels(x.d.scratch.b, t.cols, t.cols, x.b.at(s.j, s.p), s.n, (piece-x.aPieces)*x.bPer, x.bPer)
	}
}

// packPanels packs panels [first, first+count) of src, as many as it has, each of so many lanes.
func (x *matmul) packPanels(dst []float32, dstStep, lanes int, src source, n, first, count int) {
	size := dstStep * x.slab.k
	for q := first; q < first+count && q*lanes < n; q++ {
		x.d.tiles.packPanel(dst[q*size:], dstStep, src.at(q*lanes, 0), min(lanes, n-q*lanes), x.slab.k)
		if x.round != nil {
			x.round(dst[q*size:][:size], dst[q*size:][:size])
		}
	}
}

// computePiece computes a piece of the slab's part of c.
func (x *matmul) computePiece(piece, worker int) {
	s, t := &x.slab, x.d.tiles
	across := ceilDiv(s.n, x.cols)
	i, j := piece/across*x.rows, piece%across*x.cols
	b := block{
		m: min(x.rows, s.m-i), n: min(x.cols, s.n-j), k: s.k,
		a: x.rowPanels(i), b: panels{&x.d.scratch.b[j*s.k], t.cols * s.k, 1, t.cols},
		c: at(x.c, (s.i+i)*x.cRow+s.j+j), cRow: x.cRow,
		add: x.add || s.p > 0,
	}
	if s.p == 0 && x.bias != nil {
		b.bias = at(x.bias, s.j+j)
	}
	t.run(&b, x.d.scratch.worker[worker][:edgeFloats])
}

// rowPanels is the slab's part of a from row i on.
func (x *matmul) rowPanels(i int) panels {
	s, t := &x.slab, x.d.tiles
	if x.direct {
		return panels{x.a.at(s.i+i, s.p).data, t.rows * x.a.lane, x.a.lane, x.a.step}
	}
	return panels{&x.d.scratch.a[i/t.rows*t.aStep*s.k], t.aStep * s.k, 1, t.aStep}
}
