package gsc_test

import (
	"fmt"
	"testing"

	"github.com/gsc-project/gsc/runtime"
)

// Generation by the key-value cache gives the logits of the evaluation program
// over the whole sequence, whatever part of it came through prefill, also where the last piece of a prompt
// does not fit between the tokens before it and the end of the context.
func TestGenerationEqualsEvaluation(t *testing.T) {
	for _, c := range []struct{ name, model string }{
		{"gpt2", `schema.#GPT2 & {layers: 2, heads: 2, width: 12, std: 0.3, epsilon: 1e-3, context: %d}`},
		{"llama", `schema.#Llama & {layers: 2, heads: 4, kv_heads: 2, width: 16, mlp: 20, std: 0.3, context: %d}`},
		{"gpt-neox", `schema.#GPTNeoX & {layers: 2, heads: 2, width: 16, rotary_share: 0.5, std: 0.3, context: %d}`},
		{"gemma2", `schema.#Gemma2 & {layers: 2, heads: 2, kv_heads: 1, width: 16, head: 8, mlp: 20, window: 20, std: 0.3, context: %d}`},
	} {
		for _, context := range []int{150, 40} {
			for device, tolerance := range map[string]float64{"cpu": 1e-5, "ref": 1e-12} {
				t.Run(fmt.Sprintf("%s/%d/%s", c.name, context, device), func(t *testing.T) {
					p := planOf(t, write(t, fmt.Sprintf(c.model, context), stream), fmt.Sprintf("devices.kind=%q", device), "batch.sequences=1")
					l := newLab(t, p, 2)
					l.check(l.set.Fill(1, 1, l.batch))
					want := l.logits()
					for _, n := range []int{1, 2, 39, 40, 63, 64, 65, 66, 127, 128, 129, 149} {
						if n <= context {
							l.compareGeneration(n, want, tolerance)
						}
					}
				})
			}
		}
	}
}

// compareGeneration prompts with the first n tokens of the batch, and goes on with a few of those that follow.
func (l *lab) compareGeneration(n int, want []float64, tolerance float64) {
	l.t.Helper()
	g, err := runtime.NewGenerator(l.machine)
	l.check(err)
	width := l.plan.Model.Outputs
	for end := n; end <= min(n+3, l.batch.Length); end++ {
		if end == n {
			l.check(g.Prompt(l.batch.Tokens[:n]))
		} else {
			g.Append(l.batch.Tokens[end-1])
		}
		got, err := g.Next()
		l.check(err)
		if far := farthest(got, want[(end-1)*width:end*width]); !(far <= tolerance) {
			l.t.Errorf("a prompt of %d tokens: the logits behind token %d are apart by %.2g", n, end, far)
		}
	}
}

// When the context is full, generation goes on with its later half.
func TestGenerationGoesOnWhenTheContextIsFull(t *testing.T) {
	p := planOf(t, write(t, llama, stream), "batch.sequences=1", `devices.kind="ref"`)
	l := newLab(t, p, 1)
	l.check(l.set.Fill(1, 1, l.batch))
	long, half := newGenerator(l, append(l.batch.Tokens[:16:16], 'a')), newGenerator(newLab(t, p, 1), append(l.batch.Tokens[9:16:16], 'a'))
	got, err := long.Next()
	l.check(err)
	want, err := half.Next()
	l.check(err)
	if far := farthest(got, want); far > 1e-12 {
		t.Errorf("logits apart by %.2g", far)
	}
}

func newGenerator(l *lab, prompt []int32) *runtime.Generator {
	l.t.Helper()
	g, err := runtime.NewGenerator(l.machine)
	l.check(err)
	l.check(g.Prompt(prompt))
	return g
}
