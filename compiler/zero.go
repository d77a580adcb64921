package compiler

import (
	"maps"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// keepParts leaves each rank of data its part of the weights that it updates alone: the third stage of ZeRO (Rajbhandari et al.,
// arXiv:1910.02054, section 5.3). Before a block of nodes reads a weight its parts are gathered, while the block before is computed, and the
// whole is given up behind it: the backward program gathers anew.
func (u *unitOfWork) keepParts() error {
	if u.strategy.Parallel.Zero < 3 || u.strategy.Parallel.Mesh.DataRanks() == 1 {
		return nil
	}
	k := &keeper{graph: u.graph, whole: map[*graph.Value][]plan.Dim{}}
	ranks := u.strategy.Parallel.Mesh.DataRanks()
	for _, s := range u.stages {
		for _, w := range s.weights.list {
			if w.part {
				k.whole[w.value] = w.value.Dims
				w.value.Dims = []plan.Dim{{Name: "part", Size: w.value.Len() / ranks}}
			}
		}
	}
	for _, s := range u.stages {
		for _, b := range s.buckets {
			k.bucket(&b, len(u.stages) == 1)
		}
		for _, n := range s.update.Nodes {
			for i, a := range n.Args {
				if a.Value != nil && a.Value.View != nil && k.whole[a.Value.View.Of] != nil {
					n.Args[i] = graph.Is(a.Value.View.Of)
				}
			}
		}
	}
	return nil
}

// bucket gathers weights in the programs of a bucket. Where a backward program follows the forward program at once, it finds what that gathered last.
func (k *keeper) bucket(b *bucket, follows bool) {
	kept := k.program(b.forward, nil)
	if !follows {
		kept = nil
	}
	for _, p := range some(b.backward, b.weigh) {
		k.program(p, kept)
	}
	k.program(b.evaluate, nil)
}

// keeper rewrites programs for weights that ranks keep parts of.
type keeper struct {
	graph *graph.Graph
	whole map[*graph.Value][]plan.Dim // the dims of those weights
}

// program gathers weights for each of its runs of nodes of one block, at the beginning of the run before. Its first runs find what is kept of
// those that were gathered last in the program before; it gives what it gathers itself for its own last runs.
func (k *keeper) program(p *graph.Program, kept map[*graph.Value]*graph.Value) map[*graph.Value]*graph.Value {
	runs := blocks(p.Nodes)
	gathers := make([][]*graph.Node, len(runs))
	last := map[*graph.Value]*graph.Value{}
	for i, run := range runs {
		made := map[*graph.Value]*graph.Value{}
		if i < keptRuns {
			maps.Copy(made, kept)
		}
		gathers[i] = k.gather(run, made)
		if i >= len(runs)-keptRuns {
			maps.Copy(last, made)
		}
	}
	var nodes []*graph.Node
	for i, run := range runs {
		if i == 0 {
			nodes = append(nodes, gathers[0]...)
		}
		if i+1 < len(runs) {
			nodes = append(nodes, gathers[i+1]...)
		}
		nodes = append(nodes, run...)
	}
	p.Nodes = nodes
	return last
}

// keptRuns is how many of its last runs a forward program leaves the weights of to the backward program, which begins with them: as many
// as are gathered at a time.
const keptRuns = 2

// blocks cuts nodes where they change from one repeated block to another.
func blocks(nodes []*graph.Node) (runs [][]*graph.Node) {
	for len(nodes) > 0 {
		n := slices.IndexFunc(nodes, func(n *graph.Node) bool { return n.Block != nodes[0].Block })
		if n < 0 {
			n = len(nodes)
		}
		runs, nodes = append(runs, nodes[:n:n]), nodes[n:]
	}
	return runs
}

// gather makes the nodes of a run read whole weights, and gives those that gather what is not made yet.
func (k *keeper) gather(run []*graph.Node, made map[*graph.Value]*graph.Value) []*graph.Node {
	var list []*graph.Node
	for _, n := range run {
		for i, a := range n.Args {
			dims := k.whole[a.Value]
			if dims == nil {
				continue
			}
			if made[a.Value] == nil {
				whole := k.graph.Add(a.Value.Name+".whole", plan.Workspace, a.Value.DType, dims...)
				e := graph.Emitter{Graph: k.graph, Program: &graph.Program{}, Region: n.Region, Pos: n.Pos, Block: n.Block}
				g := e.Emit(kernels.AllGather, "gather."+a.Value.Name, kernels.Attrs{Axis: plan.AxisData},
					graph.Args{"x": graph.Is(a.Value), "y": graph.As(whole, whole.Len())})
				g.Async, g.Joins = true, true
				made[a.Value], list = whole, append(list, g)
			}
			if a.Shape == nil {
				a.Shape = shapeOf(dims)
			}
			n.Args[i] = graph.Arg{Value: made[a.Value], Shape: a.Shape}
		}
	}
	return list
}

func shapeOf(dims []plan.Dim) []int {
	shape := make([]int, len(dims))
	for i, d := range dims {
		shape[i] = d.Size
	}
	return shape
}
