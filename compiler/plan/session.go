package plan

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// session follows one schedule from its start and knows at each instruction
// which bytes hold what (rules 20 to 22). Nothing is defined at the start but what lasts, and, where
// the schedule generates, the caches. Before a call the data layer fills the inputs of its program, which is a write
// like another. A write defines the region of its view and makes undefined every other buffer whose bytes the
// buffer overlaps: what is defined never overlaps.
//
// What a call does to a state depends on both alone, so that a call that was seen in the same
// state before is not followed again: the micro-batches after the second cost nothing. Where slots can be followed each for itself, they are.
type session struct {
	*stageVerifier
	schedule *Schedule
	now      Call                     // that is followed
	live     []*cell                  // by place; a cell is never changed, but replaced, since states share them
	lost     map[spot]at              // what took the bytes of a spot
	told     map[spot]bool            // spots whose misuse was reported
	results  map[string]state         // states after a call, by what came before; micro-batches count from the call's
	programs map[string]int           // indices
	regions  map[*Operand]maybeRegion // of operands
	flying   []flight                 // what was begun and not awaited

	common []*cell       // where slots are followed each for itself: what is live outside of them
	slots  map[int]state // and what each of them holds, as if it were the first; nil: they are not
}

// state is what a session knows between calls.
type state struct {
	live   []*cell
	flying []flight
}

// maybeRegion is a region that may not be one that can be followed.
type maybeRegion struct {
	region
	ok bool
}

// spot is a buffer in one of its slots.
type spot struct{ buffer, slot int }

// span is where a spot lies: bytes [from, to) of a space.
type span struct {
	space    kernels.Space
	from, to int64
}

func (s span) meets(o span) bool { return s.space == o.space && s.from < o.to && o.from < s.to }

func (s *Stage) span(p spot) span {
	b := &s.Buffers[p.buffer]
	from := b.Offset + int64(p.slot)*s.SlotBytes
	return span{b.Space, from, from + b.SizeBytes()}
}

// spot is where a buffer lies during a call in a slot.
func (s *Stage) spot(id, slot int) spot {
	if s.Buffers[id].Slotted {
		return spot{id, slot}
	}
	return spot{id, 0}
}

// cell is a spot that holds something.
type cell struct {
	spot    spot
	span    span
	defined part
	guard   int // the predicate it was written under; 0: none
	micro   int // the micro-batch it was written for; any, where it is a gradient: 0
}

// sessions follows every schedule.
func (v *stageVerifier) sessions() {
	programs := map[string]int{}
	for i := range v.stage.Programs {
		programs[v.stage.Programs[i].Name] = i
	}
	regions := v.regions()
	for i := range v.stage.Schedules {
		s := &session{stageVerifier: v, schedule: &v.stage.Schedules[i], lost: map[spot]at{}, told: map[spot]bool{},
			results: map[string]state{}, programs: programs, regions: regions}
		if s.apart() {
			s.slots = map[int]state{}
		}
		for _, c := range s.schedule.Calls {
			if s.slots == nil {
				s.call(c)
				continue
			}
			s.enter(c.Slot)
			s.call(Call{Program: c.Program, MicroBatch: c.MicroBatch})
			s.leave(c.Slot)
		}
	}
}

// regions finds the regions of all operands once, and holds those that are written to rule 20.
func (v *stageVerifier) regions() map[*Operand]maybeRegion {
	regions := map[*Operand]maybeRegion{}
	v.each(func(a at, in *Instruction) {
		if v.refused[in] {
			return
		}
		for i := range in.Operands {
			o := &in.Operands[i]
			if o.Buffer < 0 {
				continue
			}
			size := kernels.Elements(v.stage.Buffers[o.Buffer].Shape())
			r, ok := regionOf(o, size)
			if !ok {
				r = region{size, 0, size}
				if role(in, i).Writes() {
					v.failIn(a, "operand %s: it writes %v with strides %v of %s, which are not rows of one width at one distance",
						operandName(in, i), o.Shape, o.Strides, v.stage.label(o.Buffer))
				}
			}
			regions[o] = maybeRegion{r, ok}
		}
	})
	return regions
}

