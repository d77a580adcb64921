package gsc_test

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/runtime"
)

// A mask that is due in a step that is skipped, for gradients that overflow or for a loss that is no number, is made in it, of the dense copy as it stands: nothing of a
// schedule is lost, on one rank and on several.
func TestSkippedStepMakesItsMask(t *testing.T) {
	const rules = `compress=[{match: "*.c_fc.weight", prune: {pattern: "2:4", begin: 2}, quantize: {bits: 8, begin: 2}}]`
	path := write(t, gpt2, stream)
	for _, cut := range [][]string{nil, {mesh(2), "parallel.zero=1"}, {mesh(2), "parallel.zero=3"}, {"parallel.mesh.pipeline=2", "batch.micro_batches=2"}} {
		for name, set := range map[string]string{"overflow": `precision={compute: "fp16", loss_scale: {initial: 1e12, growth_interval: 3, growth: 4}}`, "loss": `precision.compute="f32"`} {
			l := newLab(t, planOf(t, path, append(cut, rules, set)...), 1)
			c := &l.plan.Compressions[0]
			first := l.step(1, 0.01)
			if name == "loss" {
				l.spoil("transformer.ln_f.weight")
			} else if first.Finite {
				t.Fatalf("%v: the first step is not skipped", cut)
			}
			dense := l.tensor(c.Tensor + plan.SuffixDense)
			if slices.Contains(l.tensor(c.Tensor+plan.SuffixMask), 0) {
				t.Fatalf("%v, %s: there is a mask before one is due", cut, name)
			}
			if result := l.step(2, 0.01); result.Finite {
				t.Fatalf("%v, %s: the second step is not skipped: %+v", cut, name, result)
			}
			if !slices.Equal(l.tensor(c.Tensor+plan.SuffixDense), dense) {
				t.Errorf("%v, %s: the skipped step trained", cut, name)
			}
			l.compressedBy(c, 2)
			if got := l.tensor(c.Tensor); slices.Equal(got, dense) {
				t.Errorf("%v, %s: the weight is as its dense copy", cut, name)
			}
		}
	}
}

// spoil makes a weight no numbers, in all stages and ranks that keep it whole.
func (l *lab) spoil(name string) {
	l.t.Helper()
	w := l.plan.Tensor(name)
	for rank, m := range l.machines {
		if id, ok := w.In(l.plan.StageOf(rank)); ok {
			b := &l.plan.Stages[l.plan.StageOf(rank)].Buffers[id]
			l.check(m.Write(b, slices.Repeat([]byte{0xff}, int(b.SizeBytes()))))
		}
	}
}

// From the same dense copies ranks that share weights out make the masks, scales and weights that one rank makes, bit for bit, whatever the cut falls between: at a rate of
// 0 the dense copies stay as they began.
func TestCutWeightsAreCompressedToTheSameBits(t *testing.T) {
	for _, c := range []struct{ name, model, rules string }{{"gpt2", gpt2, prunedGPT2}, {"llama", llama, prunedLlama}, {"every pattern", gpt2, cutGPT2}, {"padded", `schema.#GPT2 & {layers: 2, heads: 2, width: 12, vocabulary: 257, context: 16, std: 0.3}`, paddedGPT2}} {
		for _, device := range []string{"cpu", "ref"} {
			t.Run(c.name+"/"+device, func(t *testing.T) {
				path := write(t, c.model, stream)
				set := []string{c.rules, fmt.Sprintf("devices.kind=%q", device), "batch.sequences=4"}
				one := newLab(t, planOf(t, path, set...), 1)
				labs := []*lab{one}
				for _, cut := range [][]string{{"parallel.mesh.tensor=2"}, {"parallel.mesh.tensor=2", mesh(2), "parallel.zero=3"}, {"parallel.mesh.tensor=2", mesh(2), "parallel.zero=1"},
					{"parallel.mesh.sequence=2", `parallel.rules=[{kind: "weight", dim: "mlp", axis: "sequence"}]`}} {
					l := newLab(t, planOf(t, path, append(cut, set...)...), 1)
					labs = append(labs, l)
					if !slices.ContainsFunc(l.plan.Compressions, func(c plan.Compression) bool { return l.plan.Tensor(c.Tensor).Cut.Axis != "" }) && c.name != "padded" {
						t.Errorf("%v: nothing is cut", cut)
					}
				}
				for step := range int64(6) {
					for i, l := range labs {
						l.step(step+1, 0)
						for _, tensor := range one.plan.Tensors {
							if compressing(tensor.Name) && !slices.Equal(l.tensor(tensor.Name), one.tensor(tensor.Name)) {
								t.Fatalf("step %d: mesh %v: other bits of %s", step+1, labs[i].plan.Mesh, tensor.Name)
							}
						}
					}
				}
				for i := range one.plan.Compressions {
					one.compressedBy(&one.plan.Compressions[i], 6)
				}
			})
		}
	}
}

