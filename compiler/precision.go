package compiler

import (
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// computeTypes are what precision.compute means to the operations that take the attribute.
var computeTypes = map[string]string{"f32": "", "bf16": kernels.BF16.String(), "fp16": kernels.F16.String()}

// setTypes gives every float value the type the kind computes in.
func setTypes(g *graph.Graph, kind kernels.Kind) {
	for _, v := range g.Values {
		if v.DType == kernels.F32 {
			v.DType = kind.Compute
		}
	}
}

// setCompute gives every contraction that it pays for on the device kind, forward, backward and of the optimizer, the type
// of what it multiplies.
func setCompute(g *graph.Graph, kind kernels.Kind, compute string) {
	for _, p := range g.Programs {
		for _, n := range p.Nodes {
			if slices.Contains(kind.Narrow, n.Op) {
				n.Attrs.Compute = compute
			}
		}
	}
}

// scaled says whether gradients are computed multiplied by a scale.
func scaled(s *schema.Strategy) bool { return s.Precision.LossScale.Initial > 0 }

// storeMasters keeps the weight matrices in bf16, without a master beside them, where the strategy says so. What reads or updates one works on a copy of
// the compute type, which is made right before, and rounded back right after an update: it lives for one instruction.
func (u *unitOfWork) storeMasters() {
	if u.strategy.Precision.Master != "bf16" {
		return
	}
	for _, s := range u.stages {
		for _, w := range s.weights.list {
			if len(w.stored) >= 2 && w.value.Class == plan.Weight {
				w.value.DType = kernels.BF16
			}
		}
	}
	for _, p := range u.graph.Programs {
		m := &masters{graph: u.graph, compute: u.kind.Compute, rounding: u.strategy.Precision.Rounding, half: u.half()}
		for _, n := range p.Nodes {
			m.node(n)
		}
		p.Nodes = m.nodes
	}
}

// masters rewrites a program for weights that are stored in bf16.
type masters struct {
	graph    *graph.Graph
	compute  kernels.DType
	rounding string
	half     kernels.DType // that everything else is stored in, too: then only what keeps digits asks for copies; Invalid: none
	nodes    []*graph.Node
}

// node appends a node, with what widens the weights it reads before it and what rounds those it writes behind it.
func (m *masters) node(n *graph.Node) {
	var after []*graph.Node
	for i, arg := range n.Args {
		w := arg.Value
		if w == nil || w.DType != kernels.BF16 || m.half != kernels.Invalid && !n.Contract().Params[i].Wide {
			continue
		}
		wide := m.graph.Add(w.Name+".wide", plan.Workspace, m.compute, w.Dims...)
		n.Args[i] = graph.Arg{Value: wide, Shape: arg.Shape}
		role := n.Contract().RoleOf(i, n.Attrs)
		if role.Reads() {
			m.nodes = append(m.nodes, m.beside(n, kernels.Widen, n.Name+".widen", kernels.Attrs{}, graph.Args{"x": graph.Is(w), "y": graph.Is(wide)}))
		}
		if role.Writes() {
			after = append(after, m.round(n, w, wide))
		}
	}
	m.nodes = append(append(m.nodes, n), after...)
}

func (m *masters) round(n *graph.Node, w, wide *graph.Value) *graph.Node {
	args, attrs := graph.Args{"x": graph.Is(wide), "y": graph.Is(w)}, kernels.Attrs{}
	if m.rounding == "stochastic" {
		attrs = kernels.Attrs{Rounding: m.rounding, Key: kernels.StreamKey(kernels.PurposeRound, w.Name)}
		args["seed"], args["step"] = graph.Is(m.graph.Scalar(plan.ScalarSeed)), graph.Is(m.graph.Scalar(plan.ScalarStep))
	}
	return m.beside(n, kernels.Round, n.Name+".round", attrs, args)
}

// beside makes a node that runs where n does, whenever n does.
func (m *masters) beside(n *graph.Node, op kernels.Op, name string, attrs kernels.Attrs, args graph.Args) *graph.Node {
	program := &graph.Program{}
	e := graph.Emitter{Graph: m.graph, Program: program, Region: n.Region, Pos: n.Pos, Block: n.Block}
	made := e.Emit(op, name, attrs, args)
	made.Guard = n.Guard
	return made
}
