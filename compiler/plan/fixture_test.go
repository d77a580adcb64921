package plan_test

import (
	"cmp"
	"fmt"
	"testing"

	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/schema"
)

// gpt are the sizes and settings of a GPT-2 strategy.
type gpt struct {
	layers, heads, width, vocab, length int
	sequences, microBatches             int
	recompute, device                   string
	buckets                             []int
	rotary                              bool
	optimizer                           string // adamw when empty
}

// tiny is a GPT-2 small enough to look at.
var tiny = gpt{layers: 2, heads: 3, width: 12, vocab: 11, length: 8, sequences: 4, microBatches: 2, recompute: "none", device: "cpu"}

// gpt2 is GPT-2 124M.
var gpt2 = gpt{layers: 12, heads: 12, width: 768, vocab: 50257, length: 64, sequences: 4, microBatches: 1, recompute: "none", device: "cpu"}

// variants are tiny plans of every setting.
func variants() []gpt {
	var list []gpt
	for _, device := range []string{"cpu", "ref"} {
		for _, recompute := range []string{"none", "selective", "full"} {
			for _, micro := range []int{1, 2, 4} {
				for _, rotary := range []bool{false, true} {
					for _, buckets := range [][]int{nil, {4, 8}} {
						g := tiny
						g.device, g.recompute, g.microBatches, g.rotary, g.buckets = device, recompute, micro, rotary, buckets
						list = append(list, g)
					}
				}
			}
		}
	}
	for _, optimizer := range []string{"adam", "sgd", "lion", "lamb", "adafactor", "muon"} {
		g := tiny
		g.optimizer = optimizer
		list = append(list, g)
	}
	return list
}

func (g gpt) String() string {
	return fmt.Sprintf("%s,recompute=%s,micro=%d,rotary=%v,buckets=%d,%s", g.device, g.recompute, g.microBatches, g.rotary, len(g.buckets), g.optimizer)
}

func weight(name string) schema.Weight {
	return schema.Weight{Name: name, Init: plan.Init{Kind: "normal", Std: 0.02}, Pos: "gsc/gpt2.cue:20:3"}
}

func bias(name string) *schema.Weight {
	return &schema.Weight{Name: name, Init: plan.Init{Kind: "zeros"}, Pos: "gsc/gpt2.cue:21:3"}
}

func linear(name string, in, out []plan.Dim) *schema.Linear {
	return &schema.Linear{In: in, Out: out, Layout: "in_out", Weight: weight(name + ".weight"), Bias: bias(name + ".bias")}
}

func norm(name string) schema.Layer {
	w := schema.Weight{Name: name + ".weight", Init: plan.Init{Kind: "ones"}}
	return schema.Layer{Kind: "norm", Name: name, Norm: "layer", Epsilon: 1e-5, Weight: &w, Bias: bias(name + ".bias"), Pos: "gsc/gpt2.cue:12:3"}
}

// block is one transformer block.
func (g gpt) block() []schema.Layer {
	embed := plan.Dim{Name: "embed", Size: g.width}
	hd := []plan.Dim{{Name: "heads", Size: g.heads}, {Name: "head", Size: g.width / g.heads}}
	mlp := []plan.Dim{{Name: "mlp", Size: 4 * g.width}}
	attention := &schema.Attention{Heads: g.heads, KVHeads: g.heads, HeadWidth: g.width / g.heads, Causal: true, Scale: 0.125,
		QKV: linear("h.{layer}.attn.c_attn", []plan.Dim{embed}, append([]plan.Dim{{Name: "part", Size: 3}}, hd...)),
		Out: linear("h.{layer}.attn.c_proj", hd, []plan.Dim{embed})}
	if g.rotary {
		attention.Rotary = &schema.Rotary{Theta: 1e4, Width: g.width / g.heads}
	}
	return []schema.Layer{
		{Kind: "residual", Name: "h.{layer}.attn.residual", Branches: [][]schema.Layer{{norm("h.{layer}.ln_1"),
			{Kind: "attention", Name: "h.{layer}.attn", Region: "attention", Attention: attention, Pos: "gsc/gpt2.cue:14:3"}}}},
		{Kind: "residual", Name: "h.{layer}.mlp.residual", Branches: [][]schema.Layer{{norm("h.{layer}.ln_2"),
			{Kind: "linear", Name: "h.{layer}.mlp.c_fc", Linear: linear("h.{layer}.mlp.c_fc", []plan.Dim{embed}, mlp)},
			{Kind: "activation", Name: "h.{layer}.mlp.act", Activation: "gelu_tanh"},
			{Kind: "linear", Name: "h.{layer}.mlp.c_proj", Linear: linear("h.{layer}.mlp.c_proj", mlp, []plan.Dim{embed})}}}},
	}
}

