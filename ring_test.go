package gsc_test

import (
	"fmt"
	"slices"
	"testing"

)

// around lets attention go round so many ranks.
func around(ranks int) []string {
	return []string{fmt.Sprintf("parallel.mesh.sequence=%d", ranks), `parallel.attention="ring"`}
}

// rings are ways to share a step out with attention that goes round.
var rings = [][]string{
	around(2), around(4), append(around(3), `memory.recompute="full"`), append(around(2), mesh(2), "parallel.zero=3", `memory.recompute="selective"`),
	append(around(2), "parallel.mesh.tensor=2", megatron, "batch.micro_batches=2"), append(around(4), mesh(2), "parallel.zero=1", "batch.micro_batches=2", `memory.recompute="full"`),
}

// Ranks round which keys and values pass learn what one rank learns, whatever hides or drops keys: the causal rule, windows, soft caps, packed and padded
// rows, tokens that do not divide, and heads that do not.
func TestRingLearnsTheSame(t *testing.T) {
	for _, c := range []struct{ name, model, data string }{
		{"stream", gpt2, stream}, {"packed", gpt2, packed}, {"padded", llama, padded}, {"grouped", qwen2, packed}, {"windows", gemma, stream}, {"tags", bertTokens, tags}, {"rows", bertRows, kinds},
	} {
		for device, tolerance := range map[string]float64{"cpu": 1e-6, "ref": 1e-9} {
			t.Run(c.name+"/"+device, func(t *testing.T) {
				path := write(t, c.model, c.data)
				set := append(objective(c.data), "batch.sequences=4", "data.length=16", fmt.Sprintf("devices.kind=%q", device))
				set = append(set, map[string]string{"cpu": `optimizer={kind: "sgd", momentum: 0.9, clip_norm: 1}`, "ref": "optimizer={epsilon: 1e-6, clip_norm: 1}"}[device])
				one := newLab(t, planOf(t, path, set...), 1)
				want := one.train(10)
				for _, cut := range rings {
					if slices.Contains(cut, "parallel.mesh.tensor=2") && c.name == "grouped" || c.name == "windows" && slices.Contains(cut, "parallel.mesh.tensor=2") {
						continue // one key-value head
					}
					l := newLab(t, planOf(t, path, append(set, cut...)...), 1)
					got := l.train(10)
					if far := farthest(got, want); !(far <= tolerance) {
						t.Errorf("%v: losses %v, of one rank %v: apart by %.2g", cut, got, want, far)
					}
					for _, name := range l.weights() {
						if far := distance(l.tensor(name), one.tensor(name)); !(far <= tolerance) {
							t.Errorf("%v: %s is apart by %.2g", cut, name, far)
						}
					}
				}
			})
		}
	}
}

// Stages of ZeRO, runs and threads change no bit of what is learnt round a ring.
func TestRingHoldsTheSameBits(t *testing.T) {
	path := write(t, llama, packed)
	var want []float64
	var bits string
	for zero := range 4 {
		for _, threads := range []int{1, 2} {
			l := newLab(t, planOf(t, path, append(around(2), mesh(2), "batch.sequences=8", "batch.micro_batches=2", `parallel.reduce="each"`, fmt.Sprintf("parallel.zero=%d", zero))...), threads)
			got := l.train(3)
			if want == nil {
				want, bits = got, l.digest()
			}
			if !slices.Equal(got, want) || l.digest() != bits {
				t.Errorf("zero %d, %d threads: losses %v, not %v; the same weights and state: %t", zero, threads, got, want, l.digest() == bits)
			}
		}
	}
}
