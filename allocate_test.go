package gsc_test

import "testing"

// A step allocates nothing: neither the making of its batch, nor forward,
// backward and update; nor an evaluation.
func TestStepAllocatesNothing(t *testing.T) {
	for _, c := range []struct{ name, model, data, optimizer string }{
		{"gpt2-adamw", gpt2, stream, "adamw"},
		{"gpt2-packed-muon", gpt2, packed, "muon"},
		{"llama-padded-adafactor", llama, padded, "adafactor"},
		{"gemma2-lion", gemma, stream, "lion"},
		{"bert-tokens-lamb", bertTokens, tags, "lamb"},
		{"bert-sequence-sgd", bertRows, kinds, "sgd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := planOf(t, write(t, c.model, c.data), "batch.micro_batches=2", `optimizer={kind: "`+c.optimizer+`", clip_norm: 1}`)
			l := newLab(t, p, 2)
			n := int64(0)
			if count := testing.AllocsPerRun(5, func() {
				n++
				l.step(n, 1e-4)
			}); count != 0 {
				t.Errorf("%v allocations a step", count)
			}
			if count := testing.AllocsPerRun(5, func() {
				if _, err := l.stepper.Evaluate(l.batch, 0); err != nil {
					t.Fatal(err)
				}
			}); count != 0 {
				t.Errorf("%v allocations an evaluated batch", count)
			}
		})
	}
}
