package gsc_test

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// The codecs that are built in, as settings.
const (
	topK   = `parallel.codec={kind: "top_k", share: 0.05}`
	oneBit = `parallel.codec={kind: "one_bit"}`
)

// ownTopK is the example's plugin, which codes runs as topK does whole tensors.
const ownTopK = `parallel.codec={plugin: "topk.wasm", params: {share: 0.05}}`

// warm is a codec's setting with some steps before it.
func warm(setting string, steps int) string {
	return fmt.Sprintf("%s, warmup: %d}", strings.TrimSuffix(setting, "}"), steps)
}

// withCodec copies the example's module beside a strategy.
func withCodec(t testing.TB, path string) string {
	t.Helper()
	module, err := os.ReadFile(filepath.Join("examples", "plugin-codecs", "topk.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(filepath.Dir(path), "topk.wasm"), string(module))
	return path
}

// sober is a model without dropout.
const sober = `schema.#GPT2 & {layers: 1, heads: 2, width: 16, context: 16, std: 0.3, epsilon: 1e-3}`

// feedback is what a rank of the plain algorithm keeps, by weight, and how it codes.
type feedback struct {
	code      func(v []float64) []float64 // what is decoded of the code of v
	parts     func(weight string) [][]int // the elements of a weight that are coded together: those of each rank that shares it out
	residuals []map[string][]float64      // by rank that takes rows
}

// send is the sum of what the ranks' gradients of a weight are decoded to.
func (f *feedback) send(name string, gradients [][]float64) []float64 {
	sum := make([]float64, len(gradients[0]))
	for rank, g := range gradients {
		kept := f.residuals[rank][name]
		if kept == nil {
			kept = make([]float64, len(g))
		}
		v := make([]float64, len(g))
		for i := range v {
			v[i] = g[i] + kept[i]
		}
		for _, part := range f.parts(name) {
			own := make([]float64, len(part))
			for k, i := range part {
				own[k] = v[i]
			}
			for k, sent := range f.code(own) {
				sum[part[k]] += sent
				v[part[k]] -= sent
			}
		}
		f.residuals[rank][name] = v
	}
	return sum
}

// partsOf are the elements of a weight that each rank of tensor has.
func partsOf(p *plan.Plan, weight string) (list [][]int) {
	t := *p.Tensor(weight)
	t.Part = ""
	for _, rank := range p.Group(0, plan.AxisTensor) {
		var part []int
		for _, run := range p.Runs(&t, rank) {
			for i := range run.N {
				part = append(part, int(run.First+i))
			}
		}
		if list = append(list, part); t.Cut.Axis == "" {
			break
		}
	}
	return list
}

// plainTopK keeps the share of largest magnitude.
func plainTopK(share float64) func([]float64) []float64 {
	return func(v []float64) []float64 {
		order := make([]int, len(v))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(math.Abs(v[j]), math.Abs(v[i])) })
		out := make([]float64, len(v))
		for _, i := range order[:int(math.Ceil(share*float64(len(v))))] {
			out[i] = float64(float32(v[i]))
		}
		return out
	}
}

// plainOneBit keeps signs, with the mean of the magnitudes of each block.
func plainOneBit(v []float64) []float64 {
	out := make([]float64, 0, len(v))
	for block := range slices.Chunk(v, kernels.CodeBlock) {
		mean := 0.0
		for _, x := range block {
			mean += math.Abs(float64(float32(x)))
		}
		mean /= float64(len(block))
		for _, x := range block {
			out = append(out, math.Copysign(float64(float32(mean)), x))
		}
	}
	return out
}

// rankGradients finds the gradients that each of several ranks does: whole has the rows of all of them, part as many as one.
type rankGradients struct {
	ranks       int
	whole, part *lab
}

func newRankGradients(t *testing.T, path string, set []string, ranks, sequences int) *rankGradients {
	of := func(n int) *lab {
		return newLab(t, planOf(t, path, append(slices.Clone(set), fmt.Sprintf("batch.sequences=%d", n))...), 1)
	}
	return &rankGradients{ranks, of(sequences), of(sequences / ranks)}
}

