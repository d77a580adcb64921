package compress

import "math"

// Own is gsc's policy: the least elements are pruned, their share growing over some steps, and weights are quantised from a step on.
type Own struct {
	Declaration
	Prune        Schedule
	QuantizeFrom int64 // the step behind whose update it begins
}

// Schedule is how the share of what is pruned grows to the declaration's.
type Schedule struct {
	Begin int64 // the step of the first mask
	End   int64 // and of the last
	Every int64 // steps from one to the next
	Cubic bool  // else all of it is pruned from Begin on
}

// Declare is what the policy was made with, for any weight.
func (o Own) Declare(Tensor) (Declaration, error) { return o.Declaration, nil }

// Decide follows the schedule.
func (o Own) Decide(_ Tensor, _ Declaration, _ Statistics, step int64) (Decision, error) {
	d := Decision{Quantize: o.Bits > 0 && step >= o.QuantizeFrom}
	if o.Pattern != Unpruned && step >= o.Prune.Begin {
		last := o.Prune.last(step)
		d.Sparsity, d.Mask = o.Sparsity*o.Prune.share(last), last == step
	}
	return d, nil
}

// last is the newest step, up to one, at which a mask was made.
func (s Schedule) last(step int64) int64 {
	if step >= s.End {
		return s.End
	}
	return step - (step-s.Begin)%s.Every
}

// share is the part of the sparsity that a step prunes: 1 − (1 − (t − begin)/(end − begin))³ (Zhu and Gupta, arXiv:1710.01878, section 3).
func (s Schedule) share(step int64) float64 {
	if !s.Cubic || s.End <= s.Begin {
		return 1
	}
	return 1 - math.Pow(1-float64(step-s.Begin)/float64(s.End-s.Begin), 3)
}
