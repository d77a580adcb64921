package gsc_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/data"
)

// countedLab is a lab of one thread a rank, with the bytes that all its ranks have sent.
func countedLab(t *testing.T, p *plan.Plan) (*lab, *atomic.Int64) {
	var sent atomic.Int64
	world := local.NewWorld(p.Ranks(), local.Options{})
	return joinLab(t, p, 1, world, func(axis string, ranks []int, rank int) (collectives.Group, error) {
		g, err := world.Group(axis, ranks, rank)
		return counted{g, func(one []collectives.Call, n int) {
			for _, c := range one {
				sent.Add(c.Traffic(n))
			}
		}}, err
	}), &sent
}

// learning is what four ranks learn by an optimizer, and how the rate goes: up for a fifth of the steps, then down to a tenth.
type learning struct {
	path      string
	steps     int
	optimizer string
	peak      float64
	set       []string
}

func (n *learning) rate(step int) float64 {
	return n.peak * min(1, 5*float64(step)/float64(n.steps)) * (0.55 + 0.45*math.Cos(math.Pi*float64(step)/float64(n.steps)))
}

// learn gives the validation loss at the end, and the bytes that a rank sends in a step once gradients are coded. All bytes that were sent are those that were planned.
func (n *learning) learn(t *testing.T, set ...string) (loss, bytes float64) {
	l, sent := countedLab(t, planOf(t, n.path, slices.Concat(n.set, set, []string{"batch.sequences=12", mesh(4), fmt.Sprintf("schedule.steps=%d", n.steps), n.optimizer})...))
	planned := int64(0)
	for step := range n.steps {
		l.step(int64(step+1), n.rate(step+1))
		for _, traffic := range l.plan.Traffic(0, l.plan.Training.Schedule(int64(step+1))) {
			planned += traffic.SentBytes * int64(l.plan.Ranks())
		}
	}
	if got := sent.Load(); got != planned {
		t.Errorf("%v: %d bytes were sent, %d planned", set, got, planned)
	}
	for _, traffic := range l.plan.Traffic(0, plan.Train) {
		bytes += float64(traffic.SentBytes)
	}
	return l.evaluate(data.Validation), bytes
}

// learnsAsWell holds what is learnt with codes to a share more of the loss without, and a rank's bytes to so many times fewer.
func (n *learning) learnsAsWell(t *testing.T, share float64, fewer map[string]float64) {
	whole, wholeBytes := n.learn(t)
	t.Logf("%s, added up: loss %.4f, %.0f bytes a rank and step", n.optimizer, whole, wholeBytes)
	for _, setting := range slices.Sorted(maps.Keys(fewer)) {
		loss, bytes := n.learn(t, setting)
		t.Logf("%s: loss %.4f (%+.2f %%), %.0f bytes a rank and step, %.1f times fewer", strings.TrimPrefix(setting, "parallel.codec="), loss, 100*(loss/whole-1), bytes, wholeBytes/bytes)
		if !(loss <= (1+share)*whole) || wholeBytes < fewer[setting]*bytes {
			t.Errorf("%s: loss %.4f, %.4f without; %.1f times fewer bytes, want %g", setting, loss, whole, wholeBytes/bytes, fewer[setting])
		}
	}
}

// tenth sends a tenth of the numbers.
const tenth = `parallel.codec={kind: "top_k", share: 0.1}`

// The optimizers that are trained with, and their peak rates.
const (
	byLion  = `optimizer={kind: "lion", betas: [0.9, 0.99], weight_decay: 0.1, clip_norm: 1}`
	byAdamW = `optimizer={kind: "adamw", betas: [0.9, 0.99], weight_decay: 0.1, clip_norm: 1}`
)

// What four ranks learn of Shakespeare in 500 steps with coded gradients is as good as without, within 2 %, for a fraction of the bytes that go over the wire: by Lion from the first
// step on, by AdamW behind the steps without codes that it gets where the strategy says nothing. Other optimizers lose more by codes: see RATIONALE.md.
func TestCodecsLearnAsWell(t *testing.T) {
	text := os.Getenv("GSC_TEXT")
	if os.Getenv("GSC_LONG") == "" || text == "" {
		t.Skip("trains for minutes: set GSC_LONG=1, and GSC_TEXT to the file of tiny Shakespeare")
	}
	model := `schema.#GPT2 & {layers: 4, heads: 4, width: 128, context: 64, bias: false}`
	path := write(t, model, fmt.Sprintf(`{tokenizer: kind: "characters", train: files: [%q], split: {by: "bytes", validation: 0.1}, order: "random"}`, text))
	fewer := map[string]float64{oneBit: 14, tenth: 2.4}
	(&learning{path: path, steps: 500, optimizer: byLion, peak: 3e-4}).learnsAsWell(t, 0.02, fewer)
	(&learning{path: path, steps: 500, optimizer: byAdamW, peak: 1e-3}).learnsAsWell(t, 0.02, fewer)
}

// The same, in little: a small model and a short run, of which codes cost more of what is learnt.
func TestCodecsLearn(t *testing.T) {
	n := &learning{path: write(t, sober, stream), steps: 40, optimizer: byAdamW, peak: 3e-3, set: []string{"data.length=16"}}
	n.learnsAsWell(t, 0.05, map[string]float64{oneBit: 5, tenth: 2})
}