// of are those of a step: of the rows of each rank by themselves, which a step of rate 1 takes off the weights.
func (g *rankGradients) of(weights map[string][]float64, step int64) []map[string][]float64 {
	ranks, whole, part := g.ranks, g.whole, g.part
	whole.check(whole.set.Fill(whole.plan.Training.Seed, step, whole.batch))
	part.check(part.set.Fill(part.plan.Training.Seed, step, part.batch))
	var list []map[string][]float64
	for rank := range ranks {
		n := len(part.batch.Tokens)
		copy(part.batch.Tokens, whole.batch.Tokens[rank*n:][:n])
		copy(part.batch.Labels, whole.batch.Labels[rank*n:][:n])
		for name, values := range weights {
			part.setTensor(name, values)
		}
		_, err := part.ranks.Train(part.batch, step, 1)
		part.check(err)
		found := map[string][]float64{}
		for name, values := range weights {
			g := part.tensor(name)
			for i := range g {
				g[i] = (values[i] - g[i]) / float64(ranks)
			}
			found[name] = g
		}
		list = append(list, found)
	}
	return list
}

// Ranks that code their gradients learn what the plain algorithm does: each adds its gradient to what it kept, sends the code of that, and keeps what the code left out. Where some
// steps come before, gradients are added up in them.
func TestCodecsAreTheAlgorithm(t *testing.T) {
	const steps, rate = 4, 0.1
	path := withCodec(t, write(t, sober, stream))
	set := []string{`devices.kind="ref"`, `optimizer={kind: "sgd", clip_norm: 0}`, "data.length=16"}
	plain := map[int]*rankGradients{}
	for _, ranks := range []int{1, 2, 4} {
		plain[ranks] = newRankGradients(t, path, set, ranks, 8)
	}
	for name, c := range map[string]struct {
		setting string
		code    func([]float64) []float64
	}{"top_k": {topK, plainTopK(0.05)}, "one_bit": {oneBit, plainOneBit}, "plugin": {ownTopK, plainTopK(0.05)}} {
		for i, cut := range [][]string{{mesh(2)}, {mesh(2), "parallel.zero=1"}, {mesh(4)}, {mesh(4), "parallel.zero=1"}, {"parallel.mesh.replica=2"}, {"parallel.mesh.replica=2", mesh(2), "parallel.zero=1"}, nil,
			{mesh(2), "parallel.mesh.tensor=2"}, {mesh(2), "parallel.mesh.tensor=2", "parallel.zero=3"}, {"parallel.mesh.replica=2", "parallel.mesh.tensor=2"}} {
			before := i % 3 // steps
			t.Run(fmt.Sprint(name, cut, before), func(t *testing.T) {
				p := planOf(t, path, slices.Concat(set, cut, []string{warm(c.setting, before), "batch.sequences=8"})...)
				var l *lab
				if len(p.Plugins) > 0 {
					l = boundLab(t, p, 1)
				} else {
					l = newLab(t, p, 1)
				}
				ranks := l.plan.RowRanks()
				f := &feedback{code: c.code, parts: func(weight string) [][]int { return partsOf(l.plan, weight) }}
				for range ranks {
					f.residuals = append(f.residuals, map[string][]float64{})
				}
				weights := map[string][]float64{}
				for _, w := range l.weights() {
					weights[w] = l.tensor(w)
				}
				for step := range int64(steps) {
					l.step(step+1, rate)
					found := plain[ranks].of(weights, step+1)
					for w := range weights {
						var gradients [][]float64
						for rank := range found {
							gradients = append(gradients, found[rank][w])
						}
						f.step(l, w, weights[w], gradients, rate, step < int64(before))
						if far := distance(l.tensor(w), weights[w]); !(far <= 1e-9) {
							t.Fatalf("step %d: %s is apart by %.2g", step+1, w, far)
						}
					}
				}
				f.compare(l)
				if l.plan.Degree(plan.AxisTensor) < 2 {
					l.holdTheSame()
				}
			})
		}
	}
}

// step takes a step of a weight, whose gradients are coded if the plan keeps residuals of it and the step is none of those before codes.
func (f *feedback) step(l *lab, name string, weight []float64, gradients [][]float64, rate float64, before bool) {
	sum := make([]float64, len(weight))
	if l.plan.Tensor(name+".residual") != nil && !before {
		sum = f.send(name, gradients)
	} else {
		for _, g := range gradients {
			for i := range g {
				sum[i] += g[i]
			}
		}
	}
	for i := range weight {
		weight[i] -= rate * sum[i]
	}
}

