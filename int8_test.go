package gsc_test

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/runtime/data"
)

// trainRun trains by a strategy in a temporary run folder.
func trainRun(t testing.TB, path string, o gsc.Options) string {
	t.Helper()
	run := filepath.Join(t.TempDir(), "run")
	if err := gsc.Train(t.Context(), path, gsc.TrainOptions{Options: o, Run: run, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	return run
}

// generatorOf binds a run's plan of generation and loads its weights.
func generatorOf(t testing.TB, run, weights string) (*runtime.Generator, *plan.Plan) {
	t.Helper()
	stored, err := gsc.RunPlan(run)
	if err != nil {
		t.Fatal(err)
	}
	p, err := gsc.GenerationPlan(stored, weights, gsc.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	m := bindMachine(t, p, 2)
	saved, _, err := checkpoint.Newest(filepath.Join(run, runtime.CheckpointsDir))
	if err != nil || saved == nil {
		t.Fatal(saved, err)
	}
	defer saved.Close()
	if err := m.LoadWeights(saved, stored); err != nil {
		t.Fatal(err)
	}
	g, err := runtime.NewGenerator(m)
	if err != nil {
		t.Fatal(err)
	}
	return g, p
}

// perplexity of a run's validation rows, each token by the decoding of those before it.
func perplexity(t testing.TB, run, weights string, rows int64) float64 {
	t.Helper()
	g, p := generatorOf(t, run, weights)
	set, err := data.Open(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	pass, batch := set.Evaluation(data.Validation, 1, rows), data.NewBatch(p.Data, 1)
	sum, n := 0.0, 0
	for row := range pass.Batches() {
		pass.Fill(row, batch)
		tokens := batch.Tokens
		if err := g.Prompt(tokens[:1]); err != nil {
			t.Fatal(err)
		}
		for _, next := range tokens[1:] {
			logits, err := g.Next()
			if err != nil {
				t.Fatal(err)
			}
			sum += crossEntropy(logits, next)
			n++
			g.Append(next)
		}
	}
	return math.Exp(sum / float64(n))
}

func crossEntropy(logits []float64, label int32) float64 {
	total := 0.0
	for _, z := range logits {
		total += math.Exp(z - logits[label])
	}
	return math.Log(total)
}

// Weights of int8 change what a trained model predicts by less than a hundredth in perplexity.
func TestInt8KeepsPerplexity(t *testing.T) {
	for _, c := range []struct{ name, model, master string }{
		{"gpt2", `schema.#GPT2 & {layers: 2, heads: 4, width: 64, context: 32}`, "f32"},
		{"llama", `schema.#Llama & {layers: 2, heads: 4, kv_heads: 2, width: 64, mlp: 96, context: 32}`, "f32"},
		{"gpt2 stored in bf16", `schema.#GPT2 & {layers: 2, heads: 4, width: 64, context: 32}`, "bf16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := trainRun(t, write(t, c.model, stream), gsc.Options{Set: []string{
				`schedule={kind: "constant", peak: 3e-3, steps: 150}`, "batch.sequences=8", fmt.Sprintf("precision.master=%q", c.master)}})
			trained, int8 := perplexity(t, run, gsc.WeightsTrained, 20), perplexity(t, run, gsc.WeightsInt8, 20)
			t.Logf("perplexity %.4f as trained, %.4f with int8 weights", trained, int8)
			if math.Abs(int8/trained-1) > 0.01 || int8 == trained {
				t.Errorf("perplexity %v as trained, %v with int8 weights", trained, int8)
			}
		})
	}
}

