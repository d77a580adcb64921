package compiler

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// hop is one move of a value from a layout to the next: a collective, or, as Copy, the taking of the rank's part.
type hop struct {
	op        kernels.Op
	axis      string
	dim, into int
}

// hops finds the way from a layout to another: what is to be summed first, since that makes the value smaller where it can, then what
// changes its place, then the taking of parts, and last what makes the value larger.
func hops(from [][]string, terms []string, to [][]string) ([]hop, error) {
	now := slices.Clone(from)
	terms = slices.Clone(terms)
	var list []hop
	for !sameSplit(now, to) || len(terms) > 0 {
		h, ok := nextHop(now, terms, to)
		if !ok || len(list) > 16 {
			return nil, fmt.Errorf("there is no way from the layout %v to %v", from, to)
		}
		list = append(list, h)
		terms = slices.DeleteFunc(terms, func(axis string) bool { return axis == h.axis })
		h.move(now)
	}
	return list, nil
}

// move changes a layout as the hop does.
func (h hop) move(split [][]string) {
	if h.op == kernels.AllGather || h.op == kernels.AllToAll {
		split[h.dim] = split[h.dim][:len(split[h.dim])-1]
	}
	switch h.op {
	case kernels.AllToAll:
		split[h.into] = append(slices.Clone(split[h.into]), h.axis)
	case kernels.ReduceScatter, kernels.Copy:
		split[h.dim] = append(slices.Clone(split[h.dim]), h.axis)
	}
}

func nextHop(now [][]string, terms []string, to [][]string) (hop, bool) {
	next := func(dim int) string { // the axis that a dim lacks next, where it has those before
		if n := len(now[dim]); n < len(to[dim]) && slices.Equal(now[dim], to[dim][:n]) {
			return to[dim][n]
		}
		return ""
	}
	last := func(dim int) string { // the axis that a dim must lose first
		if n := len(now[dim]); n > 0 && !(n <= len(to[dim]) && slices.Equal(now[dim], to[dim][:n])) {
			return now[dim][n-1]
		}
		return ""
	}
	used := func(axis string) bool {
		return slices.Contains(terms, axis) || slices.ContainsFunc(now, func(axes []string) bool { return slices.Contains(axes, axis) })
	}
	for dim := range now {
		if axis := next(dim); axis != "" && slices.Contains(terms, axis) {
			return hop{op: kernels.ReduceScatter, axis: axis, dim: dim}, true
		}
	}
	for _, axis := range terms {
		if !slices.ContainsFunc(to, func(axes []string) bool { return slices.Contains(axes, axis) }) {
			return hop{op: kernels.AllReduce, axis: axis}, true
		}
	}
	for dim := range now {
		for into := range now {
			if axis := last(dim); axis != "" && dim != into && next(into) == axis {
				return hop{op: kernels.AllToAll, axis: axis, dim: dim, into: into}, true
			}
		}
	}
	for dim := range now {
		if axis := next(dim); axis != "" && !used(axis) {
			return hop{op: kernels.Copy, axis: axis, dim: dim}, true
		}
	}
	for dim := range now {
		if axis := last(dim); axis != "" {
			return hop{op: kernels.AllGather, axis: axis, dim: dim}, true
		}
	}
	return hop{}, false
}

var hopNames = map[kernels.Op]string{kernels.AllGather: "gather", kernels.ReduceScatter: "reduce", kernels.AllReduce: "reduce",
	kernels.AllToAll: "exchange", kernels.Copy: "share"}

// moveTo gives a value in the layout that a node needs: itself, or what was moved for another node, or what it is moved to here. What
// takes no more room than the value itself is kept for the backward program; what is gathered is gathered again there. A weight is any program's: each moves it for itself.
func (s *sharder) moveTo(n *graph.Node, v *graph.Value, to [][]string) (*graph.Value, error) {
	from := s.split(v)
	if sameSplit(from, to) && len(v.Partial) == 0 {
		return v, nil
	}
	list, err := hops(from, v.Partial, to)
	if err != nil {
		return nil, err
	}
	program := ""
	if isWeight(v) || slices.ContainsFunc(list, func(h hop) bool { return h.op != kernels.AllToAll && h.op != kernels.Copy }) {
		program = s.program.Name
	}
	key := move{v, fmt.Sprint(to), program}
	if known := s.moved[key]; known != nil {
		return known, nil
	}
	last := s.graph.Add(v.Name+"."+hopNames[list[len(list)-1].op], plan.Activation, v.DType, v.Dims...)
	last.Split = to
	s.moved[key] = last
	return last, s.walk(n, v, list, last)
}

