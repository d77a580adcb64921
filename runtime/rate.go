package runtime

import (
	"math"

	"github.com/gsc-project/gsc/compiler/plan"
)

// rate is the learning rate of step s of a run, by the formulas of plan.Rate.
// reductions counts how often a plateau was met before this step.
func rate(r plan.Rate, steps, s int64, reductions int) float64 {
	if r.Kind != "one_cycle" && r.Kind != "table" && s <= r.Warmup {
		return r.Peak * float64(s) / float64(r.Warmup)
	}
	done := 0.0
	if rest := steps - 1 - r.Warmup; rest > 0 {
		done = min(1, float64(s-1-r.Warmup)/float64(rest))
	}
	switch r.Kind {
	case "linear":
		return r.Peak + (r.Floor-r.Peak)*done
	case "cosine":
		return r.Floor + (r.Peak-r.Floor)*(1+math.Cos(math.Pi*done))/2
	case "wsd":
		left := steps - s
		if r.Decay == 0 || left >= r.Decay {
			return r.Peak
		}
		return r.Floor + (r.Peak-r.Floor)*float64(left)/float64(r.Decay)
	case "one_cycle":
		return oneCycle(r, steps, s)
	case "inverse_sqrt":
		w := float64(max(r.Warmup, 1))
		return r.Peak * math.Sqrt(w/math.Max(float64(s), w))
	case "plateau":
		return math.Max(r.Floor, r.Peak*math.Pow(r.Factor, float64(reductions)))
	case "table":
		return r.Rates[min(s, int64(len(r.Rates)))-1]
	}
	return r.Peak
}

// oneCycle is that of torch.optim.lr_scheduler.OneCycleLR: the climb ends with step Up·steps.
func oneCycle(r plan.Rate, steps, s int64) float64 {
	at, last := float64(s-1), float64(steps-1)
	up := r.Up*float64(steps) - 1
	between := func(from, to, share float64) float64 { return to + (from-to)*(1+math.Cos(math.Pi*min(1, share)))/2 }
	if at < up {
		return between(r.Peak/25, r.Peak, at/up)
	}
	return between(r.Peak, r.Floor, (at-up)/(last-up))
}
