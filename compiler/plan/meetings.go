package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// meetings is rules 26 and 27 for a plan. One rank stands for all of its stage: they do the same, so an order in which one of each stage comes
// to its end is one in which all do, and at whatever they do among themselves all of them arrive at a time.
func (v *verifier) meetings() {
	m := meeting{verifier: v, follows: func(axis string) bool { return axis == AxisPipeline }}
	for _, rank := range v.plan.Group(0, AxisPipeline) {
		m.parties = append(m.parties, &party{rank: rank, name: fmt.Sprintf("stage %d", v.plan.StageOf(rank)), stage: &v.plan.Stages[v.plan.StageOf(rank)]})
	}
	m.schedules()
}

// meeting is some ranks that run schedules together. They are followed without computing anything, each in the order of its lists, which is the
// order that waits most: a runtime that lets streams go past each other waits for nothing that is not waited for here. So an order in which all come to
// their end proves that what any runtime waits for has no cycle.
type meeting struct {
	*verifier
	follows func(axis string) bool // whose collectives are followed
	parties []*party

	// Of the current schedule.
	title  string
	lanes  map[lane]*traffic
	groups map[circle]*group
}

// lane is a way from one rank to another.
type lane struct{ from, to, number int }

// traffic is what has come to a lane from its two ends.
type traffic struct{ sent, received []parcel }

// parcel is what one end says of what is sent.
type parcel struct {
	at         at
	elements   int
	dtype      kernels.DType
	microBatch int
}

// circle is the ranks along an axis among which a rank is the first.
type circle struct {
	axis  string
	first int
}

// group is the collectives of a circle: each rank comes to them in its order, on whatever streams, and one ends when all have come to it.
type group struct {
	parties []*party
	calls   []meet
	come    map[*party]int // how many of them a rank has come to
}

// meet is a collective, as the first rank that came to it has it.
type meet struct {
	party      *party
	in         *Instruction
	microBatch int
}

// party is a rank on its way through its calls.
type party struct {
	*meeting
	rank  int
	name  string // in messages
	stage *Stage
	items map[string][]at

	// Of the current schedule.
	calls      []Call
	call, item int
	begun      bool   // the current item was told to the others
	open       []open // and what was, and goes on
	wants      want   // of the current item
}

// open is something begun that goes on: as an event of the stage, in a slot, or as one of its program.
type open struct {
	event, slot int
	within      bool // of its program
	stream      int
	want
}

// want is a place on a lane that the other side must come to, or one of a group that all must.
type want struct {
	lane  lane
	sends bool
	group *group
	index int
}

// schedules follows each schedule that one of the ranks has.
func (m *meeting) schedules() {
	type request struct {
		kind   string
		length int
	}
	done := map[request]bool{}
	for _, p := range m.parties {
		p.meeting, p.items = m, m.items(p.stage)
	}
	for _, p := range m.parties {
		for i := range p.stage.Schedules {
			s := &p.stage.Schedules[i]
			if r := (request{s.Kind, s.Length}); !done[r] {
				done[r] = true
				m.run(s)
			}
		}
	}
}

// items are the instructions of each program in which ranks meet, or wait for that.
func (m *meeting) items(s *Stage) map[string][]at {
	items := map[string][]at{}
	for i := range s.Programs {
		p := &s.Programs[i]
		signals, streams := map[int]bool{}, map[int]bool{} // of what goes on beside
		for j := range p.Instructions {
			in := &p.Instructions[j]
			meets := m.meets(in)
			if meets || len(in.Await) > 0 || streams[in.Stream] || slices.ContainsFunc(in.Wait, func(e int) bool { return signals[e] }) {
				items[p.Name] = append(items[p.Name], at{i, j})
			}
			if meets && in.Stream != 0 && in.Open == 0 {
				signals[in.Signal], streams[in.Stream] = true, true
			}
		}
	}
	return items
}

// meets says whether an instruction is a collective that is followed.
func (m *meeting) meets(in *Instruction) bool { return collective(in) && m.follows(in.Attrs.Axis) }

// run follows the schedules of one kind and length.
func (m *meeting) run(s *Schedule) {
	m.title, m.lanes, m.groups = s.title(), map[lane]*traffic{}, map[circle]*group{}
	for _, p := range m.parties {
		p.calls, p.call, p.item, p.begun, p.open = nil, 0, 0, false, nil
		if own := p.stage.Schedule(s.Kind, s.Length); own != nil {
			p.calls = own.Calls
		}
	}
	for progress := true; progress; {
		progress = false
		for _, p := range m.parties {
			for p.step() {
				progress = true
			}
		}
	}
	for _, p := range m.parties {
		if p.call < len(p.calls) {
			p.stuck()
		}
	}
	byEnds := func(a, b lane) int {
		return cmp.Or(cmp.Compare(a.to, b.to), cmp.Compare(a.from, b.from), cmp.Compare(a.number, b.number))
	}
	for _, l := range slices.SortedFunc(maps.Keys(m.lanes), byEnds) {
		m.compare(l, m.lanes[l])
	}
}

