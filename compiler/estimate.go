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
	e.Parameters, e.Trained = parameters(u.plan)
	for i := range u.plan.Stages {
		stage, counted := &u.plan.Stages[i], map[string]float64{}
		for _, call := range stage.Schedule(plan.Train, u.data.Length).Calls {
			if _, known := counted[call.Program]; !known {
				counted[call.Program] = flops(stage, stage.Program(call.Program))
			}
			e.FlopsPerStep += counted[call.Program]
		}
	}
	e.FlopsPerStep *= float64(u.plan.Ranks() / len(u.plan.Stages))
	e.FlopsPerToken = e.FlopsPerStep / float64(e.TokensPerStep)
	if p.Matrix != nil {
		e.ModelFlops = u.modelFlops(e.Trained)
	}
	u.plan.Estimate = e
	Reprice(u.plan, p, u.strategy.Devices.Threads)
	return nil
}

// parameters counts those of all weights, and of those that are trained.
func parameters(p *plan.Plan) (all, trained int64) {
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Class != plan.Weight {
			continue
		}
		n := int64(kernels.Elements(t.Shape()))
		if all += n; !t.Frozen {
			trained += n
		}
	}
	return all, trained
}

// modelFlops is the arithmetic of a step as models are compared by: 6 for each trained parameter and token, and attention's 12 for each element of its
// heads, key and token, over all keys, seen or not (Chowdhery et al., arXiv:2204.02311, appendix B).
func (u *unitOfWork) modelFlops(trained int64) float64 {
	tokens := float64(u.strategy.Batch.Sequences) * float64(u.data.Length)
	return tokens * (6*float64(trained) + 12*float64(u.data.Length)*float64(attentionWidth(u.strategy.Model.Layers)))
}

// attentionWidth adds up the elements of the heads of all layers.
func attentionWidth(layers []schema.Layer) (width int) {
	for i := range layers {
		l := &layers[i]
		if l.Attention != nil {
			width += l.Attention.Heads * l.Attention.HeadWidth
		}
		times := func(int) int { return 1 }
		if l.Kind == "repeat" { // which takes its branches by turns
			times = func(branch int) int { return (l.Count - branch + len(l.Branches) - 1) / len(l.Branches) }
		}
		for k, branch := range l.Branches {
			width += times(k) * attentionWidth(branch)
		}
	}
	return width
}

// flops counts the floating-point operations of a program.
func flops(stage *plan.Stage, program *plan.Program) (total float64) {
	for i := range program.Instructions {
		in := &program.Instructions[i]
		if sizes, err := kernels.Check(in.Op, in.Attrs, stage.Tensors(in)); err == nil { // else verify says so with its place
			total += kernels.FlopsOf(in.Op, sizes, in.Attrs)
		}
	}
	return total
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