// compare holds the residuals of all ranks to those of the algorithm.
func (f *feedback) compare(l *lab) {
	l.t.Helper()
	coded := 0
	for _, w := range l.weights() {
		if l.plan.Tensor(w+".residual") == nil {
			continue
		}
		coded++
		var want []float64
		for rank := range f.residuals {
			want = append(want, f.residuals[rank][w]...)
		}
		if far := distance(l.tensor(w+".residual"), want); !(far <= 1e-9) {
			l.t.Errorf("the residuals of %s are apart by %.2g", w, far)
		}
	}
	if coded == 0 {
		l.t.Error("no gradient is coded")
	}
}

// Codes are the same bits on any number of threads, and so is what ranks learn.
func TestCodecsHoldTheSameBits(t *testing.T) {
	path := write(t, gpt2, stream)
	for _, codec := range []string{topK, oneBit} {
		for _, cut := range [][]string{{mesh(2)}, {mesh(4), "parallel.zero=1"}, {mesh(2), "parallel.mesh.sequence=2"}, {mesh(2), "parallel.mesh.pipeline=2"}} {
			var want string
			for _, threads := range []int{1, 2} {
				l := newLab(t, planOf(t, path, append(cut, warm(codec, 2), "batch.sequences=8", "batch.micro_batches=2")...), threads)
				l.train(4)
				if len(l.plan.Stages) == 1 {
					l.holdTheSame()
				}
				if digest := l.digest(); want == "" {
					want = digest
				} else if digest != want {
					t.Errorf("%s, %v: other bits on %d threads", codec, cut, threads)
				}
			}
		}
	}
}

// Stages of ZeRO change no bit of what is learnt with codes. Where gradients that are not coded are added up after each micro-batch, their terms come in another order, which changes the last digits.
func TestCodecsGoWithZero(t *testing.T) {
	path := write(t, gpt2, stream)
	for _, codec := range []string{topK, oneBit} {
		for _, micro := range []int{1, 2} {
			var want []float64
			for zero := range 4 {
				l := newLab(t, planOf(t, path, mesh(4), warm(codec, 2), "batch.sequences=8", fmt.Sprintf("batch.micro_batches=%d", micro), fmt.Sprintf("parallel.zero=%d", zero)), 1)
				got := l.train(5)
				near := 0.0
				if zero == 2 && micro > 1 {
					near = 1e-3
				}
				if zero > 0 && !(distance(got, want) <= near) {
					t.Errorf("%s, %d micro-batches: losses %v with zero %d, %v with one less", codec, micro, got, zero, want)
				}
				want = got
			}
		}
	}
}

// A step that is skipped, since a gradient is not finite, leaves residuals as they were on all ranks.
func TestCodecsSkipWithTheStep(t *testing.T) {
	for _, codec := range []string{topK, oneBit} {
		l := newLab(t, planOf(t, write(t, bertRows, sizes), append(objective(sizes), mesh(2), warm(codec, 1))...), 1)
		l.train(2)
		l.check(l.set.Fill(l.plan.Training.Seed, 3, l.batch))
		l.batch.Values[0] = float32(math.Inf(1)) // a row of rank 0
		before := l.digest()
		result, err := l.ranks.Train(l.batch, 3, 0.01)
		l.check(err)
		if result.Finite || l.digest() != before {
			t.Errorf("%s: %+v, and weights or residuals changed: %t", codec, result, l.digest() != before)
		}
		l.train(1)
		for _, tensor := range l.plan.Tensors {
			if slices.ContainsFunc(l.tensor(tensor.Name), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
				t.Errorf("%s: %s holds what is not finite", codec, tensor.Name)
			}
		}
	}
}

