package plan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// Logical is what a plan says of what is learnt, and of what: without how the work is shared out, and how it is done.
func (p *Plan) Logical() *Plan {
	l := &Plan{Version: p.Version, Name: p.Name, Device: p.Device, Model: p.Model, Training: p.Training, Data: p.Data}
	l.Training.MicroBatches = 0
	for _, t := range p.Tensors {
		if t.Terms { // how many there are, and of which weights, is how the work is shared out
			continue
		}
		t.Cut, t.Part, t.Stage, t.Buffer, t.Copies, t.Pos = Cut{}, "", 0, 0, nil, ""
		l.Tensors = append(l.Tensors, t)
	}
	slices.SortFunc(l.Tensors, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	return l
}

// Run is elements of a logical tensor that follow each other.
type Run struct{ First, N int64 }

// PartLen is the number of elements that a rank has room for: of a dim that does not divide the last rank keeps fewer, and zeros behind them.
func (p *Plan) PartLen(t *Tensor) int { return p.cutLen(t) / max(1, p.Degree(t.Part)) }

// shares is among how many ranks each of the terms of a tensor is shared out.
func (p *Plan) shares(t *Tensor) int {
	if t.Cut.Dim == 0 { // it is cut into terms, or not at all
		return 1
	}
	return p.Degree(t.Cut.Axis)
}

// CutOfTerms is how the terms of a weight, [terms, its dims], are shared out where degree is that of an axis: each rank that takes rows keeps one, of which the part that it has of the weight.
func CutOfTerms(weight Cut, degree func(axis string) int) (cut Cut, part string) {
	var rows []string
	for _, axis := range []string{AxisReplica, AxisData} {
		if degree(axis) > 1 {
			rows = append(rows, axis)
		}
	}
	if weight.Axis != "" {
		cut = Cut{Axis: weight.Axis, Dim: weight.Dim + 1}
	} else if len(rows) > 0 {
		cut, rows = Cut{Axis: rows[0]}, rows[1:]
	}
	if len(rows) > 0 {
		part = rows[0]
	}
	return cut, part
}

// RunsOfTerm are the elements of one of the terms of a tensor, those that a rank keeps of its own.
func (p *Plan) RunsOfTerm(t *Tensor, rank, term int) []Run {
	one := *t
	one.Dims, one.Part, one.Cut = t.Dims[1:], "", Cut{}
	if t.Cut.Dim > 0 {
		one.Cut = Cut{Axis: t.Cut.Axis, Dim: t.Cut.Dim - 1}
	}
	runs := p.Runs(&one, rank)
	for i := range runs {
		runs[i].First += int64(term) * int64(kernels.Elements(one.Shape()))
	}
	return runs
}

// cutLen is what a cut leaves.
func (p *Plan) cutLen(t *Tensor) int {
	rows, _, each := p.rows(t)
	return int(rows * each)
}

// rows is a cut tensor as [rows][degree][each]: a rank keeps one of the middle of each row. Only where there is one row may the last part be shorter.
func (p *Plan) rows(t *Tensor) (rows, degree, each int64) {
	shape := t.Shape()
	if t.Cut.Axis == "" {
		return 1, 1, int64(kernels.Elements(shape))
	}
	degree = int64(p.Degree(t.Cut.Axis))
	size, inner := int64(shape[t.Cut.Dim]), int64(kernels.Elements(shape[t.Cut.Dim+1:]))
	return int64(kernels.Elements(shape[:t.Cut.Dim])), degree, (size + degree - 1) / degree * inner
}

// Runs are the elements of a tensor that a rank keeps, in the order it keeps them in.
func (p *Plan) Runs(t *Tensor, rank int) []Run {
	rows, degree, each := p.rows(t)
	kept, place := int64(p.PartLen(t)), int64(p.Place(rank, t.Cut.Axis))
	from := int64(p.Place(rank, t.Part)) * kept // in what a cut leaves
	if rows == 1 {
		first := place*each + from
		if n := min(kept, int64(kernels.Elements(t.Shape()))-first); n > 0 {
			return []Run{{first, n}}
		}
		return nil
	}
	var list []Run
	for at := from; at < from+kept; {
		n := min(each-at%each, from+kept-at)
		list = append(list, Run{(at/each*degree+place)*each + at%each, n})
		at += n
	}
	return list
}

// Keeper is the first rank that keeps an element of a tensor, its place there, and how many elements from it on follow each other in both.
func (p *Plan) Keeper(t *Tensor, element int64) (rank int, at, n int64) {
	_, degree, each := p.rows(t)
	kept := int64(p.PartLen(t))
	row, rest := element/(degree*each), element%(degree*each)
	local := row*each + rest%each
	rank = p.FirstOf(t.Stage)
	if t.Cut.Axis != "" {
		rank = p.Group(rank, t.Cut.Axis)[rest/each]
	}
	if t.Part != "" {
		rank = p.Group(rank, t.Part)[local/kept]
	}
	return rank, local % kept, min(each-rest%each, kept-local%kept, int64(kernels.Elements(t.Shape()))-element)
}

// placePrefix begins the names of scalars that are a rank's place.
const placePrefix = "place."

// PlaceScalar names the I64 scalar of a rank's place along axes, the last of them counting fastest, or of so many places before it, where the last
// comes before the first, times a number.
func PlaceScalar(axes []string, before, times int) string {
	name := placePrefix + strings.Join(axes, ",")
	if before != 0 {
		name += "-" + strconv.Itoa(before)
	}
	if times != 1 {
		name += "*" + strconv.Itoa(times)
	}
	return name
}

// placed is such a scalar.
type placed struct {
	axes          []string
	before, times int
}

// placeOf takes the name of such a scalar apart.
func placeOf(scalar string) (p placed, ok bool) {
	name, ok := strings.CutPrefix(scalar, placePrefix)
	name, factor, scaled := strings.Cut(name, "*")
	name, before, moved := strings.Cut(name, "-")
	p = placed{strings.Split(name, ","), 0, 1}
	var errs [2]error
	if moved {
		p.before, errs[0] = strconv.Atoi(before)
	}
	if scaled {
		p.times, errs[1] = strconv.Atoi(factor)
	}
	return p, ok && errs[0] == nil && errs[1] == nil && p.before >= 0
}

// PlaceOf is the value of a scalar of a rank, where it is one of a place.
func (p *Plan) PlaceOf(scalar string, rank int) (value int, ok bool) {
	s, ok := placeOf(scalar)
	if !ok {
		return 0, false
	}
	places := 1
	for _, axis := range s.axes {
		value, places = value*p.Degree(axis)+p.Place(rank, axis), places*p.Degree(axis)
	}
	return (value + places - s.before%places) % places * s.times, true
}