// met says whether the others have come.
func (m *meeting) met(w want) bool {
	if w.group != nil {
		return w.group.late(w.index) == nil
	}
	t := m.lanes[w.lane]
	if w.sends {
		return len(t.received) > w.index
	}
	return len(t.sent) > w.index
}

// late is one that has not come to a collective of the group; nil: all have.
func (g *group) late(index int) *party {
	for _, p := range g.parties {
		if g.come[p] <= index {
			return p
		}
	}
	return nil
}

// current is the instruction that the party is at; false at the end of a call.
func (p *party) current() (a at, in *Instruction, ok bool) {
	list := p.items[p.calls[p.call].Program]
	if p.item >= len(list) {
		return at{}, nil, false
	}
	a = list[p.item]
	return a, &p.stage.Programs[a.program].Instructions[a.instruction], true
}

// step goes on by one instruction or call, where that does not wait for another rank.
func (p *party) step() bool {
	if p.call >= len(p.calls) {
		return false
	}
	a, in, ok := p.current()
	if !p.landed(p.awaited(in)) {
		return false
	}
	if !ok {
		p.call, p.item = p.call+1, 0
		return true
	}
	if !p.take(a, in, p.calls[p.call].Slot) {
		return false
	}
	p.item, p.begun = p.item+1, false
	return true
}

// awaited is what an instruction waits for of what goes on; nil is the end of a program, where that is all that the program has begun,
// or, at the end of the schedule, all.
func (p *party) awaited(in *Instruction) func(open) bool {
	slot, last := p.calls[p.call].Slot, p.call == len(p.calls)-1
	return func(o open) bool {
		switch {
		case in == nil:
			return o.within || last
		case o.within:
			return slices.Contains(in.Wait, o.event) || in.Stream != 0 && o.stream == in.Stream && !collective(in)
		}
		return o.slot == slot && slices.Contains(in.Await, o.event)
	}
}

// landed says whether what is awaited has ended.
func (p *party) landed(awaited func(open) bool) bool {
	if slices.ContainsFunc(p.open, func(o open) bool { return awaited(o) && !p.met(o.want) }) {
		return false
	}
	p.open = slices.DeleteFunc(p.open, awaited)
	return true
}

// take has the party come to an instruction, and says whether it can go on.
func (p *party) take(a at, in *Instruction, slot int) bool {
	if !p.meets(in) {
		return true
	}
	beside := in.Open != 0 || in.Stream != 0
	if !p.begun {
		p.begun = true
		if in.Op == kernels.Send || in.Op == kernels.Receive {
			p.wants = p.post(a, in)
		} else {
			p.wants = p.join(a, in)
		}
		switch {
		case in.Open != 0:
			p.open = append(p.open, open{event: in.Open, slot: slot, want: p.wants})
		case beside:
			p.open = append(p.open, open{event: in.Signal, within: true, stream: in.Stream, want: p.wants})
		}
	}
	return beside || p.met(p.wants)
}

// post puts a parcel on its lane.
func (p *party) post(a at, in *Instruction) want {
	arg := p.stage.Tensors(in)[0]
	w := want{lane: lane{p.rank, p.plan.Group(p.rank, in.Attrs.Axis)[in.Attrs.Peer], in.Attrs.Lane}, sends: in.Op == kernels.Send}
	if !w.sends {
		w.lane.from, w.lane.to = w.lane.to, w.lane.from
	}
	t := p.lanes[w.lane]
	if t == nil {
		t = &traffic{}
		p.lanes[w.lane] = t
	}
	side := &t.received
	if w.sends {
		side = &t.sent
	}
	w.index = len(*side)
	*side = append(*side, parcel{a, arg.Len(), arg.DType, p.calls[p.call].MicroBatch})
	return w
}

// join has the party come to a collective of its group.
func (p *party) join(a at, in *Instruction) want {
	ranks := p.plan.Group(p.rank, in.Attrs.Axis)
	key := circle{in.Attrs.Axis, ranks[0]}
	g := p.groups[key]
	if g == nil {
		g = &group{come: map[*party]int{}}
		for _, other := range p.parties {
			if slices.Contains(ranks, other.rank) {
				g.parties = append(g.parties, other)
			}
		}
		p.groups[key] = g
	}
	w := want{group: g, index: g.come[p]}
	g.come[p]++
	mine := meet{p, in, p.calls[p.call].MicroBatch}
	if w.index == len(g.calls) {
		g.calls = append(g.calls, mine)
	} else {
		p.agree(a, mine, g.calls[w.index])
	}
	return w
}