func (s *session) call(c Call) {
	key := s.key(c)
	if known, ok := s.results[key]; ok {
		s.live, s.flying = s.shifted(known.live, c.MicroBatch), slices.Clone(known.flying)
		return
	}
	index := s.programs[c.Program]
	s.now = c
	p := &s.stage.Programs[index]
	for _, port := range p.Inputs {
		size := kernels.Elements(s.stage.Buffers[port.Buffer].Shape())
		s.land(at{index, -1}, "input "+port.Name, s.stage.span(s.stage.spot(port.Buffer, c.Slot)), true)
		s.write(at{index, -1}, port.Buffer, region{size, 0, size}, 0)
	}
	for i := range p.Instructions {
		s.instruction(at{index, i}, &p.Instructions[i])
	}
	for _, port := range p.Outputs {
		size := kernels.Elements(s.stage.Buffers[port.Buffer].Shape())
		s.read(at{index, -1}, "output "+port.Name, port.Buffer, region{size, 0, size}, 0)
	}
	s.results[key] = state{s.shifted(s.live, -c.MicroBatch), slices.Clone(s.flying)}
}

// shifted copies a state with its micro-batches counted from elsewhere.
func (s *session) shifted(live []*cell, by int) []*cell {
	live = slices.Clone(live)
	for i, c := range live {
		if by != 0 && !s.shared(c.spot.buffer) {
			moved := *c
			moved.micro += by
			live[i] = &moved
		}
	}
	return live
}

// shared says whether a buffer serves all micro-batches.
func (s *session) shared(id int) bool { return s.stage.Buffers[id].Class == Gradient }

// key is a call with all that its effect depends on.
func (s *session) key(c Call) string {
	key := binary.AppendVarint([]byte(c.Program+"\x00"), int64(c.Slot))
	for _, l := range s.live {
		micro := 0
		if !s.shared(l.spot.buffer) {
			micro = l.micro - c.MicroBatch
		}
		for _, n := range []int{l.spot.buffer, l.spot.slot, l.guard, micro, len(l.defined)} {
			key = binary.AppendVarint(key, int64(n))
		}
		for _, r := range l.defined {
			key = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(key, int64(r.stride)), int64(r.from)), int64(r.to))
		}
	}
	for _, f := range s.flying {
		key = binary.AppendVarint(binary.AppendVarint(key, int64(f.event)), int64(f.slot))
	}
	return string(key)
}

func (s *session) instruction(a at, in *Instruction) {
	s.flights(a, in)
	if s.refused[in] {
		s.assume(a, in)
		return
	}
	for i := range in.Operands {
		if o := &in.Operands[i]; o.Buffer >= 0 && role(in, i).Reads() {
			s.read(a, "operand "+operandName(in, i), o.Buffer, s.regions[o].region, in.Predicate)
		}
	}
	for i := range in.Operands {
		if o := &in.Operands[i]; o.Buffer >= 0 && role(in, i).Writes() {
			s.write(a, o.Buffer, s.regions[o].region, in.Predicate)
		}
	}
	for i := range in.Operands {
		if o := &in.Operands[i]; o.Buffer >= 0 && role(in, i).Writes() && s.stage.Buffers[o.Buffer].Class == ScalarKind {
			s.unguard(a, o.Buffer+1)
		}
	}
}

// assume takes it that an instruction that was refused writes its outputs, as far as they are known.
func (s *session) assume(a at, in *Instruction) {
	if _, err := kernels.ParseOp(in.Op.String()); err != nil {
		return
	}
	for i := range min(len(in.Operands), len(kernels.Contracts[in.Op].Params)) {
		if id := in.Operands[i].Buffer; id >= 0 && id < len(s.stage.Buffers) && role(in, i).Writes() {
			size := kernels.Elements(s.stage.Buffers[id].Shape())
			s.write(a, id, region{size, 0, size}, 0)
		}
	}
}

// always says whether a buffer is defined from the start of the session on.
func (s *session) always(id int) bool {
	b := &s.stage.Buffers[id]
	return b.Lasting || b.Class == Cache && generates(s.schedule)
}

// generates says whether a schedule goes on with the caches that earlier ones left.
func generates(s *Schedule) bool { return s.Kind == Prefill || s.Kind == Decode }

