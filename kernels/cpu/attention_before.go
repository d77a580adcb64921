package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// before is what attention is known to be over other keys.
type before struct {
	o   heads
	lse []float32
}

func newBefore(o, lse kernels.Tensor) before {
	if o.Absent() {
		return before{}
	}
	return before{headsOf(o), floats(lse)}
}

func (k *before) there() bool { return k.lse != nil }

// goOn begins a tile's softmax and sums, whose scores are logarithms to base 2, with what is known.
func (x *attentionForward) goOn(w *forwardWorker, tile *forwardTile) {
	for r, lse := range x.before.lse[x.row(w, tile):][:tile.n] {
		if lse != hidden {
			tile.max[r], tile.sum[r] = float32(float64(lse)*math.Log2E), 1
		}
	}
	o := x.before.o
	x.d.tiles.packPanel(tile.oT, queryTile, source{o.at(w.b, tile.i, tile.h), o.t, 1}, tile.n, x.width, false)
	tile.begun = true
}

// keep writes what is known of a tile whose queries see none of these keys.
func (x *attentionForward) keep(w *forwardWorker, tile *forwardTile) {
	at := x.row(w, tile)
	copy(x.lse[at:][:tile.n], x.before.lse[at:])
	for i := tile.i; i < tile.i+tile.n; i++ {
		copy(row(x.o, w.b, i, tile.h, x.width), row(x.before.o, w.b, i, tile.h, x.width))
	}
}

// row is the place of a tile's first query in lse.
func (x *attentionForward) row(w *forwardWorker, tile *forwardTile) int {
	return (w.b*x.h+tile.h)*x.t + tile.i
}

// goOn begins row r with what is known of its query.
func (x *attentionDecode) goOn(w *decodeWorker, r int) {
	h, i := x.query(w, r)
	if lse := x.before.lse[(w.b*x.h+h)*x.t+i]; lse != hidden {
		w.max[r], w.sum[r] = lse, 1
		copy(w.sums[r*x.width:][:x.width], row(x.before.o, w.b, i, h, x.width))
	}
}
