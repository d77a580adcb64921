package plan

import (
	"fmt"
	"slices"
	"strings"
)

var (
	objectives = []string{"cross_entropy", "binary_cross_entropy", "squared_error", ObjectivePlugin}
	rateKinds  = []string{"constant", "linear", "cosine", "wsd", "one_cycle", "inverse_sqrt", "plateau", "table"}
	kinds      = []string{Train, Uncoded, Evaluate, Prefill, Decode, Load}
)

// training is rule 10.
func (v *verifier) training() {
	t := &v.plan.Training
	if v.generatesOnly() {
		return
	}
	if !slices.Contains(objectives, t.Objective) {
		v.fail("training.objective: unknown objective %q: use one of %s", t.Objective, strings.Join(objectives, ", "))
	}
	if !slices.Contains(rateKinds, t.Rate.Kind) {
		v.fail("training.rate: unknown kind %q: use one of %s", t.Rate.Kind, strings.Join(rateKinds, ", "))
	}
	if t.Rate.Kind == "table" && len(t.Rate.Rates) == 0 {
		v.fail("training.rate: a table without rates")
	}
	if t.Uncoded < 0 {
		v.fail("training: %d steps without codes must not be negative", t.Uncoded)
	}
	if t.Steps < 0 || t.Rate.Warmup < 0 || t.Rate.Decay < 0 {
		v.fail("training: steps %d, warm-up %d and decay %d must not be negative", t.Steps, t.Rate.Warmup, t.Rate.Decay)
	}
	switch {
	case t.Sequences < 1 || t.MicroBatches < 1 || t.Sequences%max(t.MicroBatches, 1) != 0:
		v.fail("training: %d sequences do not divide into %d micro-batches", t.Sequences, t.MicroBatches)
	}
}

// generatesOnly says whether there is nothing to train, but something to generate with.
func (v *verifier) generatesOnly() bool {
	return v.hasStage() && !v.plan.Trains() && v.plan.Stages[0].Schedule(Decode, 0) != nil
}

// lengths are the length buckets of the data.
func (p *Plan) lengths() []int {
	if len(p.Data.Buckets) > 0 {
		return p.Data.Buckets
	}
	return []int{p.Data.Length}
}

// schedules is rule 11.
func (v *verifier) schedules() {
	if lengths := v.plan.lengths(); lengths[0] < 1 || !slices.IsSorted(lengths) || lengths[len(lengths)-1] != v.plan.Data.Length {
		v.fail("data: length buckets %v must be positive and ascend to the length %d", lengths, v.plan.Data.Length)
	}
	for s := range v.plan.Stages {
		st := &v.plan.Stages[s]
		lengths := v.distinct(st)
		programs, called := st.byName(), map[string]bool{}
		for i := range st.Schedules {
			for _, c := range st.Schedules[i].Calls {
				called[c.Program] = true
				v.call(st, &st.Schedules[i], c, programs[c.Program])
			}
			v.covers(&st.Schedules[i])
		}
		for i := range st.Programs {
			if name := st.Programs[i].Name; !called[name] {
				v.fail("program %s: no schedule calls it", name)
			}
		}
		if v.generatesOnly() {
			if !lengths[Prefill][0] {
				v.fail("stage %d has no schedule to prefill a cache", s)
			}
			continue
		}
		needed := []string{Train, Evaluate}
		if v.plan.Training.Uncoded > 0 {
			needed = append(needed, Uncoded)
		} else if len(lengths[Uncoded]) > 0 {
			v.fail("stage %d has a schedule %s, but no step runs it", s, Uncoded)
		}
		for _, length := range v.plan.lengths() {
			for _, kind := range needed {
				if !lengths[kind][length] && !lengths[kind][0] {
					v.fail("stage %d has no schedule %s for rows of %d tokens", s, kind, length)
				}
			}
		}
	}
}

func (s *Stage) byName() map[string]*Program {
	programs := map[string]*Program{}
	for i := range s.Programs {
		programs[s.Programs[i].Name] = &s.Programs[i]
	}
	return programs
}

