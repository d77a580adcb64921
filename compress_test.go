package gsc_test

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/plugins"
)

// Rules for the small models: a share of each, so that every pattern and form is in one plan. Names of GPT-2 are stored [in, out], those of Llama [out, in].
const (
	prunedGPT2 = `compress=[
		{match: "*.mlp.c_fc.weight", prune: {pattern: "2:4", begin: 2}},
		{match: "*.mlp.c_proj.weight", prune: {sparsity: 0.6, begin: 1, end: 5, every: 2}, quantize: {bits: 8, begin: 3}},
		{match: "*.0.attn.c_proj.weight", prune: {pattern: "heads", sparsity: 0.5}},
		{match: "*.1.attn.c_proj.weight", prune: {pattern: "rows", sparsity: 0.25}},
		{match: "*.attn.c_attn.weight", quantize: {bits: 4, group: 6, symmetric: false, activations: bits: 8}},
		{match: "transformer.wte.weight", quantize: bits: 8}]`
	prunedLlama = `compress=[
		{match: "*.mlp.*.weight", prune: {pattern: "2:4", begin: 2, end: 4, every: 1}, quantize: {bits: 4, group: 4}},
		{match: "*_proj.weight", quantize: {bits: 8, activations: bits: 8}},
		{match: "*.0.self_attn.q_proj.weight", prune: {pattern: "rows", sparsity: 0.5}},
		{match: "*.1.self_attn.o_proj.weight", prune: {pattern: "heads", sparsity: 0.25}}]`
)

// The weights that a run computes with are those that its rules make of the dense copies, as a plain second implementation does.
func TestWeightsAreCompressedAsTheRulesSay(t *testing.T) {
	for _, c := range []struct{ name, model, rules string }{{"gpt2", gpt2, prunedGPT2}, {"llama", llama, prunedLlama}} {
		for _, device := range []string{"cpu", "ref"} {
			t.Run(c.name+"/"+device, func(t *testing.T) {
				l := newLab(t, planOf(t, write(t, c.model, stream), fmt.Sprintf("devices.kind=%q", device), c.rules), 1)
				for step := range int64(7) {
					l.step(step+1, 0.01)
					for i := range l.plan.Compressions {
						l.compressedBy(&l.plan.Compressions[i], step+1)
					}
				}
			})
		}
	}
}

// compressedBy holds a weight after a step to what its compression says.
func (l *lab) compressedBy(c *plan.Compression, step int64) {
	l.t.Helper()
	got, dense := l.tensor(c.Tensor), l.tensor(c.Tensor+plan.SuffixDense)
	kept := slices.Clone(dense)
	if c.Pattern != "" {
		mask := l.tensor(c.Tensor + plan.SuffixMask)
		pruned := 0
		for i, m := range mask {
			if m == 0 {
				kept[i], pruned = 0, pruned+1
			}
		}
		if want := prunedAt(c, step); pruned != want {
			l.t.Errorf("step %d: %s: %d of %d elements are pruned, want %d", step, c.Tensor, pruned, len(mask), want)
		}
		l.leastArePruned(c, dense, mask)
	}
	if c.Bits > 0 && step >= c.QuantizeFrom {
		quantise(l.plan, c, kept)
	}
	if far := distance(got, kept); !(far <= 1e-6) {
		l.t.Errorf("step %d: %s is apart by %.2g from what the rules make of its dense copy", step, c.Tensor, far)
	}
	if c.Pattern+strconv.Itoa(c.Bits) != "0" && slices.Equal(got, dense) && step > 2 {
		l.t.Errorf("step %d: %s is as its dense copy", step, c.Tensor)
	}
}

