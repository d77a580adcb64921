package compiler

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// tail is the end of a forward program, from the product that makes the logits on, and what follows from it in the
// backward program: nodes that work on each of some rows by itself, or sum over them.
type tail struct {
	nodes []*graph.Node
	is    map[*graph.Node]bool
	rows  int
	unit  int                           // of rows that stay together
	made  map[*graph.Value]bool         // roots with a part for each row that the nodes make
	inner map[*graph.Value]bool         // those of them that nothing else uses: they need not be whole
	parts map[*graph.Value]*graph.Value // of the current chunk
}

// rowwise are the operations that a tail may hold besides products. Operands whose pattern begins with "..." have the rows.
var rowwise = []kernels.Op{kernels.Activate, kernels.ActivateGrad, kernels.Scale, kernels.SumRows, kernels.ArgMax,
	kernels.CrossEntropy, kernels.CrossEntropyGrad, kernels.CrossEntropyPart, kernels.CrossEntropyJoin, kernels.BinaryCrossEntropy, kernels.BinaryCrossEntropyGrad,
	kernels.SquaredError, kernels.SquaredErrorGrad, kernels.PluginLoss, kernels.PluginLossGrad}

// tail finds the nodes from the product of the logits to the loss.
func (u *unitOfWork) tail(p *graph.Program) (*tail, error) {
	t := &tail{is: map[*graph.Node]bool{}, made: map[*graph.Value]bool{}, inner: map[*graph.Value]bool{}}
	at := lossAt(p)
	v := p.Nodes[at].Arg("logits")
	t.rows, t.unit = v.Len()/v.Dims[len(v.Dims)-1].Size, 1
	if plugin := u.strategy.Objective.Plugin; plugin != nil && plugin.Records() > 0 {
		t.unit = plugin.Records() * p.Nodes[at].Attrs.Length
	}
	list := []*graph.Node{p.Nodes[at]}
	for at--; at >= 0; at-- {
		n := p.Nodes[at]
		if !slices.Contains(outputs(n), v) {
			continue
		}
		list = append(list, n)
		if n.Op == kernels.MatMul && !n.Attrs.TransA && n.Arg("c") == v && n.Arg("b").Class == plan.Weight {
			slices.Reverse(list)
			for _, n := range list {
				t.add(n)
			}
			return t, nil
		}
		if n.Op != kernels.Activate && n.Op != kernels.Scale && n.Op != kernels.AllGather { // which a plugin sees whole
			break
		}
		v = n.Arg("x")
	}
	return nil, errors.New("its logits are not made by one product with a weight")
}

func (t *tail) add(n *graph.Node) {
	t.nodes = append(t.nodes, n)
	t.is[n] = true
	for i, arg := range n.Args {
		if arg.Value != nil && t.hasRows(n, i) && n.Contract().RoleOf(i, n.Attrs).Writes() {
			t.made[arg.Value.Root()] = true
		}
	}
}

// join adds what puts the loss together from those of parts of the classes, if it is.
func (t *tail) join(p *graph.Program) {
	at := lossAt(p)
	if p.Nodes[at].Op != kernels.CrossEntropyPart {
		return
	}
	for _, n := range p.Nodes[at+1:] {
		t.add(n)
		if n.Op == kernels.CrossEntropyJoin {
			return
		}
	}
}

// follow adds the nodes of a program that go on with what the tail makes, as long as they are of its kind. A product's
// result is not gone on with: it is the gradient of what the head reads.
func (t *tail) follow(p *graph.Program) {
	end := map[*graph.Value]bool{}
	begun := false
	for _, n := range p.Nodes {
		if t.is[n] {
			continue
		}
		takes := false
		n.Uses(func(v *graph.Value, role kernels.Role) {
			takes = takes || role.Reads() && t.made[v.Root()] && !end[v.Root()]
		})
		switch known := n.Op == kernels.MatMul || slices.Contains(rowwise, n.Op); {
		case takes && known:
			t.add(n)
			begun = true
			if n.Op == kernels.MatMul {
				end[n.Arg("c").Root()] = true
			}
		case begun && !takes:
			return
		}
	}
}

// hasRows says whether operand i of a node has the tail's rows.
func (t *tail) hasRows(n *graph.Node, i int) bool {
	name := n.Contract().Params[i].Name
	if n.Contract().Collective { // of the two numbers of each row
		return true
	}
	if n.Op == kernels.MatMul {
		if n.Attrs.TransA { // a sum over rows
			return name == "a" || name == "b"
		}
		return name != "b" && name != "bias"
	}
	return strings.HasPrefix(n.Contract().Params[i].Shape, "...")
}

