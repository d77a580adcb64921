package compiler

import (
	"cmp"
	"math"
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

	only map[*graph.Value]bool // what is looked at; nil: all
}

// reservation is the slots of a stage: values that lie elsewhere, and room for all slots of them, which nothing else has in a training step.
type reservation struct {
	slotted   map[*graph.Value]bool
	offsets   map[*graph.Value]int64 // within a slot
	sizeBytes int64
}

// span is a stretch of a timeline, both ends counted.
type span struct{ from, to int }

func (s span) meets(o span) bool { return s.from <= o.to && o.from <= s.to }

// unit is a stretch of memory that one value, or several that follow each other in place, live in.
type unit struct {
	values    []*graph.Value
	sizeBytes int64
	lives     []life // by timeline, ascending: those it lives in
	offset    int64
	merged    bool // into another
}

// life is a stretch of one timeline.
type life struct {
	timeline int
	span
	beside int // the last instruction beside which a collective may still read it; −1: there is none
}

// in is the unit's life in a timeline; nil where it has none.
func (u *unit) in(t int) *life {
	for i := range u.lives {
		if u.lives[i].timeline == t {
			return &u.lives[i]
		}
	}
	return nil
}

// allocator gives offsets by liveness.
type allocator struct {
	align int64
	flows []flow
	slots *reservation
	units map[*graph.Value]*unit // by root
	order []*unit
}

// allocate places every value that the flows use: lasting ones one after
// another, the others where their spans leave room, the largest first. It returns
// the offsets by root value, and the size of the whole. slots, which may be nil, are placed as one.
func allocate(align int64, lasting []*graph.Value, flows []flow, slots *reservation) (map[*graph.Value]int64, int64) {
	a := &allocator{align: align, flows: flows, units: map[*graph.Value]*unit{}, slots: slots}
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
	var room *unit
	if slots != nil && slots.sizeBytes > 0 {
		room = a.reserve()
	}
	for _, u := range a.place(base) {
		for _, v := range u.values {
			offsets[v] = u.offset
		}
		end = max(end, u.offset+a.round(u.sizeBytes))
	}
	if room != nil {
		for v, offset := range slots.offsets {
			offsets[v] = room.offset + offset
		}
	}
	return offsets, end
}

// reserve is the room of the slots, in every timeline that uses what is slotted.
func (a *allocator) reserve() *unit {
	room := &unit{sizeBytes: a.slots.sizeBytes}
	for t, f := range a.flows {
		used := false
		for _, p := range f.programs {
			p.Uses(func(_ *graph.Node, v *graph.Value) { used = used || a.slots.slotted[v.Root()] })
		}
		if used {
			room.lives = append(room.lives, life{t, span{0, math.MaxInt}, -1})
		}
	}
	a.order = append(a.order, room)
	return room
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
		from, to := together(p)
		for i, n := range p.Nodes {
			n.Uses(func(v *graph.Value, role kernels.Role) {
				a.touch(t, v, first+from[i])
				a.touch(t, v, first+to[i])
				switch {
				case n.Async && role.Writes():
					a.touch(t, v, first+w.ends[i])
				case n.Async:
					a.touch(t, v, first+w.reads[i])
					a.readBeside(t, v, first+max(w.reads[i], to[i]))
				}
				if n.Open != 0 {
					a.touch(t, v, a.awaited(t, n.Open))
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
		l := u.in(t)
		if l == nil {
			continue
		}
		switch class := u.values[0].Class; {
		case class == plan.Cache:
			l.span = span{0, last}
		case class == plan.Gradient && a.flows[t].repeated:
			l.from = 0
		}
	}
}

// awaited is the place in a timeline at which an event is awaited; the last, where it is not.
func (a *allocator) awaited(t, event int) int {
	at, found := 0, -1
	for _, p := range a.flows[t].programs {
		for _, n := range p.Nodes {
			if slices.Contains(n.Await, event) {
				found = max(found, at)
			}
			at++
		}
	}
	if found < 0 || found == 0 { // by what comes next in its slot
		return at - 1
	}
	return found
}

func (a *allocator) touch(t int, v *graph.Value, at int) {
	v = v.Root()
	if v.Lasting() || a.flows[t].only != nil && !a.flows[t].only[v] || a.slots != nil && a.slots.slotted[v] {
		return
	}
	u := a.units[v]
	if u == nil {
		u = &unit{values: []*graph.Value{v}, sizeBytes: bytesOf(v)}
		a.units[v] = u
		a.order = append(a.order, u)
	}
	l := u.in(t)
	if l == nil { // timelines come in their order
		u.lives = append(u.lives, life{t, span{at, at}, -1})
		return
	}
	l.to = max(l.to, at)
}

// readBeside notes that a collective may read a value as long as an instruction runs.
func (a *allocator) readBeside(t int, v *graph.Value, until int) {
	if u := a.units[v.Root()]; u != nil {
		l := u.in(t)
		l.beside = max(l.beside, until)
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
	if n.Async || n.Joins { // others may run with it
		return
	}
	c := n.Contract()
	for _, pair := range c.InPlace {
		out, in := n.Arg(pair[0]), n.Arg(pair[1])
		if out == nil || in == nil || out.View != nil || in.View != nil || out.Lasting() || in.Lasting() {
			continue
		}
		uo, ui := a.units[out], a.units[in]
		if uo == nil || ui == nil || uo == ui || uo.sizeBytes != ui.sizeBytes || !a.follows(uo, ui, t, at) || uses(n, in) > 1 {
			continue
		}
		a.merge(ui, uo)
	}
}

// follows says that out begins at the very instruction with which in ends, and
// that neither lives in another timeline.
func (a *allocator) follows(out, in *unit, t, at int) bool {
	return len(out.lives) == 1 && len(in.lives) == 1 && out.lives[0].timeline == t && in.lives[0].timeline == t && out.lives[0].from == at && in.lives[0].to == at &&
		in.lives[0].beside < at &&
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

// merge lets a unit take over what another, which lives in the same timeline, held.
func (a *allocator) merge(into, from *unit) {
	into.lives[0].from, into.lives[0].to = min(into.lives[0].from, from.lives[0].from), max(into.lives[0].to, from.lives[0].to)
	into.lives[0].beside = max(into.lives[0].beside, from.lives[0].beside)
	into.values = append(into.values, from.values...)
	for _, v := range from.values {
		a.units[v] = into
	}
	from.merged = true
}

// place gives each unit the lowest offset that no unit alive at the same time covers, the largest units first.
func (a *allocator) place(base int64) []*unit {
	units := slices.DeleteFunc(a.order, func(u *unit) bool { return u.merged })
	slices.SortStableFunc(units, func(x, y *unit) int { return cmp.Compare(y.sizeBytes, x.sizeBytes) })
	lines := make([]line, len(a.flows))
	for _, u := range units {
		size := a.round(u.sizeBytes)
		u.offset = lowest(lines, u.lives, base, size)
		for _, l := range u.lives {
			lines[l.timeline].insert(placed{u.offset, u.offset + size, l.span})
		}
	}
	return units
}