// prunedAt is how many elements are pruned after a step, by the formula of Zhu and Gupta.
func prunedAt(c *plan.Compression, step int64) int {
	if step < c.Begin {
		return 0
	}
	share := 1.0
	if c.Cubic && c.End > c.Begin {
		at := min(c.End, c.Begin+(step-c.Begin)/c.Every*c.Every)
		if step >= c.End {
			at = c.End
		}
		share = 1 - math.Pow(1-float64(at-c.Begin)/float64(c.End-c.Begin), 3)
	}
	units := map[string]int{"unstructured": c.In * c.Out, "neighbours": c.Of, "rows": c.Out, "heads": c.Heads}[c.Pattern]
	return int(math.Floor(share*c.Sparsity*float64(units)+1e-6)) * (c.In * c.Out / units)
}

// leastArePruned: no run of 2:4 has kept a lesser element than it lost, where the mask is new, and patterns are whole.
func (l *lab) leastArePruned(c *plan.Compression, dense, mask []float64) {
	l.t.Helper()
	at := l.place(c)
	switch c.Pattern {
	case "neighbours":
		for o := range c.Out {
			for from := 0; from < c.In; from += c.Of {
				lost := 0
				for i := range c.Of {
					if mask[at(o, from+i)] == 0 {
						lost++
					}
				}
				if lost > c.Of-kernels.Pruned(c.Of, 1-c.Sparsity) {
					l.t.Errorf("%s: output %d has lost %d of the %d from %d", c.Tensor, o, lost, c.Of, from)
				}
			}
		}
	case "rows":
		for o := range c.Out {
			for i := range c.In {
				if mask[at(o, i)] != mask[at(o, 0)] {
					l.t.Fatalf("%s: output %d is pruned in part", c.Tensor, o)
				}
			}
		}
	}
}

// place is where the element of an output and an input lies.
func (l *lab) place(c *plan.Compression) func(out, in int) int { return placeOf(l.plan, c) }

func placeOf(p *plan.Plan, c *plan.Compression) func(out, in int) int {
	if stored := p.Tensor(c.Tensor).StoredShape(); strings.Contains(c.Tensor, ".h.") { // Conv1D: [in, out]
		return func(out, in int) int { return in*stored[1] + out }
	}
	return func(out, in int) int { return out*c.In + in }
}

// quantise rounds in place, an output's group at a time.
func quantise(p *plan.Plan, c *plan.Compression, x []float64) {
	group, at := c.Group, placeOf(p, c)
	if group == 0 {
		group = c.In
	}
	top := math.Pow(2, float64(c.Bits-1))
	for o := range c.Out {
		for from := 0; from < c.In; from += group {
			lo, hi := 0.0, 0.0
			for i := range group {
				lo, hi = min(lo, x[at(o, from+i)]), max(hi, x[at(o, from+i)])
			}
			scale, zero := max(-lo, hi)/(top-1), 0.0
			if !c.Symmetric {
				scale = (hi - lo) / (2*top - 1)
				zero = math.RoundToEven(-top - lo/scale)
			}
			for i := range group {
				v := &x[at(o, from+i)]
				if scale > 0 {
					*v = (min(max(math.RoundToEven(*v/scale)+zero, -top), top-1) - zero) * scale
				}
			}
		}
	}
}

