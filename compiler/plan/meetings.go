package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// meetings is rules 26 and 27: it runs what stages do together, schedule by schedule, without computing anything. One rank stands for
// all of its stage: ranks of a stage do the same, so an order in which one of each stage comes to its end is one in which all do.
func (v *verifier) meetings() {
	for i := range v.plan.Stages[0].Schedules {
		s := &v.plan.Stages[0].Schedules[i]
		m := &meeting{verifier: v, title: s.title(), lanes: map[lane]*traffic{}, arrivals: make([]int, len(v.plan.Stages))}
		for stage := range v.plan.Stages {
			st := &v.plan.Stages[stage]
			own := st.Schedule(s.Kind, s.Length)
			if own == nil {
				return // rule 11 says so
			}
			m.parties = append(m.parties, &party{meeting: m, number: stage, stage: st, calls: own.Calls, items: st.items()})
		}
		m.run()
	}
}

// items are the instructions of each program in which stages meet, or wait for that.
func (s *Stage) items() map[string][]at {
	items := map[string][]at{}
	for i := range s.Programs {
		p := &s.Programs[i]
		for j := range p.Instructions {
			in := &p.Instructions[j]
			if len(in.Await) > 0 || kernels.Contracts[in.Op].Collective && in.Attrs.Axis == AxisPipeline {
				items[p.Name] = append(items[p.Name], at{i, j})
			}
		}
	}
	return items
}

// lane is a way from one stage to another.
type lane struct{ from, to, number int }

// traffic is what has come to a lane from its two ends.
type traffic struct{ sent, received []parcel }

// parcel is what one end says of what is sent.
type parcel struct {
	at       at
	elements int
	dtype    kernels.DType
}

// meeting is one schedule of all stages.
type meeting struct {
	*verifier
	title    string
	parties  []*party
	lanes    map[lane]*traffic
	groups   []group // the collectives of all stages, in their order
	arrivals []int   // by stage: how many of them it has come to
}

// group is a collective along pipeline, as the first stage that came to it has it.
type group struct {
	op       kernels.Op
	elements int
	dtype    kernels.DType
	stage    int
}

// party is a stage on its way through its calls.
type party struct {
	*meeting
	number     int
	stage      *Stage
	calls      []Call
	items      map[string][]at
	call, item int
	begun      bool   // the current item was told to the other side
	open       []open // and what was, and goes on
	wants      want   // of the current item
}

// open is something begun that goes on.
type open struct {
	event, slot int
	want
}

// want is a place on a lane that the other side must come to.
type want struct {
	lane  lane
	sends bool
	index int
}

// met says whether the other side has come.
func (m *meeting) met(w want) bool {
	t := m.lanes[w.lane]
	if w.sends {
		return len(t.received) > w.index
	}
	return len(t.sent) > w.index
}

