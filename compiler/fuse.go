package compiler

import (
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/kernels"
)

// fuse lets matrix products take in what follows them elementwise, as their epilogue ([kernels.MatMul]): what a device
// kind can take in is a list of its [kernels.Kind]. The node that is taken in disappears, and its name is added to the
// product's. No buffer lives longer for it: the product writes what the node would have written in place of its own
// result; and where that result is needed besides, the node must be the product's neighbour.
func fuse(g *graph.Graph, kind kernels.Kind) {
	f := &fuser{kind: kind, reads: map[*graph.Value]int{}, writes: map[*graph.Value]int{}}
	for _, p := range g.Programs {
		for _, out := range p.Outputs {
			f.reads[out.Value.Root()]++
		}
		for _, n := range p.Nodes {
			f.count(n, 1)
		}
	}
	for _, p := range g.Programs {
		f.program(p)
	}
}

type fuser struct {
	kind          kernels.Kind
	reads, writes map[*graph.Value]int         // of roots, by the nodes and outputs of all programs
	made          map[*graph.Value]*graph.Node // what wrote a root last, in the current program
	place         map[*graph.Node]int          // in the current program
	kept          []*graph.Node                // of the current program, so far
}

func (f *fuser) count(n *graph.Node, by int) {
	n.Uses(func(v *graph.Value, role kernels.Role) {
		if role.Reads() {
			f.reads[v.Root()] += by
		}
		if role.Writes() && n.Op != kernels.Receive { // another stage computes it
			f.writes[v.Root()] += by
		}
	})
}

func (f *fuser) program(p *graph.Program) {
	f.made, f.place, f.kept = map[*graph.Value]*graph.Node{}, map[*graph.Node]int{}, nil
	for _, n := range p.Nodes {
		if f.absorb(n) {
			continue
		}
		f.place[n] = len(f.kept)
		f.kept = append(f.kept, n)
		f.note(n)
	}
	p.Nodes = f.kept
}

func (f *fuser) note(n *graph.Node) {
	for _, v := range outputs(n) {
		f.made[v] = n
	}
}

// epilogues says how each operation becomes part of the product that makes one of its operands.
var epilogues = map[kernels.Op]struct {
	from, to string // the operand that is the product, and the node's result
	with     string // its other operand, if any
	as       string // what that is to the product
	fit      func(product, n *graph.Node) bool
	keeps    bool // the product's own result can be had besides
}{
	kernels.Activate:     {from: "x", to: "y", fit: activates, keeps: true},
	kernels.ActivateGrad: {from: "dy", to: "dx", with: "x", as: "x", fit: activates, keeps: true},
	kernels.Gate:         {from: "up", to: "y", with: "gate", as: "x", fit: activates, keeps: true},
	kernels.Add:          {from: "y", to: "z", with: "x", as: "residual", fit: adds},
	kernels.Scale:        {from: "x", to: "y", fit: scales},
}

func activates(product, _ *graph.Node) bool {
	return product.Attrs.Kind == "" && product.Arg("residual") == nil
}

func adds(product, _ *graph.Node) bool { return product.Arg("residual") == nil }

// scales: alpha multiplies the sums, and the bias not; and it stands before all else.
func scales(product, n *graph.Node) bool {
	return n.Attrs.Alpha != 0 && product.Attrs.Alpha == 0 && product.Arg("bias") == nil && activates(product, n)
}

// absorb makes n part of a product before it; false where it cannot be.
func (f *fuser) absorb(n *graph.Node) bool {
	e, known := epilogues[n.Op]
	if !known || !slices.Contains(f.kind.Fuse, n.Op) || n.Guard != nil {
		return false
	}
	if f.take(n, e.from, e.with) {
		return true
	}
	return n.Op == kernels.Add && f.take(n, e.with, e.from) // either term may be the product
}

// take makes n part of the product that wrote the operand from; with is its other operand.
func (f *fuser) take(n *graph.Node, from, with string) bool {
	e := epilogues[n.Op]
	v, y := n.Arg(from), n.Arg(e.to)
	product := f.made[v]
	if product == nil || !f.whole(product, v) || !e.fit(product, n) || y.View != nil || y.Lasting() || f.writes[y] != 1 {
		return false
	}
	kept := f.reads[v] > 1
	if kept && (!e.keeps || f.place[product] != len(f.kept)-1) {
		return false
	}
	if with != "" && !f.before(n.Arg(with), product) {
		return false
	}
	f.merge(product, n, v, y, kept)
	if with != "" {
		set(product, e.as, graph.As(n.Arg(with), f.shape(product)...))
	}
	f.count(product, 1)
	f.note(product)
	return true
}

// whole says that a product writes the value v alone and for good.
func (f *fuser) whole(product *graph.Node, v *graph.Value) bool {
	return product.Op == kernels.MatMul && product.Arg("c") == v && v.View == nil && !v.Lasting() && f.writes[v] == 1 &&
		!product.Attrs.Accumulate && !product.First && product.Guard == nil
}

// before says that v can be read where a product stands, as a matrix.
func (f *fuser) before(v *graph.Value, product *graph.Node) bool {
	by := f.made[v]
	return v.View == nil && (by == nil || f.place[by] < f.place[product])
}

// merge gives the product the node's result for its own, which is kept as pre or vanishes.
func (f *fuser) merge(product, n *graph.Node, v, y *graph.Value, kept bool) {
	f.count(product, -1)
	f.count(n, -1)
	shape := f.shape(product)
	if kept {
		set(product, "pre", graph.As(v, shape...))
	} else {
		delete(f.made, v)
	}
	set(product, "c", graph.As(y, shape...))
	switch n.Op {
	case kernels.Scale:
		product.Attrs.Alpha = n.Attrs.Alpha
	case kernels.Add:
	default:
		product.Attrs.Kind, product.Attrs.Cap, product.Attrs.Derivative = n.Attrs.Kind, n.Attrs.Cap, n.Op == kernels.ActivateGrad
	}
	product.Name += "+" + distinct(n.Name, product.Name)
}

func (f *fuser) shape(product *graph.Node) []int {
	return product.Args[product.Contract().Param("c")].ViewShape()
}

func set(n *graph.Node, operand string, a graph.Arg) { n.Args[n.Contract().Param(operand)] = a }

// distinct is a dotted name without the leading parts that it shares with another.
func distinct(name, other string) string {
	parts, others := strings.Split(name, "."), strings.Split(other, ".")
	i := 0
	for i < len(parts)-1 && i < len(others) && parts[i] == others[i] {
		i++
	}
	return strings.Join(parts[i:], ".")
}
