package compiler

import (
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/schema"
)

// tiny is a strategy for a small GPT-2, as the schema would load it.
func tiny() (*schema.Strategy, plan.Data) { return gpt2(2, 3, 12, 11, 8) }

// gpt2 is a strategy for a GPT-2 of given sizes.
func gpt2(layers, heads, width, vocab, context int) (*schema.Strategy, plan.Data) {
	normal := plan.Init{Kind: "normal", Std: 0.2}
	weight := func(name string) schema.Weight { return schema.Weight{Name: name, Init: normal} }
	bias := func(name string) *schema.Weight { return &schema.Weight{Name: name, Init: plan.Init{Kind: "zeros"}} }
	embed := plan.Dim{Name: "embed", Size: width}
	hd := []plan.Dim{{Name: "heads", Size: heads}, {Name: "head", Size: width / heads}}
	linear := func(name string, in, out []plan.Dim) *schema.Linear {
		return &schema.Linear{In: in, Out: out, Layout: "in_out", Weight: weight(name + ".weight"), Bias: bias(name + ".bias")}
	}
	norm := func(name string) schema.Layer {
		w := schema.Weight{Name: name + ".weight", Init: plan.Init{Kind: "ones"}}
		return schema.Layer{Kind: "norm", Name: name, Norm: "layer", Epsilon: 1e-5, Weight: &w, Bias: bias(name + ".bias")}
	}
	mlp := []plan.Dim{{Name: "mlp", Size: 4 * width}}
	attention := &schema.Attention{Heads: heads, KVHeads: heads, HeadWidth: width / heads, Causal: true, Scale: 0.5,
		QKV: linear("h.{layer}.attn.c_attn", []plan.Dim{embed}, append([]plan.Dim{{Name: "part", Size: 3}}, hd...)),
		Out: linear("h.{layer}.attn.c_proj", hd, []plan.Dim{embed})}
	wte, wpe := weight("wte.weight"), weight("wpe.weight")
	block := []schema.Layer{
		{Kind: "residual", Name: "h.{layer}.attn.residual", Branches: [][]schema.Layer{{norm("h.{layer}.ln_1"),
			{Kind: "attention", Name: "h.{layer}.attn", Region: "attention", Attention: attention}}}},
		{Kind: "residual", Name: "h.{layer}.mlp.residual", Branches: [][]schema.Layer{{norm("h.{layer}.ln_2"),
			{Kind: "linear", Name: "h.{layer}.mlp.c_fc", Linear: linear("h.{layer}.mlp.c_fc", []plan.Dim{embed}, mlp)},
			{Kind: "activation", Name: "h.{layer}.mlp.act", Activation: "gelu_tanh"},
			{Kind: "linear", Name: "h.{layer}.mlp.c_proj", Linear: linear("h.{layer}.mlp.c_proj", mlp, []plan.Dim{embed})}}}},
	}
	head := &schema.Linear{In: []plan.Dim{embed}, Out: []plan.Dim{{Name: "vocab", Size: vocab}}, Layout: "out_in", Weight: wte}
	s := &schema.Strategy{
		Name: "tiny",
		Model: schema.Model{Architecture: "gpt2", Task: "causal", Vocabulary: vocab, Context: context, Width: width, Outputs: vocab,
			Layers: []schema.Layer{
				{Kind: "embedding", Name: "wte", Index: "token", Rows: vocab, Weight: &wte},
				{Kind: "embedding", Name: "wpe", Index: "position", Rows: context, Weight: &wpe},
				{Kind: "repeat", Count: layers, Branches: [][]schema.Layer{block}},
				norm("ln_f"),
				{Kind: "linear", Name: "lm_head", Region: "head", Linear: head},
			}},
		Objective: schema.Objective{Loss: "cross_entropy", IgnoreIndex: -100},
		Batch:     schema.Batch{Sequences: 4},
		Optimizer: schema.Optimizer{Kind: "adamw", Betas: [2]float64{0.9, 0.95}, Epsilon: 1e-8, Decay: 0.1, DecayOn: "matrices", ClipNorm: 1},
		Schedule:  plan.Rate{Kind: "constant", Peak: 1e-3},
		Length:    schema.Length{Steps: 3},
		Devices:   schema.Devices{Kind: "cpu", Profile: "cpu", Threads: 2},
	}
	data := plan.Data{Length: context, Rows: "stream", Inputs: []string{plan.InputTokens, plan.InputLabels}}
	return s, data
}

func TestCompileVerifiesAfterEveryPass(t *testing.T) {
	for _, kind := range []string{"cpu", "ref"} {
		for _, policy := range recomputePolicies {
			for _, micro := range []int{1, 2, 4} {
				s, data := tiny()
				s.Devices.Kind, s.Devices.Profile, s.Memory.Recompute, s.Batch.MicroBatches = kind, kind, policy, micro
				p, err := Compile(s, data, Options{Verify: true})
				if err != nil {
					t.Fatalf("%s, recompute %s, %d micro-batches: %v", kind, policy, micro, err)
				}
				if p.Estimate.Parameters == 0 || p.Estimate.StepSeconds <= 0 {
					t.Errorf("empty estimate %+v", p.Estimate)
				}
			}
		}
	}
}
