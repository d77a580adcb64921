package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// attentionGrad is a bound gradient of attention. First D_i = Σ do_i·o_i goes into the workspace. Then, where there are
// enough key-value heads to share out, a piece is one of them with all its queries and keys and writes its part of dq,
// dk and dv. Else there are two passes, which both compute the scores: one for dq, its pieces tiles of queries, and
// one for dk and dv, its pieces blocks of keys.
type attentionGrad struct {
	*attention
	do, o, dq, dk, dv      heads
	lse, sums              []float32 // [B, H, T]; sums holds D
	workers                []gradWorker
	sum, whole, forQ, forK func(piece, worker int)
	before, after          float32 // see factors
}

// wholeHeads is the number of key-value heads from which on the pieces are whole heads.
const wholeHeads = 8

// gradWorker is what a worker knows of its tile of queries.
type gradWorker struct {
	b, h, g, i, n, worker int
	mask                  tileMask
	lse, d                [queryTile]float32 // of each query; lse to base 2, +Inf where no key is seen
	edge, qT, doT, dqT    []float32
	p, ds, capped         []float32 // of one block
	q, do                 panels    // the rows of the tile as operand b
	qRows, doRows         []float32 // copies of them, where operand b would be read beyond the last column
	begun                 bool      // whether dqT holds anything
}

func bindAttentionGrad(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	a := c.Args
	shared, err := newAttention(d, a[1:4], a[6:13], c.Attrs, s)
	if err != nil {
		return nil, err
	}
	x := &attentionGrad{attention: shared, do: headsOf(a[0]), o: headsOf(a[4]), lse: floats(a[5]),
		dq: headsOf(a[13]), dk: headsOf(a[14]), dv: headsOf(a[15])}
	x.sums = floatsOf(a[16], len(x.lse))
	x.before, x.after = x.factors()
	x.workers = make([]gradWorker, d.pool.threads)
	for w := range x.workers {
		x.workers[w] = x.newTile(w)
	}
	x.sum, x.whole, x.forQ, x.forK = x.sumPiece, x.wholePiece, x.queryPiece, x.keyPiece
	return x.run, nil
}

func (x *attentionGrad) newTile(worker int) gradWorker {
	part := cutter(x.d.scratch.worker[worker])
	w := gradWorker{worker: worker, edge: part.take(edgeFloats),
		qT: part.take(x.width * queryTile), doT: part.take(x.width * queryTile), dqT: part.take(x.width * queryTile),
		p: part.take(keyBlock * queryTile), ds: part.take(keyBlock * queryTile), capped: part.take(keyBlock * queryTile)}
	if x.copyRows() {
		w.qRows, w.doRows = part.take(queryTile*x.padded()), part.take(queryTile*x.padded())
	}
	return w
}

// copyRows says whether the rows of q and do must be copied for their reading to stay within them.
func (x *attentionGrad) copyRows() bool { return x.width%x.d.tiles.widths[0] != 0 }

func (x *attentionGrad) padded() int { return up(x.width, x.d.tiles.widths[0]) }

func (x *attentionGrad) run() {
	x.drop.begin()
	x.d.pool.run(x.b*x.queryTiles(), x.sum)
	if x.b*x.g >= wholeHeads {
		x.d.pool.run(x.b*x.g, x.whole)
		return
	}
	x.d.pool.run(x.b*x.h*x.queryTiles(), x.forQ)
	x.d.pool.run(x.b*x.g*ceilDiv(x.s, keyBlock), x.forK)
}

// sumPiece computes D of a tile of queries, all heads.
func (x *attentionGrad) sumPiece(piece, _ int) {
	b, first := piece/x.queryTiles(), piece%x.queryTiles()*queryTile
	for i := first; i < min(x.t, first+queryTile); i++ {
		for h := range x.h {
			x.sums[(b*x.h+h)*x.t+i] = dot(row(x.do, b, i, h, x.width), row(x.o, b, i, h, x.width))
		}
	}
}

// wholePiece computes the gradients of one key-value head and of its queries.
func (x *attentionGrad) wholePiece(piece, worker int) {
	w := &x.workers[worker]
	w.b, w.g = piece/x.g, piece%x.g
	x.clearKeys(w, 0, x.s)
	for h := range x.h / x.g {
		for i := 0; i < x.t; i += queryTile {
			x.begin(w, w.g*(x.h/x.g)+h, i)
			x.eachBlock(w, 0, x.s, true, true)
			x.end(w)
		}
	}
}

// queryPiece computes dq of a tile of queries of one head.
func (x *attentionGrad) queryPiece(piece, worker int) {
	w, tiles := &x.workers[worker], x.queryTiles()
	h := piece / tiles % x.h
	w.b, w.g = piece/tiles/x.h, h/(x.h/x.g)
	x.begin(w, h, (tiles-1-piece%tiles)*queryTile)
	x.eachBlock(w, 0, x.s, true, false)
	x.end(w)
}

