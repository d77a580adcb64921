package plan

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// refines is rule 28: a rank does all that the plan has it do and nothing else, and every instruction finds in its buffers what the same instructions
// wrote. Then it computes the same bits, whatever the order. Where buffers lie, in which slots calls run, on what streams, and what waits for what, is the
// rank's own affair, to which the other rules hold it.
func (v *verifier) refines(rank int, own, stage *Stage) {
	r := &refinement{stageVerifier: stageVerifier{verifier: v, index: v.plan.StageOf(rank), rank: rank, stage: stage}, own: own}
	r.buffers()
	for i := range own.Programs {
		r.program(&own.Programs[i])
	}
	for i := range stage.Programs {
		if own.Program(stage.Programs[i].Name) == nil {
			r.differs(at{i, -1}, "the plan has no such program")
		}
	}
	for i := range own.Schedules {
		r.schedule(&own.Schedules[i])
	}
	if len(own.Schedules) != len(stage.Schedules) {
		r.fail("rank %d: %d schedules, where the plan has %d", rank, len(stage.Schedules), len(own.Schedules))
	}
}

// refinement holds a rank's stage against the plan's.
type refinement struct {
	stageVerifier
	own *Stage // the plan's
}

func (r *refinement) differs(a at, format string, args ...any) {
	r.failIn(a, "rank %d: %s", r.rank, fmt.Sprintf(format, args...))
}

// buffers are the plan's, but for where they lie.
func (r *refinement) buffers() {
	same := func(a, b Buffer) bool {
		a.Offset = b.Offset
		return reflect.DeepEqual(a, b)
	}
	if !slices.EqualFunc(r.stage.Buffers, r.own.Buffers, same) {
		r.fail("rank %d: its buffers differ from the plan's in more than where they lie", r.rank)
	}
}

// step is an instruction or call, told from all others of its list whatever the order.
type step struct {
	name   string
	number int // among those of that name
}

// done is a step that was come to.
type done struct {
	index    int
	versions []int // by buffer that it uses: how often that was written before
}

// versions counts the writes to buffers.
type versions map[int]int

// use is what a step finds in its buffers, which it may write then.
func (w versions) use(buffers []int, writes []bool) (found []int) {
	for _, b := range buffers {
		found = append(found, w[b])
	}
	for i, b := range buffers {
		if writes[i] {
			w[b]++
		}
	}
	return found
}

// program holds a program against the plan's.
func (r *refinement) program(own *Program) {
	index := slices.IndexFunc(r.stage.Programs, func(p Program) bool { return p.Name == own.Name })
	if index < 0 {
		r.fail("rank %d: it has no program %s, as the plan has", r.rank, own.Name)
		return
	}
	p := &r.stage.Programs[index]
	if p.Length != own.Length || !slices.Equal(p.Inputs, own.Inputs) || !slices.Equal(p.Outputs, own.Outputs) {
		r.differs(at{index, -1}, "its inputs, outputs or length are not the plan's")
	}
	planned, steps := r.steps(own), r.steps(p)
	for _, k := range inOrder(planned) {
		was := planned[k]
		now, there := steps[k]
		if !there {
			r.differs(at{index, -1}, "it lacks %s (%v) of the plan's", own.Instructions[was.index].Name, own.Instructions[was.index].Op)
			continue
		}
		a, b := &p.Instructions[now.index], &own.Instructions[was.index]
		switch {
		case !reflect.DeepEqual(a.Operands, b.Operands) || a.Attrs != b.Attrs || a.Predicate != b.Predicate:
			r.differs(at{index, now.index}, "its operands, attributes or predicate are not those that the plan has at the rank's place")
		case !slices.Equal(now.versions, was.versions):
			r.differs(at{index, now.index}, "it comes before or behind what writes its operands, where the plan has it the other way round")
		}
	}
	for k, now := range steps {
		if _, there := planned[k]; !there {
			r.differs(at{index, now.index}, "the plan has no such instruction there")
		}
	}
}

// inOrder lists steps as they stand.
func inOrder(steps map[step]done) []step {
	return slices.SortedFunc(maps.Keys(steps), func(a, b step) int { return cmp.Compare(steps[a].index, steps[b].index) })
}

// steps are a program's instructions.
func (r *refinement) steps(p *Program) map[step]done {
	steps, seen, written := map[step]done{}, map[string]int{}, versions{}
	for i := range p.Instructions {
		in := &p.Instructions[i]
		k := step{name: fmt.Sprint(in.Name, " ", in.Op)}
		seen[k.name]++
		k.number = seen[k.name]
		steps[k] = done{i, written.use(r.uses(in))}
	}
	return steps
}

// uses are the buffers of an instruction's operands, and of what says whether it is left out: its predicate, and the loss, which may not be finite.
func (r *refinement) uses(in *Instruction) (used []int, writes []bool) {
	reads := func(plusOne int) {
		if plusOne > 0 {
			used, writes = append(used, plusOne-1), append(writes, false)
		}
	}
	for i := range in.Operands {
		if o := &in.Operands[i]; o.Buffer >= 0 {
			used, writes = append(used, o.Buffer), append(writes, role(in, i).Writes())
			reads(o.Bound)
		}
	}
	if reads(in.Predicate); in.Predicate > 0 {
		for _, s := range r.plan.Scalars {
			if s.Name == ScalarLoss {
				reads(s.Buffer + 1)
			}
		}
	}
	return used, writes
}

// schedule holds a schedule against the plan's: the same calls, of which those that add to the same gradients, or to what lasts, come in its order.
func (r *refinement) schedule(own *Schedule) {
	planned, steps := r.calls(r.own, own), map[step]done{}
	if s := r.stage.Schedule(own.Kind, own.Length); s != nil {
		steps = r.calls(r.stage, s)
	}
	for _, k := range inOrder(planned) {
		was := planned[k]
		now, there := steps[k]
		switch {
		case !there:
			r.fail("rank %d: %s lacks the call of %s", r.rank, own.title(), k.name)
		case !slices.Equal(now.versions, was.versions):
			r.fail("rank %d: %s calls %s before or behind what writes the same, where the plan has it the other way round", r.rank, own.title(), k.name)
		}
	}
	if len(planned) != len(steps) {
		r.fail("rank %d: %s has %d calls, where the plan has %d", r.rank, own.title(), len(steps), len(planned))
	}
}

// calls are a schedule's.
func (r *refinement) calls(stage *Stage, s *Schedule) map[step]done {
	steps, seen, written := map[step]done{}, map[string]int{}, versions{}
	for i, c := range s.Calls {
		k := step{name: fmt.Sprintf("%s for micro-batch %d", c.Program, c.MicroBatch)}
		seen[k.name]++
		k.number = seen[k.name]
		steps[k] = done{i, written.use(stage.kept(c.Program))}
	}
	return steps
}

// kept are the buffers that a program uses which keep something from one micro-batch to the next.
func (s *Stage) kept(program string) (used []int, writes []bool) {
	p := s.Program(program)
	written := map[int]bool{}
	for i := range p.Instructions {
		in := &p.Instructions[i]
		for j, o := range in.Operands {
			if o.Buffer >= 0 && (s.Buffers[o.Buffer].Lasting || s.Buffers[o.Buffer].Class == Gradient) {
				written[o.Buffer] = written[o.Buffer] || role(in, j).Writes()
			}
		}
	}
	for id := range s.Buffers {
		if w, there := written[id]; there {
			used, writes = append(used, id), append(writes, w)
		}
	}
	return used, writes
}
