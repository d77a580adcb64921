package cpu

import "sync/atomic"

// The cutting of a product. All sizes follow from the shapes, those of pieces from the number of threads, too: the order
// in which an element of c is summed does not depend on its piece.
const (
	kBlock         = 384             // elements for each lane of one slab: a panel of a then fits the first cache
	pieceRows      = 96              // of c in one piece
	pieceCols      = 256             // with kBlock, what a piece reads of b fits the second cache
	ownLanes       = 128             // of an operand that workers pack for themselves, in one piece
	ownInner       = 512             // lanes of a slab of the other operand then: the second cache holds most of it
	ownPass        = 256             // lanes of the other operand that are multiplied with each panel right after its packing
	packFloats     = 1 << 14         // packed by one piece
	enoughPieces   = 16              // to share out evenly
	ownTurns       = 3               // pieces of c for each thread, at least, where workers pack for themselves
	directCols     = 128             // products no wider read a where it lies: packing it would not pay
	inlineFlops    = 1 << 19         // smaller products run on their caller: waking workers costs more
	residentFloats = panelFloats     // an operand that takes no more is packed once, and stays
	slabFloats     = panelFloats / 2 // of a slab of one that does not
)

// operand is a or b of a product, and how it is packed.
type operand struct {
	source
	count    int         // lanes
	lanes    int         // of a panel
	stride   int         // floats from one step of a packed panel to the next; at least lanes
	slab     int         // lanes of one slab
	per      int         // panels that one piece packs
	direct   bool        // it is read where it lies
	resident bool        // slabs stay, one for every kStep steps
	own      bool        // the worker of a piece packs what the piece needs of it, for itself
	space    [2]*float32 // where slabs are packed, in turn
	now      part        // of the slab being listed
}

// part is lanes [lane, lane+n) of an operand in the steps of one slab.
type part struct {
	lane, n int
	panels
	turn  int // slabs packed so far, this one counted
	packs int // pieces that pack it; 0: it is there already
}

// floats is the size of the packed operand, k elements for each lane.
func (o *operand) floats(k int) int { return up(o.count, o.lanes) / o.lanes * o.stride * k }

// cut makes the list of pieces. The slabs of one operand, the outer one, are gone through once, and those of the other
// for each of them: they are packed anew each time, unless the whole of it is resident.
func (x *matmul) cut() {
	t := x.t
	x.kStep = evenly(x.k, kBlock*t.steps, t.steps)
	x.a.direct = t.steps == 1 && x.round == nil && x.n <= directCols && x.a.lane%512 != 0 && x.a.step%512 != 0
	outer, inner, k := &x.b, &x.a, t.elements(x.k)
	if small := x.b.floats(k) <= residentFloats; small && (x.a.direct || x.a.floats(k) >= x.b.floats(k)) {
		outer, inner = inner, outer
	}
	inner.resident = inner.floats(k) <= residentFloats
	x.a.place(x.d.scratch.a, t.elements(x.kStep))
	x.b.place(x.d.scratch.b, t.elements(x.kStep))
	x.rows, x.cols = x.pieceSize(min(x.m, x.a.slab), min(x.n, x.b.slab))
	if x.inline = 2*x.m*x.n*x.k <= inlineFlops; x.inline {
		x.rows, x.cols = up(x.m, t.rows), up(x.n, t.cols)
	} else {
		x.letOwn(outer, inner)
	}
	if x.m > 0 && x.n > 0 {
		x.list(outer, inner)
	}
	x.job = x.piece
}

// letOwn has the workers pack the outer operand for themselves, a block of lanes for each piece, which is multiplied with
// all lanes of the inner one's slab: what they pack stays in their caches, and they ask for the next panel while they compute.
func (x *matmul) letOwn(outer, inner *operand) {
	if outer.direct || inner.direct {
		return
	}
	inner.resident, inner.slab = false, evenly(inner.count, ownInner, inner.lanes)
	inner.space[1] = at(inner.space[0], slabFloats)
	unit, k := outer.lanes, x.t.elements(x.kStep)
	lanes := evenly(outer.count, ownLanes, unit)
	few := func() bool {
		ofC := ceilDiv(outer.count, lanes) * ceilDiv(inner.count, inner.slab)
		return ofC*ceilDiv(x.k, x.kStep) < enoughPieces || ofC < ownTurns*x.d.pool.threads
	}
	for lanes > unit && few() && lanes*inner.count*k > 2*inlineFlops {
		lanes = up(lanes/2, unit)
	}
	outer.own, outer.slab = true, up(outer.count, unit)
	if outer == &x.b {
		x.rows, x.cols = up(inner.slab, x.t.rows), lanes
	} else {
		x.rows, x.cols = lanes, up(inner.slab, x.t.cols)
	}
	x.next = make([]lines, x.d.pool.threads)
}