// Gradients of fp16 are coded by what they are without their scale, which is a power of two: where a code leaves nothing out each step has the bits that it has without one, those that are skipped
// included, and what is left out does not change with the scale.
func TestCodecsGoWithScaledGradients(t *testing.T) {
	path := withCodec(t, write(t, gpt2, stream))
	scales := func(scale string) string { return fmt.Sprintf(`precision={compute: "fp16", loss_scale: %s}`, scale) }
	run := func(steps int, set ...string) *lab {
		p := planOf(t, path, append(set, mesh(2), `optimizer={kind: "sgd", momentum: 0}`)...)
		l := boundLab(t, p, 1)
		for step := range int64(steps) {
			l.step(step+1, l.plan.Training.Rate.Peak)
		}
		return l
	}
	const whole = `parallel.codec={kind: "top_k", share: 1}`
	t.Run("whole", func(t *testing.T) {
		moving := scales("{initial: 268435456, growth_interval: 2, growth: 4}")
		want, got := run(30, moving), run(30, moving, whole)
		if updates := want.ranks.First().Scaler().Updates; updates < 10 || updates == 30 {
			t.Errorf("%d of 30 steps were not skipped", updates)
		}
		for _, w := range want.weights() {
			if !slices.Equal(got.tensor(w), want.tensor(w)) {
				t.Errorf("%s has other bits with a code that leaves nothing out", w)
			}
		}
	})
	for _, codec := range []string{topK, oneBit, ownTopK} {
		t.Run(codec, func(t *testing.T) {
			want, got := run(1, scales("{initial: 1024}"), codec), run(1, scales("{initial: 4096}"), codec)
			for _, w := range want.weights() {
				if want.plan.Tensor(w+".residual") == nil {
					continue
				}
				a, b := want.tensor(w+".residual"), got.tensor(w+".residual")
				if largest(a) == 0 || distance(a, b) > 1e-2*largest(a) {
					t.Errorf("%s: what is left out is %g at most, and apart by %g at four times the scale", w, largest(a), distance(a, b))
				}
			}
		})
	}
}

// Steps that a loss scale skips are none of those without codes: behind them the mean of squares stays as uncoded gradients have made it.
func TestSkippedStepsAreNoWarmUp(t *testing.T) {
	path := write(t, gpt2, stream)
	const before = 4
	l := newLab(t, planOf(t, path, mesh(2), warm(oneBit, before), `precision={compute: "fp16", loss_scale: {initial: 1073741824}}`, "batch.sequences=8"), 1)
	var settled []float64
	steps := int64(0)
	for updates := int64(0); updates < before+6; updates = l.ranks.First().Scaler().Updates {
		steps++
		l.step(steps, 1e-3)
		v := l.tensor("transformer.h.0.mlp.c_fc.weight.v")
		switch updates = l.ranks.First().Scaler().Updates; {
		case updates == before:
			settled = v
		case updates > before:
			moved := 0
			for i := range v {
				if v[i] != settled[i] {
					moved++
				}
			}
			if moved > len(v)/50 { // some gradients are too large for it
				t.Fatalf("update %d, step %d: %d of %d means of squares changed", updates, steps, moved, len(v))
			}
		}
	}
	if steps < 2*before {
		t.Errorf("%d steps made %d updates: none was skipped", steps, before+6)
	}
}

// A step with codes allocates nothing.
func TestCodecsAllocateNothing(t *testing.T) {
	for _, codec := range []string{topK, oneBit} {
		l := newLab(t, planOf(t, write(t, gpt2, stream), mesh(2), warm(codec, 1)), 1)
		l.step(1, 0.01)
		l.allocatesNothing(20)
	}
}

