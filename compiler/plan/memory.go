package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// Memory is what a rank holds at the instant when it holds most, in device memory: one of the stage whose ranks hold most.
type Memory struct {
	Stage       int
	Schedule    string // such as "schedule train for length 64"
	Program     string // of the instant
	Instruction int
	Name        string // of that instruction

	Classes      []ClassBytes // what is live, in the order of the classes; only those that hold something
	UnusedBytes  int64        // of the arena at that instant: gaps between buffers
	ArenaBytes   int64        // the arena: all of Classes and UnusedBytes
	OtherArenas  []Arena      // of other spaces
	Reserved     []Reserve    // what is taken beside the arenas
	TotalBytes   int64        // the plan's peak: arenas and all that is reserved
	HostBytes    int64        // of the host, where devices have memory of their own, for each rank
	Largest      []Held       // the largest buffers of the instant, at most [LargestHeld]
	LargestCount int          // how many are held in all
}

// ClassBytes is what one class of buffers holds.
type ClassBytes struct {
	Class     Class
	SizeBytes int64
}

// Held is a buffer that holds a value.
type Held struct {
	Name      string
	Class     Class
	SizeBytes int64
}

// LargestHeld is how many of the largest buffers [Memory] lists.
const LargestHeld = 5

// Memory finds the peak by following each schedule. A buffer is live from the
// instruction that writes it to the last that reads it. The plan must have passed Verify.
func (p *Plan) Memory() Memory {
	m := Memory{TotalBytes: p.PeakBytes()}
	for _, a := range p.Arenas {
		switch {
		case !p.counts(&a):
			m.HostBytes += a.SizeBytes
			for _, r := range a.Reserved {
				m.HostBytes += r.SizeBytes
			}
			continue
		case a.Space == kernels.DeviceMemory:
			m.ArenaBytes = a.SizeBytes // the largest stage's
		default:
			m.OtherArenas = append(m.OtherArenas, a)
		}
		m.Reserved = append(m.Reserved, a.Reserved...)
	}
	if len(p.Stages) == 0 {
		return m
	}
	for i := range p.Stages {
		if p.Stages[i].Bytes > p.Stages[m.Stage].Bytes {
			m.Stage = i
		}
	}
	st := &p.Stages[m.Stage]
	var best lives
	for i := range st.Schedules {
		if l := follow(st, &st.Schedules[i]); len(l.positions) > 0 && (best.stage == nil || l.peakBytes > best.peakBytes) {
			best = l
		}
	}
	if best.stage != nil {
		m.take(&best)
	}
	return m
}

// take fills in what is live at the peak.
func (m *Memory) take(l *lives) {
	at := l.positions[l.peak]
	program := &l.stage.Programs[at.program]
	m.Schedule, m.Program, m.Instruction, m.Name = l.schedule.title(), program.Name, at.instruction, program.Instructions[at.instruction].Name
	var held []Held
	for id := range l.stage.Buffers {
		if b := &l.stage.Buffers[id]; b.Lasting && b.Space == kernels.DeviceMemory {
			held = append(held, Held{b.Name, b.Class, b.SizeBytes()})
		}
	}
	for _, v := range l.ended {
		if b := &l.stage.Buffers[v.spot.buffer]; v.from <= l.peak && l.peak <= v.to && b.Space == kernels.DeviceMemory {
			held = append(held, Held{b.Name, b.Class, b.SizeBytes()})
		}
	}
	sums, total := map[Class]int64{}, int64(0)
	for _, h := range held {
		sums[h.Class] += h.SizeBytes
		total += h.SizeBytes
	}
	for _, c := range classes {
		if sums[c] > 0 {
			m.Classes = append(m.Classes, ClassBytes{c, sums[c]})
		}
	}
	m.UnusedBytes = m.ArenaBytes - total
	slices.SortStableFunc(held, func(a, b Held) int { return cmp.Or(cmp.Compare(b.SizeBytes, a.SizeBytes), cmp.Compare(a.Name, b.Name)) })
	m.LargestCount, m.Largest = len(held), held[:min(len(held), LargestHeld)]
}

// life is the stretch of a schedule over which a spot holds one value, both ends counted.
type life struct {
	spot     spot
	from, to int
	read     bool

	// What was written part by part since the value was last read begins another one if the next to read it finds all it reads.
	rewritten    part
	since, until int
}

// lives follows the values of one schedule.
type lives struct {
	stage     *Stage
	schedule  *Schedule
	positions []at // the instructions in the order they run in
	open      map[spot]*life
	places    []taken // of those that are open, which do not overlap, in order
	ended     []life
	peak      int // a position
	peakBytes int64
}

// taken is where a spot lies.
type taken struct {
	span
	spot spot
}

