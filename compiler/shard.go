package compiler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// shard lays the programs out for the ranks of a mesh. The rules of the strategy say which dims of a value are shared out along which axes
// (layout). What each node needs of its operands, and gives, follows from the patterns of its operation's contract: a letter that stands
// for a dim that is shared out makes the node work on the rank's part of it, and a letter that an output lacks makes that output a term of a
// sum over ranks. Where a value is laid out otherwise than a node needs it, collectives move it (reshard.go). At last every dim is as long as a rank's part.
func (u *unitOfWork) shard() error {
	mesh := u.mesh()
	if len(mesh) == 0 {
		return nil
	}
	s := &sharder{graph: u.graph, attention: u.strategy.Parallel.Attention, degrees: map[string]int{}, rules: u.strategy.Parallel.Table(), moved: map[move]*graph.Value{}, whole: map[uneven]bool{}, padded: map[string]int{}}
	for _, a := range mesh {
		s.degrees[a.Name] = a.Degree
	}
	s.padVocab = !slices.ContainsFunc(u.weights.list, func(w *weight) bool {
		return slices.IndexFunc(w.dims, func(d plan.Dim) bool { return d.Name == "vocab" }) > 0
	})
	for _, b := range u.buckets {
		for _, p := range []*graph.Program{b.forward, b.backward, b.evaluate} {
			err := s.run(p)
			if r := s.refused; r != nil { // what follows from it does not matter
				return u.strategy.Wrong(r.what, r.why, r.fix)
			}
			if err != nil {
				return fmt.Errorf("program %s: %w", p.Name, err)
			}
		}
		if err := s.finish(b.evaluate); err != nil {
			return err
		}
	}
	for _, w := range u.weights.list {
		var err error
		if w.cut, err = u.cut(w, s.split(w.value)); err != nil {
			return err
		}
	}
	s.localise()
	u.choices = append(u.choices, s.choices...)
	for _, what := range slices.Sorted(maps.Keys(s.padded)) {
		u.choices = append(u.choices, plan.Choice{What: "parallel.mesh", Value: what, Why: fmt.Sprintf("%d ranks share it out", s.padded[what])})
	}
	for _, w := range slices.SortedFunc(maps.Keys(s.whole), func(a, b uneven) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
		if !slices.Contains(mayStayWhole, w.dim) {
			return u.strategy.Wrong("parallel.mesh."+w.axis, fmt.Sprintf("%d ranks do not divide %s = %d", s.degrees[w.axis], w.dim, w.size), "use a number of ranks that does")
		}
		u.choices = append(u.choices, plan.Choice{What: "parallel.rules", Value: w.dim + " stays whole",
			Why: fmt.Sprintf("%d does not divide among %d ranks along %s", w.size, s.degrees[w.axis], w.axis)})
	}
	return nil
}

// mayStayWhole are the dims that each rank has whole where they do not divide among ranks: it then does more than its share, and nothing else changes.
var mayStayWhole = []string{"vocab", "mlp", "kv_heads"}

// sharder is the state of the pass.
type sharder struct {
	graph   *graph.Graph
	degrees map[string]int // by axis
	rules   []schema.Rule
	program *graph.Program
	nodes   []*graph.Node // of the program, so far
	moved   map[move]*graph.Value
	whole   map[uneven]bool
	padded  map[string]int // what is padded, and how many ranks share it out

	attention string // what the strategy says of it; "": nothing
	choices   []plan.Choice
	refused   *refusal // the first

	padVocab bool // the vocabulary may be shared out unevenly: it is the first dim of all weights that have it
}

// refusal is what a strategy asks for and cannot have.
type refusal struct{ what, why, fix string }

func (s *sharder) refuse(what, why, fix string) {
	if s.refused == nil {
		s.refused = &refusal{what, why, fix}
	}
}

// note says what was chosen, once.
func (s *sharder) note(what, value, why string) {
	if c := (plan.Choice{What: what, Value: value, Why: why}); !slices.Contains(s.choices, c) {
		s.choices = append(s.choices, c)
	}
}