// A run that was interrupted learns the same bits. On another mesh the residuals are shared out evenly, with their sum as it was, and the log says so.
func TestResidualsGoWithTheRun(t *testing.T) {
	path := write(t, gpt2, stream)
	set := func(more ...string) gsc.Options {
		return gsc.Options{Set: append([]string{warm(topK, 4), `data.tokenizer.kind="characters"`, "batch.sequences=8", "data.length=16", "schedule.steps=20", "checkpoint.every=1", "checkpoint.keep=0"}, more...)}
	}
	train := func(run string, steps int, said *strings.Builder, reshard bool, more ...string) {
		t.Helper()
		if err := gsc.Train(&patient{t.Context(), steps}, path, gsc.TrainOptions{Options: set(more...), Run: run, Out: said, Reshard: reshard}); err != nil {
			t.Fatal(err)
		}
	}
	load := func(run string, more ...string) map[string][]float64 {
		t.Helper()
		p, err := gsc.Plan(path, set(more...))
		if err != nil {
			t.Fatal(err)
		}
		return tensorsOf(t, p, run)
	}
	var said strings.Builder
	whole, halves := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "halves")
	train(whole, 100, &said, false, mesh(4))
	for range 7 {
		train(halves, 3, &said, false, mesh(4))
	}
	for name, values := range load(whole, mesh(4)) {
		if !slices.Equal(values, load(halves, mesh(4))[name]) {
			t.Errorf("%s has other bits in a run that was interrupted", name)
		}
	}
	var all strings.Builder
	run := filepath.Join(t.TempDir(), "run")
	train(run, 6, &said, false, mesh(4))
	for _, now := range []struct {
		ranks int // that take rows
		mesh  []string
	}{{2, []string{mesh(2)}}, {1, []string{mesh(1)}}, {4, []string{mesh(4)}}, {2, []string{mesh(2), "parallel.mesh.tensor=2"}}, {4, []string{mesh(4)}},
		{2, []string{"parallel.mesh.replica=2", "parallel.mesh.tensor=2", "parallel.zero=0"}}, {1, []string{"parallel.mesh.tensor=2"}}, {2, []string{mesh(2), "parallel.mesh.tensor=2"}}} {
		ranks, before := now.ranks, load(run, mesh(4))
		for name, values := range load(run, now.mesh...) {
			if strings.HasSuffix(name, ".residual") {
				holdsTheSum(t, name, values, before[name], ranks)
			}
		}
		said.Reset()
		train(run, 1, &said, true, now.mesh...)
		all.WriteString(said.String())
		if want := fmt.Sprintf("their sum is shared out evenly among the %d there are now", ranks); !strings.Contains(said.String(), want) {
			t.Errorf("%d ranks: the log does not say that %s:\n%s", ranks, want, said.String())
		}
	}
	for _, want := range []string{"newly coded on this mesh: 1 of the gradients, whose residuals begin at 0", "no more coded on this mesh: 1 of the gradients; what their codes left out is dropped"} {
		if !strings.Contains(all.String(), want) { // the vocabulary is odd
			t.Errorf("no log says %s:\n%s", want, all.String())
		}
	}
	err := gsc.Train(t.Context(), path, gsc.TrainOptions{Options: set(mesh(4), oneBit), Run: run, Out: &said, Reshard: true})
	if err == nil || !strings.Contains(err.Error(), "parallel.codec.kind") {
		t.Errorf("another codec: %v", err)
	}
}

// holdsTheSum compares the sums of residuals of some ranks with those of others, and the residuals of the former with each other.
func holdsTheSum(t *testing.T, name string, got, before []float64, ranks int) {
	t.Helper()
	n := len(got) / ranks
	for i := range n {
		sum, want := 0.0, 0.0
		for k := i; k < len(before); k += n {
			want += before[k]
		}
		for k := i; k < len(got); k += n {
			if sum += got[k]; got[k] != got[i] {
				t.Fatalf("%s: ranks have other parts of element %d", name, i)
			}
		}
		if math.Abs(sum-want) > 1e-6*math.Max(1, math.Abs(want)) {
			t.Fatalf("%s: residuals of %g among %d ranks, %g before", name, sum, ranks, want)
		}
	}
}

// gradientsOf counts the instructions of an operation.
func gradientsOf(p *plan.Plan, op kernels.Op) (n int) {
	for _, program := range p.Stages[0].Programs {
		for _, in := range program.Instructions {
			if in.Op == op {
				n++
			}
		}
	}
	return n
}

// match names the weights whose gradients are coded; all matrices where it is left out.
func TestCodecsMatch(t *testing.T) {
	path := write(t, gpt2, stream)
	for match, want := range map[string]int{"": 10, `, match: ["*.mlp.*.weight"]`: 4, `, match: ["*.bias"]`: 13} {
		p := planOf(t, path, mesh(2), `parallel.codec={kind: "one_bit"`+match+"}")
		if got := gradientsOf(p, kernels.Encode); got != want || gradientsOf(p, kernels.Decode) != want {
			t.Errorf("%q: %d gradients are coded, want %d", match, got, want)
		}
	}
}

