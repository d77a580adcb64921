// Package graph is the tensor program between layers and plan: values with
// named dims, and nodes that apply operations of package kernels to them.
//
// A [Graph] holds programs over one pool of values, so that the backward
// program reads what the forward program made. A node lists its operands in the order of
// its operation's contract. A value is written by one node, or, where it is a
// sum, by several in turn, all but the first adding to it.
// Derivatives ([Differentiate]) are rules, one for each operation.
package graph

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// Value is a tensor of the program.
type Value struct {
	ID    int
	Name  string
	Class plan.Class
	DType kernels.DType // F32 stands for the compute type until the precision pass
	Dims  []plan.Dim
	View  *View  // not nil: a part of another value, without storage of its own
	Of    *Value // of a gradient: what it is the gradient of

	Split   [][]string // by dim: the axes of the mesh whose ranks share it out, the last counting fastest; nil: none
	Partial []string   // axes over which the value is the sum of what ranks have
}

// View is the part of a value where one of its dims has a given index; or, with Run, its elements from the index on, and with Axis besides those
// of the rank's place, of as many neighbouring runs of the view's length as the axis has places; or, with Slice, the rank's part of a dim
// along Axis, or without that as much from its beginning on as the view is long.
type View struct {
	Of    *Value
	Dim   int
	Index int
	Run   bool
	Slice bool
	Axis  string
}

// Shape is the lengths of the value's dims.
func (v *Value) Shape() []int {
	shape := make([]int, len(v.Dims))
	for i, d := range v.Dims {
		shape[i] = d.Size
	}
	return shape
}

// Len is the number of elements.
func (v *Value) Len() int { return kernels.Elements(v.Shape()) }

// Root is the value that holds v's storage: v itself, unless v is a view.
func (v *Value) Root() *Value {
	for v.View != nil {
		v = v.View.Of
	}
	return v
}

// Lasting says whether the value lives from step to step.
func (v *Value) Lasting() bool {
	switch v.Class {
	case plan.Weight, plan.Taught, plan.State, plan.ScalarKind:
		return true
	}
	return false
}

// Strides gives the place of the value's elements in its root: the first one's
// offset, and the distance between neighbours along each dim, in elements.
func (v *Value) Strides() (offset int, strides []int) {
	if v.View == nil {
		return 0, dense(v.Shape())
	}
	offset, outer := v.View.Of.Strides()
	switch {
	case v.View.Run:
		return offset + v.View.Index, dense(v.Shape())
	case v.View.Slice:
		return offset, outer
	}
	offset += v.View.Index * outer[v.View.Dim]
	strides = append(strides, outer[:v.View.Dim]...)
	return offset, append(strides, outer[v.View.Dim+1:]...)
}

// Step is the distance between the parts that neighbouring ranks see, for a view that differs among them; 0: as many elements as it has.
func (v *Value) Step() int {
	if !v.View.Slice || v.View.Axis == "" {
		return 0
	}
	_, strides := v.Strides()
	return v.Dims[v.View.Dim].Size * strides[v.View.Dim]
}

func dense(shape []int) []int {
	strides := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= shape[i]
	}
	return strides
}

// Node applies an operation.
type Node struct {
	Op     kernels.Op
	Name   string // such as "h.3.attn.scores"
	Attrs  kernels.Attrs
	Args   []Arg // in the order of the contract; the zero Arg is absent
	Region string
	Pos    string
	Guard  *Value // an I64 scalar: the node is skipped while it is 0
	Async  bool   // a collective that runs beside what follows it
	Joins  bool   // a collective that may be one call with those beside it
	Joined bool   // and is with the node before it
	Stream int    // of what is handed on between stages, which goes on past the end of its program
	Open   int    // an event of the stage, which says that it has ended; 0: it ends with its program
	Await  []int  // such events, before the node begins
	First  bool   // writes the first term of a gradient: adds to it in programs for later micro-batches
	Block  int    // number of the repeated block it belongs to, from 1; 0: none
}

// Arg is an operand of a node: a value, seen in a shape of as many elements.
type Arg struct {
	Value *Value
	Shape []int // nil: the value's own
}

// Is makes an operand that is seen in the value's own shape.
func Is(v *Value) Arg { return Arg{Value: v} }

// As makes an operand that is seen in another shape.
func As(v *Value, shape ...int) Arg { return Arg{Value: v, Shape: shape} }

// ViewShape is the shape the operation sees.
func (a Arg) ViewShape() []int {
	if a.Shape != nil {
		return a.Shape
	}
	return a.Value.Shape()
}

// Contract is the contract of the node's operation.
func (n *Node) Contract() *kernels.Contract { return &kernels.Contracts[n.Op] }

// Arg finds an operand's value by its name in the contract; nil when absent.
func (n *Node) Arg(name string) *Value { return n.Args[n.Contract().Param(name)].Value }

// Uses calls f for each present operand with its role.
func (n *Node) Uses(f func(v *Value, role kernels.Role)) {
	for i, arg := range n.Args {
		if arg.Value != nil {
			f(arg.Value, n.Contract().RoleOf(i, n.Attrs))
		}
	}
}

// Program is a list of nodes in an order in which they can run.
type Program struct {
	Name    string
	Length  int // the length bucket it is for
	Nodes   []*Node
	Inputs  []Port // filled before it runs
	Outputs []Port // kept until it has ended

	Boundaries map[*Value]bool // what enters a repeated block
}

// Uses calls f for each operand of each node, and for the ports, with a nil node.
func (p *Program) Uses(f func(n *Node, v *Value)) {
	for _, in := range p.Inputs {
		f(nil, in.Value)
	}
	for _, n := range p.Nodes {
		n.Uses(func(v *Value, _ kernels.Role) { f(n, v) })
	}
	for _, out := range p.Outputs {
		f(nil, out.Value)
	}
}