// uneven is a dim that a rule names and that does not divide.
type uneven struct {
	dim, axis string
	size      int
}

// move is a value in another layout, in a program; "" stands for all programs.
type move struct {
	of      *graph.Value
	to      string
	program string
}

// shared is a dim of a layout: its size, and the axes that share it out.
type shared struct {
	size int
	axes []string
}

// indivisible are the letters of an operation's patterns whose dims no rank can have a part of.
var indivisible = map[kernels.Op]string{
	kernels.Iota: "T", kernels.Select: "T", kernels.SelectGrad: "T", kernels.LayerNorm: "C", kernels.LayerNormGrad: "C", kernels.RMSNorm: "C",
	kernels.RMSNormGrad: "C", kernels.RotaryTable: "R", kernels.Rotary: "R D", kernels.Attention: "T S D", kernels.AttentionGrad: "T S D",
	kernels.FakeQuantize: "K", kernels.BinaryCrossEntropy: "V", kernels.BinaryCrossEntropyGrad: "V",
	kernels.PluginLoss: "V", kernels.PluginLossGrad: "V", kernels.SquaredError: "V", kernels.SquaredErrorGrad: "V", kernels.ArgMax: "V",
}

func (s *sharder) run(p *graph.Program) error {
	s.program, s.nodes = p, nil
	for _, in := range p.Inputs {
		in.Value.Split = s.layout(in.Value)
	}
	for _, n := range p.Nodes {
		if err := s.node(n); err != nil {
			return fmt.Errorf("%s (%s): %w", n.Name, n.Pos, err)
		}
	}
	p.Nodes = s.nodes
	return nil
}

// finish gives the first rank all that an evaluation predicts, and every rank the sum of the losses.
func (s *sharder) finish(p *graph.Program) error {
	s.program, s.nodes = p, p.Nodes
	for i, out := range p.Outputs {
		to := make([][]string, len(out.Value.Dims))
		if out.Name == plan.OutputLogits { // rows stay where they are
			copy(to, s.split(out.Value)[:len(to)-1])
		}
		v, err := s.moveTo(&graph.Node{Name: out.Name, Region: "head"}, out.Value, to)
		if err != nil {
			return err
		}
		p.Outputs[i].Value = v
	}
	loss := s.graph.Scalar(plan.ScalarLoss)
	e := graph.Emitter{Graph: s.graph, Program: &graph.Program{}, Region: "head"}
	for _, axis := range loss.Partial {
		s.nodes = append(s.nodes, e.Emit(kernels.AllReduce, "reduce.loss", kernels.Attrs{Axis: axis}, graph.Args{"x": graph.Is(loss), "y": graph.Is(loss)}))
	}
	p.Nodes = s.nodes
	return nil
}

// region is what a rule calls the region of a value: that of the layer that makes it, but for what is as wide as the residual stream.
func region(v *graph.Value, n *graph.Node) string {
	if slices.ContainsFunc(v.Dims, func(d plan.Dim) bool { return d.Name == "embed" }) {
		return "residual"
	}
	if n == nil {
		return ""
	}
	return n.Region
}

// layout is what the rules say of a value by its kind, its region and its dims.
func (s *sharder) layout(v *graph.Value) [][]string { return s.layoutIn(v, nil) }

func (s *sharder) layoutIn(v *graph.Value, n *graph.Node) [][]string {
	split := make([][]string, len(v.Dims))
	kind := "activation"
	if isWeight(v) {
		kind = "weight"
	}
	for i, d := range v.Dims {
		for _, r := range s.rules {
			if r.Dim != d.Name || r.Kind != "" && r.Kind != kind || r.Region != "" && r.Region != region(v, n) || s.degrees[r.Axis] < 2 ||
				slices.ContainsFunc(split, func(axes []string) bool { return slices.Contains(axes, r.Axis) }) {
				continue
			}
			if (v.Class == plan.Input || v.DType == kernels.I32) && r.Axis != plan.AxisData && r.Axis != plan.AxisReplica {
				continue // whole numbers are small: each rank has them all, and takes what it needs
			}
			if ways := s.degree(split[i]) * s.degrees[r.Axis]; d.Size%ways != 0 && d.Name == "vocab" && s.padVocab {
				s.padded[fmt.Sprintf("%s %d is padded to %d", d.Name, d.Size, ceilDiv(d.Size, ways)*ways)] = ways
			} else if d.Size%ways != 0 {
				s.whole[uneven{d.Name, r.Axis, d.Size}] = true
				continue
			}
			split[i] = append(split[i], r.Axis)
		}
	}
	return split
}

