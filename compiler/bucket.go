package compiler

import (
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/kernels"
)

// bucket makes one call of collectives that stand one behind the other, until what is in it comes to the size that the strategy says: what is small costs a latency
// together with others, and not each by itself (Li et al., arXiv:2006.15704, section 3.2.3). No copy is made, as transports take memory as it lies.
func (u *unitOfWork) bucket() error {
	limit := u.strategy.Parallel.BucketBytes
	for _, p := range u.graph.Programs {
		var open []*graph.Node // that are one
		var bytes int64
		for _, n := range p.Nodes {
			if len(open) > 0 && bytes < limit && joins(open, n) {
				n.Joined = true
			} else {
				open, bytes = open[:0], 0
			}
			open, bytes = append(open, n), bytes+wholeBytes(n)
		}
	}
	return nil
}

// joins says whether a node can be one call with others: they do the same, for one block, and none touches what another writes.
func joins(open []*graph.Node, n *graph.Node) bool {
	last := open[len(open)-1]
	if !n.Joins || !last.Joins || n.Op != last.Op || n.Attrs.Axis != last.Attrs.Axis || n.Async != last.Async || n.Block != last.Block {
		return false
	}
	return !slices.ContainsFunc(open, func(o *graph.Node) bool { return footprintOf(o).touchedBy(n) })
}

// wholeBytes is the size of what a collective moves, put together.
func wholeBytes(n *graph.Node) (bytes int64) {
	n.Uses(func(v *graph.Value, _ kernels.Role) { bytes = max(bytes, bytesOf(v.Root())) })
	return bytes
}

// together gives for each node the first and the last of those that are one call with it.
func together(p *graph.Program) (first, last []int) {
	first, last = make([]int, len(p.Nodes)), make([]int, len(p.Nodes))
	for i, n := range p.Nodes {
		if first[i] = i; n.Joined {
			first[i] = first[i-1]
		}
	}
	for i := len(p.Nodes) - 1; i >= 0; i-- {
		if last[i] = i; i+1 < len(p.Nodes) && p.Nodes[i+1].Joined {
			last[i] = last[i+1]
		}
	}
	return first, last
}
