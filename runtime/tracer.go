package runtime

import (
	"time"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/timeline"
)

// tracer records what a machine does. A nil tracer records nothing.
type tracer struct {
	machine *Machine
	begun   time.Time // the step
	call    plan.Call
	events  []timeline.Event
}

// now is the time, where it is recorded.
func (t *tracer) now() (now time.Time) {
	if t != nil {
		now = time.Now()
	}
	return now
}

// add records an instruction that began at a time and ended at another.
func (t *tracer) add(in *plan.Instruction, start, end time.Time) {
	if t == nil {
		return
	}
	e := timeline.Event{Name: in.Name, Op: in.Op.String(), Program: t.call.Program, Pos: in.Pos, MicroBatch: t.call.MicroBatch,
		Rank: t.machine.rank.Number, Stream: in.Stream, Start: start.Sub(t.begun), Length: end.Sub(start)}
	if kernels.Contracts[in.Op].Collective {
		e.Axis, e.SentBytes = in.Attrs.Axis, t.machine.Plan.SentBytes(t.machine.stage, in)
	}
	t.events = append(t.events, e)
}

// Trace has the ranks of this process record what they do from now on, or no longer, and gives what they recorded so far.
func (r *Ranks) Trace(on bool) (events []timeline.Event) {
	begun := time.Now()
	for _, m := range r.machines {
		if m.trace != nil {
			events = append(events, m.trace.events...)
		}
		m.trace = nil
		if on {
			m.trace = &tracer{machine: m, begun: begun}
		}
	}
	return events
}
