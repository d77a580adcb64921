package cpu

import (
	"sync/atomic"

	"github.com/gsc-project/gsc/kernels"
)

// matmul is a bound product c = a·b + bias.
//
// It is cut into slabs: a part of a and a part of b, packed into panels, whose product is added to a part of c. Packing
// and computing are cut into pieces, and the pieces of all slabs stand in one list that workers take from in
// order: those that pack a slab are spread among those that compute the slab before it. So workers do not meet
// between slabs, and one of them waits for memory while another computes. A piece waits only for pieces that stand before it.
// Where both operands are packed, one of them is packed by the worker of each piece for itself (see matmul_own.go).
type matmul struct {
	d       *Device
	t       *tileSet
	m, n, k int
	a, b    operand
	c       *float32
	cRow    int
	bias    *float32
	add     bool
	end     *epilogue // nil: none
	round   roundFunc // of a and b where they are packed or copied; nil: none

	kStep      int // of the slabs
	rows, cols int // of c in one piece
	slabs      []slab
	toPack     []atomic.Int32 // pieces left of packing each slab
	toDo       []atomic.Int32 // and of computing it
	sums       []atomic.Int32 // slabs that are added to each piece of c
	next       []lines        // that each worker asks for, of an operand that workers pack for themselves
	pieces     int            // in the list
	inline     bool           // runs on its caller
	job        func(piece, worker int)
}

// slab is rows [i, i+m), columns [j, j+n) and steps [p, p+k) of the product.
type slab struct {
	i, j, p, m, n, k int
	a, b             panels
	first            int // of its pieces in the list
	packA, packB     int // pieces that pack its panels; 0: they are there already
	compute          int // pieces that compute it
	sums             int // of the first of its pieces of c
	turn             int // slabs that are added to these before it
}

func bindMatMul(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	args := c.Args
	x := newMatMul(d, s["M"], s["N"], s["K"], sourceOf(args[0], c.Attrs.TransA), sourceOf(args[1], !c.Attrs.TransB))
	x.bias = (*float32)(args[2].Data)
	x.c, x.cRow = (*float32)(args[3].Data), args[3].Stride(0)
	x.add, x.round = c.Attrs.Accumulate, d.rounding(c.Attrs.Compute)
	x.end = newEpilogue(x, c)
	if run := x.skinny(); run != nil {
		return run, nil
	}
	if c.Attrs.Compute == "bf16" && d.bf16 != nil { // its packing rounds
		x.use(d.bf16)
	}
	x.cut()
	return x.run, nil
}

func newMatMul(d *Device, m, n, k int, a, b source) *matmul {
	x := &matmul{d: d, m: m, n: n, k: k, a: operand{source: a, count: m}, b: operand{source: b, count: n}}
	x.use(d.tiles)
	return x
}

// use makes the product one of these tiles.
func (x *matmul) use(t *tileSet) {
	x.t = t
	x.a.lanes, x.a.stride, x.b.lanes, x.b.stride = t.rows, t.aStep, t.cols, t.cols
}

// sourceOf gives the rows of t as lanes, or its columns when swapped.
func sourceOf(t kernels.Tensor, swapped bool) source {
	s := source{data: (*float32)(t.Data), lane: t.Stride(0), step: 1}
	if swapped {
		s.lane, s.step = s.step, s.lane
	}
	return s
}

func (x *matmul) run() {
	for i := range x.slabs {
		x.toPack[i].Store(int32(x.slabs[i].packs()))
		x.toDo[i].Store(int32(x.slabs[i].compute))
	}
	clear(x.sums)
	if !x.inline {
		x.d.pool.run(x.pieces, x.job)
		return
	}
	for piece := range x.pieces {
		x.job(piece, 0)
	}
}

