package plan

import (
	"cmp"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// MaxStreams bounds the streams of a program.
const MaxStreams = 64

// order is rules 23 and 24. The list order of a program is one that its streams may run in; what it must not be is the only one in which the
// plan is right.
func (v *stageVerifier) order() {
	for i := range v.stage.Programs {
		streams, sound := v.events(i)
		if !sound || streams < 2 {
			continue
		}
		for _, slot := range v.differentSlots(&v.stage.Programs[i]) {
			r := &racer{stageVerifier: v, program: i, slot: slot, signals: map[int]clock{}}
			for j := range v.stage.Programs[i].Instructions {
				r.instruction(j)
			}
		}
	}
}

// differentSlots are those of a program that must be looked at: one, where they are alike.
func (v *stageVerifier) differentSlots(p *Program) []int {
	used := map[int]bool{}
	p.uses(used)
	if slots := v.stage.SlotsOf(p.Name); len(slots) < 2 || !v.stage.alike(used) {
		return slots
	}
	return []int{0}
}

// SlotsOf lists the slots that a program is called in, in the order of the calls.
func (s *Stage) SlotsOf(program string) (slots []int) {
	for i := range s.Schedules {
		for _, c := range s.Schedules[i].Calls {
			if c.Program == program && !slices.Contains(slots, c.Slot) {
				slots = append(slots, c.Slot)
			}
		}
	}
	return slots
}

// events is rule 23 for one program. It counts the streams.
func (v *stageVerifier) events(program int) (streams int, sound bool) {
	sound = true
	signalled, used, axes := map[int]int{}, map[int]bool{}, map[int]string{}
	for i := range v.stage.Programs[program].Instructions {
		in, a := &v.stage.Programs[program].Instructions[i], at{program, i}
		fail := func(format string, args ...any) {
			sound = false
			v.failIn(a, format, args...)
		}
		if in.Stream < 0 || in.Stream >= MaxStreams {
			fail("stream %d is outside [0, %d)", in.Stream, MaxStreams)
		}
		used[in.Stream] = true
		if in.Stream != 0 && collective(in) {
			if other, ok := axes[in.Stream]; ok && other != in.Attrs.Axis {
				fail("it is along %s on stream %d, where others are along %s: nothing orders calls of different groups", in.Attrs.Axis, in.Stream, other)
			}
			axes[in.Stream] = in.Attrs.Axis
		}
		for _, event := range in.Wait {
			if _, ok := signalled[event]; !ok {
				fail("it waits for event %d, which no instruction before it signals", event)
			}
		}
		first, twice := signalled[in.Signal]
		switch {
		case in.Signal < 0:
			fail("event %d: events count from 1", in.Signal)
		case in.Signal > 0 && twice:
			fail("it signals event %d, which instruction %d signals already", in.Signal, first)
		case in.Signal > 0:
			signalled[in.Signal] = i
		}
	}
	return len(used), sound
}

// collective says whether ranks run an instruction together.
func collective(in *Instruction) bool {
	return int(in.Op) < len(kernels.Contracts) && kernels.Contracts[in.Op].Collective
}

// clock says for each stream how many of the program's instructions, counted to the
// last one of that stream, are known to have ended.
type clock [MaxStreams]int

func (c *clock) join(o clock) {
	for i := range c {
		c[i] = max(c[i], o[i])
	}
}

// racer follows a program with a clock for each stream (rule 24).
type racer struct {
	*stageVerifier
	program int
	slot    int
	streams [MaxStreams]clock
	signals map[int]clock
	pieces  []piece // by place, disjoint
}

// piece is a run of bytes that the same instructions touched.
type piece struct {
	span
	touches []touch
}

// touch is what one instruction did with some bytes.
type touch struct {
	instruction int
	stream      int
	writes      bool
	buffer      int
	region      maybeRegion
	dense       bool // every byte from the first to the last
}

func (r *racer) instruction(i int) {
	in := &r.stage.Programs[r.program].Instructions[i]
	now := &r.streams[in.Stream]
	for _, event := range in.Wait {
		now.join(r.signals[event])
	}
	now[in.Stream] = i + 1
	if !r.refused[in] {
		for j := range in.Operands {
			if in.Operands[j].Buffer >= 0 {
				r.operand(i, in, &in.Operands[j], role(in, j))
			}
		}
		r.scalar(i, in, in.Predicate)
	}
	if in.Signal > 0 {
		r.signals[in.Signal] = *now
	}
}

func (r *racer) operand(i int, in *Instruction, o *Operand, role kernels.Role) {
	r.scalar(i, in, o.Bound)
	size := kernels.Elements(r.stage.Buffers[o.Buffer].Shape())
	region, ok := regionOf(o, size)
	r.touch(r.extentOf(o, r.slot), touch{i, in.Stream, role.Writes(), o.Buffer, maybeRegion{region, ok}, ok && region.stride == size})
}

// scalar is the reading of a predicate or bound, given plus 1.
func (r *racer) scalar(i int, in *Instruction, plusOne int) {
	if plusOne > 0 {
		r.touch(r.stage.span(spot{plusOne - 1, 0}), touch{instruction: i, stream: in.Stream, buffer: plusOne - 1, dense: true})
	}
}

// touch holds a touch against the earlier ones of the same bytes, and keeps it.
func (r *racer) touch(where span, t touch) {
	for i := r.cut(where); i < len(r.pieces) && r.pieces[i].meets(where); i++ {
		p := &r.pieces[i]
		for _, before := range p.touches {
			r.check(before, t)
		}
		p.touches = append(slices.DeleteFunc(p.touches, func(before touch) bool { return t.replaces(before) }), t)
	}
}

// replaces says that what is ordered after t is ordered after before, too, so that the latter need not be kept.
func (t touch) replaces(before touch) bool {
	same := t.buffer == before.buffer && t.region == before.region
	return t.writes && (same || t.dense) || t.stream == before.stream && same && !before.writes
}

func (r *racer) check(before, t touch) {
	if before.instruction == t.instruction || !before.writes && !t.writes || r.streams[t.stream][before.stream] > before.instruction {
		return
	}
	if before.buffer == t.buffer && before.region.ok && t.region.ok && !before.region.meets(t.region.region) {
		return
	}
	verbs := map[bool]string{true: "writes", false: "reads"}
	r.failIn(at{r.program, t.instruction}, "it %s %s on stream %d, and instruction %d (%s) %s the same bytes on stream %d, but no event orders them",
		verbs[t.writes], r.stage.label(t.buffer), t.stream, before.instruction,
		r.stage.Programs[r.program].Instructions[before.instruction].Name, verbs[before.writes], before.stream)
}

// cut splits pieces so that those within a span cover it exactly, and gives the index of the first.
func (r *racer) cut(where span) int {
	r.splitAt(where.space, where.from)
	r.splitAt(where.space, where.to)
	first, _ := slices.BinarySearchFunc(r.pieces, where, comparePieces)
	next := where.from
	for i := first; next < where.to; i++ {
		if i < len(r.pieces) && r.pieces[i].space == where.space && r.pieces[i].from == next {
			next = r.pieces[i].to
			continue
		}
		gap := span{where.space, next, where.to}
		if i < len(r.pieces) && r.pieces[i].space == where.space {
			gap.to = min(gap.to, r.pieces[i].from)
		}
		r.pieces = slices.Insert(r.pieces, i, piece{span: gap})
		next = gap.to
	}
	return first
}

func comparePieces(p piece, w span) int {
	return cmp.Or(cmp.Compare(p.space, w.space), cmp.Compare(p.from, w.from))
}

// splitAt makes a byte the first of its piece, where it lies within one.
func (r *racer) splitAt(space kernels.Space, from int64) {
	i, exact := slices.BinarySearchFunc(r.pieces, span{space: space, from: from}, comparePieces)
	if exact || i == 0 {
		return
	}
	p := &r.pieces[i-1]
	if p.space != space || p.to <= from {
		return
	}
	rest := piece{span{space, from, p.to}, slices.Clone(p.touches)}
	p.to = from
	r.pieces = slices.Insert(r.pieces, i, rest)
}
