package compiler

import (
	"math"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// What one layer says of the memory and the time of candidates with compressed weights is what their plans say.
func TestLayersPriceCompressedWeights(t *testing.T) {
	s, data := gpt2(8, 8, 512, 1024, 128)
	s.Batch = schema.Batch{Sequences: 16}
	s.Parallel.Open = allOpen
	s.Devices = schema.Devices{Kind: kernels.Kinds["cpu"].Name, Profile: "cpu", PerNode: 8, Threads: 8}
	s.Compress = []schema.CompressRule{{Match: "*.mlp.*", Path: "compress[0]", Prune: &schema.Prune{Pattern: "2:4", Keep: 2, Of: 4, Sparsity: 0.5, Begin: 1, End: 1, Every: 1}},
		{Match: "h.7.attn.*", Path: "compress[1]", Quantize: &schema.Quantize{Bits: 8, Symmetric: true, Begin: 1}}}
	x := newSearch(t, s, data, 8)
	list, err := x.enumerate()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(list); i += max(1, len(list)/12) {
		c := list[i]
		if _, err := x.compile(&c); err != nil {
			t.Fatal(err)
		}
		if off := float64(list[i].PeakBytes)/float64(c.PeakBytes) - 1; math.Abs(off) > 0.15 {
			t.Errorf("%s: %s, planned %s", c.Form(), plan.FormatBytes(list[i].PeakBytes), plan.FormatBytes(c.PeakBytes))
		}
		if off := list[i].StepSeconds/c.StepSeconds - 1; math.Abs(off) > 0.15 {
			t.Errorf("%s: a step of %.3g s, planned %.3g", c.Form(), list[i].StepSeconds, c.StepSeconds)
		}
	}
}