// title names a schedule in a message.
func (s *Schedule) title() string {
	if s.Length == 0 {
		return "schedule " + s.Kind
	}
	return fmt.Sprintf("schedule %s for length %d", s.Kind, s.Length)
}

// distinct: one schedule for a kind and length; one for any length stands alone. It gives the lengths of each kind.
func (v *verifier) distinct(st *Stage) map[string]map[int]bool {
	lengths := map[string]map[int]bool{}
	for i := range st.Schedules {
		s := &st.Schedules[i]
		if !slices.Contains(kinds, s.Kind) || s.Length < 0 {
			v.fail("%s: unknown kind or negative length: use one of %s", s.title(), strings.Join(kinds, ", "))
		}
		others := lengths[s.Kind]
		if others == nil {
			others = map[int]bool{}
			lengths[s.Kind] = others
		}
		if others[s.Length] || others[0] || s.Length == 0 && len(others) > 0 {
			v.fail("%s: another one of its kind is for the same length", s.title())
		}
		others[s.Length] = true
	}
	return lengths
}

func (v *verifier) call(st *Stage, s *Schedule, c Call, p *Program) {
	limit := 1
	if s.trains() {
		limit = v.plan.Training.MicroBatches
	}
	switch {
	case p == nil:
		v.fail("%s: there is no program %q", s.title(), c.Program)
	case p.Length != 0 && s.Length != 0 && p.Length != s.Length:
		v.fail("%s: program %s is for length %d", s.title(), c.Program, p.Length)
	case c.Slot < 0 || c.Slot >= st.Slots:
		v.fail("%s: call of %s: slot %d of %d", s.title(), c.Program, c.Slot, st.Slots)
	case c.MicroBatch < 0 || c.MicroBatch >= limit:
		v.fail("%s: call of %s: micro-batch %d of %d", s.title(), c.Program, c.MicroBatch, limit)
	}
}

// covers: a training step takes every micro-batch, and at least one program runs.
func (v *verifier) covers(s *Schedule) {
	if len(s.Calls) == 0 {
		v.fail("%s: it calls nothing", s.title())
	}
	if !s.trains() {
		return
	}
	seen := map[int]bool{}
	for _, c := range s.Calls {
		seen[c.MicroBatch] = true
	}
	for m := range min(v.plan.Training.MicroBatches, len(s.Calls)+1) {
		if !seen[m] {
			v.fail("%s: no call takes micro-batch %d of %d", s.title(), m, v.plan.Training.MicroBatches)
			return
		}
	}
}

// perToken are the inputs with a value for each token of a row.
var perToken = []string{InputTokens, InputTypes, InputSegments, InputPositions, InputMask}

// batches is rule 12.
func (v *verifier) batches() {
	rows := v.plan.RankRows()
	for s := range v.plan.Stages {
		st := &v.plan.Stages[s]
		programs := st.byName()
		for i := range st.Schedules {
			sc := &st.Schedules[i]
			if !sc.trains() && sc.Kind != Evaluate {
				continue
			}
			for _, c := range sc.Calls {
				if p := programs[c.Program]; p != nil {
					v.inputs(st, p, rows)
					delete(programs, c.Program)
				}
			}
		}
	}
}

func (v *verifier) inputs(st *Stage, p *Program, rows int) {
	for _, port := range p.Inputs {
		if port.Buffer < 0 || port.Buffer >= len(st.Buffers) {
			continue // rule 9 says so
		}
		shape := st.Buffers[port.Buffer].Shape()
		if len(shape) == 0 || shape[0] != rows {
			v.fail("program %s: input %s has shape %v, but a rank takes %d rows of a micro-batch", p.Name, port.Name, shape, rows)
		} else if slices.Contains(perToken, port.Name) && p.Length > 0 && (len(shape) != 2 || shape[1] < p.Length || shape[1] >= p.Length+v.plan.Ranks()) {
			v.fail("program %s: input %s has shape %v, want [%d %d], or a little longer rows where ranks share tokens out", p.Name, port.Name, shape, rows, p.Length)
		}
	}
}
