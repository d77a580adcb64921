package gsc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/runtime/data"
)

// The same plan gives the same bits with 1, 2 and 4 threads.
func TestThreadsChangeNoBit(t *testing.T) {
	for _, a := range architectures {
		t.Run(a.name, func(t *testing.T) {
			p := planOf(t, write(t, a.model, a.data), "batch.micro_batches=2")
			var want string
			for _, threads := range []int{1, 2, 4} {
				l := newLab(t, p, threads)
				l.train(3)
				if got := l.digest(); want == "" {
					want = got
				} else if got != want {
					t.Errorf("%d threads: weights %s, with 1 thread %s", threads, got, want)
				}
			}
		})
	}
}

// A model whose products, norms and attention are large enough to be cut among threads.
const wide = `schema.#GPT2 & {layers: 2, heads: 3, width: 96, context: 160, dropout: {embedding: 0.1, attention: 0.1, residual: 0.1}}`

func TestThreadsChangeNoBitOfALargeModel(t *testing.T) {
	p := planOf(t, write(t, wide, stream), "batch.micro_batches=2", "optimizer.clip_norm=0.5")
	one, four := newLab(t, p, 1), newLab(t, p, 4)
	one.train(2)
	four.train(2)
	if one.digest() != four.digest() {
		t.Error("4 threads and 1 thread end with different weights")
	}
}

// The loss of a step is Σwℓ/Σw over the whole step, however it falls into micro-batches: they
// learn the same thing, scored raggedly too, with the same dropout.
func TestMicroBatchesLearnTheSame(t *testing.T) {
	for _, c := range []struct{ name, model, data string }{
		{"stream", gpt2, stream}, {"packed", gpt2, packed}, {"padded", llama, padded}, {"tags", bertTokens, tags}, {"rows", bertRows, kinds},
		{"numbers", bertRows, sizes},
	} {
		for device, tolerance := range map[string]float64{"cpu": 1e-6, "ref": 1e-12} {
			t.Run(c.name+"/"+device, func(t *testing.T) {
				path := write(t, c.model, c.data)
				var want []float64
				for _, count := range []int{1, 2, 4} {
					p := planOf(t, path, append(objective(c.data), "data.length=16", fmt.Sprintf("batch.micro_batches=%d", count), fmt.Sprintf("devices.kind=%q", device),
						`optimizer={kind: "sgd", momentum: 0.9, clip_norm: 1}`)...)
					got := newLab(t, p, 2).train(4)
					if want == nil {
						want = got
					}
					if far := farthest(got, want); !(far <= tolerance) {
						t.Errorf("%d micro-batches: losses %v, in one %v: apart by %.2g", count, got, want, far)
					}
				}
			})
		}
	}
}

// objective is the loss for labels that are numbers.
func objective(data string) []string {
	if data == sizes {
		return []string{`objective.loss="squared_error"`}
	}
	return nil
}

// What is computed again instead of kept gives the same bits.
func TestRecomputingChangesNoBit(t *testing.T) {
	for _, a := range architectures {
		t.Run(a.name, func(t *testing.T) {
			path := write(t, a.model, a.data)
			var want string
			for _, policy := range []string{"none", "selective", "full"} {
				l := newLab(t, planOf(t, path, "batch.micro_batches=2", fmt.Sprintf("memory.recompute=%q", policy)), 2)
				l.train(3)
				if got := l.digest(); want == "" {
					want = got
				} else if got != want {
					t.Errorf("recompute %s: weights %s, with none %s", policy, got, want)
				}
			}
		})
	}
}

// What products take in of what follows them, and the cross entropy of its gradient, is the same mathematics.
func TestFusionChangesNothing(t *testing.T) {
	for _, a := range architectures {
		for device, tolerance := range map[string]float64{"cpu": 1e-6, "ref": 1e-12} {
			t.Run(a.name+"/"+device, func(t *testing.T) {
				path := write(t, a.model, a.data)
				trained := func(fuse bool) ([]float64, string) {
					l := newLab(t, planOf(t, path, "batch.micro_batches=2", `optimizer={kind: "sgd", momentum: 0.9, clip_norm: 1}`,
						fmt.Sprintf("devices.kind=%q", device), fmt.Sprintf("compile.fuse=%t", fuse)), 2)
					return append(l.train(4), l.evaluate(data.Train)), string(l.plan.Text())
				}
				fused, text := trained(true)
				apart, plain := trained(false)
				if far := farthest(fused, apart); !(far <= tolerance) {
					t.Errorf("losses %v, unfused %v: apart by %.2g", fused, apart, far)
				}
				if !strings.Contains(text, "+grad") || !strings.Contains(text, "residual=") || strings.Contains(plain, "+grad") || strings.Contains(plain, "residual=") {
					t.Error("the plans do not show what is fused")
				}
			})
		}
	}
}

// The losses of chunks are the bits of the whole; gradients are sums in another order.
func TestLossChunksChangeNothing(t *testing.T) {
	for _, a := range append(architectures[:len(architectures):len(architectures)],
		struct{ name, model, data string }{"gpt2-packed", gpt2, packed}, struct{ name, model, data string }{"bert-numbers", bertRows, sizes}) {
		for device, tolerance := range map[string]float64{"cpu": 1e-6, "ref": 1e-12} {
			t.Run(a.name+"/"+device, func(t *testing.T) {
				path := write(t, a.model, a.data)
				trained := func(more ...string) []float64 {
					l := newLab(t, planOf(t, path, append(append(objective(a.data), `optimizer={kind: "sgd", momentum: 0.9, clip_norm: 1}`,
						"batch.micro_batches=2", fmt.Sprintf("devices.kind=%q", device)), more...)...), 2)
					return append(l.train(4), l.evaluate(data.Train))
				}
				whole := trained("memory.loss_chunks=1")
				for _, chunks := range []string{"2", "3", "1000"} {
					got := trained("memory.loss_chunks="+chunks, `memory.recompute="full"`)
					if far := farthest(got, whole); !(far <= tolerance) {
						t.Errorf("%s chunks: losses %v, whole %v: apart by %.2g", chunks, got, whole, far)
					}
				}
			})
		}
	}
}

// The first loss, of equal weights, has the same bits in chunks as whole: what a row gives depends on no other.
func TestLossOfChunksHasTheSameBits(t *testing.T) {
	path := write(t, wide, stream)
	want := newLab(t, planOf(t, path, "memory.loss_chunks=1"), 2).train(1)
	for _, chunks := range []int{2, 3, 7} {
		if got := newLab(t, planOf(t, path, fmt.Sprintf("memory.loss_chunks=%d", chunks)), 2).train(1); got[0] != want[0] {
			t.Errorf("%d chunks: loss %v, whole %v", chunks, got[0], want[0])
		}
	}
}
