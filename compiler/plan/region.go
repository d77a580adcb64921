package plan

import (
	"cmp"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// region is the set of a buffer's elements that a view covers, where it can be
// followed: those whose index modulo stride lies in [from, to). A contiguous run has the whole buffer as its stride.
type region struct{ stride, from, to int }

// whole says whether the region is all of its buffer.
func (r region) whole() bool { return r.from == 0 && r.to == r.stride }

// regionOf finds the region of a view within a buffer of the given number of
// elements, which the view lies within. It is false where the view is not rows of one width at one distance over the whole buffer,
// or meets itself.
func regionOf(o *Operand, size int) (region, bool) {
	if o.Strides == nil {
		return region{size, o.Offset, o.Offset + kernels.Elements(o.Shape)}, true
	}
	merged := merge(o.Shape, o.Strides)
	slices.SortFunc(merged, func(a, b axis) int { return cmp.Compare(a.stride, b.stride) })
	merged = join(merged)
	switch {
	case len(merged) == 0:
		return region{size, o.Offset, o.Offset + 1}, true
	case merged[0].stride != 1:
		merged = slices.Insert(merged, 0, axis{1, 1})
	}
	width := merged[0].length
	if len(merged) == 1 {
		return region{size, o.Offset, o.Offset + width}, true
	}
	rows := merged[1]
	if len(merged) > 2 || rows.stride < width || rows.length*rows.stride != size || o.Offset+width > rows.stride {
		return region{}, false
	}
	return region{rows.stride, o.Offset, o.Offset + width}, true
}

// axis is a dim of a view, as a length and a stride.
type axis struct{ length, stride int }

// merge lists the axes of a view outermost first, but for those of length 1, neighbours that act as one made one.
func merge(shape, strides []int) []axis {
	var list []axis
	for i, n := range shape {
		if n == 1 {
			continue
		}
		s := strides[i]
		if k := len(list) - 1; k >= 0 && list[k].stride == n*s {
			list[k] = axis{list[k].length * n, s}
		} else {
			list = append(list, axis{n, s})
		}
	}
	return list
}

// join merges axes that are sorted by ascending stride.
func join(list []axis) []axis {
	joined := list[:0]
	for _, a := range list {
		if k := len(joined) - 1; k >= 0 && a.stride == joined[k].length*joined[k].stride {
			joined[k].length *= a.length
		} else {
			joined = append(joined, a)
		}
	}
	return joined
}

// sameView says whether two views touch the same bytes in the same order: the
// one's first element lies at the byte of the other's, and their axes act alike.
func sameView(a, b *Operand) bool {
	return slices.Equal(a.axes(), b.axes())
}

func (o *Operand) axes() []axis {
	strides := o.Strides
	if strides == nil {
		strides = denseStrides(o.Shape)
	}
	return merge(o.Shape, strides)
}

func denseStrides(shape []int) []int {
	strides := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= shape[i]
	}
	return strides
}

// meets says whether two regions of one buffer share an element. Those of
// different strides are taken to, unless one's stride is a multiple of the other's and their rests lie apart.
func (r region) meets(o region) bool {
	if r.stride < o.stride {
		r, o = o, r
	}
	if r.stride%o.stride != 0 {
		return true
	}
	for _, piece := range r.modulo(o.stride) {
		if piece.from < o.to && o.from < piece.to {
			return true
		}
	}
	return false
}

// modulo is the region by another stride that divides its own: at most two pieces of one row, or the whole.
func (r region) modulo(stride int) []region {
	if r.to-r.from >= stride {
		return []region{{stride, 0, stride}}
	}
	from, to := r.from%stride, (r.to-1)%stride+1
	if from < to {
		return []region{{stride, from, to}}
	}
	return []region{{stride, from, stride}, {stride, 0, to}}
}

// part is what is defined of a buffer: disjoint regions of one stride that do not touch, ascending.
type part []region

// covers says whether a region is defined.
func (p part) covers(r region) bool {
	if len(p) == 0 || r.stride%p[0].stride != 0 {
		return len(p) == 1 && p[0].whole()
	}
	for _, piece := range r.modulo(p[0].stride) {
		if !slices.ContainsFunc(p, func(d region) bool { return d.from <= piece.from && piece.to <= d.to }) {
			return false
		}
	}
	return true
}

// with is what is defined once a region is written, too. Where the strides differ, only the new region is known to be.
func (p part) with(r region) part {
	switch {
	case r.whole() || len(p) == 0:
		return part{r}
	case len(p) == 1 && p[0].whole():
		return p
	case p[0].stride != r.stride:
		if p.covers(r) {
			return p
		}
		return part{r}
	}
	var list part
	for _, d := range p {
		if d.to < r.from || r.to < d.from {
			list = append(list, d)
		} else {
			r = region{r.stride, min(r.from, d.from), max(r.to, d.to)}
		}
	}
	list = append(list, r)
	slices.SortFunc(list, func(a, b region) int { return cmp.Compare(a.from, b.from) })
	return list
}
