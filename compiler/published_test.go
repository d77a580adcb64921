package compiler

import (
	"fmt"
	"math"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// onGPUs is a strategy's plan for GPUs in mixed precision, with room for anything.
func onGPUs(t *testing.T, s *schema.Strategy, data plan.Data) *plan.Plan {
	t.Helper()
	s.Precision = schema.Precision{Compute: "bf16", Master: "f32", Reduce: "f32"}
	s.Devices = schema.Devices{Kind: "cuda", Profile: "a100-80"}
	s.Memory.LimitBytes = 1 << 50
	p, err := Compile(s, data, Options{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ZeRO: Memory Optimizations Toward Training Trillion Parameter Models (Rajbhandari et al., SC '20, arXiv:1910.02054), figure 1: Ψ = 7.5·10⁹ parameters, 64
// ranks of data, 2Ψ bytes of weights and of gradients, 12Ψ of a float32 master and Adam's moments. GB are 10⁹ bytes.
func TestZeROMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("plans of 7.5·10⁹ parameters")
	}
	for zero, published := range []float64{120, 31.4, 16.6, 1.9} {
		t.Run(fmt.Sprint(zero), func(t *testing.T) {
			s, data := gpt2(36, 32, 4096, 51200, 16) // rows are short, so that the most is held when all gradients are there
			s.Batch = schema.Batch{Sequences: 64, MicroBatches: 1}
			s.Memory.Recompute = "full"
			s.Parallel = schema.Parallel{Mesh: schema.Mesh{Data: 64}, Zero: zero}
			p := onGPUs(t, s, data)
			held := map[plan.Class]float64{}
			for _, c := range p.Memory().Classes {
				held[c.Class] = float64(c.SizeBytes)
			}
			psi := float64(p.Estimate.Parameters)
			if math.Abs(psi/7.5e9-1) > 0.02 {
				t.Fatalf("the model has %.3g parameters", psi)
			}
			ranks := [3]float64{1, 1, 1} // that share out the optimizer's state, gradients, weights
			for i := range zero {
				ranks[i] = 64
			}
			if got, want := held[plan.State], 12*psi/ranks[0]; got != want {
				t.Errorf("the optimizer holds %.0f bytes, want %.0f", got, want)
			}
			if got, want := held[plan.Weight], 2*psi/ranks[2]; got != want {
				t.Errorf("weights take %.0f bytes, want %.0f", got, want)
			}
			got := (held[plan.State] + held[plan.Weight] + held[plan.Gradient]) / psi * 7.5
			if math.Abs(got-published) > 0.05 {
				t.Errorf("%.2f GB of model states, published %v", got, published)
			}
		})
	}
}

// saved adds up the bytes of what forward makes and backward reads.
func saved(p *plan.Plan) (total int64) {
	st := &p.Stages[0]
	made := map[int]bool{}
	each := func(program string, f func(o plan.Operand, role kernels.Role)) {
		list := st.Program(program).Instructions
		for i := range list {
			for k, o := range list[i].Operands {
				if o.Buffer >= 0 {
					f(o, kernels.Contracts[list[i].Op].RoleOf(k, list[i].Attrs))
				}
			}
		}
	}
	each("forward", func(o plan.Operand, role kernels.Role) {
		if b := &st.Buffers[o.Buffer]; role.Writes() && !b.Lasting {
			made[o.Buffer] = true
		}
	})
	each("backward", func(o plan.Operand, role kernels.Role) {
		if made[o.Buffer] && role.Reads() {
			total += st.Buffers[o.Buffer].SizeBytes()
			delete(made, o.Buffer)
		}
	})
	return total
}

// withDropout adds what Megatron's layers have: dropout of the probabilities, and behind each branch.
func withDropout(s *schema.Strategy) {
	for i := range s.Model.Layers {
		repeat := &s.Model.Layers[i]
		if repeat.Kind != "repeat" {
			continue
		}
		for k := range repeat.Branches[0] {
			residual := &repeat.Branches[0][k]
			residual.Branches[0] = append(residual.Branches[0], schema.Layer{Kind: "dropout", Name: residual.Name + ".drop", Rate: 0.1})
			for j := range residual.Branches[0] {
				if a := residual.Branches[0][j].Attention; a != nil {
					a.Dropout = 0.1
				}
			}
		}
	}
}

// Reducing Activation Recomputation in Large Transformer Models (Korthikanti et al., arXiv:2205.05198), table 2: bytes of activations that a layer keeps, for
// s tokens, b rows, width h, a heads and t ranks of tensor. Term by term, gsc keeps
//
//	the paper's                                        gsc's
//	 4sbh  inputs of both norms                         4sbh, and of each norm's rows mean and deviation in float32: 16sb
//	 4sbh  inputs of q, k and v, and of the MLP         4sbh
//	 8sbh  q, k, v, and the input of the projection     8sbh, and of each row of scores the logarithm of its sum in float32: 4as b
//	16sbh  the MLP's activation and what it is of       16sbh
//	 2sbh  masks of dropout, a byte each                nothing: bits are made again from the seed
//	 5as²b softmax, and dropout of it                   nothing: scores are made again, as the paper's selective recomputation does
//
// so that 34 is 32 here, and the paper's 10 + 24/t is 8 + 24/t.
func TestMegatronActivations(t *testing.T) {
	const tokens, rows, width, heads, ranks = 64, 2, 128, 8, 4
	const sbh, sb, as = tokens * rows * width, tokens * rows, heads * tokens * rows
	residual := []schema.Rule{{Kind: "activation", Region: "residual", Dim: "seq", Axis: plan.AxisTensor}}
	for _, c := range []struct {
		name      string
		tensor    int
		rules     []schema.Rule
		recompute string
		want      int64
	}{
		{"no parallelism: 34", 1, nil, "none", 32*sbh + 16*sb + 4*as},
		{"tensor: 10 + 24/t", ranks, nil, "none", 8*sbh + 24*sbh/ranks + 16*sb + 4*as/ranks},
		{"tensor and sequence: 34/t", ranks, residual, "none", (32*sbh + 16*sb + 4*as) / ranks},
		{"full recomputation: 2", 1, nil, "full", 2 * sbh},
		{"full recomputation, tensor: 2", ranks, nil, "full", 2 * sbh},
		{"full recomputation, tensor and sequence: 2/t", ranks, residual, "full", 2 * sbh / ranks},
	} {
		t.Run(c.name, func(t *testing.T) {
			of := func(layers int) int64 {
				s, data := gpt2(layers, heads, width, 512, tokens)
				withDropout(s)
				s.Batch = schema.Batch{Sequences: rows, MicroBatches: 1}
				s.Memory.Recompute = c.recompute
				s.Parallel = schema.Parallel{Mesh: schema.Mesh{Tensor: c.tensor}, Rules: c.rules}
				return saved(onGPUs(t, s, data))
			}
			if got := of(4) - of(3); got != c.want {
				t.Errorf("a layer keeps %d bytes, %.3f·sbh, want %d, %.3f·sbh", got, float64(got)/sbh, c.want, float64(c.want)/sbh)
			}
		})
	}
}

// Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM (Narayanan et al., SC '21, arXiv:2104.04473), table 1, on A100s of 80 GB, 8 a
// node; the rows of a micro-batch and the chunks of a stage are those of the scripts published with it. Its FLOP count what full recomputation computes
// again (equation 3). Attention's scores went through memory then, some seven times forward: written, scaled and masked and normalised (read and written), dropped
// (read, and written with the mask), read. Predictions are within 15 %, and in the right order.
func TestMegatronThroughput(t *testing.T) {
	if testing.Short() {
		t.Skip("plans of up to 10¹² parameters on 3,072 GPUs")
	}
	rows := []struct {
		heads, width, layers, tensor, pipeline, chunks, gpus, sequences, rows int
		teraflops                                                             float64 // a GPU
	}{
		{24, 2304, 24, 1, 1, 1, 32, 512, 16, 137},
		{32, 3072, 30, 2, 1, 1, 64, 512, 16, 138},
		{32, 4096, 36, 4, 1, 1, 128, 512, 16, 142},
		{48, 6144, 40, 8, 1, 1, 256, 1024, 8, 135},
		{64, 8192, 48, 8, 2, 1, 512, 1536, 4, 138},
		{80, 10240, 60, 8, 4, 3, 1024, 1792, 2, 140},
		{96, 12288, 80, 8, 8, 2, 1536, 2304, 2, 148},
		{128, 16384, 96, 8, 16, 2, 1920, 2160, 1, 155},
		{128, 20480, 105, 8, 35, 3, 2520, 2520, 1, 163},
		{160, 25600, 128, 8, 64, 1, 3072, 3072, 1, 163},
	}
	var predicted, published []float64
	for _, row := range rows {
		s, data := gpt2(row.layers, row.heads, row.width, 51200, 2048)
		ranks := row.gpus / row.tensor / row.pipeline
		s.Batch = schema.Batch{Sequences: row.sequences, MicroBatches: row.sequences / ranks / row.rows}
		s.Memory.Recompute = "full"
		s.Parallel.Mesh = schema.Mesh{Data: ranks, Tensor: row.tensor, Pipeline: row.pipeline}
		s.Parallel.Pipeline = schema.Pipeline{Schedule: "1f1b", Chunks: row.chunks}
		s.Precision = schema.Precision{Compute: "bf16", Master: "f32", Reduce: "f32"}
		s.Devices = schema.Devices{Kind: "cuda", Profile: "2021", Profiles: map[string]schema.Profile{"2021": {Like: "a100-80", Scores: 7}}}
		p, err := Compile(s, data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		b, l, h := float64(row.sequences), float64(row.layers), float64(row.width)
		flops := 96 * b * 2048 * l * h * h * (1 + 2048/(6*h) + 51200/(16*l*h))
		got := flops / p.Estimate.StepSeconds / float64(row.gpus) / 1e12
		if math.Abs(got/row.teraflops-1) > 0.15 {
			t.Errorf("width %d: %.0f TFLOP/s a GPU, published %.0f", row.width, got, row.teraflops)
		}
		t.Logf("width %d: %.1f TFLOP/s a GPU, published %.0f", row.width, got, row.teraflops)
		predicted, published = append(predicted, got), append(published, row.teraflops)
	}
	if rho := spearman(predicted, published); !(rho >= 0.9) {
		t.Errorf("the order of the rows correlates by %.3f", rho)
	} else {
		t.Logf("Spearman's ρ is %.3f", rho)
	}
}

// spearman is the correlation of ranks; ties share theirs.
func spearman(a, b []float64) float64 {
	x, y, n := ranksOf(a), ranksOf(b), float64(len(a))
	var xy, xx, yy float64
	for i := range x {
		dx, dy := x[i]-(n+1)/2, y[i]-(n+1)/2
		xy, xx, yy = xy+dx*dy, xx+dx*dx, yy+dy*dy
	}
	return xy / math.Sqrt(xx*yy)
}

func ranksOf(list []float64) []float64 {
	ranks := make([]float64, len(list))
	for i, v := range list {
		for _, other := range list {
			switch {
			case other < v:
				ranks[i]++
			case other == v:
				ranks[i] += 0.5
			}
		}
		ranks[i] += 0.5
	}
	return ranks
}
