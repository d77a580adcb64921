package gsc_test

import (
	goruntime "runtime"
	measured "runtime/metrics"
	"testing"

	"github.com/gsc-project/gsc"
)

// A step allocates nothing and starts no goroutine: neither the making of its batch, nor forward,
// backward and update; nor an evaluation; at any level of the processor.
func TestStepAllocatesNothing(t *testing.T) {
	levels, err := gsc.Levels("cpu")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, model, data, optimizer string }{
		{"gpt2-adamw", gpt2, stream, "adamw"},
		{"gpt2-packed-muon", gpt2, packed, "muon"},
		{"llama-padded-adafactor", llama, padded, "adafactor"},
		{"gemma2-lion", gemma, stream, "lion"},
		{"bert-tokens-lamb", bertTokens, tags, "lamb"},
		{"bert-sequence-sgd", bertRows, kinds, "sgd"},
	} {
		p := planOf(t, write(t, c.model, c.data), "batch.micro_batches=2", `optimizer={kind: "`+c.optimizer+`", clip_norm: 1}`)
		for _, level := range levels {
			t.Run(c.name+"/"+level, func(t *testing.T) {
				t.Setenv("GSC_CPU", level)
				l := newLab(t, p, 2)
				n := int64(0)
				l.takesNothing("a step", func() {
					n++
					l.step(n, 1e-4)
				})
				l.takesNothing("an evaluated batch", func() {
					_, err := l.stepper.Evaluate(l.batch, 0)
					l.check(err)
				})
			})
		}
	}
}

// takesNothing fails where work allocates or starts a goroutine.
func (l *lab) takesNothing(name string, work func()) {
	l.t.Helper()
	if count := testing.AllocsPerRun(5, work); count != 0 {
		l.t.Errorf("%s allocates %v times", name, count)
	}
	goruntime.GC() // which has goroutines of its own, started at its first
	before := goroutinesCreated()
	for range 5 {
		work()
	}
	if count := goroutinesCreated() - before; count != 0 {
		l.t.Errorf("5 times %s start %d goroutines", name, count)
	}
}

func goroutinesCreated() uint64 {
	sample := []measured.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	measured.Read(sample)
	return sample[0].Value.Uint64()
}
