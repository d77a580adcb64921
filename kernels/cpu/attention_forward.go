package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// attentionForward is a bound attention. A piece is a few tiles of queries of the heads that share a key-value head,
// so that a block of keys is read once for all of them.
type attentionForward struct {
	*attention
	o             heads
	lse           []float32
	before        before
	group         int // tiles of one piece
	workers       []forwardWorker
	scaleQ, after float32 // see factors
}

// maxGroup is the largest number of tiles in a piece.
const maxGroup = 4

// forwardWorker is a worker's part of the scratch, and what it knows of its tiles.
type forwardWorker struct {
	worker, b, g int
	edge, s      []float32
	k, v         []float32 // copies of keys and values
	tiles        []forwardTile
}

// forwardTile is the running softmax of a tile of queries and, transposed, the queries and the sums Σ p·v.
type forwardTile struct {
	h, i, n         int
	mask            tileMask
	max, sum, alpha [queryTile]float32
	qT, oT          []float32
	begun           bool // whether oT holds anything
}

func bindAttention(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	shared, err := newAttention(d, c.Args[:3], c.Args[3:11], c.Args[13], c.Attrs, s)
	if err != nil {
		return nil, err
	}
	o, lse, known := headsOf(c.Args[11]), floats(c.Args[12]), newBefore(c.Args[14], c.Args[15])
	if shared.t*(shared.h/shared.g) <= decodeRows {
		return newAttentionDecode(shared, o, lse, known).run, nil
	}
	x := &attentionForward{attention: shared, o: o, lse: lse, before: known}
	x.group = x.groupSize()
	x.scaleQ, x.after = x.factors()
	x.workers = make([]forwardWorker, d.pool.threads)
	for w := range x.workers {
		x.workers[w] = x.newWorker(w)
	}
	pieces, job := x.b*x.g*ceilDiv(x.tilesPerKeyHead(), x.group), x.run
	return func() {
		x.drop.begin()
		d.pool.run(pieces, job)
	}, nil
}

// tilesPerKeyHead is the number of tiles of queries that share a key-value head.
func (x *attentionForward) tilesPerKeyHead() int { return x.h / x.g * x.queryTiles() }

// groupSize leaves enough pieces to share out.
func (x *attentionForward) groupSize() int {
	switch total := x.b * x.g * x.tilesPerKeyHead(); {
	case total < 32:
		return 1
	case total < 128 || x.width > 256:
		return 2
	}
	return maxGroup
}

func (x *attentionForward) newWorker(worker int) forwardWorker {
	part := cutter(x.d.scratch.worker[worker])
	w := forwardWorker{worker: worker, edge: part.take(edgeFloats), s: part.take(x.keyBlock * queryTile),
		k: part.take(x.keyBlock * x.padded())}
	if x.round != nil {
		w.v = part.take(x.keyBlock * x.padded())
	}
	for range x.group {
		w.tiles = append(w.tiles, forwardTile{qT: part.take(x.width * queryTile), oT: part.take(x.width * queryTile)})
	}
	return w
}

// cutter hands out parts of a scratch.
type cutter []float32

func (c *cutter) take(n int) []float32 {
	part := (*c)[:n:n]
	*c = (*c)[up(n, 16):]
	return part
}

// run computes one piece. The last tiles of a head, which see the most keys of a causal mask, come first.
func (x *attentionForward) run(piece, worker int) {
	w, total := &x.workers[worker], x.tilesPerKeyHead()
	groups := ceilDiv(total, x.group)
	w.b, w.g = piece/groups/x.g, piece/groups%x.g
	first := piece % groups * x.group
	tiles := w.tiles[:min(x.group, total-first)]
	from, to := x.s, 0
	for r := range tiles {
		tile := &tiles[r]
		tile.h = w.g*(x.h/x.g) + (first+r)/x.queryTiles()
		tile.i = (x.queryTiles() - 1 - (first+r)%x.queryTiles()) * queryTile
		x.begin(w, tile)
		from, to = min(from, tile.mask.from), max(to, tile.mask.to)
	}
	for j := from; j < to; j += x.keyBlock {
		x.blockOfKeys(w, tiles, j, min(x.keyBlock, to-j))
	}
	for r := range tiles {
		x.end(w, &tiles[r])
	}
}

