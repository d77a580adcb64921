package gsc_test

import (
	"slices"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
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
