package gsc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
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
	for i, c := range []struct{ name, model, data string }{
		{"stream", gpt2, stream}, {"packed", gpt2, packed}, {"padded", llama, padded}, {"grouped", qwen2, packed}, {"windows", gemma, stream}, {"tags", bertTokens, tags}, {"rows", bertRows, kinds},
	} {
		for _, device := range []string{"cpu", "ref"} {
			t.Run(c.name+"/"+device, func(t *testing.T) {
				one := learn(t, device, c.model, c.data, 10, "batch.sequences=4")
				for k, cut := range rings {
					oneHead := c.name == "grouped" || c.name == "windows" // for keys and values
					if oneHead && slices.Contains(cut, "parallel.mesh.tensor=2") || device == "cpu" && k%2 != i%2 {
						continue
					}
					one.shared(t, cut...)
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

// Of keys and values a rank holds its own block and two in flight, whatever the number of ranks: with twice as many ranks, the memory of what is
// computed is half as large, where that of gathered keys and values stays.
func TestRingMemory(t *testing.T) {
	path := write(t, strings.Replace(wide, "context: 160", "context: 2048", 1), stream)
	computed := func(how string, ranks int) int64 {
		p := planOf(t, path, "batch.sequences=1", "data.length=2048", fmt.Sprintf("parallel.mesh.sequence=%d", ranks), fmt.Sprintf("parallel.attention=%q", how))
		lasting := int64(0)
		for _, b := range p.Stages[0].Buffers {
			if b.Lasting || b.Class == plan.Gradient {
				lasting += b.SizeBytes()
			}
		}
		return p.Arenas[0].SizeBytes - lasting
	}
	if two, four, eight := computed("ring", 2), computed("ring", 4), computed("ring", 8); float64(four) > 0.55*float64(two) || float64(eight) > 0.55*float64(four) {
		t.Errorf("2, 4 and 8 ranks of a ring take %d, %d and %d bytes", two, four, eight)
	}
	if four, eight := computed("gather", 4), computed("gather", 8); float64(eight) < 0.6*float64(four) {
		t.Errorf("4 and 8 ranks that gather take %d and %d bytes: the comparison shows nothing", four, eight)
	}
	p := planOf(t, path, "batch.sequences=1", "data.length=2048", "parallel.mesh.sequence=8", `parallel.attention="ring"`, `memory.recompute="full"`)
	for _, program := range p.Stages[0].Programs {
		places, passed := map[int64]bool{}, 0
		for _, in := range program.Instructions {
			if in.Op != kernels.RingShift || !strings.Contains(in.Name, "h.0.attn.scores.k.ring") && !strings.Contains(in.Name, "h.0.attn.scores.grad.k.ring") {
				continue
			}
			b := p.Stages[0].Buffers[in.Operands[1].Buffer]
			passed++
			places[b.Offset] = true
			if in.Stream == 0 || b.Dims[1].Size != 256 {
				t.Errorf("%s: %s: stream %d, dims %v", program.Name, in.Name, in.Stream, b.Dims)
			}
		}
		if passed > 0 && (passed%7 != 0 || len(places) > 2*passed/7) {
			t.Errorf("%s: %d blocks of keys lie in %d places", program.Name, passed, len(places))
		}
	}
}

// Each block but the first is passed on while the one before it is worked on.
func TestRingOverlaps(t *testing.T) {
	for _, recompute := range []string{"none", "full"} {
		p := planOf(t, write(t, gpt2, stream), append(around(4), fmt.Sprintf("memory.recompute=%q", recompute))...)
		for _, program := range p.Stages[0].Programs {
			signalled, attending := map[int]int{}, 0 // the attention that a shift of keys or values was begun before
			for i, in := range program.Instructions {
				if in.Op == kernels.RingShift && in.Signal > 0 {
					signalled[in.Signal] = attending
				}
				if in.Op != kernels.Attention && in.Op != kernels.AttentionGrad {
					continue
				}
				for _, event := range in.Wait {
					if begun, ok := signalled[event]; ok && begun != attending-1 {
						t.Errorf("recompute %s, %s, instruction %d (%s): what it waits for was begun before attention %d, not %d", recompute, program.Name, i, in.Name, begun, attending-1)
					}
				}
				attending++
			}
		}
	}
}

// A step round a ring allocates nothing.
func TestRingAllocatesNothing(t *testing.T) {
	l := newLab(t, planOf(t, write(t, gpt2, packed), around(2)...), 1)
	l.step(1, 0.01)
	l.allocatesNothing(10)
}

// BenchmarkRing trains over a link that needs half as long for the blocks that are passed as the processor for what is computed. The sums of gradients,
// an eighth of what is passed, are waited for.
func BenchmarkRing(b *testing.B) {
	path := write(b, `schema.#GPT2 & {layers: 2, heads: 4, width: 128, context: 1024}`, stream)
	set := append(around(2), "batch.sequences=4")
	p := planOf(b, path, set...)
	computed, sent := stepTime(b, p, nil), int64(0)
	for _, t := range p.Traffic(0, plan.Train) {
		if t.Op == kernels.RingShift {
			sent += t.SentBytes
		}
	}
	link := &collectives.Link{Latency: 10 * time.Microsecond, BytesPerSecond: float64(sent) / (computed / 2).Seconds()}
	beside, apart := stepTime(b, p, link), stepTime(b, serialised(planOf(b, path, set...)), link)
	b.ReportMetric(computed.Seconds()*1e3, "computed-ms")
	b.ReportMetric(beside.Seconds()/computed.Seconds(), "of-computed")
	b.ReportMetric(beside.Seconds()/apart.Seconds(), "of-serialised")
}
