package cpu

import (
	"math"
	"slices"
)

// decodeRows is the number of queries, those of the heads that share a key-value head together, up to which tiles of
// queries would be mostly empty.
const decodeRows = 8

// attentionDecode is a bound attention with few queries, as in generation. A piece is one key-value head with its
// queries, a row of scores for each: dot products with the keys, then sums of the rows of v.
type attentionDecode struct {
	*attention
	o       heads
	lse     []float32
	before  before
	rows    int
	workers []decodeWorker
	job     func(piece, worker int)
}

type decodeWorker struct {
	b, g       int
	out        []float32 // of dotFuncs, and rows of k or v that are rounded
	q, s, sums []float32 // rows of queries, of scores, of Σ p·v
	max, sum   [decodeRows]float32
}

func newAttentionDecode(shared *attention, o heads, lse []float32, known before) *attentionDecode {
	x := &attentionDecode{attention: shared, o: o, lse: lse, before: known, rows: shared.t * (shared.h / shared.g)}
	x.workers = make([]decodeWorker, x.d.pool.threads)
	for w := range x.workers {
		part := cutter(x.d.scratch.worker[w])
		x.workers[w] = decodeWorker{out: part.take(edgeFloats + 8*x.padded()), q: part.take(x.rows * x.width),
			s: part.take(x.rows * x.keyBlock), sums: part.take(x.rows * x.width)}
	}
	x.job = x.piece
	return x
}

func (x *attentionDecode) run() {
	x.drop.begin()
	x.d.pool.run(x.b*x.g, x.job)
}

// query is the head and the place of row r.
func (x *attentionDecode) query(w *decodeWorker, r int) (h, i int) {
	return w.g*(x.h/x.g) + r/x.t, r % x.t
}

func (x *attentionDecode) piece(piece, worker int) {
	w := &x.workers[worker]
	w.b, w.g = piece/x.g, piece%x.g
	from, to := x.s, 0
	for r := range x.rows {
		h, i := x.query(w, r)
		lo, hi := x.mask.span(w.b, i)
		if lo < hi {
			from, to = min(from, lo), max(to, hi)
		}
		q := w.q[r*x.width:][:x.width]
		x.copyRow(q, row(x.q, w.b, i, h, x.width))
		x.d.vector().scale(q, q, x.scale)
		w.max[r], w.sum[r] = hidden, 0
	}
	clear(w.sums)
	for r := range x.rows {
		if x.before.there() {
			x.goOn(w, r)
		}
	}
	for j := from; j < to; j += x.keyBlock {
		x.block(w, j, min(x.keyBlock, to-j))
	}
	for r := range x.rows {
		x.end(w, r)
	}
}

// block takes keys [j, j+keys) into the softmax and the sums of every row.
func (x *attentionDecode) block(w *decodeWorker, j, keys int) {
	x.fetch(x.k, w, j, min(2*decodeAhead, keys))
	products := dots{t: x.d.tiles, few: x.rows, k: x.width, a: source{&w.q[0], x.width, 1},
		b: source{x.k.at(w.b, j, w.g), x.k.t, 1}, c: &w.s[0], round: x.round, place: dotPlace{cFew: x.keyBlock, cMany: 1}}
	values := 0 // asked for
	for key := 0; key < keys; key += decodeAhead {
		if next := key + 2*decodeAhead; next < keys {
			x.fetch(x.k, w, j+next, min(decodeAhead, keys-next))
		} else {
			x.fetch(x.v, w, j+values, min(decodeAhead, keys-values))
			values += decodeAhead
		}
		products.run(key, min(keys, key+decodeAhead), w.out)
	}
	for r := range x.rows {
		x.row(w, r, j, w.s[r*x.keyBlock:][:keys])
	}
}

// decodeAhead is how many rows of a cache are asked for at a time, while as many are worked on.
const decodeAhead = 8

// fetch asks for rows [j, j+n) of the worker's head. The rows of a cache lie far apart, and no processor foresees the next; nor
// are they in its caches, through which all weights went since the last token.
func (x *attentionDecode) fetch(m heads, w *decodeWorker, j, n int) {
	prefetchRows(m.at(w.b, j, w.g), m.t, n, ceilDiv(4*x.width, lineBytes))
}

// row takes the scores s of keys from j on into row r.
func (x *attentionDecode) row(w *decodeWorker, r, j int, s []float32) {
	h, i := x.query(w, r)
	vec := x.d.vector()
	if x.cap > 0 {
		vec.scale(s, s, 1/x.cap)
		vec.value[tanh](s, s)
		vec.scale(s, s, x.cap)
	}
	x.hide(w.b, i, j, s)
	m := max(w.max[r], vec.max(s))
	if m == hidden { // no key is seen, or no score is a number, which shows in the sum
		if slices.ContainsFunc(s, isNaN) {
			w.sum[r] = float32(math.NaN())
		}
		return
	}
	vec.expScale(s, s, m, 1, 0)
	sums := w.sums[r*x.width:][:x.width]
	if alpha := float32(math.Exp(float64(w.max[r] - m))); alpha != 1 {
		vec.scale(sums, sums, alpha)
		w.sum[r] *= alpha
	}
	w.max[r] = m
	w.sum[r] += float32(vec.sum(s))
	x.drop.applyRow(s, w.b, h, i, j)
	x.roundAll(s)
	x.addValues(w, sums, s, j)
}

// hide sets the scores of keys that query i does not see to −Inf.
func (x *attentionDecode) hide(b, i, j int, s []float32) {
	lo, hi := x.mask.span(b, i)
	for key := range s {
		if j+key < lo || j+key >= hi {
			s[key] = hidden
		}
	}
	if x.mask.kSegments == nil {
		return
	}
	segment := x.mask.querySegment(b, i)
	for key, other := range x.mask.keySegments(b, j, len(s)) {
		if other != segment {
			s[key] = hidden
		}
	}
}

// addValues adds Σ p·v, v being rows from j on.
func (x *attentionDecode) addValues(w *decodeWorker, sums, p []float32, j int) {
	t := x.d.tiles
	for key := 0; key < len(p); {
		rows, f := 1, t.axpy1
		if len(p)-key >= 8 {
			rows, f = 8, t.axpy8
		}
		if next := key + 2*decodeAhead; next < len(p) {
			x.fetch(x.v, w, j+next, min(rows, len(p)-next))
		}
		v := rowsOf{x.v.at(w.b, j+key, w.g), x.v.t}
		if x.round != nil {
			v = x.attention.rows(x.v, w.b, j+key, w.g, rows, false, w.out[edgeFloats:])
		}
		f(x.width, &sums[0], &p[key], 1, v.data, v.row)
		key += rows
	}
}

// end divides by the sum and writes row r of o and lse.
func (x *attentionDecode) end(w *decodeWorker, r int) {
	h, i := x.query(w, r)
	lse, scale := hidden, float32(0)
	if w.sum[r] != 0 {
		lse, scale = float32(float64(w.max[r])+math.Log(float64(w.sum[r]))), 1/w.sum[r]
	}
	x.lse[(w.b*x.h+h)*x.t+i] = lse
	x.d.vector().scale(row(x.o, w.b, i, h, x.width), w.sums[r*x.width:][:x.width], scale)
}

func isNaN(v float32) bool { return v != v }
