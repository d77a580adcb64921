package compiler

import (
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// runner follows the stages of a plan through a step, call by call: a call begins when the one before it has ended and what it awaits has come, and takes what
// its program does alone. What is sent leaves at the end of the call that made it, and takes the time of its link once both ends have come to it.
type runner struct {
	profile *Profile
	plan    *plan.Plan
	lanes   map[way]*posts
	stages  []*stageRun
	arrived []float64 // by stage: when it came to its last program, for which all wait

	// tell, which may be nil, is told when each instruction of a call begins, in seconds, and how long it takes.
	tell func(stage int, c plan.Call, in *plan.Instruction, start, seconds float64)
	told []handed
}

// handed is an end of something under way, of which can be told when both have come to it.
type handed struct {
	stage int
	call  plan.Call
	in    *plan.Instruction
	at    float64 // when this end came to it
	transfer
}

// way is a lane from one stage to another.
type way struct{ from, to, lane int }

// posts are when the two ends of a way came to what goes on it.
type posts struct{ sent, received []float64 }

// stageRun is one stage on its way.
type stageRun struct {
	number   int
	stage    *plan.Stage
	calls    []plan.Call
	pricer   *pricer
	programs map[string]*programTime
	call     int
	now      float64
	computed float64
	exposed  float64 // collectives within programs
	sending  float64 // time for which it waited for what was on its way
	open     []transfer
}

// programTime is what a program takes alone.
type programTime struct {
	program  *plan.Program
	took     float64
	computed float64
	awaits   []int
}

// transfer is something under way.
type transfer struct {
	event, slot int
	way         way
	index       int
	seconds     float64 // that it takes
}

// followStages gives the time of a step by a kind of schedule, and of the stage that computes most how much of it goes into collectives and waiting for what is on its way, and
// how much the stage has nothing to do.
func followStages(p *Profile, pl *plan.Plan, kind string, threads int, tell func(stage int, c plan.Call, in *plan.Instruction, start, seconds float64)) (total, exposed, bubble float64) {
	r := &runner{profile: p, plan: pl, lanes: map[way]*posts{}, arrived: make([]float64, len(pl.Stages)), tell: tell}
	for i := range pl.Stages {
		st := &pl.Stages[i]
		s := &stageRun{number: i, stage: st, calls: st.Schedule(kind, pl.Data.Length).Calls, pricer: newPricer(p, pl, st, threads), programs: map[string]*programTime{}}
		r.stages = append(r.stages, s)
	}
	for progress := true; progress; {
		progress = false
		for _, s := range r.stages {
			for r.step(s) {
				progress = true
			}
		}
	}
	for _, h := range r.told {
		if p := r.lanes[h.way]; len(p.sent) > h.index && len(p.received) > h.index {
			tell(h.stage, h.call, h.in, h.at, max(p.sent[h.index], p.received[h.index])+h.seconds-h.at)
		}
	}
	most := r.stages[0]
	for _, s := range r.stages {
		total = max(total, s.now)
		if s.computed > most.computed {
			most = s
		}
	}
	exposed = most.exposed + most.sending
	return total, exposed, max(0, total-most.computed-exposed)
}

// step goes on by one call, where that does not wait for what another stage has not come to.
func (r *runner) step(s *stageRun) bool {
	if s.call == len(s.calls) {
		return false
	}
	c := s.calls[s.call]
	t := s.time(c.Program)
	begin, waited, ok := r.begin(s, c, t)
	if !ok {
		return false
	}
	s.sending += waited
	r.post(s, c, t, begin, kernels.Receive)
	r.tellOf(s, c, t, begin)
	s.now = begin + t.took
	s.computed, s.exposed = s.computed+t.computed, s.exposed+t.took-t.computed
	r.post(s, c, t, s.now, kernels.Send)
	s.call++
	return true
}

// begin is when a call can begin, and for how long until then it waits for what is on its way. false: that is not known yet.
func (r *runner) begin(s *stageRun, c plan.Call, t *programTime) (begin, waited float64, ok bool) {
	begin = s.now
	if s.call == slices.IndexFunc(s.calls, plan.Call.Updates) { // its collectives need all stages
		if r.arrived[s.number] == 0 {
			r.arrived[s.number] = max(s.now, 1e-12)
		}
		if slices.Contains(r.arrived, 0) {
			return 0, 0, false
		}
		begin = max(begin, slices.Max(r.arrived))
	}
	awaited := func(o transfer) bool { return o.slot == c.Slot && slices.Contains(t.awaits, o.event) }
	for _, o := range s.open {
		if !awaited(o) {
			continue
		}
		p := r.lanes[o.way]
		if len(p.sent) <= o.index || len(p.received) <= o.index {
			return 0, 0, false
		}
		left := max(p.sent[o.index], p.received[o.index])
		if end := left + o.seconds; end > begin {
			waited, begin = end-max(begin-waited, left), end
		}
	}
	s.open = slices.DeleteFunc(s.open, awaited)
	return begin, waited, true
}

// post tells the ways of what a call sends or receives.
func (r *runner) post(s *stageRun, c plan.Call, t *programTime, at float64, op kernels.Op) {
	for i := range t.program.Instructions {
		in := &t.program.Instructions[i]
		if in.Open == 0 || in.Op != op {
			continue
		}
		w := way{s.number, in.Attrs.Peer, in.Attrs.Lane}
		if op == kernels.Receive {
			w.from, w.to = w.to, w.from
		}
		p := r.lanes[w]
		if p == nil {
			p = &posts{}
			r.lanes[w] = p
		}
		side := &p.received
		if op == kernels.Send {
			side = &p.sent
		}
		o := transfer{in.Open, c.Slot, w, len(*side), r.profile.transfer(r.plan, s.stage, in)}
		s.open = append(s.open, o)
		if r.tell != nil {
			r.told = append(r.told, handed{s.number, c, in, at, o})
		}
		*side = append(*side, at)
	}
}

// time is what a program takes, and what it awaits.
func (s *stageRun) time(name string) *programTime {
	if t := s.programs[name]; t != nil && s.pricer.cache == nil {
		return t
	}
	t := &programTime{program: s.stage.Program(name)}
	r := race{ends: map[int]float64{}}
	prices := s.pricer.prices(t.program)
	for i := range t.program.Instructions {
		in := &t.program.Instructions[i]
		t.awaits = append(t.awaits, in.Await...)
		if in.Open == 0 {
			r.instruction(in, prices(i))
		}
	}
	t.took, t.computed = slices.Max(r.now[:]), r.computed
	s.programs[name] = t
	return t
}

// tellOf tells of the instructions of a call but what is handed on.
func (r *runner) tellOf(s *stageRun, c plan.Call, t *programTime, begin float64) {
	if r.tell == nil {
		return
	}
	race := race{ends: map[int]float64{}}
	prices := s.pricer.prices(t.program)
	for i := range t.program.Instructions {
		if in := &t.program.Instructions[i]; in.Open == 0 {
			seconds := prices(i)
			r.tell(s.number, c, in, begin+race.instruction(in, seconds), seconds)
		}
	}
}

// transfer is the time of handing on what is sent or received, over the link between neighbours along the axis.
func (p *Profile) transfer(pl *plan.Plan, st *plan.Stage, in *plan.Instruction) float64 {
	arg := st.Tensors(in)[0]
	return p.hand(pl, float64(arg.Len())*float64(arg.DType.Size()))
}

// hand is the time of handing so many bytes on to the next stage.
func (p *Profile) hand(pl *plan.Plan, bytes float64) float64 {
	if p.PerNode == 0 { // they are read and written
		return p.CallSeconds + 2*bytes/p.BytesPerSecond
	}
	link := p.Node
	if neighbours, nodes := pl.Reach(plan.AxisPipeline, p.PerNode); nodes > 1 && neighbours == 1 {
		link = p.Network
	}
	return p.CallSeconds + link.Seconds + bytes/link.BytesPerSecond
}