func (x *attentionForward) begin(w *forwardWorker, tile *forwardTile) {
	tile.n, tile.begun = min(queryTile, x.t-tile.i), false
	tile.mask.begin(&x.mask, w.b, tile.i, tile.n)
	for r := range queryTile {
		tile.max[r], tile.sum[r] = -math.MaxFloat32, 0
	}
	if tile.mask.from < tile.mask.to {
		x.transpose(tile.qT, x.q, w.b, tile.i, tile.h, tile.n)
		x.scaleAll(tile.qT, x.width, x.scaleQ)
	}
}

// blockOfKeys takes keys [j, j+keys) into every tile that sees some of them.
func (x *attentionForward) blockOfKeys(w *forwardWorker, tiles []forwardTile, j, keys int) {
	k, v, ready := rowsOf{}, rowsOf{}, false
	for r := range tiles {
		tile := &tiles[r]
		from, to := max(j, tile.mask.from), min(j+keys, tile.mask.to)
		if from >= to || !tile.mask.sees(&x.mask, w.b, from, to-from) {
			continue
		}
		if !ready {
			k, v, ready = x.rows(x.k, w.b, j, w.g, keys, false, w.k), x.values(w, j, keys), true
		}
		x.block(w, tile, k.from(from-j), v.from(from-j), from, to-from)
	}
}

// values is rows [j, j+keys) of v, as they lie unless they must be rounded.
func (x *attentionForward) values(w *forwardWorker, j, keys int) rowsOf {
	if x.round == nil {
		return rowsOf{x.v.at(w.b, j, w.g), x.v.t}
	}
	return x.rows(x.v, w.b, j, w.g, keys, false, w.v)
}

// block takes keys [j, j+keys), the rows of k and v, into a tile's softmax and sums.
func (x *attentionForward) block(w *forwardWorker, tile *forwardTile, k, v rowsOf, j, keys int) {
	if !tile.begun && x.before.there() {
		x.goOn(w, tile)
	}
	vectors := ceilDiv(tile.n, x.ops.lanes)
	s := w.s[:keys*queryTile]
	x.scores(s, k, keys, tile.n, tile.qT, w.edge)
	if x.cap > 0 {
		x.d.vector().value[tanh](s, s)
		x.scaleAll(s, keys, x.after)
	}
	tile.mask.hide(&x.mask, x.ops, s, w.b, j, keys, tile.n)
	x.ops.softmax(keys, vectors, &s[0], &tile.max[0], &tile.sum[0], &tile.alpha[0])
	x.drop.apply(s, w.b, tile.h, tile.i, tile.n, j, keys, w.worker)
	x.roundAll(s)
	if tile.begun && !allOnes(tile.alpha[:tile.n]) {
		x.ops.scale(x.width, vectors, &tile.oT[0], &tile.alpha[0])
	}
	x.d.tiles.run(&block{ // oT += vᵀ·p
		m: x.width, n: up(tile.n, x.ops.lanes), k: keys,
		a: x.columnsAsLanes(v.data, v.row), b: x.rowMajor(&s[0], queryTile),
		c: &tile.oT[0], cRow: queryTile, add: tile.begun,
	}, w.edge)
	tile.begun = true
}

func allOnes(x []float32) bool {
	for _, v := range x {
		if v != 1 {
			return false
		}
	}
	return true
}

// end divides by the sums and writes o and lse.
func (x *attentionForward) end(w *forwardWorker, tile *forwardTile) {
	if !tile.begun && x.before.there() { // no query sees any of these keys
		x.keep(w, tile)
		return
	}
	if !tile.begun {
		clear(tile.oT)
	}
	lse := x.lse[x.row(w, tile):][:tile.n]
	for r := range lse {
		tile.alpha[r], lse[r] = 0, hidden
		if tile.sum[r] != 0 {
			tile.alpha[r] = 1 / tile.sum[r]
			lse[r] = float32((float64(tile.max[r]) + math.Log2(float64(tile.sum[r]))) * math.Ln2)
		}
	}
	x.ops.scale(x.width, ceilDiv(tile.n, x.ops.lanes), &tile.oT[0], &tile.alpha[0])
	x.untranspose(x.o, w.b, tile.i, tile.h, tile.n, tile.oT)
}
