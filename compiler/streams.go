package compiler

import (
	"maps"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// The streams of what stages hand on to each other, which come behind those of the axes.
var receiveStream, sendStream = len(plan.Axes), len(plan.Axes) + 1

// streamOf is the stream of a node. Collectives that are not waited for at once run beside what is computed, on a stream for each axis of the mesh, in
// their order: those of other axes are of other groups of ranks, between whose calls a transport keeps no order.
func streamOf(n *graph.Node) int {
	switch {
	case n.Open != 0:
		return n.Stream
	case n.Async:
		return slices.Index(plan.Axes, n.Attrs.Axis) // the first axis is that of stages, whose collectives all wait for
	}
	return 0
}

// waiting is what the streams of a program wait for.
type waiting struct {
	nodes [][]int // by node: the nodes of other streams that must have ended before it begins
	ends  []int   // by node of another stream than the first: the first node that begins after it has ended; the last one where none waits
	reads []int   // likewise: the last node that may run while it still reads
}

// waits finds them. A collective begins when all before it is computed. It is waited for by the first node that reads what it
// writes, or writes what it uses, with all that are one call with it; and when the second block after its own begins, so that no more are under way than memory is meant for.
func waits(p *graph.Program) waiting {
	w := waiting{nodes: make([][]int, len(p.Nodes)), ends: make([]int, len(p.Nodes)), reads: make([]int, len(p.Nodes))}
	var open []int
	first, with := together(p)
	opened := map[int]int{} // the run of blocks that each was begun in
	uses := map[int]footprint{}
	last, run := -1, 0
	for i, n := range p.Nodes {
		w.ends[i], w.reads[i] = len(p.Nodes)-1, len(p.Nodes)-1
		beside := n.Async || n.Open != 0
		if !beside && last >= 0 && n.Block != p.Nodes[last].Block {
			run++
		}
		until := map[int]int{} // by stream: the last that must have ended
		for _, a := range open {
			if s := streamOf(p.Nodes[a]); s != streamOf(n) && (!beside && opened[a] < run-1 || uses[a].touchedBy(n)) {
				until[s] = with[a]
			}
		}
		for _, s := range slices.Sorted(maps.Keys(until)) {
			w.wait(first[i], until[s])
		}
		if beside && last >= 0 {
			w.wait(first[i], last)
		}
		if n.Async {
			open, opened[i], uses[i] = append(open, i), run, footprintOf(n)
		}
		if beside {
			continue
		}
		last = i
		open = slices.DeleteFunc(open, func(a int) bool {
			end, ok := until[streamOf(p.Nodes[a])]
			if ok = ok && a <= end; ok {
				w.ends[a], w.reads[a] = i, lastBeside(p, a, i)
			}
			return ok
		})
	}
	return w
}

// wait has a node wait for another.
func (w *waiting) wait(node, on int) {
	if !slices.Contains(w.nodes[node], on) {
		w.nodes[node] = append(w.nodes[node], on)
	}
}

// lastBeside is the last node that may run beside a collective that another node waits for: between the two, what follows on the same stream does not.
func lastBeside(p *graph.Program, collective, waiter int) int {
	i := waiter - 1
	for i > collective && streamOf(p.Nodes[i]) == streamOf(p.Nodes[collective]) {
		i--
	}
	return i
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
