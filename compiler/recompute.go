package compiler

import (
	"cmp"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// cheap are the operations that selective recomputation runs again: those that
// cost a pass over memory, not a contraction.
var cheap = []kernels.Op{kernels.LayerNorm, kernels.RMSNorm, kernels.Activate, kernels.Gate, kernels.Rotary, kernels.Scale, kernels.Copy, kernels.Dropout}

// recompute keeps fewer of the forward program's values for the backward
// program, which computes the others again just before it first needs them. "selective" drops what
// cheap operations made from values that are kept anyway; "full" keeps only what enters each repeated block,
// and what lies outside the blocks (Chen et al., arXiv:1604.06174, section 3).
func recompute(g *graph.Graph, forward *graph.Program, backward []*graph.Program, policy string) {
	if policy == "none" {
		return
	}
	r := &recomputer{graph: g, producer: map[*graph.Value]*graph.Node{}, again: map[*graph.Value]*graph.Value{}, place: map[*graph.Node]int{}}
	for i, n := range forward.Nodes {
		r.place[n] = i
		n.Uses(func(v *graph.Value, role kernels.Role) {
			if role.Writes() && !v.Lasting() {
				r.producer[v.Root()] = n
			}
		})
	}
	if policy == "full" {
		r.dropped = r.insideBlocks(forward)
	} else {
		r.dropped = r.cheapOnes(forward, backward)
	}
	for _, p := range backward {
		r.rewrite(p)
	}
}

type recomputer struct {
	graph    *graph.Graph
	producer map[*graph.Value]*graph.Node
	dropped  map[*graph.Value]bool
	again    map[*graph.Value]*graph.Value // dropped values by their second computation
	place    map[*graph.Node]int           // in the forward program
	nodes    []*graph.Node                 // of the new backward program
}

func (r *recomputer) insideBlocks(forward *graph.Program) map[*graph.Value]bool {
	dropped := map[*graph.Value]bool{}
	for v, n := range r.producer {
		if n.Block > 0 && !forward.Boundaries[v] {
			dropped[v] = true
		}
	}
	return dropped
}

func (r *recomputer) cheapOnes(forward *graph.Program, backward []*graph.Program) map[*graph.Value]bool {
	saved := map[*graph.Value]bool{}
	for _, p := range backward {
		for _, n := range p.Nodes {
			n.Uses(func(v *graph.Value, role kernels.Role) {
				if role.Reads() && r.producer[v.Root()] != nil {
					saved[v.Root()] = true
				}
			})
		}
	}
	dropped := map[*graph.Value]bool{}
	for _, n := range forward.Nodes {
		if n.Block == 0 || !slices.Contains(cheap, n.Op) || !r.available(n, saved) {
			continue
		}
		main := outputs(n)[0]
		if saved[main] {
			dropped[main] = true
		}
	}
	return dropped
}

// available says whether all that the node reads is there in the backward program.
func (r *recomputer) available(n *graph.Node, saved map[*graph.Value]bool) bool {
	ok := true
	n.Uses(func(v *graph.Value, role kernels.Role) {
		root := v.Root()
		if role.Reads() && r.producer[root] != nil && !saved[root] {
			ok = false
		}
	})
	return ok
}

// outputs are the roots that a node writes, in the order of its operands.
func outputs(n *graph.Node) []*graph.Value {
	var list []*graph.Value
	n.Uses(func(v *graph.Value, role kernels.Role) {
		if role.Writes() {
			list = append(list, v.Root())
		}
	})
	return list
}

func (r *recomputer) rewrite(backward *graph.Program) {
	r.nodes = nil
	for _, n := range backward.Nodes {
		for i := range n.Args {
			n.Args[i].Value = r.replace(n.Args[i].Value)
		}
		r.nodes = append(r.nodes, n)
	}
	backward.Nodes = r.nodes
}

// replace gives what stands for a forward value in the backward program.
func (r *recomputer) replace(v *graph.Value) *graph.Value {
	if v == nil || !r.dropped[v.Root()] {
		return v
	}
	if v.View != nil {
		again, view := r.graph.Add(v.Name+".again", v.Class, v.DType, v.Dims...), *v.View
		view.Of = r.replace(view.Of)
		again.View = &view
		return again
	}
	if r.again[v] == nil {
		for _, n := range r.missing(v, nil) {
			r.runAgain(n)
		}
	}
	return r.again[v]
}

// missing adds what must run again for a value to a list, in the order of the forward program: what it begins early, to have it in time, it begins early again.
func (r *recomputer) missing(v *graph.Value, list []*graph.Node) []*graph.Node {
	n := r.producer[v]
	at, found := slices.BinarySearchFunc(list, r.place[n], func(o *graph.Node, place int) int { return cmp.Compare(r.place[o], place) })
	if found {
		return list
	}
	list = slices.Insert(list, at, n)
	n.Uses(func(v *graph.Value, role kernels.Role) {
		if root := v.Root(); role.Reads() && r.dropped[root] && r.again[root] == nil {
			list = r.missing(root, list)
		}
	})
	return list
}

// runAgain appends a copy of a forward node. What it needs is there.
func (r *recomputer) runAgain(n *graph.Node) {
	twin := *n
	twin.Name += ".again"
	twin.Args = slices.Clone(n.Args)
	for i, arg := range n.Args {
		if arg.Value != nil && !n.Contract().RoleOf(i, n.Attrs).Writes() {
			twin.Args[i].Value = r.replace(arg.Value)
		}
	}
	for i, arg := range n.Args {
		if arg.Value != nil && n.Contract().RoleOf(i, n.Attrs).Writes() {
			v := r.graph.Add(arg.Value.Name+".again", plan.Workspace, arg.Value.DType, arg.Value.Dims...)
			r.again[arg.Value] = v
			twin.Args[i].Value = v
		}
	}
	r.nodes = append(r.nodes, &twin)
}