func follow(st *Stage, s *Schedule) lives {
	l := lives{stage: st, schedule: s, open: map[spot]*life{}}
	programs := map[string]int{}
	for i := range st.Programs {
		programs[st.Programs[i].Name] = i
	}
	for _, c := range fewer(s.Calls) {
		l.call(programs[c.Program], c.Slot)
	}
	for _, v := range l.open {
		if generates(s) && st.Buffers[v.spot.buffer].Class == Cache {
			v.from, v.to, v.rewritten = 0, len(l.positions)-1, nil
		}
		l.end(v)
	}
	l.findPeak()
	return l
}

// fewer leaves out the micro-batches between the second and the last, which are like their neighbours.
func fewer(calls []Call) []Call {
	last := 0
	for _, c := range calls {
		last = max(last, c.MicroBatch)
	}
	return slices.DeleteFunc(slices.Clone(calls), func(c Call) bool { return c.MicroBatch > 1 && c.MicroBatch < last })
}

func (l *lives) call(program, slot int) {
	p := &l.stage.Programs[program]
	for _, in := range p.Inputs {
		l.begin(l.stage.spot(in.Buffer, slot))
	}
	for i := range p.Instructions {
		l.instruction(&p.Instructions[i], slot)
		l.positions = append(l.positions, at{program, i})
	}
	for _, out := range p.Outputs {
		if v := l.open[l.stage.spot(out.Buffer, slot)]; v != nil {
			v.to = max(v.to, len(l.positions)-1)
		}
	}
}

// instruction lets what is read live on, and what is written whole begin anew.
func (l *lives) instruction(in *Instruction, slot int) {
	for i := range in.Operands {
		o := &in.Operands[i]
		if o.Buffer < 0 || l.stage.Buffers[o.Buffer].Lasting {
			continue
		}
		size := kernels.Elements(l.stage.Buffers[o.Buffer].Shape())
		r, ok := regionOf(o, size)
		if !ok {
			r = region{size, 0, size}
		}
		p := l.stage.spot(o.Buffer, slot)
		v := l.open[p]
		switch {
		case v == nil, role(in, i) == kernels.Out && r.whole() && in.Predicate == 0:
			l.begin(p)
		case role(in, i).Reads():
			l.reads(v, r)
		default:
			l.writes(v, r)
		}
	}
}

func (l *lives) reads(v *life, r region) {
	now := len(l.positions)
	if v.rewritten.covers(r) {
		l.ended = append(l.ended, life{spot: v.spot, from: v.from, to: v.to})
		v.from = v.since
	}
	v.to, v.read, v.rewritten = now, true, nil
}

func (l *lives) writes(v *life, r region) {
	now := len(l.positions)
	switch {
	case !v.read:
		v.to = now
		return
	case len(v.rewritten) == 0:
		v.since = now
	}
	v.rewritten, v.until = v.rewritten.with(r), now
}

// begin starts a new value. What holds its bytes ends before, which counts an output in the place of an input once.
func (l *lives) begin(p spot) {
	now, where := len(l.positions), l.stage.span(p)
	first, _ := slices.BinarySearchFunc(l.places, where, func(o taken, w span) int {
		if o.space == w.space && o.to <= w.from {
			return -1
		}
		return cmp.Or(cmp.Compare(o.space, w.space), 1)
	})
	last := first
	for ; last < len(l.places) && l.places[last].meets(where); last++ {
		v := l.open[l.places[last].spot]
		v.to, v.until = min(v.to, now-1), min(v.until, now-1)
		l.end(v)
	}
	l.places = slices.Replace(l.places, first, last, taken{where, p})
	l.open[p] = &life{spot: p, from: now, to: now}
}

// end closes a life, and what was written over it and never read.
func (l *lives) end(v *life) {
	delete(l.open, v.spot)
	if len(v.rewritten) > 0 {
		l.ended = append(l.ended, life{spot: v.spot, from: v.since, to: v.until})
	}
	if v.to >= v.from {
		l.ended = append(l.ended, *v)
	}
}

// findPeak adds up what is live at each position.
func (l *lives) findPeak() {
	change := make([]int64, len(l.positions)+1)
	for _, v := range l.ended {
		if size := l.stage.Buffers[v.spot.buffer].SizeBytes(); v.from < len(l.positions) {
			change[v.from] += size
			change[v.to+1] -= size
		}
	}
	now := int64(0)
	for i := range l.positions {
		if now += change[i]; now > l.peakBytes {
			l.peak, l.peakBytes = i, now
		}
	}
}

// where says in words when the peak is.
func (m *Memory) where() string {
	return fmt.Sprintf("%s of %s", m.Name, m.Program)
}
