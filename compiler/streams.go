package compiler

import (
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/kernels"
)

// Collectives that are not waited for at once run on a stream of their own, in their order, beside what is computed.
const collectiveStream = 1

// waiting is what the streams of a program wait for.
type waiting struct {
	node []int // by node: the node of the other stream that must have ended before it begins; -1: none
	ends []int // by node of the other stream: the first node that begins after it has ended; the last one where none waits
}

// waits finds them. A collective begins when all before it is computed. It is waited for by the first node that reads what it
// writes, or writes what it uses; and when the second block after its own begins, so that no more are under way than memory is meant for.
func waits(p *graph.Program) waiting {
	w := waiting{node: make([]int, len(p.Nodes)), ends: make([]int, len(p.Nodes))}
	var open []int
	opened := map[int]int{} // the run of blocks that each was begun in
	uses := map[int]footprint{}
	last, run := -1, 0
	for i, n := range p.Nodes {
		w.node[i], w.ends[i] = -1, len(p.Nodes)-1
		if n.Open != 0 { // it begins when all before it is computed, too; what waits for it is another program
			w.node[i] = last
			continue
		}
		if n.Async {
			w.node[i] = last
			open, opened[i], uses[i] = append(open, i), run, footprintOf(n)
			continue
		}
		if last >= 0 && n.Block != p.Nodes[last].Block {
			run++
		}
		last = i
		until := -1
		for k, a := range open {
			if opened[a] < run-1 || uses[a].touchedBy(n) {
				until = k
			}
		}
		if until < 0 {
			continue
		}
		w.node[i] = open[until]
		for _, a := range open[:until+1] {
			w.ends[a] = i
		}
		open = open[until+1:]
	}
	return w
}

// footprint is what a collective uses.
type footprint struct{ written, used []*graph.Value }

func footprintOf(n *graph.Node) (f footprint) {
	f.written = outputs(n)
	n.Uses(func(v *graph.Value, _ kernels.Role) { f.used = append(f.used, v.Root()) })
	return f
}

// touchedBy says whether a node uses what is written, or writes what is used.
func (f footprint) touchedBy(n *graph.Node) bool {
	found := false
	n.Uses(func(v *graph.Value, role kernels.Role) {
		root := v.Root()
		found = found || slices.Contains(f.written, root) || role.Writes() && slices.Contains(f.used, root)
	})
	return found
}
