package plan

import (
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// openings is the first half of rule 25: what is awaited is an event that some instruction opens.
func (v *stageVerifier) openings() {
	opened := map[int]bool{}
	v.each(func(a at, in *Instruction) {
		if in.Open < 0 {
			v.failIn(a, "open %d: events count from 1", in.Open)
		}
		opened[in.Open] = in.Open > 0
	})
	v.each(func(a at, in *Instruction) {
		for _, event := range in.Await {
			if !opened[event] {
				v.failIn(a, "it awaits event %d, which no instruction of the stage opens", event)
			}
		}
	})
}

// flight is an open instruction that has begun and was not awaited.
type flight struct {
	event, slot int
	from        at
	where       span
	writes      bool
}

// flights is the second half of rule 25, for an instruction that begins: what it awaits has ended, and it keeps off what has not.
func (s *session) flights(a at, in *Instruction) {
	s.flying = slices.DeleteFunc(s.flying, func(f flight) bool { return f.slot == s.now.Slot && slices.Contains(in.Await, f.event) })
	if s.refused[in] || len(s.flying) == 0 && in.Open == 0 {
		return
	}
	for i := range in.Operands {
		if o := &in.Operands[i]; o.Buffer >= 0 {
			s.land(a, "operand "+operandName(in, i), s.extentOf(o, s.now.Slot), role(in, i).Writes())
		}
	}
	if in.Open == 0 {
		return
	}
	for _, f := range s.flying {
		if f.from == a && f.slot == s.now.Slot {
			s.failIn(a, "it begins again in slot %d before its event %d was awaited, in %s", f.slot, f.event, s.schedule.title())
		}
	}
	s.flying = append(s.flying, flight{in.Open, s.now.Slot, a, s.extentOf(&in.Operands[0], s.now.Slot), in.Op == kernels.Receive})
}

// land reports the use of bytes that something in flight uses, where one of the two writes.
func (s *session) land(a at, user string, where span, writes bool) {
	for _, f := range s.flying {
		if (writes || f.writes) && f.where.meets(where) {
			s.failIn(a, "%s: %s uses the same bytes in slot %d and may still go on: its event %d is not awaited, in %s", user, s.stage.where(f.from), f.slot, f.event, s.schedule.title())
			return
		}
	}
}
