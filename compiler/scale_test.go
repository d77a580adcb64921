package compiler

import (
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/schema"
)

// large is GPT-3 with 175 G parameters (Brown et al., arXiv:2005.14165, table 2.1) on 1,024 GPUs, or a dense model of 10¹² on 16,384.
func large(layers, heads, width int, mesh schema.Mesh) (*schema.Strategy, plan.Data) {
	s, data := gpt2(layers, heads, width, 51200, 2048)
	s.Batch = schema.Batch{Sequences: 12 * mesh.Data, MicroBatches: 12}
	s.Precision = schema.Precision{Compute: "bf16", Master: "f32", Reduce: "f32"}
	s.Parallel = schema.Parallel{Mesh: mesh, Zero: 3, Rules: []schema.Rule{{Kind: "activation", Region: "residual", Dim: "seq", Axis: plan.AxisTensor}}}
	s.Memory.Recompute = "full"
	s.Devices = schema.Devices{Kind: "cuda", Profile: "host", Threads: 2}
	return s, data
}

var largeModels = map[string]func(data int) (*schema.Strategy, plan.Data){
	"175B": func(data int) (*schema.Strategy, plan.Data) {
		return large(96, 96, 12288, schema.Mesh{Data: data, Tensor: 8})
	},
	"1T": func(data int) (*schema.Strategy, plan.Data) {
		return large(128, 160, 25600, schema.Mesh{Data: data, Tensor: 8})
	},
}

// BenchmarkPlan plans and verifies for as many ranks as there may be.
func BenchmarkPlan(b *testing.B) {
	for _, c := range []struct {
		name, model string
		data        int
	}{{"175B on 1024", "175B", 128}, {"175B on 16384", "175B", 2048}, {"1T on 16384", "1T", 2048}} {
		b.Run(c.name, func(b *testing.B) {
			s, data := largeModels[c.model](c.data)
			for b.Loop() {
				if _, err := Compile(s, data, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
