package compiler

import (
	"runtime"
	"testing"
	"time"

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

var largeModels = map[string]func(data, tensor int) (*schema.Strategy, plan.Data){
	"175B": func(data, tensor int) (*schema.Strategy, plan.Data) {
		return large(96, 96, 12288, schema.Mesh{Data: data, Tensor: tensor})
	},
	"1T": func(data, tensor int) (*schema.Strategy, plan.Data) {
		return large(128, 160, 25600, schema.Mesh{Data: data, Tensor: tensor})
	},
	"1T in 64 stages": func(data, tensor int) (*schema.Strategy, plan.Data) {
		s, d := large(128, 160, 25600, schema.Mesh{Data: data, Tensor: tensor, Pipeline: 64})
		s.Parallel.Zero, s.Parallel.Pipeline = 1, schema.Pipeline{Schedule: "1f1b", Chunks: 1}
		s.Batch = schema.Batch{Sequences: 128 * data, MicroBatches: 128}
		return s, d
	},
	"175B in 8 stages": func(data, tensor int) (*schema.Strategy, plan.Data) {
		s, d := large(96, 96, 12288, schema.Mesh{Data: data, Tensor: tensor, Pipeline: 8})
		s.Parallel.Zero, s.Parallel.Pipeline = 1, schema.Pipeline{Schedule: "1f1b", Chunks: 1}
		s.Batch = schema.Batch{Sequences: 64 * data, MicroBatches: 64}
		return s, d
	},
}

// BenchmarkPlan plans and verifies for as many ranks as there may be.
func BenchmarkPlan(b *testing.B) {
	for _, c := range []struct {
		name, model  string
		data, tensor int
	}{{"175B on 1024", "175B", 128, 8}, {"175B on 16384", "175B", 2048, 8}, {"175B on 1024 by 2", "175B", 512, 2}, {"175B on 1024 by 32", "175B", 32, 32}, {"1T on 16384", "1T", 2048, 8},
		{"175B on 1024 in 8 stages", "175B in 8 stages", 16, 8}, {"1T on 16384 in 64 stages", "1T in 64 stages", 32, 8}} {
		b.Run(c.name, func(b *testing.B) {
			s, data := largeModels[c.model](c.data, c.tensor)
			for b.Loop() {
				if _, err := Compile(s, data, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A plan is as large, and as soon made, whatever the number of ranks of data and of tensor. The bounds are several times what an idle machine takes.
func TestPlanAtScale(t *testing.T) {
	if testing.Short() {
		t.Skip("plans of 175·10⁹ and 10¹² parameters")
	}
	size := map[string]int{}
	for _, c := range []struct {
		model        string
		data, tensor int
		seconds      float64
	}{{"175B", 512, 2, 8}, {"175B", 128, 8, 8}, {"175B", 2048, 8, 8}, {"175B", 32, 32, 8}, {"1T", 2048, 8, 24}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := time.Now()
		s, data := largeModels[c.model](c.data, c.tensor)
		p, err := Compile(s, data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(begun)
		runtime.ReadMemStats(&after)
		allocated := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s on %d: %v, %d MB allocated in all", c.model, p.Ranks(), took, allocated>>20)
		if took.Seconds() > c.seconds || allocated > 1e9 {
			t.Errorf("%s on %d took %v and %d bytes", c.model, p.Ranks(), took, allocated)
		}
		n := 0
		for i := range p.Stages[0].Programs {
			n += len(p.Stages[0].Programs[i].Instructions)
		}
		if before, known := size[c.model]; known && n > before+before/20 { // what does not divide stays whole or is padded, some hundredths of all
			t.Errorf("%s: %d instructions for %d ranks, %d for fewer", c.model, n, p.Ranks(), before)
		}
		size[c.model] = n
	}
}
