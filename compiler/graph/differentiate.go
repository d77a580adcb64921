package graph

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// Differentiate makes the backward program of a forward program: the gradient
// of the loss with respect to every weight that trained says is trained. Gradients
// of weights are lasting values named "grad." and the weight's name. Where the graph has the scalar loss_scale, it is the
// gradient of that many times the loss.
func Differentiate(g *Graph, forward *Program, name string, trained func(*Value) bool) (*Program, error) {
	p := &Program{Name: name, Length: forward.Length}
	d := &differentiator{
		Emitter: Emitter{Graph: g, Program: p},
		trained: trained, needed: map[*Value]bool{}, grads: map[*Value]*Value{}, written: map[*Value]bool{},
	}
	d.findNeeded(forward)
	for i := len(forward.Nodes) - 1; i >= 0; i-- {
		n := forward.Nodes[i]
		d.Region, d.Pos, d.Block = n.Region, n.Pos, n.Block
		if err := d.node(n); err != nil {
			return nil, fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	g.Programs = append(g.Programs, p)
	return p, nil
}

type differentiator struct {
	Emitter
	trained func(*Value) bool
	needed  map[*Value]bool   // values whose gradient leads to a trained weight
	grads   map[*Value]*Value // by value; a view's gradient is the same view of its root's gradient
	written map[*Value]bool   // gradients that hold a first term

	rowWeights Arg // of the loss's rows, as the loss sum has them
}

// findNeeded marks what depends on a trained weight.
func (d *differentiator) findNeeded(forward *Program) {
	for _, n := range forward.Nodes {
		reached := false
		n.Uses(func(v *Value, role kernels.Role) {
			if role.Reads() && (d.needed[v] || d.needed[v.Root()] || v.Class == plan.Weight && d.trained(v)) {
				reached = true
			}
		})
		if !reached {
			continue
		}
		n.Uses(func(v *Value, role kernels.Role) {
			if role.Writes() {
				d.needed[v] = true
			}
		})
	}
}

func (d *differentiator) needs(v *Value) bool {
	if v == nil {
		return false
	}
	if v.Class == plan.Weight {
		return d.trained(v)
	}
	return d.needed[v] || d.needed[v.Root()]
}

// node emits the derivative of one forward node.
func (d *differentiator) node(n *Node) error {
	rule := derivatives[n.Op]
	if rule == nil {
		if any := d.outputNeeded(n); any {
			return fmt.Errorf("%v has no derivative", n.Op)
		}
		return nil
	}
	return rule(d, n)
}

func (d *differentiator) outputNeeded(n *Node) bool {
	found := false
	n.Uses(func(v *Value, role kernels.Role) { found = found || role.Writes() && d.grads[v] != nil })
	return found
}

// grad is the gradient of the loss with respect to a forward value, complete
// by the time its producer is reached; nil where the loss does not depend on it.
func (d *differentiator) grad(v *Value) *Value { return d.grads[v] }

// contribute adds a term to the gradient of v: emit writes the term into the value it is given.
func (d *differentiator) contribute(v *Value, emit func(dst *Value)) {
	if !d.needs(v) {
		return
	}
	if d.grads[v] == nil {
		dst := d.target(v)
		d.grads[v] = dst
		emit(dst)
		return
	}
	term := d.fresh(v)
	emit(term)
	d.accumulate(v, term)
}

// pass makes a finished value a term of v's gradient, without copying it where that can be.
func (d *differentiator) pass(v, term *Value) {
	switch {
	case !d.needs(v):
	case d.grads[v] != nil:
		d.accumulate(v, term)
	case v.View != nil || kernels.Elements(v.Shape()) != term.Len():
		dst := d.target(v)
		d.grads[v] = dst
		d.Emit(kernels.Copy, dst.Name, kernels.Attrs{}, Args{"x": Is(term), "y": Is(dst)})
	default:
		d.grads[v] = term
	}
}

func (d *differentiator) accumulate(v, term *Value) {
	sum := d.grads[v]
	z := sum
	if v.View == nil {
		z = d.fresh(v)
	}
	shape := v.Shape()
	if v.View != nil {
		shape = nil
	}
	d.Emit(kernels.Add, "d."+v.Name+".add", kernels.Attrs{}, Args{"x": {sum, shape}, "y": As(term, v.Shape()...), "z": {z, shape}})
	d.grads[v] = z
}

func (d *differentiator) fresh(v *Value) *Value {
	t := d.Graph.Add("d."+v.Name, plan.Workspace, v.DType, v.Dims...)
	t.Of = v
	return t
}

// target is where the first term of v's gradient goes: a fresh value, or the
// part of its root's gradient when v is a view.
func (d *differentiator) target(v *Value) *Value {
	if v.View == nil {
		return d.fresh(v)
	}
	root := v.View.Of
	if d.grads[root] == nil {
		d.grads[root] = d.target(root)
	}
	return d.Graph.Part(d.grads[root], v.View.Dim, v.View.Index, "d."+v.Name)
}

// weightGrad is the gradient of a trained weight, and whether it holds a term already.
func (d *differentiator) weightGrad(w *Value) (grad *Value, accumulate bool) {
	grad, _ = d.Graph.Lasting("grad."+w.Name, plan.Gradient, w.DType, w.Dims...)
	grad.Of = w
	accumulate = d.written[grad]
	d.written[grad] = true
	return grad, accumulate
}

// sum emits a node whose result is a term of a weight's gradient.
func (d *differentiator) sum(op kernels.Op, name string, attrs kernels.Attrs, w *Value, output string, shape []int, args Args) {
	grad, accumulate := d.weightGrad(w)
	attrs.Accumulate = accumulate
	args[output] = As(grad, shape...)
	d.Emit(op, name, attrs, args).First = !accumulate
}