// The logits with int8 weights are the same on cpu and on ref, and with one thread and two in every bit.
func TestInt8LogitsAreTheSameEverywhere(t *testing.T) {
	path := write(t, llama, stream)
	logits := func(device string, threads int) []float64 {
		p, err := gsc.GenerationPlan(planOf(t, path, fmt.Sprintf("devices.kind=%q", device)), gsc.WeightsInt8, gsc.Options{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		g, err := runtime.NewGenerator(startMachine(t, p, threads))
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Prompt([]int32{1, 2, 3, 4, 5}); err != nil {
			t.Fatal(err)
		}
		z, err := g.Next()
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	want := logits("cpu", 1)
	if far := farthest(logits("cpu", 2), want); far != 0 {
		t.Errorf("two threads: apart by %v", far)
	}
	if far := farthest(logits("ref", 1), want); !(far < 1e-3) { // activations round to other steps here and there
		t.Errorf("ref: apart by %v", far)
	}
}

// A plan of generation keeps no gradients, no optimizer state and no matrix but as int8; it passes through its text, and a
// plan that its weights were taken out of is refused.
func TestGenerationPlan(t *testing.T) {
	trained := planOf(t, write(t, gpt2, stream))
	p, err := gsc.GenerationPlan(trained, gsc.WeightsInt8, gsc.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	again, err := plan.ParseText(p.Text())
	if err != nil || again.Digest() != p.Digest() {
		t.Errorf("read again: %v", err)
	}
	if p.PeakBytes() >= trained.PeakBytes() {
		t.Errorf("it takes %d bytes, the plan that trains %d", p.PeakBytes(), trained.PeakBytes())
	}
	for _, b := range p.Stages[0].Buffers {
		matrix := b.Class == plan.Weight && kernels.Elements(b.Shape()) > 400 // the largest vector has 48, the positions 192
		if b.Class == plan.Gradient || b.Class == plan.State || matrix && b.DType != kernels.I8 {
			t.Errorf("buffer %s: class %s, %v", b.Name, b.Class, b.DType)
		}
	}
	for _, in := range p.Stages[0].Program("decode").Instructions {
		if in.Op == kernels.MatMul {
			t.Errorf("%s is a product of floats", in.Name)
		}
	}
	schedules := p.Stages[0].Schedules
	p.Stages[0].Schedules = schedules[1:]
	if err := p.Verify(); err == nil || !strings.Contains(err.Error(), "which no program loads") {
		t.Errorf("without its loading: %v", err)
	}
	p.Stages[0].Schedules = schedules
	if _, err := gsc.GenerationPlan(p, gsc.WeightsInt8, gsc.Options{Threads: 2}); err == nil || !strings.Contains(err.Error(), "only generates") {
		t.Errorf("made of a plan of generation: %v", err)
	}
	if _, err := gsc.GenerationPlan(trained, "int4", gsc.Options{Threads: 2}); err == nil || !strings.Contains(err.Error(), "use trained or int8") {
		t.Errorf("int4: %v", err)
	}
	if _, err := gsc.GenerationPlan(planOf(t, write(t, bertTokens, tags)), gsc.WeightsInt8, gsc.Options{Threads: 2}); err == nil || !strings.Contains(err.Error(), "does not generate") {
		t.Errorf("bert: %v", err)
	}
}

// Tokens are generated in memory that is taken once; the list of them grows now and then.
func TestGenerationAllocatesNothing(t *testing.T) {
	p, err := gsc.GenerationPlan(planOf(t, write(t, strings.Replace(gpt2, "context: 16", "context: 200", 1), stream)), gsc.WeightsInt8, gsc.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	g, err := runtime.NewGenerator(startMachine(t, p, 2))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []runtime.Sampling{{}, {Temperature: 1}, {Temperature: 1, TopK: 5}} {
		n := testing.AllocsPerRun(5, func() {
			if err := g.Prompt([]int32{1}); err != nil {
				t.Fatal(err)
			}
			if err := g.Generate(100, s, func(int32) bool { return true }); err != nil {
				t.Fatal(err)
			}
		})
		if n > 30 { // of 100 tokens: the lists of a sentence
			t.Errorf("%+v: %v allocations for 100 tokens", s, n)
		}
	}
}
