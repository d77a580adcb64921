package plan

import (
	"cmp"
	"slices"
)

// apart says whether slots can be followed each for itself: they are alike, and what goes on past its program, and what depends on no predicate, is in
// slots. Then what a call does in one slot does not depend on the others, and all are like the first.
func (s *session) apart() bool {
	if s.stage.Slots < 2 {
		return false
	}
	called, used := map[string]bool{}, map[int]bool{}
	for _, c := range s.schedule.Calls {
		if called[c.Program] {
			continue
		}
		called[c.Program] = true
		p := &s.stage.Programs[s.programs[c.Program]]
		p.uses(used)
		for i := range p.Instructions {
			if in := &p.Instructions[i]; !s.keepsToSlots(in) {
				return false
			}
		}
	}
	return s.stage.alike(used)
}

// alike says whether the slots of some buffers are as many stretches that follow each other, in which none of the others lies.
func (s *Stage) alike(used map[int]bool) bool {
	var window span
	for id := range used {
		if id < 0 || !s.Buffers[id].Slotted {
			continue
		}
		where := s.span(spot{id, 0})
		if window.to == 0 {
			window = where
		}
		if where.space != window.space {
			return false
		}
		window.from, window.to = min(window.from, where.from), max(window.to, where.to)
	}
	if window.to-window.from > s.SlotBytes {
		return false
	}
	window.to = window.from + int64(s.Slots)*s.SlotBytes
	for id := range used {
		if id >= 0 && !s.Buffers[id].Slotted && s.span(spot{id, 0}).meets(window) {
			return false
		}
	}
	return true
}

// keepsToSlots is the part of apart that is about one instruction.
func (s *session) keepsToSlots(in *Instruction) bool {
	for i := range in.Operands {
		id := in.Operands[i].Buffer
		if id < 0 {
			continue
		}
		slotted := s.stage.Buffers[id].Slotted
		if in.Open != 0 && !slotted || in.Predicate != 0 && slotted && role(in, i).Writes() {
			return false
		}
	}
	return true
}

// enter takes what a slot holds, and what all have in common, for the state of a call in it, which is followed as one in the first slot.
func (s *session) enter(slot int) {
	s.live = merged(s.common, s.slots[slot].live)
	s.flying = slices.Clone(s.slots[slot].flying)
}

// leave puts the two apart again.
func (s *session) leave(slot int) {
	var own []*cell
	s.common = s.common[:0:0]
	for _, c := range s.live {
		if s.stage.Buffers[c.spot.buffer].Slotted {
			own = append(own, c)
		} else {
			s.common = append(s.common, c)
		}
	}
	s.slots[slot] = state{own, s.flying}
}

// merged is two lists of cells, each sorted by place, as one.
func merged(a, b []*cell) []*cell {
	list := make([]*cell, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if before(a[0].span, b[0].span) < 0 {
			list, a = append(list, a[0]), a[1:]
		} else {
			list, b = append(list, b[0]), b[1:]
		}
	}
	return slices.Concat(list, a, b)
}

func before(a, b span) int {
	return cmp.Or(cmp.Compare(a.space, b.space), cmp.Compare(a.from, b.from))
}