// Threads change no bit; ranks of data, with each stage of ZeRO that there can be, of replica, sequence and tensor, and stages learn what one rank learns.
func TestCompressedRanksLearnTheSame(t *testing.T) {
	tied := strings.Replace(prunedGPT2, `"transformer.wte.weight", `, `"transformer.wte.weight", prune: {sparsity: 0.3, end: 6, every: 1}, `, 1) // which two stages use
	for _, c := range []struct{ name, model, rules string }{{"gpt2", gpt2, tied}, {"llama", llama, prunedLlama}} {
		t.Run(c.name, func(t *testing.T) {
			one := learn(t, "ref", c.model, stream, 7, "batch.sequences=8", c.rules)
			for _, cut := range [][]string{{mesh(2)}, {mesh(4), "parallel.zero=1"}, {mesh(2), "parallel.zero=2", "batch.micro_batches=2"}, {mesh(4), "parallel.zero=3"}, {mesh(2), `parallel.reduce="each"`, "batch.micro_batches=2"},
				{"parallel.mesh.replica=2", mesh(2), "parallel.zero=1"}, {"parallel.mesh.sequence=2"}, {"parallel.mesh.tensor=2"}, {"parallel.mesh.tensor=2", mesh(2), "parallel.zero=3", "batch.micro_batches=2"},
				{"parallel.mesh.tensor=2", "parallel.mesh.pipeline=2", "batch.micro_batches=2", `parallel.rules=[{kind: "activation", region: "residual", dim: "seq", axis: "tensor"}]`}, {"parallel.mesh.pipeline=2", "batch.micro_batches=2"}, {"parallel.mesh.pipeline=2", mesh(2), "parallel.zero=1", "batch.micro_batches=2"}, {"parallel.mesh.pipeline=2", mesh(2), "parallel.zero=3", "batch.micro_batches=2"},
				{"parallel.mesh.pipeline=2", mesh(2), `parallel.reduce="each"`, "batch.micro_batches=4", `parallel.pipeline.schedule="zero_bubble"`},
				{`memory.recompute="full"`}, {`memory.recompute="selective"`, "batch.micro_batches=4"}, {"compile.fuse=false", "memory.loss_chunks=2"}} {
				one.shared(t, cut...)
			}
			p := planOf(t, write(t, c.model, stream), c.rules)
			first := newLab(t, p, 1)
			first.train(5)
			for _, threads := range []int{2, 4} {
				l := newLab(t, p, threads)
				if l.train(5); l.digest() != first.digest() {
					t.Errorf("%d threads: other bits", threads)
				}
			}
		})
	}
}

// All ranks hold the same compressed weights, and with ZeRO no bit differs.
func TestCompressedRanksHoldTheSameBits(t *testing.T) {
	path := write(t, gpt2, stream)
	bits := ""
	for zero := range 4 {
		l := newLab(t, planOf(t, path, prunedGPT2, "batch.sequences=8", "batch.micro_batches=2", mesh(2), `parallel.reduce="each"`, fmt.Sprintf("parallel.zero=%d", zero)), 1)
		l.train(6)
		if zero < 3 { // else each holds its part
			l.holdTheSame()
		}
		if bits == "" {
			bits = l.digest()
		}
		if l.digest() != bits {
			t.Errorf("zero %d: other bits", zero)
		}
	}
}

// What is pruned gets no gradient, and a step allocates nothing.
func TestPrunedElementsAreNotTrained(t *testing.T) {
	path := write(t, gpt2, stream)
	for _, shared := range [][]string{nil, {mesh(2), "parallel.zero=1"}, {mesh(2), `parallel.codec={kind: "one_bit"}`}, {mesh(2), "parallel.zero=1", `parallel.codec={kind: "top_k", share: 0.3}`}} {
		prunedStaysPut(t, planOf(t, path, append([]string{`optimizer={kind: "sgd", weight_decay: 0}`, `compress=[{match: "*.c_fc.weight", prune: sparsity: 0.5}]`}, shared...)...))
	}
}

func prunedStaysPut(t *testing.T, p *plan.Plan) {
	t.Helper()
	l := newLab(t, p, 1)
	l.step(1, 0.01)
	name := p.Compressions[0].Tensor
	before, mask := l.tensor(name+plan.SuffixDense), l.tensor(name+plan.SuffixMask)
	l.step(2, 0.01)
	after, moved := l.tensor(name+plan.SuffixDense), 0
	for i := range after {
		if mask[i] == 0 && after[i] != before[i] {
			t.Fatalf("element %d is pruned, and went from %g to %g", i, before[i], after[i])
		}
		if after[i] != before[i] {
			moved++
		}
	}
	if moved < len(after)/4 {
		t.Errorf("%d of %d elements were trained", moved, len(after))
	}
	l.allocatesNothing(20)
}