func (g gpt) model() schema.Model {
	wte, wpe := weight("wte.weight"), weight("wpe.weight")
	embed := plan.Dim{Name: "embed", Size: g.width}
	head := &schema.Linear{In: []plan.Dim{embed}, Out: []plan.Dim{{Name: "vocab", Size: g.vocab}}, Layout: "out_in", Weight: wte}
	return schema.Model{Architecture: "gpt2", Task: "causal", Vocabulary: g.vocab, Context: g.length, Width: g.width, Outputs: g.vocab,
		Config: []byte(`{"model_type":"gpt2"}`),
		Layers: []schema.Layer{
			{Kind: "embedding", Name: "wte", Index: "token", Rows: g.vocab, Weight: &wte},
			{Kind: "embedding", Name: "wpe", Index: "position", Rows: g.length, Weight: &wpe},
			{Kind: "repeat", Count: g.layers, Branches: [][]schema.Layer{g.block()}},
			norm("ln_f"),
			{Kind: "linear", Name: "lm_head", Region: "head", Linear: head},
		}}
}

// compile makes the plan of a GPT-2 strategy.
func (g gpt) compile(t testing.TB) *plan.Plan {
	t.Helper()
	s := &schema.Strategy{
		Name: "tiny", Digest: "0123456789abcdef", Model: g.model(), Seed: 1,
		Objective: schema.Objective{Loss: "cross_entropy", IgnoreIndex: -100},
		Batch:     schema.Batch{Sequences: g.sequences, MicroBatches: g.microBatches},
		Optimizer: schema.Optimizer{Kind: cmp.Or(g.optimizer, "adamw"), Betas: [2]float64{0.9, 0.95}, Epsilon: 1e-8, Epsilon2: 1e-3, Momentum: 0.9,
			Decay: 0.1, DecayOn: "matrices", ClipNorm: 1, MaxRMS: 1, Steps: 5, Match: []string{"*.c_*.weight"}},
		Schedule:  plan.Rate{Kind: "cosine", Peak: 1e-3, Floor: 1e-4, Warmup: 10},
		Length:    schema.Length{Steps: 2000},
		Memory:    schema.Memory{Recompute: g.recompute},
		Devices:   schema.Devices{Kind: g.device, Profile: g.device, Threads: 2},
		Evaluate:  plan.Evaluation{Every: 250},
		Positions: map[string]schema.Pos{"optimizer": "train.cue:9:2", "objective": "train.cue:8:2"},
	}
	data := plan.Data{Format: "text", Tokenizer: "bytes", Train: []string{"**/*.go"}, Base: "/src", Rows: "stream", Order: "shuffled",
		Length: g.length, Buckets: g.buckets, Task: "next", VocabularySize: g.vocab, Target: "token", Outputs: g.vocab,
		Inputs: []string{plan.InputTokens, plan.InputLabels},
		Files: []plan.File{{Path: "fmt/print.go", SizeBytes: 31415, Digest: "00aa11bb22cc33dd", Split: "train"},
			{Path: "net/http/a b.go", SizeBytes: 27182, Digest: "0123456789abcdef", Split: "validation"}},
		Splits: plan.Counts{Train: plan.Count{Rows: 3926, Tokens: 31415, Records: 1}, Validation: plan.Count{Rows: 3397, Tokens: 27182, Records: 1}}}
	p, err := compiler.Compile(s, data, compiler.Options{DataBytes: 1 << 20})
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return p
}
