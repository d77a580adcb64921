package runtime

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/data"
)

// Stepper runs whole steps of a machine: a batch in, losses out. It allocates
// nothing once made.
type Stepper struct {
	machine *Machine
	feeds   map[instance]*feed // of the programs that have inputs
	place   int                // of the rank among those that take parts of the rows

	compressor *compressor

	// BeforeUpdate, when set, is called between the last backward program of a training step and its update, while the gradients stand.
	BeforeUpdate func(*Machine)
}

// Result is what a training step gives.
type Result struct {
	Loss     float64 // Σwℓ/Σw over the global batch
	Norm     float64 // of the gradient, before clipping
	Sparsity float64 // share of the elements that are pruned from this step on, of those that may be
	Finite   bool    // false: the loss or the norm is NaN or Inf, and the update was skipped
}

// NewStepper looks up the inputs of a machine's programs.
func NewStepper(m *Machine) (*Stepper, error) {
	p := m.Plan
	s := &Stepper{machine: m, feeds: map[instance]*feed{}, place: p.RowPlace(m.rank.Number)}
	for b, p := range m.programs {
		if len(p.plan.Inputs) == 0 {
			continue
		}
		f, err := m.newFeed(b)
		if err != nil {
			return nil, err
		}
		s.feeds[b] = f
	}
	var err error
	s.compressor, err = newCompressor(m)
	return s, err
}

// Train runs one training step: the rank's rows of every micro-batch of b forward and backward,
// and the update at the given learning rate. b is the global batch.
func (s *Stepper) Train(b *data.Batch, step int64, rate float64) (Result, error) {
	s.scalars(b, step)
	s.machine.SetReal(plan.ScalarRate, rate)
	if err := s.compressor.decide(step); err != nil {
		return Result{}, err
	}
	if err := s.calls(s.schedule(step), b, s.machine.Run); err != nil {
		return Result{}, err
	}
	r := Result{Loss: s.loss(b), Norm: s.machine.Real(plan.ScalarNorm), Sparsity: s.compressor.sparsity()}
	r.Finite = s.machine.Counter(plan.ScalarFinite) != 0 && !bad(r.Loss)
	return r, nil
}

// schedule is the one that a training step runs. With loss scaling steps are counted as the optimizer counts them: one that was skipped has not helped to make what the steps without codes make.
func (s *Stepper) schedule(step int64) string {
	if m := s.machine; m.Plan.Training.Uncoded > 0 && m.Scaled() {
		step = m.Counter(plan.ScalarUpdates) + 1
	}
	return s.machine.Plan.Training.Schedule(step)
}

// Evaluate runs the evaluation of the rank's rows of one micro-batch of b, and gives the Σwℓ of all ranks.
func (s *Stepper) Evaluate(b *data.Batch, microBatch int) (float64, error) {
	s.scalars(b, 0)
	schedule := s.machine.stage.Schedule(plan.Evaluate, b.Length)
	if schedule == nil {
		return 0, fmt.Errorf("the plan has no evaluation for rows of %d tokens", b.Length)
	}
	for _, c := range schedule.Calls {
		if err := s.feed(&c, b, microBatch); err != nil {
			return 0, err
		}
		if err := s.machine.Run(c.Program, c.Slot); err != nil {
			return 0, err
		}
	}
	if err := s.machine.settle(); err != nil {
		return 0, err
	}
	return s.machine.Real(plan.ScalarLoss), nil
}

func (s *Stepper) scalars(b *data.Batch, step int64) {
	s.machine.SetCounter(plan.ScalarSeed, int64(s.machine.Plan.Training.Seed))
	s.machine.SetCounter(plan.ScalarStep, step)
	s.machine.SetReal(plan.ScalarWeight, b.Weight)
	s.machine.SetReal(plan.ScalarLoss, 0)
}

// calls runs the calls of a schedule for a batch.
func (s *Stepper) calls(kind string, b *data.Batch, run func(program string, slot int) error) error {
	schedule := s.machine.stage.Schedule(kind, b.Length)
	if schedule == nil {
		return fmt.Errorf("the plan has no schedule %s for rows of %d tokens", kind, b.Length)
	}
	update := slices.IndexFunc(schedule.Calls, plan.Call.Updates)
	for i := range schedule.Calls {
		c := &schedule.Calls[i]
		first, _ := s.rows(c.MicroBatch)
		s.machine.SetCounter(plan.ScalarOrigin, int64(first))
		if err := s.feed(c, b, c.MicroBatch); err != nil {
			return err
		}
		if s.machine.trace != nil {
			s.machine.trace.call = *c
		}
		if s.BeforeUpdate != nil && i == update {
			s.BeforeUpdate(s.machine)
		}
		if err := run(c.Program, c.Slot); err != nil {
			return err
		}
	}
	return s.machine.settle()
}

// rows are those of a micro-batch that the rank takes: the first, in the global batch, and how many, of which there may be none.
func (s *Stepper) rows(microBatch int) (first, n int) {
	p := s.machine.Plan
	skipped := min(s.place*p.RankRows(), p.BatchRows())
	return microBatch*p.BatchRows() + s.place*p.RankRows(), min(p.RankRows(), p.BatchRows()-skipped)
}

func (s *Stepper) feed(c *plan.Call, b *data.Batch, microBatch int) error {
	f := s.feeds[instance{c.Program, c.Slot}]
	first, n := s.rows(microBatch)
	s.machine.first = first
	if f == nil {
		return nil
	}
	if n == 0 {
		first = 0
	}
	return f.fill(b, first, n)
}

// loss is the step's loss. A step without a scored position has none, and counts as 0.
func (s *Stepper) loss(b *data.Batch) float64 {
	if b.Weight == 0 {
		return 0
	}
	return s.machine.Real(plan.ScalarLoss) / b.Weight
}

// Locate runs a step's forward and backward programs again, looking at every
// instruction's results, and names the first one that gives NaN or Inf from
// operands that hold none. The weights must be those the step began with.
func (s *Stepper) Locate(b *data.Batch, step int64) (string, error) {
	s.scalars(b, step)
	found := ""
	err := s.calls(s.schedule(step), b, func(program string, slot int) error {
		found = cmp.Or(found, s.machine.runChecked(program, slot))
		return s.machine.failed
	})
	return found, err
}

// runChecked runs a program, all of it since other ranks do, too, and describes the first instruction with an output that
// holds NaN or Inf; −Inf is what the log-sum-exp of a query without keys is.
func (m *Machine) runChecked(name string, slot int) (found string) {
	p := m.programs[instance{name, slot}]
	for i := range p.steps {
		s, in := &p.steps[i], &p.plan.Instructions[i]
		m.before(s)
		if m.skips(s) {
			continue
		}
		if s.run(); found != "" || in.Stream != 0 { // what goes on is looked at where it is read
			continue
		}
		if operand := m.badOutput(in, slot); operand != "" {
			found = fmt.Sprintf("program %s, instruction %d: %v %s, output %s (%s)", name, i, in.Op, in.Name, operand, in.Pos)
		}
	}
	m.await(p.last)
	return found
}

func bad(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