// read is rules 21 and 22. user names the operand or port.
func (s *session) read(a at, user string, id int, r region, guard int) {
	if s.always(id) {
		return
	}
	p := s.stage.spot(id, s.now.Slot)
	fault := s.fault(p, r, guard)
	if fault != "" && !s.told[p] {
		s.told[p] = true
		s.failIn(a, "%s: %s %s, in %s", user, s.stage.label(id), fault, s.schedule.title())
	}
}

// fault says why a region of a spot cannot be read; it is empty when it can.
func (s *session) fault(p spot, r region, guard int) string {
	i, found := s.find(p)
	taker, taken := s.lost[p]
	switch {
	case !found && taken:
		return fmt.Sprintf("is read, but its bytes were reused by %s", s.stage.where(taker))
	case !found:
		return "is read before it is written"
	case !s.live[i].defined.covers(r):
		return "is read, but only a part of what is read was written"
	case s.live[i].micro != s.micro(p.buffer):
		return fmt.Sprintf("is read for micro-batch %d, but it holds what was written for micro-batch %d", s.now.MicroBatch, s.live[i].micro)
	case s.live[i].guard != 0 && s.live[i].guard != guard:
		return fmt.Sprintf("is read, but it is written only while %s is not 0", s.stage.label(s.live[i].guard-1))
	}
	return ""
}

// find gives the index of a spot in live, or that at which it would stand.
func (s *session) find(p spot) (int, bool) {
	where := s.stage.span(p)
	i, _ := slices.BinarySearchFunc(s.live, where, func(c *cell, w span) int {
		return cmp.Or(cmp.Compare(c.span.space, w.space), cmp.Compare(c.span.from, w.from))
	})
	return i, i < len(s.live) && s.live[i].spot == p
}

// write defines a region of a buffer.
func (s *session) write(a at, id int, r region, guard int) {
	if s.always(id) {
		return
	}
	p := s.stage.spot(id, s.now.Slot)
	delete(s.told, p)
	micro := s.micro(id)
	if i, found := s.find(p); found {
		if s.live[i].micro != micro {
			s.live[i] = &cell{spot: p, span: s.live[i].span, defined: part{r}, guard: guard, micro: micro}
		} else {
			after := s.live[i].written(r, guard)
			s.live[i] = &after
		}
		return
	}
	where := s.stage.span(p)
	s.evict(a, where)
	delete(s.lost, p)
	i, _ := s.find(p)
	s.live = slices.Insert(s.live, i, &cell{spot: p, span: where, defined: part{r}, guard: guard, micro: micro})
}

// micro is the micro-batch that a buffer is written for now.
func (s *session) micro(id int) int {
	if s.shared(id) {
		return 0
	}
	return s.now.MicroBatch
}

// written is a cell after another write: what is defined always stays so, what
// is defined under a predicate does where the write shares it.
func (c cell) written(r region, guard int) cell {
	switch {
	case r.whole() && guard == 0:
		c.defined, c.guard = part{r}, 0
	case guard == 0 || c.guard == guard:
		c.defined = c.defined.with(r)
	case c.guard == 0 && c.defined.covers(r):
	case c.guard == 0:
		c.defined, c.guard = c.defined.with(r), guard
	default:
		c.defined, c.guard = part{r}, guard
	}
	return c
}

// evict makes undefined what overlaps a span.
func (s *session) evict(a at, where span) {
	first, _ := slices.BinarySearchFunc(s.live, where, func(c *cell, w span) int {
		if c.span.space != w.space {
			return cmp.Compare(c.span.space, w.space)
		}
		if c.span.to <= w.from {
			return -1
		}
		return 1
	})
	last := first
	for ; last < len(s.live) && s.live[last].span.meets(where); last++ {
		s.lost[s.live[last].spot] = a
	}
	s.live = slices.Delete(s.live, first, last)
}

// unguard makes undefined what was written under a predicate that changes.
func (s *session) unguard(a at, predicate int) {
	s.live = slices.DeleteFunc(s.live, func(c *cell) bool {
		if c.guard == predicate {
			s.lost[c.spot] = a
		}
		return c.guard == predicate
	})
}