// keyPiece computes dk and dv of a block of keys of one key-value head.
func (x *attentionGrad) keyPiece(piece, worker int) {
	w, blocks := &x.workers[worker], ceilDiv(x.s, keyBlock)
	w.b, w.g = piece/blocks/x.g, piece/blocks%x.g
	j := piece % blocks * keyBlock
	to := min(x.s, j+keyBlock)
	x.clearKeys(w, j, to)
	for h := range x.h / x.g {
		for i := 0; i < x.t; i += queryTile {
			x.begin(w, w.g*(x.h/x.g)+h, i)
			x.eachBlock(w, j, to, false, true)
		}
	}
}

func (x *attentionGrad) clearKeys(w *gradWorker, from, to int) {
	for j := from; j < to; j++ {
		clear(row(x.dk, w.b, j, w.g, x.width))
		clear(row(x.dv, w.b, j, w.g, x.width))
	}
}

// begin turns to the tile of queries of head h that starts at i.
func (x *attentionGrad) begin(w *gradWorker, h, i int) {
	w.h, w.i, w.n, w.begun = h, i, min(queryTile, x.t-i), false
	w.mask.begin(&x.mask, w.b, i, w.n)
	if w.mask.from >= w.mask.to {
		return
	}
	lse, d := x.lse[(w.b*x.h+h)*x.t+i:][:w.n], x.sums[(w.b*x.h+h)*x.t+i:][:w.n]
	for r := range queryTile { // lanes beyond n get p = 0
		w.lse[r], w.d[r] = float32(math.Inf(1)), 0
	}
	for r, l := range lse {
		if !math.IsInf(float64(l), -1) {
			w.lse[r] = float32(float64(l) * math.Log2E)
		}
		w.d[r] = d[r]
	}
	x.transpose(w.qT, x.q, w.b, i, h, w.n)
	x.scaleAll(w.qT, x.width, x.before)
	x.transpose(w.doT, x.do, w.b, i, h, w.n)
	w.q, w.do = x.rows(w, x.q, w.qRows), x.rows(w, x.do, w.doRows)
}

// rows is the tile's rows of m as operand b of a product.
func (x *attentionGrad) rows(w *gradWorker, m heads, copies []float32) panels {
	if copies == nil {
		return x.rowMajor(m.at(w.b, w.i, w.h), m.t)
	}
	for r := range w.n {
		copy(copies[r*x.padded():], row(m, w.b, w.i+r, w.h, x.width))
	}
	return x.rowMajor(&copies[0], x.padded())
}

// eachBlock works through the keys in [from, to) that the tile sees, block by block.
func (x *attentionGrad) eachBlock(w *gradWorker, from, to int, forQ, forK bool) {
	from, to = max(from, w.mask.from), min(to, w.mask.to)
	for j := from; j < to; j += keyBlock {
		keys := min(keyBlock, to-j)
		if !w.mask.sees(&x.mask, w.b, j, keys) {
			continue
		}
		x.weights(w, j, keys)
		if forK {
			x.addKeys(w, j, keys)
		}
		if forQ {
			x.gather(w.dqT, x.k, w.b, j, w.g, keys, w.n, w.ds, w.begun, w.edge)
			w.begun = true
		}
	}
}

// weights computes drop(p) and scale·ds of keys [j, j+keys).
func (x *attentionGrad) weights(w *gradWorker, j, keys int) {
	p, ds, capped := w.p[:keys*queryTile], w.ds[:keys*queryTile], w.capped[:keys*queryTile]
	x.scores(p, x.k, w.b, j, w.g, keys, w.n, w.qT, w.edge)
	if x.cap > 0 {
		x.d.vector().both[tanh](p, capped, p) // capped = 1 − tanh²
		x.scaleAll(p, keys, x.after)
	}
	w.mask.hide(&x.mask, x.ops, p, w.b, j, keys, w.n)
	x.scores(ds, x.v, w.b, j, w.g, keys, w.n, w.doT, w.edge)
	x.drop.apply(ds, w.b, w.h, w.i, w.n, j, keys, w.worker)
	x.ops.grad(keys, ceilDiv(w.n, x.ops.lanes), &p[0], &ds[0], &w.lse[0], &w.d[0], x.scale)
	if x.cap > 0 {
		x.d.vector().mul(ds, ds, capped)
	}
	x.drop.apply(p, w.b, w.h, w.i, w.n, j, keys, w.worker)
}

// addKeys adds the tile's part of dv = Σ p·do and dk = Σ ds·q.
func (x *attentionGrad) addKeys(w *gradWorker, j, keys int) {
	y := block{m: keys, n: x.width, k: w.n, add: true}
	y.a, y.b, y.c, y.cRow = x.rowsAsLanes(&w.p[0], queryTile), w.do, x.dv.at(w.b, j, w.g), x.dv.t
	x.d.tiles.run(&y, w.edge)
	y.a, y.b, y.c, y.cRow = x.rowsAsLanes(&w.ds[0], queryTile), w.q, x.dk.at(w.b, j, w.g), x.dk.t
	x.d.tiles.run(&y, w.edge)
}

// end writes dq.
func (x *attentionGrad) end(w *gradWorker) {
	if !w.begun {
		clear(w.dqT)
	}
	x.untranspose(x.dq, w.b, w.i, w.h, w.n, w.dqT)
}