func (m *meeting) run() {
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

// current is the instruction that the party is at; false at the end of a call.
func (p *party) current() (a at, in *Instruction, ok bool) {
	list := p.items[p.calls[p.call].Program]
	if p.item >= len(list) {
		return at{}, nil, false
	}
	a = list[p.item]
	return a, &p.stage.Programs[a.program].Instructions[a.instruction], true
}

// step goes on by one instruction or call, where that does not wait for another stage.
func (p *party) step() bool {
	if p.call >= len(p.calls) {
		return false
	}
	a, in, ok := p.current()
	if !ok {
		if p.call == len(p.calls)-1 && !p.landed(nil, -1) {
			return false
		}
		p.call, p.item = p.call+1, 0
		return true
	}
	slot := p.calls[p.call].Slot
	if !p.landed(in.Await, slot) || !p.take(a, in, slot) {
		return false
	}
	p.item, p.begun = p.item+1, false
	return true
}

// landed says whether what is awaited in a slot has ended; with the slot −1, all.
func (p *party) landed(events []int, slot int) bool {
	awaited := func(o open) bool { return slot < 0 || o.slot == slot && slices.Contains(events, o.event) }
	if slices.ContainsFunc(p.open, func(o open) bool { return awaited(o) && !p.met(o.want) }) {
		return false
	}
	p.open = slices.DeleteFunc(p.open, awaited)
	return true
}

// take has the party come to an instruction, and says whether it can go on.
func (p *party) take(a at, in *Instruction, slot int) bool {
	switch {
	case !kernels.Contracts[in.Op].Collective || in.Attrs.Axis != AxisPipeline:
		return true
	case in.Op != kernels.Send && in.Op != kernels.Receive:
		return p.together(a, in)
	}
	if !p.begun {
		p.wants, p.begun = p.post(a, in), true
		if in.Open != 0 {
			p.open = append(p.open, open{in.Open, slot, p.wants})
		}
	}
	return in.Open != 0 || p.met(p.wants)
}

// post puts a parcel on its lane.
func (p *party) post(a at, in *Instruction) want {
	arg := p.stage.Tensors(in)[0]
	w := want{lane: lane{p.number, in.Attrs.Peer, in.Attrs.Lane}, sends: in.Op == kernels.Send}
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
	*side = append(*side, parcel{a, arg.Len(), arg.DType})
	return w
}

// together is a collective of all stages.
func (p *party) together(a at, in *Instruction) bool {
	if !p.begun {
		p.begun = true
		arg := p.stage.Tensors(in)[0]
		g := group{in.Op, arg.Len(), arg.DType, p.number}
		k := p.arrivals[p.number]
		p.arrivals[p.number]++
		if k == len(p.groups) {
			p.groups = append(p.groups, g)
		} else if was := p.groups[k]; was.op != g.op || was.elements != g.elements || was.dtype != g.dtype {
			p.failAtStage(a, "%v of %d %v, but stage %d comes to %v of %d %v there, in %s", g.op, g.elements, g.dtype, was.stage, was.op, was.elements, was.dtype, p.title)
		}
	}
	return slices.Min(p.arrivals) >= p.arrivals[p.number]
}

// failAtStage notes a problem of an instruction of the party's.
func (p *party) failAtStage(a at, format string, args ...any) {
	v := stageVerifier{verifier: p.verifier, index: p.number, stage: p.stage}
	v.failIn(a, format, args...)
}

// stuck says for what a party waits for ever.
func (p *party) stuck() {
	a, in, ok := p.current()
	if !ok {
		p.fail("stage %d: at the end of %s it waits for what another stage never comes to: %s", p.number, p.title, p.missing(nil, -1))
		return
	}
	what := p.missing(in.Await, p.calls[p.call].Slot)
	switch {
	case what != "":
	case in.Op == kernels.Send || in.Op == kernels.Receive:
		what = p.wants.String()
	default:
		what = fmt.Sprintf("all stages to come to this %v", in.Op)
	}
	p.failAtStage(a, "it waits for ever, in %s: for %s", p.title, what)
}

// missing describes what is awaited and has not ended.
func (p *party) missing(events []int, slot int) string {
	for _, o := range p.open {
		if (slot < 0 || o.slot == slot && slices.Contains(events, o.event)) && !p.met(o.want) {
			return o.want.String()
		}
	}
	return ""
}

func (w want) String() string {
	if w.sends {
		return fmt.Sprintf("stage %d to receive number %d of what stage %d sends it on lane %d", w.lane.to, w.index+1, w.lane.from, w.lane.number)
	}
	return fmt.Sprintf("stage %d to send number %d of what stage %d receives from it on lane %d", w.lane.from, w.index+1, w.lane.to, w.lane.number)
}

// compare is rule 26 for a lane.
func (m *meeting) compare(l lane, t *traffic) {
	for i := range min(len(t.sent), len(t.received)) {
		if s, r := t.sent[i], t.received[i]; s.elements != r.elements || s.dtype != r.dtype {
			m.parties[l.to].failAtStage(r.at, "it receives %d %v, but stage %d sends %d %v, in %s", r.elements, r.dtype, l.from, s.elements, s.dtype, m.title)
		}
	}
	if len(t.sent) != len(t.received) {
		m.fail("stage %d sends stage %d %d times on lane %d in %s, which receives %d times", l.from, l.to, len(t.sent), l.number, m.title, len(t.received))
	}
}
