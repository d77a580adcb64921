package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// attentionGrad is a bound gradient of attention. First D_i = Σ do_i·o_i goes into the workspace. Then, where there are
// enough key-value heads to share out, a piece is one of them with all its queries and keys, and writes its part of dq,
// dk and dv. Else there are two passes, which both compute the scores: one for dq, its pieces tiles of queries, and
// one for dk and dv, its pieces blocks of keys. Both ways add up the same terms in the same order, so that they may be chosen
// by the number of threads.
type attentionGrad struct {
	*attention
	do, o, dq, dk, dv      heads
	lse, sums              []float32 // [B, H, T]; sums holds D
	workers                []gradWorker
	sum, whole, forQ, forK func(piece, worker int)
	before, after          float32 // see factors
}

// Products that the gradient of a tile takes, by whole heads and by two passes.
const productsWhole, productsApart = 5, 7

// inWhole says whether pieces of whole key-value heads, which leave threads idle where they do not share out evenly, are
// done before two passes would be.
func inWhole(heads, threads int) bool {
	return ceilDiv(heads, threads)*threads*productsWhole <= heads*productsApart
}

// gradWorker is a worker's part of the scratch, and what it knows of its tile of queries and block of keys.
type gradWorker struct {
	worker, b, g  int
	edge          []float32
	p, ds, capped []float32 // scores and what becomes of them

	h, i, n int // the tile
	mask    tileMask
	lse, d  [queryTile]float32 // of each query; lse to base 2, +Inf where no key is seen
	qT, doT []float32
	q, do   rowsOf

	j, keys       int // the block
	k, v          rowsOf
	kCopy, vCopy  []float32
	qCopy, doCopy []float32
	forQ, forK    bool
}

func bindAttentionGrad(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	a := c.Args
	shared, err := newAttention(d, a[1:4], a[6:14], a[18], c.Attrs, s)
	if err != nil {
		return nil, err
	}
	x := &attentionGrad{attention: shared, do: headsOf(a[0]), o: headsOf(a[4]), lse: floats(a[5]),
		dq: headsOf(a[14]), dk: headsOf(a[15]), dv: headsOf(a[16])}
	x.sums = floatsOf(a[17], len(x.lse))
	x.before, x.after = x.factors()
	x.workers = make([]gradWorker, d.pool.threads)
	for w := range x.workers {
		x.workers[w] = x.newWorker(w)
	}
	x.sum, x.whole, x.forQ, x.forK = x.sumPiece, x.wholePiece, x.queryPiece, x.keyPiece
	return x.run, nil
}

func (x *attentionGrad) newWorker(worker int) gradWorker {
	part := cutter(x.d.scratch.worker[worker])
	scores, tile := x.keyBlock*queryTile, queryTile*x.padded()
	return gradWorker{worker: worker, edge: part.take(edgeFloats),
		p: part.take(scores), ds: part.take(scores), capped: part.take(scores),
		qT: part.take(x.width * queryTile), doT: part.take(x.width * queryTile), qCopy: part.take(tile), doCopy: part.take(tile),
		kCopy: part.take(x.keyBlock * x.padded()), vCopy: part.take(x.keyBlock * x.padded())}
}

