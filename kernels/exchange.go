package kernels

import (
	"fmt"
	"slices"
)

// Exchange is how the elements of a collective's operands lie in memory, for a group of n ranks:
//
//	reduce_scatter  x is [Rows][n][Count], y [Rows][Count]
//	all_gather      x is [Rows][Count], y [Rows][n][Count]
//	all_to_all      x is [Rows][Mid][n][Count], y [Rows][n][Mid][Count]; with Swap, the other way round
//	all_reduce      x and y are [Count]; Rows is 1
//	send, receive   likewise, of the one operand they have
//	ring_shift      as all_reduce
//
// Mid is 1 but for all_to_all.
type Exchange struct {
	Rows, Mid, Count int
	Swap             bool
}

// ExchangeOf finds the layout of a collective for a group of so many ranks, or says why its operands have none.
func ExchangeOf(op Op, a Attrs, x, y []int, ranks int) (Exchange, error) {
	e := Exchange{Rows: 1, Mid: 1}
	if len(x) != len(y) {
		return e, fmt.Errorf("x has the shape %v, y %v: a collective changes no number of dims", x, y)
	}
	grown := slices.Clone(x) // what y must be
	switch op {
	case AllReduce, Send, Receive, RingShift:
		e.Count = Elements(x)
	case AllGather, ReduceScatter:
		if a.Dim < 0 || a.Dim >= len(x) {
			return e, fmt.Errorf("dim %d of %v", a.Dim, x)
		}
		small := x
		if op == ReduceScatter {
			small, grown[a.Dim] = y, x[a.Dim]/ranks
		} else {
			grown[a.Dim] *= ranks
		}
		e.Rows, e.Count = Elements(small[:a.Dim]), Elements(small[a.Dim:])
	case AllToAll:
		if a.Dim < 0 || a.Into < 0 || max(a.Dim, a.Into) >= len(x) || a.Dim == a.Into {
			return e, fmt.Errorf("from dim %d into dim %d of %v", a.Dim, a.Into, x)
		}
		grown[a.Dim], grown[a.Into] = x[a.Dim]*ranks, x[a.Into]/ranks
		small := slices.Clone(x)
		small[a.Into] /= ranks
		lo, hi := min(a.Dim, a.Into), max(a.Dim, a.Into)
		e.Rows, e.Mid, e.Count, e.Swap = Elements(small[:lo]), Elements(small[lo:hi]), Elements(small[hi:]), a.Into < a.Dim
	}
	cut := map[Op]int{ReduceScatter: a.Dim, AllToAll: a.Into}
	if dim, ok := cut[op]; ok && x[dim]%ranks != 0 || !slices.Equal(grown, y) {
		return e, fmt.Errorf("%v of x %v among %d ranks does not give y %v", op, x, ranks, y)
	}
	return e, nil
}

// SentBytes is what a rank sends for a collective of elements of a size, by the algorithms that move the least: rings for what is added up or gathered.
func (e Exchange) SentBytes(op Op, size, ranks int) int64 {
	part := int64(e.Rows) * int64(e.Mid) * int64(e.Count) * int64(size)
	switch op {
	case AllReduce:
		return 2 * part * int64(ranks-1) / int64(ranks)
	case Send, RingShift:
		return part
	case Receive:
		return 0
	}
	return part * int64(ranks-1)
}