// Port names a value for the runtime.
type Port struct {
	Name  string
	Value *Value
}

// Graph is all programs of a stage over their common values.
type Graph struct {
	Values   []*Value
	Programs []*Program
	byName   map[string]*Value
}

// New makes an empty graph.
func New() *Graph { return &Graph{byName: map[string]*Value{}} }

// Program finds a program; nil when there is none.
func (g *Graph) Program(name string) *Program {
	for _, p := range g.Programs {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Add makes a value. Names may repeat, but for those of lasting values.
func (g *Graph) Add(name string, class plan.Class, dtype kernels.DType, dims ...plan.Dim) *Value {
	v := &Value{ID: len(g.Values), Name: name, Class: class, DType: dtype, Dims: slices.Clone(dims)}
	g.Values = append(g.Values, v)
	return v
}

// Lasting finds a value that lives from step to step by name, or makes it.
func (g *Graph) Lasting(name string, class plan.Class, dtype kernels.DType, dims ...plan.Dim) (v *Value, isNew bool) {
	if v := g.byName[name]; v != nil {
		return v, false
	}
	v = g.Add(name, class, dtype, dims...)
	g.byName[name] = v
	return v, true
}

// Find finds a lasting value by name; nil when there is none.
func (g *Graph) Find(name string) *Value { return g.byName[name] }

// Scalar is the lasting value of a scalar of the plan.
func (g *Graph) Scalar(name string) *Value {
	dtype := kernels.F64
	switch name {
	case plan.ScalarStep, plan.ScalarSeed, plan.ScalarOrigin, plan.ScalarPosition, plan.ScalarFinite, plan.ScalarGood, plan.ScalarUpdates:
		dtype = kernels.I64
	}
	v, _ := g.Lasting(name, plan.ScalarKind, dtype)
	return v
}

// Place is the scalar of the rank's place along axes, times a number.
func (g *Graph) Place(axes []string, times int) *Value {
	return g.PlaceBefore(axes, 0, times)
}

// PlaceBefore is that of so many places before the rank's, where the last comes before the first.
func (g *Graph) PlaceBefore(axes []string, before, times int) *Value {
	v, _ := g.Lasting(plan.PlaceScalar(axes, before, times), plan.ScalarKind, kernels.I64)
	return v
}

// Part makes the view of v where a dim has a given index.
func (g *Graph) Part(v *Value, dim, index int, name string) *Value {
	dims := append(append([]plan.Dim{}, v.Dims[:dim]...), v.Dims[dim+1:]...)
	part := g.Add(name, v.Class, v.DType, dims...)
	part.View = &View{Of: v, Dim: dim, Index: index}
	return part
}

// Run makes the view of elements of v that follow each other, from one on. v is not a view itself.
func (g *Graph) Run(v *Value, from int, dims ...plan.Dim) *Value {
	run := g.Add(v.Name, v.Class, v.DType, dims...)
	run.View = &View{Of: v, Index: from, Run: true}
	return run
}

// Share makes the view of the rank's part of v along an axis. v is not a view itself.
func (g *Graph) Share(v *Value, axis string, dims ...plan.Dim) *Value {
	share := g.Run(v, 0, dims...)
	share.View.Axis = axis
	return share
}

// Slice makes the view of the rank's part of a dim of v along an axis. v is not a view itself.
func (g *Graph) Slice(v *Value, dim int, axis string) *Value {
	s := g.Add(v.Name, v.Class, v.DType, v.Dims...)
	s.View = &View{Of: v, Dim: dim, Slice: true, Axis: axis}
	return s
}

// Verify holds every node against its operation's contract and checks that no
// value is read before it is written. Programs are taken to run in their order.
func (g *Graph) Verify() error {
	written := map[*Value]bool{}
	for _, p := range g.Programs {
		for _, in := range p.Inputs {
			written[in.Value.Root()] = true
		}
		for _, n := range p.Nodes {
			if err := n.verify(written); err != nil {
				return fmt.Errorf("program %s: %s (%s): %w", p.Name, n.Name, n.Pos, err)
			}
		}
	}
	return nil
}

func (n *Node) verify(written map[*Value]bool) error {
	if len(n.Args) != len(n.Contract().Params) {
		return fmt.Errorf("%v: %d operands, want %d", n.Op, len(n.Args), len(n.Contract().Params))
	}
	args := make([]kernels.Tensor, len(n.Args))
	for i, a := range n.Args {
		if a.Value == nil {
			continue
		}
		if kernels.Elements(a.ViewShape()) != a.Value.Len() {
			return fmt.Errorf("operand %s: %v is not a view of %s %v", n.Contract().Params[i].Name, a.ViewShape(), a.Value.Name, a.Value.Shape())
		}
		args[i] = a.Tensor()
	}
	if _, err := kernels.Check(n.Op, n.Attrs, args); err != nil {
		return err
	}
	var err error
	n.Uses(func(v *Value, role kernels.Role) {
		root := v.Root()
		if role.Reads() && !root.Lasting() && root.Class != plan.Cache && !written[root] {
			err = fmt.Errorf("%s is read before it is written", v.Name)
		}
	})
	n.Uses(func(v *Value, role kernels.Role) {
		if role.Writes() {
			written[v.Root()] = true
		}
	})
	return err
}

// Tensor describes the operand as a device will see it, without its memory.
func (a Arg) Tensor() kernels.Tensor {
	t := kernels.Tensor{DType: a.Value.DType, Shape: a.ViewShape()}
	if a.Value.View != nil && !a.Value.View.Run && a.Shape == nil {
		_, t.Strides = a.Value.Strides()
	}
	return t
}