// moveInto moves a value that a node made into another one, which has its layout.
func (s *sharder) moveInto(n *graph.Node, v, into *graph.Value) error {
	list, err := hops(v.Split, v.Partial, s.split(into))
	if err != nil {
		return err
	}
	if into.View == nil && len(list) > 0 {
		return s.walk(n, v, list, into)
	}
	dense := v
	if len(list) > 0 {
		dense = s.graph.Add(into.Name+".dense", plan.Workspace, v.DType, v.Dims...)
		dense.Split = s.split(into)
		if err := s.walk(n, v, list, dense); err != nil {
			return err
		}
	}
	s.emit(n, kernels.Copy, into.Name+".place", kernels.Attrs{}, graph.Args{"x": graph.Is(dense), "y": graph.Is(into)})
	return nil
}

// walk emits the hops of a way, the last of which gives last.
func (s *sharder) walk(n *graph.Node, v *graph.Value, list []hop, last *graph.Value) error {
	split := slices.Clone(s.split(v))
	if v.View != nil && list[0].op != kernels.Copy { // collectives take what lies together
		dense := s.graph.Add(v.Name+".dense", plan.Workspace, v.DType, v.Dims...)
		dense.Split = split
		s.emit(n, kernels.Copy, dense.Name, kernels.Attrs{}, graph.Args{"x": graph.Is(v), "y": graph.Is(dense)})
		v = dense
	}
	for i, h := range list {
		whole := v.Dims[h.dim].Size
		uneven := h.op != kernels.AllReduce && whole%s.degree(split[h.dim]) != 0
		split = slices.Clone(split)
		h.move(split)
		y := last
		if i < len(list)-1 {
			y = s.graph.Add(v.Name+"."+hopNames[h.op], plan.Workspace, v.DType, v.Dims...)
			y.Split = split
		}
		uneven = uneven || h.op != kernels.AllReduce && whole%s.degree(split[h.dim]) != 0
		switch {
		case uneven && h.op == kernels.AllGather && len(split[h.dim]) == 0:
			s.gatherUneven(n, v, h, y)
			v = y
			continue
		case uneven && h.op == kernels.Copy && len(split[h.dim]) == 1:
			s.shareUneven(n, v, h, y)
			v = y
			continue
		case uneven:
			return fmt.Errorf("%s: %s %d does not divide among the ranks along %s", v.Name, v.Dims[h.dim].Name, whole, h.axis)
		}
		x, attrs := v, kernels.Attrs{Axis: h.axis, Dim: h.dim, Into: h.into}
		if h.op == kernels.Copy {
			x, attrs = s.graph.Slice(v, h.dim, h.axis), kernels.Attrs{}
			x.Split = split
		}
		s.emit(n, h.op, y.Name, attrs, graph.Args{"x": graph.Is(x), "y": graph.Is(y)})
		v = y
	}
	return nil
}

// shareUneven takes the rank's part of a dim that does not divide: what pads the last part is 0.
func (s *sharder) shareUneven(n *graph.Node, v *graph.Value, h hop, y *graph.Value) {
	padded, real := s.roomier(v, h, y.Name, s.split(v))
	s.emit(n, kernels.Zero, padded.Name, kernels.Attrs{}, graph.Args{"y": graph.Is(padded)})
	s.emit(n, kernels.Copy, padded.Name+".fill", kernels.Attrs{}, graph.Args{"x": graph.Is(v), "y": graph.Is(real)})
	part := s.graph.Slice(padded, h.dim, h.axis)
	part.Split = y.Split
	s.emit(n, kernels.Copy, y.Name, kernels.Attrs{}, graph.Args{"x": graph.Is(part), "y": graph.Is(y)})
}

// gatherUneven gathers a dim that does not divide: what pads the last part lies at the end, and is left behind.
func (s *sharder) gatherUneven(n *graph.Node, v *graph.Value, h hop, y *graph.Value) {
	padded, real := s.roomier(v, h, y.Name, y.Split)
	s.emit(n, h.op, padded.Name, kernels.Attrs{Axis: h.axis, Dim: h.dim}, graph.Args{"x": graph.Is(v), "y": graph.Is(padded)})
	s.emit(n, kernels.Copy, y.Name, kernels.Attrs{}, graph.Args{"x": graph.Is(real), "y": graph.Is(y)})
}

// roomier is room for a value whose dim was made one that divides, and what of it the value fills.
func (s *sharder) roomier(v *graph.Value, h hop, name string, split [][]string) (padded, real *graph.Value) {
	padded = s.graph.Add(name+".padded", plan.Workspace, v.DType, v.Dims...)
	ways := s.degrees[h.axis]
	padded.Dims[h.dim].Size, padded.Split = ceilDiv(v.Dims[h.dim].Size, ways)*ways, split
	real = s.graph.Slice(padded, h.dim, "")
	real.Dims[h.dim].Size, real.Split = v.Dims[h.dim].Size, split
	return padded, real
}
