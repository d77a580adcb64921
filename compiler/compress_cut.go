package compiler

import (
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/kernels"
)

// A weight may be cut: each rank along an axis has a part of one of its dims. What is pruned or rounded within runs along the input, as N:M and groups of a scale are,
// each rank does for its part, as long as no run is cut. For all else (a share of the whole weight, its outputs or its heads; a scale for all of an input that is cut)
// the ranks gather the dense copy, each makes the whole, by the same operations as one rank does, and keeps its part: so it holds the same bits.

// part is what a rank has of a weight.
type part struct {
	cut   plan.Cut
	along view // what each output is a sum of, as far as the rank has it

	outer, input, tail []plan.Dim // of the rank's part: those before the input, of the input, and those behind it
	whole              [3][]plan.Dim
}

// partOf looks at a weight whose dims are those of the rank's part, and were those of the whole.
func partOf(w *weight) *part {
	if len(w.stored) != 2 {
		return &part{}
	}
	at, n := 0, len(w.dims) // the first dim of what is stored as the second
	for at < n && size(w.dims[:at]) != w.stored[0] {
		at++
	}
	from, to := at, n
	if w.inOut {
		from, to = 0, at
	}
	p := &part{cut: w.cut, outer: w.value.Dims[:from], input: w.value.Dims[from:to], tail: w.value.Dims[to:], whole: [3][]plan.Dim{w.dims[:from], w.dims[from:to], w.dims[to:]}}
	p.along = view{size(p.outer), size(p.input), size(p.tail)}
	return p
}

// cutsInput says whether the dim that is cut is one that an output is a sum of, and which of those it is.
func (p *part) cutsInput() (dim int, cuts bool) {
	dim = p.cut.Dim - len(p.outer)
	return dim, p.cut.Axis != "" && dim >= 0 && dim < len(p.input)
}

// holds says whether runs of n neighbours along the input, 0 standing for all of it, lie in one rank's part each.
func (p *part) holds(n int) bool {
	dim, cuts := p.cutsInput()
	return !cuts || n > 0 && size(p.input[dim:])%n == 0
}

// scaleDims are those of the scales of groups of so many neighbours, of which the input's dims from one on make one, and the place of that.
func scaleDims(dims [3][]plan.Dim, from, groups int) (list []plan.Dim, at int) {
	list = slices.Concat(dims[0], dims[1][:from], []plan.Dim{{Name: "group", Size: groups}}, dims[2])
	return list, len(dims[0]) + from
}

// scales makes the state that holds a weight's scales, or its zero points: the rank's, where it finds them by itself, else all.
func (u *updater) scales(w *weight, suffix string) *graph.Value {
	c := w.compression
	p := c.part
	first, cuts := p.cutsInput()
	if !cuts || !p.holds(c.Group) {
		first = 0
	}
	groups := func(input []plan.Dim) int { return kernels.Groups(size(input[first:]), kernels.Attrs{Group: c.Group}) }
	whole, at := scaleDims(p.whole, first, groups(p.whole[1]))
	if p.cut.Axis == "" || !p.holds(c.Group) {
		return u.compressState(w, suffix, kernels.F32, "zeros", whole...)
	}
	own, _ := scaleDims([3][]plan.Dim{p.outer, p.input, p.tail}, first, groups(p.input))
	v := u.compressState(w, suffix, kernels.F32, "zeros", own...)
	cut := p.cut
	switch {
	case cuts:
		cut.Dim = at
	case cut.Dim > len(p.outer): // behind the input, in place of which there is one dim
		cut.Dim -= len(p.input) - first - 1
	}
	st := u.states[len(u.states)-1]
	st.whole, st.dims, st.cut = false, whole, cut
	return v
}

// prune emits the mask of a dense copy.
func (u *updater) prune(w *weight, dense *graph.Value) {
	c, name := w.compression, w.value.Name
	from := len(u.Program.Nodes)
	emit := func(x, mask *graph.Value, v view) {
		u.Emit(kernels.PruneMask, "prune."+name, c.pattern(), graph.Args{"x": graph.As(x, v.shape()...), "sparsity": graph.Is(u.scalar(plan.ScalarSparsity(name), kernels.F64)),
			"mask": graph.As(mask, v.shape()...)})
	}
	switch {
	case w.cut.Axis == "":
		emit(dense, c.mask, c.slices)
	case compress.Pattern(c.Pattern) == compress.Neighbours && c.part.holds(c.Of):
		emit(dense, c.mask, c.part.along)
	default:
		whole := u.whole(w, dense)
		from = len(u.Program.Nodes) // a collective has no guard
		mask := u.room(w, c.mask)
		emit(u.real(w, whole), u.real(w, mask), c.slices)
		u.keepShare(w, mask, c.mask)
	}
	for _, n := range u.Program.Nodes[from:] {
		n.Guard = u.scalar(plan.ScalarMask(name), kernels.I64)
	}
}

// quantiseWhole rounds a weight of which no rank has whole groups: all of it, of which each keeps its part.
func (u *updater) quantiseWhole(w *weight, x, made *graph.Value) {
	whole, rounded, shape := u.whole(w, x), u.room(w, made), w.compression.along.shape()
	u.quantise(w.compression, graph.As(u.real(w, whole), shape...), nil, graph.As(u.real(w, rounded), shape...))
	u.keepShare(w, rounded, made)
}

// whole gathers what ranks have of a weight, or of what has its shape.
func (u *updater) whole(w *weight, v *graph.Value) *graph.Value {
	whole := u.Graph.Add(v.Name+".whole", plan.Workspace, v.DType, u.wholeDims(w)...)
	u.Emit(kernels.AllGather, "gather."+v.Name, kernels.Attrs{Axis: w.cut.Axis, Dim: w.cut.Dim}, graph.Args{"x": graph.Is(v), "y": graph.Is(whole)})
	return whole
}

// room is for as much as all ranks have of a weight, with zeros for what is of none.
func (u *updater) room(w *weight, like *graph.Value) *graph.Value {
	v := u.Graph.Add(like.Name+".whole", plan.Workspace, like.DType, u.wholeDims(w)...)
	if v.Len() != size(w.dims) {
		u.Emit(kernels.Zero, v.Name, kernels.Attrs{}, graph.Args{"y": graph.Is(v)})
	}
	return v
}

// wholeDims are those of a weight with what pads it.
func (u *updater) wholeDims(w *weight) []plan.Dim {
	dims := slices.Clone(w.value.Dims)
	dims[w.cut.Dim].Size *= u.degrees[w.cut.Axis]
	return dims
}

// real leaves out what pads a value, which is at its end: only the first dim is ever padded.
func (u *updater) real(w *weight, v *graph.Value) *graph.Value {
	if v.Len() == size(w.dims) {
		return v
	}
	return u.Graph.Run(v, 0, w.dims...)
}

// keepShare copies the rank's part of a whole.
func (u *updater) keepShare(w *weight, whole, own *graph.Value) {
	share := u.Graph.Slice(whole, w.cut.Dim, w.cut.Axis)
	share.Dims = slices.Clone(w.value.Dims)
	u.Emit(kernels.Copy, "keep."+own.Name, kernels.Attrs{}, graph.Args{"x": graph.Is(share), "y": graph.Is(own)})
}

func (v view) shape() []int { return []int{v.a, v.k, v.b} }