// agree is rule 26 for a collective of a group. Ranks of one stage do it with the same buffers: what is as large is not what was meant.
func (p *party) agree(a at, mine, other meet) {
	x, y := mine.party.stage.Tensors(mine.in), other.party.stage.Tensors(other.in)
	same := mine.in.Op == other.in.Op && mine.in.Joined == other.in.Joined && len(x) == len(y) && mine.in.Attrs == other.in.Attrs
	for i := 0; same && i < len(x); i++ {
		same = x[i].Len() == y[i].Len() && x[i].DType == y[i].DType
	}
	switch {
	case mine.in.Joined != other.in.Joined:
		p.failAtParty(a, "it is one call with the one before it for one of both, %s and %s, in %s", p.name, other.party.name, p.title)
	case !same:
		p.failAtParty(a, "%v of %d %v, but %s comes to %v of %d %v there, in %s", mine.in.Op, x[0].Len(), x[0].DType, other.party.name,
			other.in.Op, y[0].Len(), y[0].DType, p.title)
	case mine.microBatch != other.microBatch:
		p.failAtParty(a, "it comes to it for micro-batch %d, but %s for micro-batch %d, in %s", mine.microBatch, other.party.name, other.microBatch, p.title)
	case p.plan.StageOf(p.rank) == p.plan.StageOf(other.party.rank) && !sameBuffers(mine.in, other.in):
		p.failAtParty(a, "it works on %s, but %s on %s there, in %s", p.stage.label(mine.in.Operands[0].Buffer), other.party.name,
			other.party.stage.label(other.in.Operands[0].Buffer), p.title)
	}
}

func sameBuffers(a, b *Instruction) bool {
	return slices.EqualFunc(a.Operands, b.Operands, func(x, y Operand) bool { return x.Buffer == y.Buffer })
}

// failAtParty notes a problem of an instruction of the party's.
func (p *party) failAtParty(a at, format string, args ...any) {
	v := stageVerifier{verifier: p.verifier, index: p.plan.StageOf(p.rank), stage: p.stage}
	v.failIn(a, "%s", p.says()+fmt.Sprintf(format, args...))
}

// says begins a message about an instruction, whose place has the stage already.
func (p *party) says() string {
	if len(p.parties) == len(p.plan.Stages) {
		return ""
	}
	return p.name + ": "
}

// stuck says for what a party waits for ever.
func (p *party) stuck() {
	a, in, ok := p.current()
	what := p.missing(p.awaited(in))
	switch {
	case !ok:
		p.fail("%s: at the end of %s it waits for what never comes: %s", p.name, p.title, what)
		return
	case what == "":
		what = p.describe(p.wants)
	}
	p.failAtParty(a, "it waits for ever, in %s: for %s", p.title, what)
}

// missing describes what is awaited and has not ended.
func (p *party) missing(awaited func(open) bool) string {
	for _, o := range p.open {
		if awaited(o) && !p.met(o.want) {
			return p.describe(o.want)
		}
	}
	return ""
}

// describe says who must come to what.
func (m *meeting) describe(w want) string {
	switch {
	case w.group != nil:
		in := w.group.calls[w.index].in
		return fmt.Sprintf("%s to come to %s, number %d of what they do along %s", w.group.late(w.index).name, in.Name, w.index+1, in.Attrs.Axis)
	case w.sends:
		return fmt.Sprintf("%s to receive number %d of what %s sends it on lane %d", m.name(w.lane.to), w.index+1, m.name(w.lane.from), w.lane.number)
	}
	return fmt.Sprintf("%s to send number %d of what %s receives from it on lane %d", m.name(w.lane.from), w.index+1, m.name(w.lane.to), w.lane.number)
}

func (m *meeting) name(rank int) string { return m.party(rank).name }

func (m *meeting) party(rank int) *party {
	i := slices.IndexFunc(m.parties, func(p *party) bool { return p.rank == rank })
	return m.parties[i]
}

// compare is rule 26 for a lane.
func (m *meeting) compare(l lane, t *traffic) {
	to, from := m.party(l.to), m.name(l.from)
	for i := range min(len(t.sent), len(t.received)) {
		s, r := t.sent[i], t.received[i]
		if s.elements != r.elements || s.dtype != r.dtype {
			to.failAtParty(r.at, "it receives %d %v, but %s sends %d %v, in %s", r.elements, r.dtype, from, s.elements, s.dtype, m.title)
		}
		if s.microBatch != r.microBatch {
			to.failAtParty(r.at, "it receives for micro-batch %d what %s sends for micro-batch %d, in %s", r.microBatch, from, s.microBatch, m.title)
		}
	}
	if len(t.sent) != len(t.received) {
		m.fail("%s sends %s %d times on lane %d in %s, which receives %d times", from, to.name, len(t.sent), l.number, m.title, len(t.received))
	}
}
