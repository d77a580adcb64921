package compiler

import (
	"math"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// estimate counts a training step's operations and prices them by the profile.
// With several length buckets it is the longest one's.
func (u *unitOfWork) estimate() error {
	p, err := u.profile()
	if err != nil {
		return err
	}
	e := plan.Estimate{Profile: p.Name, TokensPerStep: int64(u.strategy.Batch.Sequences) * int64(u.data.Length)}
	for _, t := range u.plan.Tensors {
		if t.Class == plan.Weight {
			n := int64(kernels.Elements(t.Shape()))
			e.Parameters += n
			if !t.Frozen {
				e.Trained += n
			}
		}
	}
	stage := &u.plan.Stages[0]
	train := stage.Schedule(plan.Train, u.data.Length)
	for _, call := range train.Calls {
		flops, seconds := p.price(u.strategy.Devices.Threads, stage, stage.Program(call.Program))
		e.FlopsPerStep += flops
		e.StepSeconds += seconds
	}
	e.FlopsPerToken = e.FlopsPerStep / float64(e.TokensPerStep)
	u.plan.Estimate = e
	return nil
}

// price counts the operations of a program and their time.
func (p Profile) price(threads int, stage *plan.Stage, program *plan.Program) (flops, seconds float64) {
	for i := range program.Instructions {
		in := &program.Instructions[i]
		args := stage.Tensors(in)
		sizes, err := kernels.Check(in.Op, in.Attrs, args)
		if err != nil {
			continue // verify says so with its place
		}
		f := kernels.FlopsOf(in.Op, sizes, in.Attrs)
		flops += f
		seconds += p.seconds(threads, in.Op, f, kernels.TrafficBytes(in.Op, in.Attrs, args))
	}
	return flops, seconds
}

// steps is the length of the run in steps, whatever it is given in.
func steps(s *schema.Strategy, data plan.Data) int64 {
	perStep := float64(s.Batch.Sequences)
	switch {
	case s.Length.Tokens > 0:
		return int64(math.Ceil(float64(s.Length.Tokens) / (perStep * float64(data.Length))))
	case s.Length.Epochs > 0:
		return int64(math.Ceil(s.Length.Epochs * float64(data.Splits.Train.Rows) / perStep))
	}
	return s.Length.Steps
}
