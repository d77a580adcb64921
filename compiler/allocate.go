package compiler

import (
	"cmp"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// flow is a sequence of programs that runs without another in between, as
// one line of instructions: a value lives from its first use to its last.
type flow struct {
	programs []*graph.Program
	repeated bool // its micro-batches run in turn: gradients live through all of them
}

// span is a stretch of a timeline, both ends counted.
type span struct{ from, to int }

func (s span) meets(o span) bool { return s.from <= o.to && o.from <= s.to }

// unit is a stretch of memory that one value, or several that follow each other in place, live in.
type unit struct {
	values    []*graph.Value
	sizeBytes int64
	spans     map[int]span // by timeline
	beside    map[int]int  // by timeline: the last instruction beside which a collective may still read it
	offset    int64
}

func (u *unit) conflicts(o *unit) bool {
	for t, s := range u.spans {
		if other, ok := o.spans[t]; ok && s.meets(other) {
			return true
		}
	}
	return false
}

// allocator gives offsets by liveness.
type allocator struct {
	align int64
	flows []flow
	units map[*graph.Value]*unit // by root
	order []*unit
}

// allocate places every value that the flows use: lasting ones one after
// another, the others where their spans leave room, the largest first. It returns
// the offsets by root value, and the size of the whole.
func allocate(align int64, lasting []*graph.Value, flows []flow) (map[*graph.Value]int64, int64) {
	a := &allocator{align: align, flows: flows, units: map[*graph.Value]*unit{}}
	for t := range flows {
		a.live(t)
	}
	for t := range flows {
		a.inPlace(t)
	}
	offsets := map[*graph.Value]int64{}
	var base int64
	for _, v := range lasting {
		offsets[v] = base
		base += a.round(bytesOf(v))
	}
	end := base
	for _, u := range a.place(base) {
		for _, v := range u.values {
			offsets[v] = u.offset
		}
		end = max(end, u.offset+a.round(u.sizeBytes))
	}
	return offsets, end
}

func bytesOf(v *graph.Value) int64 { return int64(v.Len()) * int64(v.DType.Size()) }

func (a *allocator) round(n int64) int64 { return (n + a.align - 1) / a.align * a.align }

// live finds the span of each value in a timeline.
func (a *allocator) live(t int) {
	at, last := 0, 0
	for _, p := range a.flows[t].programs {
		for _, in := range p.Inputs {
			a.touch(t, in.Value, at)
		}
		first, w := at, waits(p)
		for i, n := range p.Nodes {
			n.Uses(func(v *graph.Value, role kernels.Role) {
				a.touch(t, v, at)
				switch {
				case n.Async && role.Writes():
					a.touch(t, v, first+w.ends[i])
				case n.Async:
					a.touch(t, v, first+w.reads[i])
					a.readBeside(t, v, first+w.reads[i])
				}
			})
			at++
		}
		for _, out := range p.Outputs {
			a.touch(t, out.Value, at-1)
		}
		last = at - 1
	}
	for _, u := range a.order {
		s, ok := u.spans[t]
		if !ok {
			continue
		}
		switch class := u.values[0].Class; {
		case class == plan.Cache:
			u.spans[t] = span{0, last}
		case class == plan.Gradient && a.flows[t].repeated:
			u.spans[t] = span{0, s.to}
		}
	}
}

func (a *allocator) touch(t int, v *graph.Value, at int) {
	v = v.Root()
	if v.Lasting() {
		return
	}
	u := a.units[v]
	if u == nil {
		u = &unit{values: []*graph.Value{v}, sizeBytes: bytesOf(v), spans: map[int]span{}, beside: map[int]int{}}
		a.units[v] = u
		a.order = append(a.order, u)
	}
	s, ok := u.spans[t]
	if !ok {
		s.from = at
	}
	s.to = max(s.to, at)
	u.spans[t] = s
}

// readBeside notes that a collective may read a value as long as an instruction runs.
func (a *allocator) readBeside(t int, v *graph.Value, until int) {
	if u := a.units[v.Root()]; u != nil {
		u.beside[t] = max(u.beside[t], until)
	}
}

// inPlace lets an output take over the memory of an input that dies with the
// node, where the contract allows it.
func (a *allocator) inPlace(t int) {
	at := 0
	for _, p := range a.flows[t].programs {
		for _, n := range p.Nodes {
			a.takeOver(t, n, at)
			at++
		}
	}
}

func (a *allocator) takeOver(t int, n *graph.Node, at int) {
	if n.Async {
		return
	}
	c := n.Contract()
	for _, pair := range c.InPlace {
		out, in := n.Arg(pair[0]), n.Arg(pair[1])
		if out == nil || in == nil || out.View != nil || in.View != nil || out.Lasting() || in.Lasting() {
			continue
		}
		uo, ui := a.units[out], a.units[in]
		if uo == ui || uo.sizeBytes != ui.sizeBytes || !a.follows(uo, ui, t, at) || uses(n, in) > 1 {
			continue
		}
		a.merge(ui, uo)
	}
}

// follows says that out begins at the very instruction with which in ends, and
// that neither lives in another timeline.
func (a *allocator) follows(out, in *unit, t, at int) bool {
	if until, ok := in.beside[t]; ok && until >= at {
		return false
	}
	return len(out.spans) == 1 && len(in.spans) == 1 && out.spans[t].from == at && in.spans[t].to == at &&
		in.values[0].Class != plan.Cache && in.values[0].Class != plan.Gradient && out.values[0].Class != plan.Gradient
}

func uses(n *graph.Node, v *graph.Value) int {
	count := 0
	n.Uses(func(used *graph.Value, _ kernels.Role) {
		if used.Root() == v {
			count++
		}
	})
	return count
}

func (a *allocator) merge(into, from *unit) {
	for t, s := range from.spans {
		into.spans[t] = span{min(into.spans[t].from, s.from), max(into.spans[t].to, s.to)}
	}
	for t, until := range from.beside {
		into.beside[t] = max(into.beside[t], until)
	}
	into.values = append(into.values, from.values...)
	for _, v := range from.values {
		a.units[v] = into
	}
	a.order = slices.DeleteFunc(a.order, func(u *unit) bool { return u == from })
}

// place gives each unit the lowest offset that no unit alive at the same time covers, the largest units first.
func (a *allocator) place(base int64) []*unit {
	slices.SortStableFunc(a.order, func(x, y *unit) int { return cmp.Compare(y.sizeBytes, x.sizeBytes) })
	placed := make([]*unit, 0, len(a.order)) // by offset
	for _, u := range a.order {
		u.offset = base
		need := a.round(u.sizeBytes)
		for _, p := range placed {
			if p.offset >= u.offset+need {
				break
			}
			if p.conflicts(u) {
				u.offset = max(u.offset, p.offset+a.round(p.sizeBytes))
			}
		}
		i, _ := slices.BinarySearchFunc(placed, u.offset, func(p *unit, offset int64) int { return cmp.Compare(p.offset, offset) })
		placed = slices.Insert(placed, i, u)
	}
	return placed
}
