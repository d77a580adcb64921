package compiler

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// half is the type of 16 bits that the device kind keeps weights, activations and gradients in under the strategy's compute type;
// Invalid where it keeps them in the type it computes in.
func (u *unitOfWork) half() kernels.DType {
	for _, d := range u.kind.Stores {
		if d.String() == computeTypes[u.strategy.Precision.Compute] {
			return d
		}
	}
	return kernels.Invalid
}

// floatBytes is the size of an activation's element: where floats are no halves that of float32, so that ref plans as cpu does.
func (u *unitOfWork) floatBytes() int {
	if half := u.half(); half != kernels.Invalid {
		return half.Size()
	}
	return kernels.F32.Size()
}

// storeHalves is mixed precision as GPUs train (Micikevicius et al., arXiv:1710.03740): weights, activations and gradients are halves; what
// the contracts call wide keeps its digits, and so does a master of each weight, which the optimizer updates and which is rounded to the weight.
func (u *unitOfWork) storeHalves() error {
	half, master := u.half(), u.strategy.Precision.Master
	if half == kernels.Invalid {
		return nil
	}
	if master == "bf16" && half != kernels.BF16 {
		return u.strategy.Wrong("precision.master", fmt.Sprintf("weights in bf16 are not what %s multiplies on devices of the kind %s, which store what they multiply", u.strategy.Precision.Compute, u.kind.Name),
			`use precision.compute: "bf16", or precision.master: "f32"`)
	}
	wide := wideRoots(u.graph, u.kind.Compute)
	for _, v := range u.graph.Values {
		if root := v.Root(); v.DType == u.kind.Compute && root.Class != plan.State && root.Class != plan.ScalarKind && !wide[root] {
			v.DType = half
		}
	}
	for _, s := range u.stages {
		if s.update != nil { // else it only generates
			u.keepMasters(s, func(w *weight) bool { return w.of == nil && (master != "bf16" || len(w.stored) < 2) })
		}
	}
	return nil
}

// wideRoots are the values that keep their digits: those that a contract calls wide, but for the weights, whose masters take their place, and
// those that share their type with one.
func wideRoots(g *graph.Graph, compute kernels.DType) map[*graph.Value]bool {
	wide := map[*graph.Value]bool{}
	for grown := true; grown; {
		grown = false
		mark := func(v *graph.Value) {
			if root := v.Root(); !wide[root] && root.DType == compute && root.Class != plan.Weight {
				wide[root], grown = true, true
			}
		}
		for _, p := range g.Programs {
			for _, n := range p.Nodes {
				markWide(n, wide, mark)
			}
		}
	}
	return wide
}

// markWide marks what one node says.
func markWide(n *graph.Node, wide map[*graph.Value]bool, mark func(*graph.Value)) {
	params, one := n.Contract().Params, false
	for i, a := range n.Args {
		switch {
		case a.Value == nil:
		case params[i].Wide:
			mark(a.Value)
		default:
			one = one || wide[a.Value.Root()]
		}
	}
	for i, a := range n.Args {
		if one && a.Value != nil && !params[i].Wide {
			mark(a.Value)
		}
	}
}

// keepMasters gives the weights that the optimizer updates in a stage, and a test names, a master in its state, and rounds it to the weight behind each update.
func (u *unitOfWork) keepMasters(s *stage, has func(*weight) bool) {
	owners := map[*graph.Value]*weight{}
	for _, w := range s.weights.list {
		if has(w) {
			owners[w.value] = w
		}
	}
	k := &masterKeeper{unitOfWork: u, stage: s, rounds: &masters{graph: u.graph}}
	for _, n := range s.update.Nodes {
		k.node(n, owners)
	}
	s.update.Nodes = k.nodes
}

// masterKeeper rewrites the update program for masters.
type masterKeeper struct {
	*unitOfWork
	stage  *stage
	rounds *masters // to the nearest
	nodes  []*graph.Node
}

func (k *masterKeeper) node(n *graph.Node, owners map[*graph.Value]*weight) {
	k.nodes = append(k.nodes, n)
	for i, a := range n.Args {
		if a.Value == nil || !n.Contract().Params[i].Wide || owners[a.Value.Root()] == nil {
			continue
		}
		m := k.master(owners[a.Value.Root()], a.Value)
		n.Args[i].Value = m
		if n.Contract().RoleOf(i, n.Attrs).Writes() {
			k.nodes = append(k.nodes, k.rounds.round(n, a.Value, m))
		}
	}
}

// master finds or makes the master of a weight, or of the part of it that the rank updates.
func (k *masterKeeper) master(w *weight, updated *graph.Value) *graph.Value {
	m, isNew := k.graph.Lasting(w.value.Name+".master", plan.State, k.kind.Compute, updated.Dims...)
	if isNew {
		k.stage.states = append(k.stage.states, &state{value: m, of: w, whole: true, part: updated != w.value || w.part, init: plan.Init{Kind: plan.InitWeight}})
	}
	return m
}
