package compress

import (
	"math"
	"testing"
)

// The share grows as Zhu and Gupta say, held from one mask to the next.
func TestOwnFollowsTheCubicSchedule(t *testing.T) {
	o := Own{Declaration: Declaration{Pattern: Elements, Sparsity: 0.8, Bits: 8}, Prune: Schedule{Begin: 10, End: 50, Every: 20, Cubic: true}, QuantizeFrom: 30}
	for _, want := range []struct {
		step     int64
		sparsity float64
		mask     bool
		quantize bool
	}{
		{1, 0, false, false}, {9, 0, false, false}, {10, 0, true, false}, {11, 0, false, false}, {29, 0, false, false},
		{30, 0.8 * 7 / 8, true, true}, {49, 0.8 * 7 / 8, false, true}, {50, 0.8, true, true}, {51, 0.8, false, true}, {1000, 0.8, false, true},
	} {
		got, err := o.Decide(Tensor{}, o.Declaration, Statistics{}, want.step)
		if err != nil || math.Abs(got.Sparsity-want.sparsity) > 1e-12 || got.Mask != want.mask || got.Quantize != want.quantize {
			t.Errorf("step %d: %+v, %v, want %+v", want.step, got, err, want)
		}
	}
}

func TestOneMaskAtOnce(t *testing.T) {
	o := Own{Declaration: Declaration{Pattern: Neighbours, Of: 4, Sparsity: 0.5}, Prune: Schedule{Begin: 3, End: 3, Every: 100, Cubic: true}}
	for step, want := range map[int64]Decision{2: {}, 3: {0.5, true, false}, 4: {0.5, false, false}} {
		if got, _ := o.Decide(Tensor{}, o.Declaration, Statistics{}, step); got != want {
			t.Errorf("step %d: %+v, want %+v", step, got, want)
		}
	}
}

func TestDecisionsKeepToWhatWasDeclared(t *testing.T) {
	d := Declaration{Pattern: Rows, Sparsity: 0.5}
	for _, c := range []struct {
		Decision
		ok bool
	}{{Decision{Sparsity: 0.5, Mask: true}, true}, {Decision{Sparsity: 0.51}, false}, {Decision{Sparsity: -1}, false}, {Decision{Quantize: true}, false}} {
		if err := d.Allows(c.Decision); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.Decision, err)
		}
	}
	if err := (Declaration{Bits: 8}).Allows(Decision{Mask: true}); err == nil {
		t.Error("a mask where nothing is pruned")
	}
}

// A decision is some nanoseconds for each weight, whatever its size: far below a thousandth of any step.
func BenchmarkDecide(b *testing.B) {
	o := Own{Declaration: Declaration{Pattern: Elements, Sparsity: 0.8, Bits: 8}, Prune: Schedule{Begin: 1, End: 1 << 40, Every: 1, Cubic: true}}
	for i := range b.N {
		if _, err := o.Decide(Tensor{}, o.Declaration, Statistics{}, int64(i+1)); err != nil {
			b.Fatal(err)
		}
	}
}