// piece does one piece of the list: in the part of slab s, its computing with the packing of the next slab spread over
// it, but for the first pieces and the last ones, one for each worker; before slab 0 stands its packing.
func (x *matmul) piece(piece, worker int) {
	at := x.find(piece)
	s := &x.slabs[at]
	piece -= s.first
	if at == 0 {
		if piece < s.packs() {
			x.pack(0, piece)
			return
		}
		piece -= s.packs()
	}
	if at+1 == len(x.slabs) {
		x.compute(at, piece, worker)
		return
	}
	ends, packs := min(x.d.pool.threads, s.compute/2), x.slabs[at+1].packs()
	mixed := packs + s.compute - 2*ends
	switch done := (piece - ends) * packs / max(1, mixed); { // packs before this piece
	case piece < ends:
		x.compute(at, piece, worker)
	case piece >= ends+mixed:
		x.compute(at, piece-packs, worker)
	case (piece-ends+1)*packs/mixed > done:
		x.pack(at+1, done)
	default:
		x.compute(at, piece-done, worker)
	}
}

func (s *slab) packs() int { return s.packA + s.packB }

// find is the slab in whose part of the list a piece stands.
func (x *matmul) find(piece int) int {
	lo, hi := 0, len(x.slabs)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; x.slabs[mid].first <= piece {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// pack packs some panels of a slab. What they are written over belongs to slabs before the one before.
func (x *matmul) pack(at, piece int) {
	for i := range at - 1 {
		x.d.pool.await(&x.toDo[i], 0)
	}
	s := &x.slabs[at]
	if piece < s.packA {
		x.packPanels(&x.a, s.a, s.i, s.p, s.m, s.k, piece)
	} else {
		x.packPanels(&x.b, s.b, s.j, s.p, s.n, s.k, piece-s.packA)
	}
	x.toPack[at].Add(-1)
}

// compute computes a piece of the slab's part of c. Neighbours in the list share their panels of b.
func (x *matmul) compute(number, piece, worker int) {
	s := &x.slabs[number]
	x.d.pool.await(&x.toPack[number], 0)
	x.d.pool.await(&x.sums[s.sums+piece], int32(s.turn))
	down := ceilDiv(s.m, x.rows)
	i, j := piece%down*x.rows, piece/down*x.cols
	m, n := min(x.rows, s.m-i), min(x.cols, s.n-j)
	a, b := s.a.from(i/x.a.lanes), s.b.from(j/x.b.lanes)
	fromRow, fromCol := 0, 0 // what is left
	switch {
	case x.a.own:
		a = x.ownPanels(&x.a, s.k, worker)
		fromCol = min(n, up(ownPass, x.t.cols))
		x.packAndCompute(&x.a, number, piece, i, j, m, fromCol, a, b, worker)
	case x.b.own:
		b = x.ownPanels(&x.b, s.k, worker)
		fromRow = min(m, up(ownPass, x.t.rows))
		x.packAndCompute(&x.b, number, piece, i, j, fromRow, n, a, b, worker)
	}
	for v := fromCol; v < n; v += pieceCols {
		for u := fromRow; u < m; u += pieceRows {
			y := x.block(s, i+u, j+v, min(pieceRows, m-u), min(pieceCols, n-v), a.from(u/x.a.lanes), b.from(v/x.b.lanes))
			x.t.run(&y, x.d.scratch.worker[worker][:edgeFloats])
			x.finish(s, i+u, j+v, y.m, y.n, worker)
		}
	}
	x.sums[s.sums+piece].Add(1)
	x.toDo[number].Add(-1)
}

// block is rows [i, i+m) and columns [j, j+n) of the slab's part of c.
func (x *matmul) block(s *slab, i, j, m, n int, a, b panels) block {
	y := block{
		m: m, n: n, k: x.t.elements(s.k), a: a, b: b,
		c: at(x.c, (s.i+i)*x.cRow+s.j+j), cRow: x.cRow,
		add: x.add || s.p > 0,
	}
	if s.p == 0 && x.bias != nil {
		y.bias = at(x.bias, s.j+j)
	}
	return y
}

// finish runs the epilogue on a block of the slab's part of c, if these were its last sums.
func (x *matmul) finish(s *slab, i, j, m, n, worker int) {
	if s.p+s.k == x.k {
		x.end.finish(s.i+i, s.j+j, m, n, worker)
	}
}