// check finds which values nothing but the tail uses, and what keeps the tail from being moved as a whole to the end of
// its forward program, or to the beginning of the backward one.
func (t *tail) check(g *graph.Graph, programs ...*graph.Program) error {
	for v := range t.made {
		t.inner[v] = v.View == nil && !v.Lasting() && v.Len()%t.rows == 0
	}
	for _, p := range g.Programs {
		for _, out := range p.Outputs {
			delete(t.inner, out.Value.Root())
		}
		for _, n := range p.Nodes {
			if t.is[n] {
				continue
			}
			n.Uses(func(v *graph.Value, _ kernels.Role) { delete(t.inner, v.Root()) })
		}
	}
	if !t.inner[t.logits()] {
		return errors.New("its logits are read elsewhere")
	}
	if err := t.views(); err != nil {
		return err
	}
	return t.order(programs)
}

// order refuses a tail that reads what the nodes make that are to follow it.
func (t *tail) order(programs []*graph.Program) error {
	later := map[*graph.Value]bool{}
	for i, p := range programs {
		nodes := p.Nodes
		if i == 0 {
			_, nodes = t.divide(p)
		}
		for _, n := range nodes {
			if !t.is[n] {
				for _, v := range outputs(n) {
					later[v] = true
				}
			}
		}
	}
	for _, n := range t.nodes {
		early := ""
		n.Uses(func(v *graph.Value, role kernels.Role) {
			if role.Reads() && later[v.Root()] {
				early = v.Name
			}
		})
		if early != "" {
			return fmt.Errorf("%s needs %s, which is made later", n.Name, early)
		}
	}
	return nil
}

func (t *tail) logits() *graph.Value {
	return t.nodes[slices.IndexFunc(t.nodes, func(n *graph.Node) bool { return n.Contract().Param("logits") >= 0 })].Arg("logits")
}

// views refuses operands that have the rows, but not one after another.
func (t *tail) views() error {
	for _, n := range t.nodes {
		for i, arg := range n.Args {
			if arg.Value != nil && t.hasRows(n, i) && (arg.Value.View != nil || arg.Value.Len()%t.rows != 0) {
				return fmt.Errorf("%s is a part of another tensor", arg.Value.Name)
			}
		}
	}
	return nil
}

// divide gives the nodes of a forward program before the tail, and those that follow it.
func (t *tail) divide(p *graph.Program) (before, after []*graph.Node) {
	first := slices.Index(p.Nodes, t.nodes[0])
	before = slices.Clone(p.Nodes[:first])
	for _, n := range p.Nodes[first:] {
		if !t.is[n] {
			after = append(after, n)
		}
	}
	return before, after
}

// rest is what a program holds besides the tail.
func (t *tail) rest(p *graph.Program) []*graph.Node {
	return slices.DeleteFunc(slices.Clone(p.Nodes), func(n *graph.Node) bool { return t.is[n] })
}

// chunked writes the tail out for each of n chunks of rows.
func (t *tail) chunked(g *graph.Graph, n int) []*graph.Node {
	var list []*graph.Node
	each := ceilDiv(ceilDiv(t.rows, n), t.unit) * t.unit
	for from := 0; from < t.rows; from += each {
		t.parts = map[*graph.Value]*graph.Value{}
		for _, node := range t.nodes {
			list = append(list, t.chunk(g, node, from, min(each, t.rows-from)))
		}
	}
	return list
}

// chunk is a node for rows [from, from+rows). What sums over rows adds to the sum from the second chunk on.
func (t *tail) chunk(g *graph.Graph, n *graph.Node, from, rows int) *graph.Node {
	part := *n
	part.Name = fmt.Sprintf("%s/%d", n.Name, from)
	part.Args = slices.Clone(n.Args)
	if n.Contract().Collective {
		part.Attrs.Dim = 1 // the first is the row
	}
	for i, arg := range n.Args {
		switch p := n.Contract().Params[i]; {
		case arg.Value == nil:
		case t.hasRows(n, i):
			part.Args[i] = t.slice(g, arg, from, rows, max(0, len(strings.Fields(p.Shape))-1))
		case p.Sums && from > 0:
			part.Attrs.Accumulate, part.First = true, false
		}
	}
	return &part
}

// slice is some rows of an operand; of what nothing else uses, a tensor of its own. The operation asks for so many dims behind the rows.
func (t *tail) slice(g *graph.Graph, arg graph.Arg, from, rows, behind int) graph.Arg {
	v := arg.Value
	each := v.Len() / t.rows
	if t.parts[v] == nil {
		dims := []plan.Dim{{Name: "row", Size: rows}}
		if each > 1 {
			dims = append(dims, plan.Dim{Name: v.Dims[len(v.Dims)-1].Name, Size: each})
		}
		if t.inner[v] {
			t.parts[v] = g.Add(v.Name, v.Class, v.DType, dims...)
		} else {
			t.parts[v] = g.Run(v, from*each, dims...)
		}
	}
	switch {
	case behind > 1:
		shape := arg.ViewShape()
		return graph.As(t.parts[v], append([]int{rows}, shape[len(shape)-behind:]...)...)
	case behind == 0 && each == 1:
		return graph.As(t.parts[v], rows)
	}
	return graph.As(t.parts[v], rows, each)
}
