package compiler

import (
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// lowerer turns the graph of a stage into buffers and instructions.
type lowerer struct {
	offsets map[*graph.Value]int64
	slotted map[*graph.Value]bool
	ids     map[*graph.Value]int
	buffers []plan.Buffer
}

// addWorkspace gives each node that needs room within its run a value for it.
// It runs before allocation, since what a device kind needs is known by then.
func addWorkspace(g *graph.Graph, kind kernels.Kind) error {
	for _, p := range g.Programs {
		for _, n := range p.Nodes {
			i := n.Contract().Param("workspace")
			if i < 0 {
				continue
			}
			sizes, err := kernels.Check(n.Op, n.Attrs, tensors(n))
			if err != nil {
				return err
			}
			if need := kind.Workspace(n.Op, sizes, n.Attrs); need > 0 {
				v := g.Add(n.Name+".workspace", plan.Workspace, kernels.U8, plan.Dim{Name: "byte", Size: int(need)})
				n.Args[i] = graph.Is(v)
			}
		}
	}
	return nil
}

func tensors(n *graph.Node) []kernels.Tensor {
	list := make([]kernels.Tensor, len(n.Args))
	for i, a := range n.Args {
		if a.Value != nil {
			list[i] = a.Tensor()
		}
	}
	return list
}

// buffer finds or makes the buffer of a value's storage.
func (l *lowerer) buffer(v *graph.Value) int {
	v = v.Root()
	if id, ok := l.ids[v]; ok {
		return id
	}
	id := len(l.buffers)
	l.ids[v] = id
	l.buffers = append(l.buffers, plan.Buffer{ID: id, Name: v.Name, Class: v.Class, Offset: l.offsets[v],
		DType: v.DType, Dims: append([]plan.Dim{}, v.Dims...), Lasting: v.Lasting(), Slotted: l.slotted[v]})
	return id
}

func (l *lowerer) operand(a graph.Arg) plan.Operand {
	if a.Value == nil {
		return plan.Absent
	}
	o := plan.Operand{Buffer: l.buffer(a.Value), Shape: slices.Clone(a.ViewShape())}
	if a.Value.View != nil {
		if o.Offset, o.Strides = a.Value.Strides(); a.Value.View.Run {
			o.Strides = nil // dense in any shape
		}
		o.Part, o.Step = a.Value.View.Axis, a.Value.Step()
	}
	return o
}

func (l *lowerer) instruction(n *graph.Node) plan.Instruction {
	in := plan.Instruction{Op: n.Op, Name: n.Name, Attrs: n.Attrs, Pos: n.Pos}
	for _, a := range n.Args {
		in.Operands = append(in.Operands, l.operand(a))
	}
	if n.Guard != nil {
		in.Predicate = l.buffer(n.Guard) + 1
	}
	return in
}

func (l *lowerer) ports(list []graph.Port) []plan.Port {
	var ports []plan.Port
	for _, p := range list {
		ports = append(ports, plan.Port{Name: p.Name, Buffer: l.buffer(p.Value)})
	}
	return ports
}

func (l *lowerer) program(p *graph.Program) plan.Program {
	out := plan.Program{Name: p.Name, Length: p.Length, Inputs: l.ports(p.Inputs), Outputs: l.ports(p.Outputs)}
	events := 0
	for i, list := range waits(p).nodes {
		in := l.instruction(p.Nodes[i])
		in.Stream = streamOf(p.Nodes[i])
		in.Joined = p.Nodes[i].Joined
		in.Open, in.Await = p.Nodes[i].Open, slices.Clone(p.Nodes[i].Await)
		for _, on := range list {
			before := &out.Instructions[on]
			if before.Signal == 0 {
				events++
				before.Signal = events
			}
			in.Wait = append(in.Wait, before.Signal)
		}
		out.Instructions = append(out.Instructions, in)
	}
	return out
}

// adding is the backward program for the micro-batches after the first: what
// writes the first term of a gradient adds to it instead.
func (l *lowerer) adding(p *graph.Program) plan.Program {
	out := l.program(p)
	out.Name = addingName(p.Name)
	for i, n := range p.Nodes {
		if n.First {
			out.Instructions[i].Attrs.Accumulate = true
		}
	}
	return out
}

func addingName(backward string) string { return backward + ".add" }
