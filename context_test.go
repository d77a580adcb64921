package gsc_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// contextTokens are the tokens of a batch, whatever the context.
const contextTokens = 8192

// contextPlan is a small GPT-2 at one context, its batch always of contextTokens.
func contextPlan(t testing.TB, context int) *plan.Plan {
	t.Helper()
	path := write(t, fmt.Sprintf("schema.#GPT2 & {layers: 2, heads: 4, width: 256, context: %d}", context), stream)
	save(t, filepath.Join(filepath.Dir(path), "plays.txt"), strings.Repeat("So shaken as we are, so wan with care.\n", 4000))
	return planOf(t, path, fmt.Sprintf("batch={sequences: %d, micro_batches: 1}", contextTokens/context), `memory.recompute="none"`)
}

// activationBytes are what the plan's activations and workspaces take when they take most.
func activationBytes(p *plan.Plan) (sum int64) {
	for _, c := range p.Memory().Classes {
		if c.Class == plan.Activation || c.Class == plan.Workspace {
			sum += c.SizeBytes
		}
	}
	return sum
}

// With the tokens of a batch kept, activations take the same memory at any context: nothing is held for each pair of tokens.
func TestContextKeepsActivations(t *testing.T) {
	short := activationBytes(contextPlan(t, 512))
	for _, context := range []int{2048, 8192} {
		if long := activationBytes(contextPlan(t, context)); math.Abs(float64(long)/float64(short)-1) > 0.05 {
			t.Errorf("activations take %d bytes at context 512 and %d at %d", short, long, context)
		}
	}
}

// attentionFlop is what attention computes in a training step.
func attentionFlop(p *plan.Plan) (sum float64) {
	st := &p.Stages[0]
	for _, call := range st.Schedule(plan.Train, p.Data.Length).Calls {
		program := st.Program(call.Program)
		for i := range program.Instructions {
			in := &program.Instructions[i]
			if in.Op != kernels.Attention && in.Op != kernels.AttentionGrad {
				continue
			}
			if sizes, err := kernels.Check(in.Op, in.Attrs, st.Tensors(in)); err == nil {
				sum += kernels.FlopsOf(in.Op, sizes, in.Attrs)
			}
		}
	}
	return sum
}

// With the tokens of a batch kept, a longer context costs what attention's further operations take: each of
// them costs at every context what it does between the two shortest, within 15 %.
func TestContextCost(t *testing.T) {
	if os.Getenv("GSC_LONG") == "" {
		t.Skip("times steps for a minute, on a machine that does nothing else: set GSC_LONG=1")
	}
	contexts := []int{512, 1024, 2048, 4096, 8192}
	seconds, flop := stepSeconds(t, contexts)
	first := 0.0
	for i := 1; i < len(contexts); i++ {
		each := (seconds[i] - seconds[0]) / (flop[i] - flop[0])
		if i == 1 {
			first = each
		}
		t.Logf("context %d: %.3f s a step, %.3f s more than at %d, %.1f GFLOP/s of further attention", contexts[i], seconds[i],
			seconds[i]-seconds[0], contexts[0], 1e-9/each)
		if i > 1 && math.Abs(each/first-1) > 0.15 {
			t.Errorf("context %d: an operation of attention takes %.0f %% of what it takes at %d", contexts[i], 100*each/first, contexts[1])
		}
	}
}

// stepSeconds is the median time of a step, and attention's operations in it, at each context. The contexts take turns.
func stepSeconds(t *testing.T, contexts []int) (seconds, flop []float64) {
	const rounds = 5
	labs, times := make([]*lab, len(contexts)), make([][]float64, len(contexts))
	for i, context := range contexts {
		labs[i] = newLab(t, contextPlan(t, context), 0)
		labs[i].step(1, 0)
	}
	for n := range int64(rounds) {
		for i, l := range labs {
			start := time.Now()
			l.step(n+2, 0)
			times[i] = append(times[i], time.Since(start).Seconds())
		}
	}
	for i, l := range labs {
		slices.Sort(times[i])
		seconds, flop = append(seconds, times[i][rounds/2]), append(flop, attentionFlop(l.plan))
	}
	return seconds, flop
}