// A plugin's codes are the same bits on any number of threads, its steps allocate nothing, and a step that is skipped leaves residuals as they were.
func TestPluginCodec(t *testing.T) {
	path := withCodec(t, write(t, gpt2, stream))
	for _, cut := range [][]string{{mesh(2)}, {mesh(4), "parallel.zero=1"}, {mesh(2), "parallel.mesh.pipeline=2", "batch.micro_batches=2"}} {
		var want string
		for _, threads := range []int{1, 4, 8} {
			l := boundLab(t, planOf(t, path, append(cut, warm(ownTopK, 1), "batch.sequences=8")...), threads)
			l.train(3)
			if digest := l.digest(); want == "" {
				want = digest
			} else if digest != want {
				t.Errorf("%v: other bits on %d threads", cut, threads)
			}
		}
	}
	l := boundLab(t, planOf(t, path, mesh(2), warm(ownTopK, 1)), 2)
	l.train(1)
	l.allocatesNothing(10)

	rows := withCodec(t, write(t, bertRows, sizes))
	l = boundLab(t, planOf(t, rows, append(objective(sizes), mesh(2), warm(ownTopK, 1))...), 2)
	l.train(2)
	l.check(l.set.Fill(l.plan.Training.Seed, 3, l.batch))
	l.batch.Values[0] = float32(math.Inf(1)) // a row of rank 0
	before := l.digest()
	result, err := l.ranks.Train(l.batch, 3, 0.01)
	l.check(err)
	if result.Finite || l.digest() != before {
		t.Errorf("%+v, and weights or residuals changed: %t", result, l.digest() != before)
	}
	l.train(1)
}

// What a codec does wrong stops the run, and names step, rank, instruction, plugin, export and numbers.
func TestPluginCodecThatFails(t *testing.T) {
	path := write(t, gpt2, stream)
	bad, err := os.ReadFile(filepath.Join("plugins", "testdata", "codecs", "decode-nan.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(filepath.Dir(path), "bad.wasm"), string(bad))
	l := boundLab(t, planOf(t, path, mesh(2), `parallel.codec={plugin: "bad.wasm", warmup: 1}`), 2)
	l.train(1)
	l.check(l.set.Fill(l.plan.Training.Seed, 2, l.batch))
	_, err = l.ranks.Train(l.batch, 2, 0.01)
	const want = "encode.grad.transformer.wte.weight (plugin_encode, --set parallel.codec): "
	if err == nil || !strings.HasPrefix(err.Error(), "step 2: rank ") || !strings.Contains(err.Error(), "plugin bad.wasm (codec 1): gsc_decode: numbers 0 to ") || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v", err)
	}
}

// Plans whose residuals are shared out otherwise than their ranks work, or of whose codes a rank would decode a part that there is not, are refused.
func TestResidualsOfEditedPlans(t *testing.T) {
	path := write(t, gpt2, stream)
	cut := []string{"parallel.mesh.tensor=2", mesh(2), "parallel.mesh.sequence=2", "parallel.mesh.pipeline=2", "parallel.zero=1", oneBit}
	residual := func(p *plan.Plan, cut bool) *plan.Tensor {
		return &p.Tensors[slices.IndexFunc(p.Tensors, func(t plan.Tensor) bool { return t.Terms && (t.Cut.Dim > 0) == cut })]
	}
	weight := func(p *plan.Plan) *plan.Tensor { return p.Tensor(residual(p, true).Of) }
	for name, edit := range map[string]func(*plan.Plan){
		"terms of ranks of tensor":         func(p *plan.Plan) { residual(p, false).Cut.Axis = plan.AxisTensor },
		"terms of ranks of sequence":       func(p *plan.Plan) { residual(p, false).Cut.Axis = plan.AxisSequence },
		"terms of stages":                  func(p *plan.Plan) { residual(p, false).Cut.Axis = plan.AxisPipeline },
		"parts of ranks of sequence":       func(p *plan.Plan) { residual(p, true).Part = plan.AxisSequence },
		"another dim":                      func(p *plan.Plan) { t := residual(p, true); t.Cut.Dim = len(t.Dims) - t.Cut.Dim },
		"a weight of stages":               func(p *plan.Plan) { weight(p).Cut.Axis = plan.AxisPipeline },
		"a state cut otherwise":            func(p *plan.Plan) { p.Tensor(weight(p).Name + ".v").Cut = plan.Cut{} },
		"a place that no part has":         func(p *plan.Plan) { rename(p, "place.data", "place.data*9") },
		"a place that counts along others": func(p *plan.Plan) { rename(p, "place.data", "place.data,sequence") },
	} {
		p := planOf(t, path, cut...)
		edit(p)
		if p.Verify() == nil {
			t.Errorf("%s: the plan is found sound", name)
		}
	}
}

// rename gives a scalar another name.
func rename(p *plan.Plan, from, to string) {
	for i := range p.Scalars {
		if p.Scalars[i].Name == from {
			p.Scalars[i].Name = to
		}
	}
}
