package runtime

import (
	"math"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

// The rates of whole runs, worked out by hand from the formulas of plan.Rate: cos 60° = 1/2, cos 120° = −1/2.
func TestRates(t *testing.T) {
	root := math.Sqrt
	for _, c := range []struct {
		name string
		rate plan.Rate
		want []float64 // of the steps 1, 2, …
	}{
		{"constant", plan.Rate{Kind: "constant", Peak: 2}, []float64{2, 2, 2}},
		{"constant/warmup", plan.Rate{Kind: "constant", Peak: 2, Warmup: 4}, []float64{0.5, 1, 1.5, 2, 2, 2}},
		{"linear", plan.Rate{Kind: "linear", Peak: 1, Floor: 0.2}, []float64{1, 0.8, 0.6, 0.4, 0.2}},
		{"linear/warmup", plan.Rate{Kind: "linear", Peak: 1, Warmup: 2}, []float64{0.5, 1, 1, 0.5, 0}},
		{"cosine", plan.Rate{Kind: "cosine", Peak: 1}, []float64{1, 0.75, 0.25, 0}},
		{"cosine/warmup", plan.Rate{Kind: "cosine", Peak: 1, Floor: 0.1, Warmup: 2}, []float64{0.5, 1, 1, 0.775, 0.325, 0.1}},
		{"wsd", plan.Rate{Kind: "wsd", Peak: 1, Floor: 0.1, Decay: 3}, []float64{1, 1, 1, 0.7, 0.4, 0.1}},
		{"wsd/warmup", plan.Rate{Kind: "wsd", Peak: 1, Warmup: 2, Decay: 2}, []float64{0.5, 1, 1, 0.5, 0}},
		// torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=8, pct_start=0.5) climbs to step 4.
		{"one_cycle", plan.Rate{Kind: "one_cycle", Peak: 1, Floor: 4e-6, Up: 0.5},
			[]float64{0.04, 0.28, 0.76, 1, 4e-6 + 0.999996*(2+root(2))/4, 0.500002, 4e-6 + 0.999996*(2-root(2))/4, 4e-6}},
		{"inverse_sqrt", plan.Rate{Kind: "inverse_sqrt", Peak: 1}, []float64{1, 1 / root(2), 1 / root(3), 0.5}},
		{"inverse_sqrt/warmup", plan.Rate{Kind: "inverse_sqrt", Peak: 3, Warmup: 4}, []float64{0.75, 1.5, 2.25, 3, 3 * root(4.0/5), 3 * root(4.0/6)}},
		{"plateau", plan.Rate{Kind: "plateau", Peak: 1, Factor: 0.1, Warmup: 2}, []float64{0.5, 1, 1, 1}},
		{"table", plan.Rate{Kind: "table", Rates: []float64{3, 1, 2}}, []float64{3, 1, 2, 2, 2}},

		{"constant/one step", plan.Rate{Kind: "constant", Peak: 1}, []float64{1}},
		{"linear/one step", plan.Rate{Kind: "linear", Peak: 1, Floor: 0.1}, []float64{1}},
		{"cosine/one step", plan.Rate{Kind: "cosine", Peak: 1, Floor: 0.1}, []float64{1}},
		{"wsd/one step", plan.Rate{Kind: "wsd", Peak: 1, Floor: 0.1, Decay: 1}, []float64{0.1}},
		{"one_cycle/one step", plan.Rate{Kind: "one_cycle", Peak: 1, Floor: 0.1, Up: 0.3}, []float64{0.1}},
		{"inverse_sqrt/one step", plan.Rate{Kind: "inverse_sqrt", Peak: 1}, []float64{1}},
		{"table/one step", plan.Rate{Kind: "table", Rates: []float64{3}}, []float64{3}},

		{"linear/all but one warm up", plan.Rate{Kind: "linear", Peak: 1, Warmup: 3}, []float64{1. / 3, 2. / 3, 1, 1}},
		{"cosine/all but one warm up", plan.Rate{Kind: "cosine", Peak: 1, Warmup: 3}, []float64{1. / 3, 2. / 3, 1, 1}},
		{"wsd/all but one warm up", plan.Rate{Kind: "wsd", Peak: 1, Warmup: 3, Decay: 1}, []float64{1. / 3, 2. / 3, 1, 0}},
		{"cosine/all warm up", plan.Rate{Kind: "cosine", Peak: 1, Warmup: 4}, []float64{0.25, 0.5, 0.75, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, want := range c.want {
				if got := rate(c.rate, int64(len(c.want)), int64(i+1), 0); math.Abs(got-want) > 1e-12 {
					t.Errorf("step %d of %d: %.15g, want %.15g", i+1, len(c.want), got, want)
				}
			}
		})
	}
}

func TestPlateauMultipliesTheRateDownToItsFloor(t *testing.T) {
	r := plan.Rate{Kind: "plateau", Peak: 1, Factor: 0.5, Floor: 0.2, Warmup: 2}
	for reductions, want := range []float64{1, 0.5, 0.25, 0.2, 0.2} {
		if got := rate(r, 100, 50, reductions); math.Abs(got-want) > 1e-15 {
			t.Errorf("%d reductions: %v, want %v", reductions, got, want)
		}
	}
}

// A rate is a function of the step: no schedule exceeds its peak or falls below
// its floor, and each that falls never rises after its warmup.
func TestRatesStayBetweenFloorAndPeak(t *testing.T) {
	for _, kind := range []string{"constant", "linear", "cosine", "wsd", "one_cycle", "inverse_sqrt", "plateau"} {
		for _, steps := range []int64{1, 2, 3, 10, 1000} {
			for _, warmup := range []int64{0, 1, steps / 2, steps - 1} {
				r := plan.Rate{Kind: kind, Peak: 3e-4, Floor: 1e-6, Warmup: warmup, Decay: max(1, steps/5), Up: 0.3, Factor: 0.5}
				before := math.Inf(1)
				for s := int64(1); s <= steps; s++ {
					got := rate(r, steps, s, 0)
					if !(got >= 1e-6*(1-1e-12) && got <= 3e-4*(1+1e-12)) && s > warmup {
						t.Fatalf("%s: step %d of %d after %d: rate %g", kind, s, steps, warmup, got)
					}
					if kind != "one_cycle" && s > warmup && got > before*(1+1e-12) {
						t.Fatalf("%s: step %d of %d after %d: the rate rises from %g to %g", kind, s, steps, warmup, before, got)
					}
					if s > warmup {
						before = got
					}
				}
			}
		}
	}
}