func (s *sharder) degree(axes []string) int {
	n := 1
	for _, a := range axes {
		n *= s.degrees[a]
	}
	return n
}

// split is the layout that a value has; whole, where nothing has settled it yet.
func (s *sharder) split(v *graph.Value) [][]string {
	switch {
	case v.Split != nil:
		return v.Split
	case v.View != nil && !v.View.Run && !v.View.Slice:
		of := s.split(v.View.Of)
		return slices.Concat(of[:v.View.Dim], of[v.View.Dim+1:])
	case isWeight(v):
		v.Split = s.layout(v)
		return v.Split
	case v.Class == plan.Gradient:
		return s.split(v.Of)
	}
	return make([][]string, len(v.Dims))
}

// emit appends a node beside another.
func (s *sharder) emit(n *graph.Node, op kernels.Op, name string, attrs kernels.Attrs, args graph.Args) {
	e := graph.Emitter{Graph: s.graph, Program: &graph.Program{}, Region: n.Region, Pos: n.Pos, Block: n.Block}
	s.nodes = append(s.nodes, e.Emit(op, name, attrs, args))
}

// cut is how ranks share a weight out: along one axis, and not the one along which ZeRO shares out runs of its elements.
func (u *unitOfWork) cut(w *weight, split [][]string) (plan.Cut, error) {
	var cuts []plan.Cut
	for dim, axes := range split {
		for _, axis := range axes {
			cuts = append(cuts, plan.Cut{Dim: dim, Axis: axis})
		}
	}
	zero := u.strategy.Parallel.Zero
	switch {
	case len(cuts) == 0:
		return plan.Cut{}, nil
	case len(cuts) > 1:
		return plan.Cut{}, u.strategy.Wrong("parallel.rules", fmt.Sprintf("%s would be shared out along %s and %s, and a weight can be along one axis", w.value.Name, cuts[0].Axis, cuts[1].Axis),
			`say kind: "activation" in the rule, or name another axis`)
	case zero > 0 && cuts[0].Axis == plan.AxisData:
		return plan.Cut{}, u.strategy.Wrong("parallel.rules", fmt.Sprintf("%s would be shared out along data by its dim %s, where parallel.zero = %d shares out runs of its elements", w.value.Name, w.dims[cuts[0].Dim].Name, zero),
			"use parallel.zero: 0, or another axis")
	}
	return cuts[0], nil
}

// localise makes every dim as long as a rank's part, and tells operations that depend on where they are.
func (s *sharder) localise() {
	type seen struct {
		arg    *graph.Arg
		groups [][]int
	}
	var shapes []seen
	for _, p := range s.graph.Programs {
		for _, n := range p.Nodes {
			for i := range n.Args {
				if a := &n.Args[i]; a.Value != nil && a.Shape != nil {
					shapes = append(shapes, seen{a, groupsOf(*a)})
				}
			}
			s.place(n, p.Length)
		}
	}
	for _, v := range s.graph.Values {
		for i, axes := range s.split(v) {
			v.Dims[i].Size = ceilDiv(v.Dims[i].Size, s.degree(axes)) // what pads the last part is of no account
		}
	}
	for _, x := range shapes {
		shape := make([]int, len(x.groups))
		for i, dims := range x.groups {
			shape[i] = kernels.Elements(lengths(x.arg.Value, dims))
		}
		x.arg.Shape = shape
	}
}

func ceilDiv(n, by int) int { return (n + by - 1) / by }

func sameSplit(a, b [][]string) bool {
	return slices.EqualFunc(a, b, func(x, y []string) bool { return slices.Equal(x, y) })
}
