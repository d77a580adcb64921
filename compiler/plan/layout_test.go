package plan_test

import (
	"slices"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// Ranks that differ in their places keep every element of a tensor once, and it is found where they keep it.
func TestRanksKeepEveryElement(t *testing.T) {
	p := &plan.Plan{Mesh: []plan.Axis{{Name: plan.AxisData, Degree: 3}, {Name: plan.AxisSequence, Degree: 2}, {Name: plan.AxisTensor, Degree: 4}}}
	dims := []plan.Dim{{Name: "embed", Size: 6}, {Name: "part", Size: 3}, {Name: "heads", Size: 8}, {Name: "head", Size: 2}}
	for _, tensor := range []plan.Tensor{
		{Dims: dims}, {Dims: dims, Part: plan.AxisData}, {Dims: dims, Cut: plan.Cut{Dim: 2, Axis: plan.AxisTensor}}, {Dims: dims, Cut: plan.Cut{Dim: 0, Axis: plan.AxisSequence}},
		{Dims: dims, Cut: plan.Cut{Dim: 2, Axis: plan.AxisTensor}, Part: plan.AxisData}, {Dims: dims[2:], Cut: plan.Cut{Dim: 0, Axis: plan.AxisTensor}, Part: plan.AxisSequence},
		{Dims: []plan.Dim{{Name: "vocab", Size: 9}, {Name: "embed", Size: 2}}, Cut: plan.Cut{Dim: 0, Axis: plan.AxisTensor}},
		{Dims: []plan.Dim{{Name: "vocab", Size: 7}, {Name: "embed", Size: 3}}, Cut: plan.Cut{Dim: 0, Axis: plan.AxisTensor}, Part: plan.AxisData},
	} {
		n := kernels.Elements(tensor.Shape())
		uneven := tensor.Cut.Axis != "" && tensor.Shape()[tensor.Cut.Dim]%p.Degree(tensor.Cut.Axis) != 0
		keepers := make([]int, n)
		for rank := range p.Ranks() {
			kept, runs := 0, p.Runs(&tensor, rank)
			for i, r := range runs {
				for k := range r.N {
					keepers[r.First+k]++
					first, at, together := p.Keeper(&tensor, r.First+k)
					if !slices.Equal(p.Runs(&tensor, first), runs) || at != int64(kept) || together < 1 || together > r.N-k && len(runs) > 1 {
						t.Errorf("%+v: rank %d keeps element %d at %d, but rank %d at %d, with %d", tensor, rank, r.First+k, kept, first, at, together)
					}
					kept++
				}
				if i > 0 && runs[i-1].First+runs[i-1].N >= r.First {
					t.Errorf("%+v: rank %d: runs %v are not as long as they can be", tensor, rank, runs)
				}
			}
			if kept != p.PartLen(&tensor) && !uneven || kept > p.PartLen(&tensor) {
				t.Errorf("%+v: rank %d keeps %d elements, not %d", tensor, rank, kept, p.PartLen(&tensor))
			}
		}
		times := p.Ranks() / max(1, p.Degree(tensor.Cut.Axis)) / max(1, p.Degree(tensor.Part))
		if slices.Min(keepers) != times || slices.Max(keepers) != times {
			t.Errorf("%+v: elements are kept by %d to %d ranks, not %d", tensor, slices.Min(keepers), slices.Max(keepers), times)
		}
	}
}

func TestPlaceScalars(t *testing.T) {
	p := &plan.Plan{Mesh: []plan.Axis{{Name: plan.AxisSequence, Degree: 2}, {Name: plan.AxisTensor, Degree: 4}}}
	name := plan.PlaceScalar([]string{plan.AxisTensor, plan.AxisSequence}, 0, 3)
	for rank := range p.Ranks() {
		if place, ok := p.PlaceOf(name, rank); !ok || place != 3*(rank%4*2+rank/4) {
			t.Errorf("rank %d is at %d of %s", rank, place, name)
		}
	}
	for before := range 5 {
		name := plan.PlaceScalar([]string{plan.AxisTensor}, before, 10)
		for rank := range p.Ranks() {
			if place, ok := p.PlaceOf(name, rank); !ok || place != 10*((rank%4+8-before)%4) {
				t.Errorf("rank %d is at %d of %s", rank, place, name)
			}
		}
	}
	for _, name := range []string{"place.tensor-x", "place.tensor--1", "place.tensor*", "place.tensor-*2"} {
		if _, ok := p.PlaceOf(name, 0); ok {
			t.Errorf("%s is a place", name)
		}
	}
	if _, ok := p.PlaceOf(plan.ScalarLoss, 0); ok {
		t.Error("the loss is a place")
	}
}