// A run that is interrupted, wherever, ends with the same bits: masks, scales and dense copies are in its checkpoints. Generation and evaluation see the compressed weights.
func TestCompressedRunResumes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plan.gsc")
	save(t, path, string(planOf(t, write(t, gpt2, stream), prunedGPT2, "schedule.steps=5", "checkpoint.every=2").Text()))
	options := gsc.TrainOptions{Out: io.Discard, Run: filepath.Join(dir, "whole")}
	if err := gsc.Train(t.Context(), path, options); err != nil {
		t.Fatal(err)
	}
	want := outcome(t, options.Run)
	if last := want.lines[len(want.lines)-1]; !(last["sparsity"] > 0.3) {
		t.Errorf("metrics say %v", last)
	}
	for looks := 1; looks < 5; looks++ {
		options.Run = filepath.Join(dir, strconv.Itoa(looks))
		if err := gsc.Train(&patient{t.Context(), looks}, path, options); err != nil {
			t.Fatal(err)
		}
		if err := gsc.Train(t.Context(), path, options); err != nil {
			t.Fatal(err)
		}
		if got := outcome(t, options.Run); !reflect.DeepEqual(got, want) {
			t.Errorf("%d looks: the run ends otherwise", looks)
		}
	}
	for _, weights := range []string{gsc.WeightsTrained, gsc.WeightsInt8} {
		var said strings.Builder
		if err := gsc.Generate(t.Context(), options.Run, gsc.GenerateOptions{Prompt: "a", Tokens: 3, Weights: weights, Out: &said}); err != nil || said.Len() == 0 {
			t.Errorf("%s: %v", weights, err)
		}
	}
}

