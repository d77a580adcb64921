package compiler

import (
	"maps"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// streamOf is the stream of a node. Collectives that are not waited for at once run beside what is computed, on a stream for each axis of the mesh, in
// their order: those of other axes are of other groups of ranks, between whose calls a transport keeps no order.
func streamOf(n *graph.Node) int {
	if !n.Async {
		return 0
	}
	return 1 + slices.Index(plan.Axes, n.Attrs.Axis)
}

// waiting is what the streams of a program wait for.
type waiting struct {
	nodes [][]int // by node: the nodes of other streams that must have ended before it begins
	ends  []int   // by node of another stream than the first: the first node that begins after it has ended; the last one where none waits
	reads []int   // likewise: the last node that may run while it still reads
}

// waits finds them. A collective begins when all before it is computed. It is waited for by the first node that reads what it
// writes, or writes what it uses; and when the second block after its own begins, so that no more are under way than memory is meant for.
func waits(p *graph.Program) waiting {
	w := waiting{nodes: make([][]int, len(p.Nodes)), ends: make([]int, len(p.Nodes)), reads: make([]int, len(p.Nodes))}
	var open []int
	opened := map[int]int{} // the run of blocks that each was begun in
	last, run := -1, 0
	for i, n := range p.Nodes {
		w.ends[i], w.reads[i] = len(p.Nodes)-1, len(p.Nodes)-1
		if !n.Async && last >= 0 && n.Block != p.Nodes[last].Block {
			run++
		}
		until := map[int]int{} // by stream: the last that must have ended
		for _, a := range open {
			if s := streamOf(p.Nodes[a]); s != streamOf(n) && (!n.Async && opened[a] < run-1 || touches(n, p.Nodes[a])) {
				until[s] = a
			}
		}
		for _, s := range slices.Sorted(maps.Keys(until)) {
			w.nodes[i] = append(w.nodes[i], until[s])
		}
		if n.Async {
			if last >= 0 {
				w.nodes[i] = append(w.nodes[i], last)
			}
			open, opened[i] = append(open, i), run
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

// lastBeside is the last node that may run beside a collective that another node waits for: between the two, what follows on the same stream does not.
func lastBeside(p *graph.Program, collective, waiter int) int {
	i := waiter - 1
	for i > collective && streamOf(p.Nodes[i]) == streamOf(p.Nodes[collective]) {
		i--
	}
	return i
}

// touches says whether a node uses what another writes, or writes what it uses.
func touches(n, other *graph.Node) bool {
	written, used := outputs(other), map[*graph.Value]bool{}
	other.Uses(func(v *graph.Value, _ kernels.Role) { used[v.Root()] = true })
	found := false
	n.Uses(func(v *graph.Value, role kernels.Role) {
		found = found || slices.Contains(written, v.Root()) || role.Writes() && used[v.Root()]
	})
	return found
}