func (x *attentionGrad) run() {
	x.drop.begin()
	x.d.pool.run(x.b*x.queryTiles(), x.sum)
	if inWhole(x.b*x.g, x.d.pool.threads) {
		x.d.pool.run(x.b*x.g, x.whole)
		return
	}
	x.d.pool.run(x.b*x.h*x.queryTiles(), x.forQ)
	x.d.pool.run(x.b*x.g*ceilDiv(x.s, x.keyBlock), x.forK)
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

// wholePiece computes the gradients of one key-value head and of its queries. A block of keys and its gradients stay
// in the second cache while the queries pass by.
func (x *attentionGrad) wholePiece(piece, worker int) {
	w := &x.workers[worker]
	w.b, w.g, w.forQ, w.forK = piece/x.g, piece%x.g, true, true
	for r := range x.h / x.g {
		x.clearRows(x.dq, w.b, w.g*(x.h/x.g)+r, 0, x.t)
	}
	for j := 0; j < x.s; j += x.keyBlock {
		x.blockOfKeys(w, j)
	}
}

// keyPiece computes dk and dv of a block of keys of one key-value head.
func (x *attentionGrad) keyPiece(piece, worker int) {
	w, blocks := &x.workers[worker], ceilDiv(x.s, x.keyBlock)
	w.b, w.g, w.forQ, w.forK = piece/blocks/x.g, piece/blocks%x.g, false, true
	x.blockOfKeys(w, piece%blocks*x.keyBlock)
}

// blockOfKeys works through all queries that see keys from j on.
func (x *attentionGrad) blockOfKeys(w *gradWorker, j int) {
	x.openBlock(w, j)
	x.clearRows(x.dk, w.b, w.g, j, j+w.keys)
	x.clearRows(x.dv, w.b, w.g, j, j+w.keys)
	for r := range x.h / x.g {
		for i := 0; i < x.t; i += queryTile {
			if from, to := x.openTile(w, w.g*(x.h/x.g)+r, i); from < to {
				x.readTile(w)
				x.work(w, from, to)
			}
		}
	}
}

// queryPiece computes dq of a tile of queries of one head.
func (x *attentionGrad) queryPiece(piece, worker int) {
	w, tiles := &x.workers[worker], x.queryTiles()
	h, i := piece/tiles%x.h, (tiles-1-piece%tiles)*queryTile
	w.b, w.g, w.forQ, w.forK = piece/tiles/x.h, h/(x.h/x.g), true, false
	x.clearRows(x.dq, w.b, h, i, min(x.t, i+queryTile))
	read := false
	for j := 0; j < x.s; j += x.keyBlock {
		w.j, w.keys = j, min(x.keyBlock, x.s-j)
		from, to := x.openTile(w, h, i)
		if from >= to {
			continue
		}
		if !read {
			x.readTile(w)
			read = true
		}
		x.openBlock(w, j)
		x.work(w, from, to)
	}
}

func (x *attentionGrad) clearRows(m heads, b, h, from, to int) {
	for i := from; i < to; i++ {
		clear(row(m, b, i, h, x.width))
	}
}

// openBlock turns to the block of keys that starts at j.
func (x *attentionGrad) openBlock(w *gradWorker, j int) {
	w.j, w.keys = j, min(x.keyBlock, x.s-j)
	w.k = x.rows(x.k, w.b, j, w.g, w.keys, w.forQ, w.kCopy)
	w.v = x.rows(x.v, w.b, j, w.g, w.keys, false, w.vCopy)
}

// openTile turns to the tile of queries of head h that starts at i, and gives the keys of the block that it sees.
func (x *attentionGrad) openTile(w *gradWorker, h, i int) (from, to int) {
	w.h, w.i, w.n = h, i, min(queryTile, x.t-i)
	w.mask.begin(&x.mask, w.b, i, w.n)
	from, to = max(w.j, w.mask.from), min(w.j+w.keys, w.mask.to)
	if from < to && !w.mask.sees(&x.mask, w.b, from, to-from) {
		return 0, 0
	}
	return from, to
}

// readTile brings what belongs to the tile's queries into the forms that the products want.
func (x *attentionGrad) readTile(w *gradWorker) {
	at := (w.b*x.h+w.h)*x.t + w.i
	for r := range queryTile { // lanes beyond n get p = 0
		w.lse[r], w.d[r] = float32(math.Inf(1)), 0
	}
	for r, lse := range x.lse[at:][:w.n] {
		if lse != hidden {
			w.lse[r] = float32(float64(lse) * math.Log2E)
		}
		w.d[r] = x.sums[at+r]
	}
	x.transpose(w.qT, x.q, w.b, w.i, w.h, w.n)
	x.scaleAll(w.qT, x.width, x.before)
	x.transpose(w.doT, x.do, w.b, w.i, w.h, w.n)
	if w.forK {
		w.q, w.do = x.rows(x.q, w.b, w.i, w.h, w.n, true, w.qCopy), x.rows(x.do, w.b, w.i, w.h, w.n, true, w.doCopy)
	}
}

// work adds what keys [from, to) of the block and the queries of the tile give one another.
func (x *attentionGrad) work(w *gradWorker, from, to int) {
	keys := to - from
	k, v := w.k.from(from-w.j), w.v.from(from-w.j)
	x.weights(w, k, v, from, keys)
	if w.forK {
		x.addRows(w, x.dv.at(w.b, from, w.g), x.dv.t, keys, w.n, x.rowsAsLanes(&w.p[0], queryTile), w.do)
		x.addRows(w, x.dk.at(w.b, from, w.g), x.dk.t, keys, w.n, x.rowsAsLanes(&w.ds[0], queryTile), w.q)
	}
	if w.forQ {
		x.addRows(w, x.dq.at(w.b, w.i, w.h), x.dq.t, w.n, keys, x.columnsAsLanes(&w.ds[0], queryTile), k)
	}
}

// weights computes drop(p) and scale·ds, rounded, of keys [j, j+keys), the rows of k and v.
func (x *attentionGrad) weights(w *gradWorker, k, v rowsOf, j, keys int) {
	p, ds, capped := w.p[:keys*queryTile], w.ds[:keys*queryTile], w.capped[:keys*queryTile]
	x.scores(p, k, keys, w.n, w.qT, w.edge)
	if x.cap > 0 {
		x.d.vector().both[tanh](p, capped, p) // capped = 1 − tanh²
		x.scaleAll(p, keys, x.after)
	}
	w.mask.hide(&x.mask, x.ops, p, w.b, j, keys, w.n)
	x.scores(ds, v, keys, w.n, w.doT, w.edge)
	x.drop.apply(ds, w.b, w.h, w.i, w.n, j, keys, w.worker)
	x.ops.grad(keys, ceilDiv(w.n, x.ops.lanes), &p[0], &ds[0], &w.lse[0], &w.d[0], x.scale)
	if x.cap > 0 {
		x.d.vector().mul(ds, ds, capped)
	}
	x.drop.apply(p, w.b, w.h, w.i, w.n, j, keys, w.worker)
	x.roundAll(p)
	x.roundAll(ds)
}

// addRows sets c += a·b, rows × head width, over k steps.
func (x *attentionGrad) addRows(w *gradWorker, c *float32, cRow, rows, k int, a panels, b rowsOf) {
	x.d.tiles.run(&block{m: rows, n: x.width, k: k, a: a, b: x.rowMajor(b.data, b.row), c: c, cRow: cRow, add: true}, w.edge)
}