// place gives an operand the space for its slabs, k elements for each lane.
func (o *operand) place(space []float32, k int) {
	k = max(1, k)
	o.per = max(1, packFloats/(o.stride*k))
	o.slab = max(o.lanes, up(o.count, o.lanes))
	o.space = [2]*float32{&space[0], &space[0]}
	if !o.resident && !o.direct {
		o.slab = evenly(o.count, slabFloats/(o.stride*k)*o.lanes, o.lanes)
		o.space[1] = &space[slabFloats]
	}
}

// list makes the slabs in the order in which they are computed.
func (x *matmul) list(outer, inner *operand) {
	sums := 0 // pieces of c
	for o := 0; o < outer.count; o += outer.slab {
		first := make([]int, ceilDiv(inner.count, inner.slab)) // of the pieces of c of each slab of inner
		add := func(i, p int) {
			k := min(x.kStep, x.k-p)
			outer.turnTo(x.t, o, p, k, i == 0)
			inner.turnTo(x.t, i, p, k, o == 0 || !inner.resident)
			s := x.slab(p, k)
			if p == 0 {
				first[i/inner.slab] = sums
				sums += s.compute
			}
			s.turn, s.sums = p/x.kStep, first[i/inner.slab]
			x.append(s)
		}
		if outer.own { // c stays in the caches
			for i := 0; i < inner.count; i += inner.slab {
				for p := 0; p < max(1, x.k); p += x.kStep {
					add(i, p)
				}
			}
			continue
		}
		for p := 0; p < max(1, x.k); p += x.kStep {
			for i := 0; i < inner.count; i += inner.slab {
				add(i, p)
			}
		}
	}
	x.toPack, x.toDo, x.sums = make([]atomic.Int32, len(x.slabs)), make([]atomic.Int32, len(x.slabs)), make([]atomic.Int32, sums)
}

// turnTo makes lanes from lane on, in steps [p, p+k), the operand's part of the slab; fresh says that it is not packed yet.
func (o *operand) turnTo(t *tileSet, lane, p, k int, fresh bool) {
	o.now.lane, o.now.n, o.now.packs = lane, min(o.slab, o.count-lane), 0
	if o.direct {
		o.now.panels = panels{o.at(lane, p).data, o.lanes * o.lane, o.lane, o.step}
		return
	}
	if o.own {
		return
	}
	if o.resident {
		o.now.panels = panels{at(o.space[0], o.floats(t.elements(p))), o.stride * t.elements(k), 1, o.stride}
	} else if fresh {
		o.now.panels = panels{o.space[o.now.turn%2], o.stride * t.elements(k), 1, o.stride}
	}
	if fresh {
		o.now.turn++
		o.now.packs = ceilDiv(ceilDiv(o.now.n, o.lanes), o.per)
	}
}

// slab is the slab of the operands' current parts.
func (x *matmul) slab(p, k int) slab {
	a, b := &x.a.now, &x.b.now
	return slab{i: a.lane, j: b.lane, p: p, m: a.n, n: b.n, k: k, a: a.panels, b: b.panels, packA: a.packs, packB: b.packs,
		compute: ceilDiv(a.n, x.rows) * ceilDiv(b.n, x.cols)}
}

// append adds a slab's pieces to the list. Those that pack it stand in the part of the slab before.
func (x *matmul) append(s slab) {
	s.first = x.pieces
	if len(x.slabs) > 0 {
		s.first += s.packs()
	}
	x.pieces += s.packs() + s.compute
	x.slabs = append(x.slabs, s)
}

// pieceSize cuts m × n elements of c, smaller while there are few pieces and each is worth handing out.
func (x *matmul) pieceSize(m, n int) (rows, cols int) {
	t := x.t
	rows, cols = evenly(m, pieceRows, t.rows), evenly(n, pieceCols, t.cols)
	for ceilDiv(m, rows)*ceilDiv(n, cols) < enoughPieces && 2*rows*cols*t.elements(x.kStep) > 2*inlineFlops {
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
