package ref

import (
	"cmp"
	"math"
)

// inputs is what attention and its gradient have in common: the inputs, which
// keys a query sees, and dropout.
type inputs struct {
	*call
	q, k, v              view[float64]
	lengths              view[int32]
	qSegments, kSegments view[int32]
	drop                 dropper
	offset, origin       int
	firstKey             int
	first, all           int // head of the logical tensor that these begin with, and how many it has
	rowQueries, rowKeys  int // of the logical tensor
	heads, queries, keys int // H, T, S
	shared               int // H/G, the heads that share a key-value head
}

func (c *call) inputs() inputs {
	return inputs{
		call: c, q: c.operand("q"), k: c.operand("k"), v: c.operand("v"),
		lengths: c.indices("lengths"), qSegments: c.indices("q_segments"), kSegments: c.indices("k_segments"),
		drop: c.dropper(), offset: int(c.counter("offset")), origin: int(c.counter("origin")), firstKey: int(c.counter("first_key")),
		first: int(c.counter("place")) * c.sizes["H"], all: cmp.Or(c.Of, c.sizes["H"]), rowQueries: cmp.Or(c.Length, c.sizes["T"]), rowKeys: cmp.Or(c.Length, c.sizes["S"]),
		heads: c.sizes["H"], queries: c.sizes["T"], keys: c.sizes["S"], shared: c.sizes["H"] / c.sizes["G"],
	}
}

// each calls f for every batch row, head and query.
func (a *inputs) each(f func(b, h, i int)) {
	for b := range a.sizes["B"] {
		for h := range a.heads {
			for i := range a.queries {
				f(b, h, i)
			}
		}
	}
}

// visible says whether query i of batch row b sees key j.
func (a *inputs) visible(b, i, j int) bool {
	if !a.kSegments.absent() && a.segment(b, i) != *a.kSegments.at(b, j) {
		return false
	}
	j += a.firstKey
	if !a.lengths.absent() && j >= int(*a.lengths.at(b)) {
		return false
	}
	if a.Causal && j > i+a.offset {
		return false
	}
	if a.Window == 0 {
		return true
	}
	return i+a.offset-j < a.Window && (a.Causal || j-i-a.offset < a.Window)
}

// segment is the segment of query i, 1 when queries have none.
func (a *inputs) segment(b, i int) int32 {
	if a.qSegments.absent() {
		return 1
	}
	return *a.qSegments.at(b, i)
}

// score is s_j of query i, −Inf where the key is not visible.
func (a *inputs) score(b, h, i, j int) float64 {
	if !a.visible(b, i, j) {
		return math.Inf(-1)
	}
	s := a.Scale * dot(a.q.vector(b, i, h), a.k.vector(b, j, h/a.shared))
	if a.Cap > 0 {
		s = softCap(s, a.Cap)
	}
	return s
}

// dropped is drop(x) at its place in the logical tensor [B, H, T, S].
func (a *inputs) dropped(x float64, b, h, i, j int) float64 {
	if a.Length > 0 {
		i, j = i+a.offset, j+a.firstKey
	}
	return a.drop.apply(x, uint64((((a.origin+b)*a.all+a.first+h)*a.rowQueries+i)*a.rowKeys+j))
}

func attention(c *call) {
	a, o, lse := c.inputs(), c.floats("o"), c.floats("lse")
	before, beforeLSE := c.floats("before"), c.floats("before_lse")
	s := make([]float64, a.keys+1) // the last stands for all keys before
	a.each(func(b, h, i int) {
		for j := range a.keys {
			s[j] = a.score(b, h, i, j)
		}
		s[a.keys] = math.Inf(-1)
		if !before.absent() {
			s[a.keys] = *beforeLSE.at(b, h, i)
		}
		total, oi := logSumExp(s), make([]float64, a.sizes["D"])
		*lse.at(b, h, i) = total
		if !math.IsInf(s[a.keys], -1) {
			addScaled(oi, math.Exp(s[a.keys]-total), before.vector(b, i, h))
		}
		for j := range a.keys {
			if math.IsInf(s[j], -1) {
				continue
			}
			p := math.Exp(s[j] - total)
			addScaled(oi, a.round(a.dropped(p, b, h, i, j)), a.v.vector(b, j, h/a.shared))
		}
		copy(o.vector(b, i, h), oi)
	})
}

// logSumExp is log Σ e^x, −Inf for no terms.
func logSumExp(x []float64) float64 {
	largest := math.Inf(-1)
	for _, v := range x {
		largest = max(largest, v)
	}
	if math.IsInf(largest, -1) {
		return largest
	}
	total := 0.0
	for _, v := range x {
		total += math.Exp(v - largest)
	}
	return largest + math.Log(total)
}

func attentionGrad(c *call) {
	a, do, o, lse := c.inputs(), c.floats("do"), c.floats("o"), c.floats("lse")
	factor := c.operand("do")
	dq, dk, dv := c.sums("dq"), c.sums("dk"), c.sums("dv")
	a.each(func(b, h, i int) {
		g := h / a.shared
		doi := factor.vector(b, i, h)
		d := dot(do.vector(b, i, h), o.vector(b, i, h))
		for j := range a.keys {
			s := a.score(b, h, i, j)
			if math.IsInf(s, -1) {
				continue
			}
			p := math.Exp(s - *lse.at(b, h, i))
			dp := a.dropped(dot(doi, a.v.vector(b, j, g)), b, h, i, j)
			ds := p * (dp - d)
			if a.Cap > 0 {
				ds *= 1 - (s/a.Cap)*(s/a.Cap)
			}
			ds = a.round(a.Scale * ds)
			addScaled(dq.vector(b, i, h), ds, a.k.vector(b, j, g))
			addScaled(dk.vector(b, j, g), ds, a.q.vector(b, i, h))
			addScaled(dv.vector(b, j, g), a.round(a.dropped(p, b, h, i, j)), doi)
		}
	})
}
