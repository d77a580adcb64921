package cpu

import (
	"cmp"

	"github.com/gsc-project/gsc/kernels"
)

// dropper is the dropout of attention's weights, element (b, h, i, j) of the logical tensor [B, H, T, S].
type dropper struct {
	rate               float64
	params             dropoutParams
	seed, step, origin *int64
	place              *int64 // of the heads among all of the logical tensor; nil: they are all
	query, key         *int64 // the first of the logical tensor; nil: 0
	h, t, s            int

	heads, rowQueries, rowKeys int // of the logical tensor
	vec                        *vectorTable
	ones                       []float32
	rows                       [][]float32 // a buffer for each worker
}

// newDropper is for so many keys at a time. It takes the operands of the mask; seed, step, origin and place are the last four.
func newDropper(d *Device, keyBlock int, args []kernels.Tensor, firstKey kernels.Tensor, a kernels.Attrs, s kernels.Sizes) dropper {
	x := dropper{rate: a.Rate, h: s["H"], t: s["T"], s: s["S"], heads: cmp.Or(a.Of, s["H"]), rowQueries: cmp.Or(a.Length, s["T"]), rowKeys: cmp.Or(a.Length, s["S"])}
	if a.Rate == 0 {
		return x
	}
	x.params = newDropoutParams(a.Key, a.Rate)
	x.seed, x.step, x.origin = scalar[int64](args[4]), scalar[int64](args[5]), scalar[int64](args[6])
	x.place = scalar[int64](args[7])
	if a.Length > 0 {
		x.query, x.key = scalar[int64](args[3]), scalar[int64](firstKey)
	}
	x.vec = d.vector()
	x.ones = make([]float32, keyBlock)
	for i := range x.ones {
		x.ones[i] = 1
	}
	for range d.pool.threads {
		x.rows = append(x.rows, make([]float32, keyBlock))
	}
	return x
}

// begin reads the scalars; it is called once a run, before the workers start.
func (x *dropper) begin() {
	if x.rate > 0 {
		x.params.set(uint64(*x.seed), uint32(*x.step))
	}
}

// index is the place of element (b, h, i, j) in the logical tensor.
func (x *dropper) index(b, h, i, j int) uint64 {
	if x.place != nil {
		h += int(*x.place) * x.h
	}
	if x.query != nil {
		i += int(*x.query)
	}
	if x.key != nil {
		j += int(*x.key)
	}
	return (((uint64(*x.origin)+uint64(b))*uint64(x.heads)+uint64(h))*uint64(x.rowQueries)+uint64(i))*uint64(x.rowKeys) + uint64(j)
}

// apply multiplies a tile of scores by 0 where the element is dropped, else by 1/(1−rate).
func (x *dropper) apply(tile []float32, b, h, i, n, j, keys, worker int) {
	if x.rate == 0 {
		return
	}
	for r := range n {
		row := x.rows[worker][:keys]
		x.vec.dropAt(row, x.ones[:keys], &x.params, x.index(b, h, i+r, j))
		for key, factor := range row {
			tile[key*queryTile+r] *= factor
		}
	}
}

// applyRow does the same to weights of keys [j, j+len(p)) that lie side by side.
func (x *dropper) applyRow(p []float32, b, h, i, j int) {
	if x.rate > 0 {
		x.vec.dropAt(p, p, &x.params, x.index(b, h, i, j))
	}
}