// withPolicies copies the example's module beside a strategy.
func withPolicies(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("examples", "plugin-policies", "two_four.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(filepath.Dir(path), "two_four.wasm"), string(text))
	return path
}

// A policy that is a plugin trains as gsc's own with the same schedule does, bit for bit, on any number of threads and ranks, and a step allocates nothing.
func TestPolicyTwin(t *testing.T) {
	path := withPolicies(t, write(t, gpt2, stream))
	own := `compress=[{match: "*", prune: {pattern: "2:4", begin: 2, end: 6, every: 2, schedule: "constant"}, quantize: {bits: 8, begin: 6}}]`
	twin := `compress=[{match: "*", plugin: "two_four.wasm", params: {begin: 2, end: 6, every: 2, int8: 1}}]`
	for _, cut := range [][]string{nil, {mesh(2)}, {mesh(2), "parallel.zero=2", "batch.micro_batches=2"}, {mesh(2), "parallel.zero=3"}, {"parallel.mesh.tensor=2"}, {"parallel.mesh.pipeline=2", "batch.micro_batches=2"},
		{"parallel.mesh.pipeline=2", mesh(2), "parallel.zero=1", "batch.micro_batches=2"}} {
		want := boundLab(t, planOf(t, path, append(cut, own)...), 1)
		losses := want.train(8)
		for _, threads := range []int{1, 4} {
			got := boundLab(t, planOf(t, path, append(cut, twin)...), threads)
			if again := got.train(8); !slices.Equal(again, losses) {
				t.Errorf("%v, %d threads: losses %v, of gsc's own policy %v", cut, threads, again, losses)
			}
			for _, name := range want.weights() {
				if !slices.Equal(got.tensor(name), want.tensor(name)) {
					t.Errorf("%v, %d threads: other bits of %s", cut, threads, name)
				}
			}
		}
	}
	l := boundLab(t, planOf(t, path, twin), 2)
	l.train(1)
	l.allocatesNothing(20)
}

// A run that two ranks began, with the optimizer's state or the weights shared out, goes on with one: masks, scales and dense copies are in its checkpoints as whole tensors.
func TestCompressedRunReshards(t *testing.T) {
	path := write(t, gpt2, stream)
	one := gsc.TrainOptions{Out: io.Discard, Options: gsc.Options{Set: []string{prunedGPT2, `optimizer={kind: "sgd", momentum: 0.9}`, "schedule.steps=5"}}, Run: filepath.Join(t.TempDir(), "one")}
	if err := gsc.Train(t.Context(), path, one); err != nil {
		t.Fatal(err)
	}
	want := metrics(t, one.Run)
	for _, cut := range [][]string{{mesh(2), "parallel.zero=1"}, {"parallel.mesh.tensor=2"}} {
		options := one
		options.Run, options.Set = filepath.Join(t.TempDir(), "two"), append(slices.Clone(one.Set), cut...)
		if err := gsc.Train(&patient{t.Context(), 3}, path, options); err != nil {
			t.Fatal(err)
		}
		options.Set, options.Reshard = one.Set, true
		if err := gsc.Train(t.Context(), path, options); err != nil {
			t.Fatal(err)
		}
		got := metrics(t, options.Run)
		if len(got) != len(want) {
			t.Fatalf("%v: %d steps, want %d", cut, len(got), len(want))
		}
		for i := range got {
			if math.Abs(got[i]["loss"]-want[i]["loss"]) > 1e-5 || got[i]["sparsity"] != want[i]["sparsity"] {
				t.Errorf("%v: step %d: %v, on one rank %v", cut, i+1, got[i], want[i])
			}
		}
		if err := gsc.Export(options.Run, filepath.Join(t.TempDir(), "out"), gsc.ExportOptions{To: gsc.FormatCompressedTensors, Out: io.Discard}); err != nil {
			t.Errorf("%v: %v", cut, err)
		}
	}
}

// What policies decide before a step takes less than a thousandth of it, be they gsc's own or plugins: the least times of several runs, by their ratio.
func TestDecisionsCostNothing(t *testing.T) {
	path := withPolicies(t, write(t, wide, stream))
	p := planOf(t, path, `compress=[{match: "*", plugin: "two_four.wasm", params: {end: 1000, every: 1}}]`)
	l := boundLab(t, p, 1)
	l.train(1)
	step := least(5, func() { l.step(2, 0.01) })
	host, err := plugins.NewHost(t.Context())
	l.check(err)
	defer host.Close()
	wasm, err := os.ReadFile(filepath.Join(filepath.Dir(path), "two_four.wasm"))
	l.check(err)
	module, err := host.Load(t.Context(), "two_four.wasm", wasm, plugins.Limits{})
	l.check(err)
	plugged, err := module.NewPolicy(t.Context(), p.Plugins[0].Params, 1000)
	l.check(err)
	defer plugged.Close()
	own := compress.Own{Declaration: compress.Declaration{Pattern: compress.Neighbours, Of: 4, Sparsity: 0.5}, Prune: compress.Schedule{Begin: 1, End: 1000, Every: 1, Cubic: true}}
	for name, policy := range map[string]compress.Policy{"own": own, "plugin": plugged} {
		decide := least(20, func() {
			for _, c := range p.Compressions {
				if _, err := policy.Decide(compress.Tensor{Name: c.Tensor, Kind: compress.Linear, In: c.In, Out: c.Out}, own.Declaration, compress.Statistics{RMS: 1}, 500); err != nil {
					t.Fatal(err)
				}
			}
		})
		t.Logf("%s: %v for %d weights, a step takes %v: %.4f %%", name, decide, len(p.Compressions), step, 100*decide.Seconds()/step.Seconds())
		if decide > step/1000 {
			t.Errorf("%s: deciding takes %v of a step of %v", name, decide, step)
		}
	}
}

// least is the least time that something takes, of so many times.
func least(times int, do func()) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range times {
		start := time.Now()
		do()
		best = min(best, time.Since(start))
	}
	return best
}