// compressing says whether a tensor is a weight, or what a compressed one has beside it.
func compressing(name string) bool {
	return slices.Contains([]string{".weight", plan.SuffixDense, plan.SuffixMask, plan.SuffixScale, plan.SuffixZero}, filepath.Ext(name))
}

// Rules whose runs lie within the parts of two ranks, and across them.
const (
	cutGPT2 = `compress=[
		{match: "*.mlp.c_fc.weight", prune: {sparsity: 0.5, end: 5, every: 2}, quantize: {bits: 4, group: 4, symmetric: false, begin: 2}},
		{match: "*.mlp.c_proj.weight", prune: pattern: "2:4", quantize: {bits: 8, group: 8, begin: 3}},
		{match: "*.0.attn.c_attn.weight", prune: {pattern: "rows", sparsity: 0.4}, quantize: bits: 8},
		{match: "*.1.attn.c_attn.weight", prune: {pattern: "heads", sparsity: 0.5}},
		{match: "*.0.attn.c_proj.weight", prune: {pattern: "4:12"}, quantize: {bits: 8, symmetric: false}},
		{match: "*.1.attn.c_proj.weight", quantize: {bits: 4, group: 3}},
		{match: "transformer.wte.weight", prune: {sparsity: 0.3, end: 4, every: 1}, quantize: bits: 8}]`
	paddedGPT2 = `compress=[{match: "transformer.wte.weight", prune: {sparsity: 0.3, end: 4, every: 1}, quantize: {bits: 4, group: 4}}]`
)

// asked is a policy, and the host that has it, which notes what it is told. It prunes a share that follows from that.
type asked struct {
	runtime.Host
	told map[string]float64 // by tensor and step: the root mean square
}

func (a *asked) Policy(*plan.Plugin, int64) (compress.Policy, error) { return a, nil }
func (a *asked) Progress() int64                                     { return 0 }

func (a *asked) Declare(compress.Tensor) (compress.Declaration, error) { panic("it is in the plan") }

func (a *asked) Decide(t compress.Tensor, d compress.Declaration, s compress.Statistics, step int64) (compress.Decision, error) {
	a.told[fmt.Sprint(t.Name, " ", step)] = s.RMS
	return compress.Decision{Sparsity: map[bool]float64{true: 0.5}[s.RMS > 0.29], Mask: true}, nil
}

// A policy is asked about a weight on the ranks that have it, all of which tell it the same, whatever the mesh, and the share that is pruned is that of all stages.
func TestPoliciesAreToldOfTheWeightsOfTheirStage(t *testing.T) {
	path := withPolicies(t, write(t, gpt2, stream))
	rule := `compress=[{match: "*", plugin: "two_four.wasm", params: end: 5}, {match: "*.0.attn.c_proj.weight", prune: {sparsity: 0.5, begin: 2}}]`
	var want map[string]float64
	var sparsities []float64
	for _, cut := range [][]string{nil, {"parallel.mesh.pipeline=2", "batch.micro_batches=2"}, {"parallel.mesh.tensor=2"}, {"parallel.mesh.pipeline=2", mesh(2), "parallel.zero=3", "batch.micro_batches=2"}} {
		p := planOf(t, path, append(cut, rule)...)
		l, hosts := askedLab(t, p)
		for step := range int64(4) {
			got := l.step(step+1, 0.01).Sparsity
			if len(cut) == 0 {
				sparsities = append(sparsities, got)
			} else if got != sparsities[step] {
				t.Errorf("%v: step %d: a share of %g is pruned, on one rank %g", cut, step+1, got, sparsities[step])
			}
		}
		if want == nil {
			want = hosts[0].told
		}
		for key, rms := range want {
			stage := p.Tensor(strings.Fields(key)[0]).Stage
			for rank, h := range hosts {
				if got, there := h.told[key]; there != (p.StageOf(rank) == stage) || there && !(math.Abs(got-rms) <= 1e-5*rms) {
					t.Errorf("%v: rank %d: %s: told %g (%v), on one rank %g", cut, rank, key, got, there, rms)
				}
			}
		}
	}
	p := planOf(t, path, "parallel.mesh.pipeline=2", "batch.micro_batches=2", rule)
	p.Scalars[slices.IndexFunc(p.Scalars, func(s plan.Scalar) bool { return s.Name == plan.ScalarPruned })].Name = "other"
	wantError(t, p.Verify(), "the policy two_four decides on several stages, and there is no scalar pruned")
	if len(want) != 4*7 || sparsities[0] != 0 || !(sparsities[1] > 0.1) {
		t.Errorf("%d decisions, shares %v", len(want), sparsities)
	}
}

// askedLab is a lab whose policies are noted, those of each rank apart.
func askedLab(t *testing.T, p *plan.Plan) (*lab, []*asked) {
	world := local.NewWorld(p.Ranks(), local.Options{})
	hosts := make([]*asked, p.Ranks())
	l := hostedLab(t, p, expand(p), 1, world, world.Group, func(rank int) runtime.Host {
		hosts[rank] = &asked{told: map[string]float64{}}
		return hosts[rank]
	})
	return l, hosts
}
