package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// attentionForward is a bound attention. A piece is one tile of queries of one head.
type attentionForward struct {
	*attention
	o       heads
	lse     []float32
	workers []forwardTile
	piece   func(piece, worker int)
	before  float32 // see factors
	after   float32
}

// forwardTile is what a worker knows of its tile of queries: the running softmax
// and, transposed, the queries and the sums Σ p·v.
type forwardTile struct {
	b, h, g, i, n, worker int
	mask                  tileMask
	max, sum, alpha       [queryTile]float32
	edge, qT, oT, s       []float32
	begun                 bool // whether oT holds anything
}

func bindAttention(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	shared, err := newAttention(d, c.Args[:3], c.Args[3:10], c.Attrs, s)
	if err != nil {
		return nil, err
	}
	x := &attentionForward{attention: shared, o: headsOf(c.Args[10]), lse: floats(c.Args[11])}
	x.before, x.after = x.factors()
	x.workers = make([]forwardTile, d.pool.threads)
	for w := range x.workers {
		part := cutter(d.scratch.worker[w])
		x.workers[w] = forwardTile{worker: w, edge: part.take(edgeFloats), qT: part.take(x.width * queryTile),
			oT: part.take(x.width * queryTile), s: part.take(keyBlock * queryTile)}
	}
	x.piece = x.run
	return func() {
		x.drop.begin()
		d.pool.run(x.b*x.h*x.queryTiles(), x.piece)
	}, nil
}

// cutter hands out parts of a scratch.
type cutter []float32

func (c *cutter) take(n int) []float32 {
	part := (*c)[:n:n]
	*c = (*c)[up(n, 16):]
	return part
}

// run computes one piece. The last tiles, which see the most keys of a causal mask, come first.
func (x *attentionForward) run(piece, worker int) {
	w, tiles := &x.workers[worker], x.queryTiles()
	w.b, w.h, w.i = piece/tiles/x.h, piece/tiles%x.h, (tiles-1-piece%tiles)*queryTile
	w.g, w.n = w.h/(x.h/x.g), min(queryTile, x.t-w.i)
	x.begin(w)
	for j := w.mask.from; j < w.mask.to; j += keyBlock {
		keys := min(keyBlock, w.mask.to-j)
		if w.mask.sees(&x.mask, w.b, j, keys) {
			x.block(w, j, keys)
		}
	}
	x.end(w)
}

func (x *attentionForward) begin(w *forwardTile) {
	w.mask.begin(&x.mask, w.b, w.i, w.n)
	w.begun = false
	for r := range queryTile {
		w.max[r], w.sum[r] = -math.MaxFloat32, 0
	}
	if w.mask.from < w.mask.to {
		x.transpose(w.qT, x.q, w.b, w.i, w.h, w.n)
		x.scaleAll(w.qT, x.width, x.before)
	}
}

// block takes keys [j, j+keys) into the tile's softmax and sums.
func (x *attentionForward) block(w *forwardTile, j, keys int) {
	vectors := ceilDiv(w.n, x.ops.lanes)
	x.scores(w.s, x.k, w.b, j, w.g, keys, w.n, w.qT, w.edge)
	if x.cap > 0 {
		s := w.s[:keys*queryTile]
		x.d.vector().value[tanh](s, s)
		x.scaleAll(s, keys, x.after)
	}
	w.mask.hide(&x.mask, x.ops, w.s, w.b, j, keys, w.n)
	x.ops.softmax(keys, vectors, &w.s[0], &w.max[0], &w.sum[0], &w.alpha[0])
	x.drop.apply(w.s, w.b, w.h, w.i, w.n, j, keys, w.worker)
	if w.begun && !allOnes(w.alpha[:w.n]) {
		x.ops.scale(x.width, vectors, &w.oT[0], &w.alpha[0])
	}
	x.gather(w.oT, x.v, w.b, j, w.g, keys, w.n, w.s, w.begun, w.edge)
	w.begun = true
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
func (x *attentionForward) end(w *forwardTile) {
	if !w.begun {
		clear(w.oT)
	}
	lse := x.lse[(w.b*x.h+w.h)*x.t+w.i:][:w.n]
	for r := range lse {
		w.alpha[r], lse[r] = 0, hidden
		if w.sum[r] != 0 {
			w.alpha[r] = 1 / w.sum[r]
			lse[r] = float32((float64(w.max[r]) + math.Log2(float64(w.sum[r]))) * math.Ln2)
		}
	}
	x.ops.scale(x.width, ceilDiv(w.n, x.ops.lanes), &w.oT[0], &w.alpha[0])
	x.untranspose(x.o, w.b, w.i, w.h, w.n, w.oT)
}
