package gsc_test

import (
	"math"
	"slices"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/data"
)

// Rows are padded to the least bucket that holds a batch; a plan has programs
// for each, and they learn and score what one bucket for all does, but for dropout, whose bits
// belong to places in tensors of another shape.
func TestBucketsLearnTheSameAsOne(t *testing.T) {
	path := write(t, `schema.#BERT & {task: "tokens", layers: 2, heads: 2, width: 12, context: 64, std: 0.3, epsilon: 1e-3}`, tags)
	metrics := `evaluate={every: 0, metrics: ["accuracy", "f1", "entity_f1"]}`
	whole := newLab(t, planOf(t, path, "data.buckets=[64]", metrics), 2)
	cut := newLab(t, planOf(t, path, "data.buckets=[16, 32, 64]", metrics), 2)
	for _, length := range []int{16, 32, 64} {
		for _, kind := range []string{plan.Train, plan.Evaluate} {
			if cut.plan.Stages[0].Schedule(kind, length) == nil {
				t.Errorf("there is no schedule %s for rows of %d tokens", kind, length)
			}
		}
	}
	lengths := map[int]int{}
	for n := range int64(12) {
		want, got := whole.step(n+1, 0.01), cut.step(n+1, 0.01)
		lengths[cut.batch.Length]++
		if far := math.Abs(got.Loss/want.Loss - 1); !(far < 1e-5) {
			t.Errorf("step %d, padded to %d: loss %v, padded to 64 %v", n+1, cut.batch.Length, got.Loss, want.Loss)
		}
		if !slices.Equal(cut.batch.Index, whole.batch.Index) {
			t.Errorf("step %d takes the rows %v, and in one bucket %v", n+1, cut.batch.Index, whole.batch.Index)
		}
	}
	if len(lengths) < 2 {
		t.Errorf("all batches are padded to %v tokens: these data show nothing", lengths)
	}
	if want, got := whole.evaluate(data.Validation), cut.evaluate(data.Validation); !(math.Abs(got/want-1) < 1e-5) {
		t.Errorf("validation loss %v, in one bucket %v", got, want)
	}
}

// A model of tags reports accuracy, F1 over the tags and F1 over entities, and
// all are near 1 where it has learnt its few sentences.
func TestTagMetricsAreReported(t *testing.T) {
	path := write(t, `schema.#BERT & {task: "tokens", layers: 1, heads: 2, width: 32, context: 64, std: 0.1}`, tags)
	dir := mustTrain(t, path, "run", "data.buckets=[32, 64]", `evaluate={every: 30, metrics: ["accuracy", "f1", "entity_f1"], best: "entity_f1"}`,
		"schedule.steps=120", "batch.sequences=10")
	lines := metrics(t, dir)
	for _, name := range []string{"accuracy", "f1", "entity_f1"} {
		values := column(lines, "validation_"+name)
		if len(values) != 4 || slices.Max(values) < 0.9 || slices.Max(values) > 1 {
			t.Errorf("%s: %v; want 4 evaluations, and a model that has learnt 20 sentences", name, values)
		}
		scores, err := gsc.Evaluate(t.Context(), dir, gsc.EvalOptions{Split: "validation"})
		if got, ok := scores.Get(name); err != nil || !ok || got != values[3] {
			t.Errorf("%s: evaluated %v, when it was trained %v (%v)", name, got, values[3], err)
		}
	}
}
