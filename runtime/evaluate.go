package runtime

import (
	"context"
	"fmt"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/data"
	"github.com/gsc-project/gsc/runtime/data/metric"
	"github.com/gsc-project/gsc/runtime/monitor"
)

// Scores are the figures of an evaluation: the loss, and the plan's metrics.
type Scores []monitor.Value

// Get is a figure by name; false when it was not measured.
func (s Scores) Get(name string) (float64, bool) {
	for _, v := range s {
		if v.Name == name {
			return v.Value, true
		}
	}
	return 0, false
}

// cost is the figure that decides which evaluation is best, as a cost: less is better.
func (s Scores) cost(name string) float64 {
	if name == "" || name == "loss" {
		v, _ := s.Get("loss")
		return v
	}
	v, _ := s.Get(name)
	return -v
}

func (s Scores) String() string {
	var b strings.Builder
	for _, v := range s {
		fmt.Fprintf(&b, "%-10s %.4f\n", v.Name, v.Value)
	}
	return b.String()
}

// Evaluate scores the weights of a plan's ranks on a split.
func Evaluate(ctx context.Context, r *Ranks, set *data.Set, split data.Split) (Scores, error) {
	return newScorer(r, set).score(ctx, set.Evaluation(split, r.First().Plan.BatchRows(), 0))
}

// scorer makes scores of a pass over a split. What it holds is reused from pass to pass.
type scorer struct {
	ranks       *Ranks
	machine     *Machine
	metrics     []string
	batch       *data.Batch
	predictions []int32
}

func newScorer(r *Ranks, set *data.Set) *scorer {
	p := r.First().Plan
	return &scorer{ranks: r, machine: r.First(), metrics: p.Training.Evaluation.Metrics, batch: data.NewBatch(set.Spec(), p.BatchRows())}
}

func (s *scorer) score(ctx context.Context, pass *data.Pass) (Scores, error) {
	classes, entities := s.counters()
	sum, weight := 0.0, 0.0
	for i := range pass.Batches() {
		if err := s.ranks.apart.Stopped(ctx); err != nil {
			return nil, err
		}
		if err := pass.Fill(i, s.batch); err != nil {
			return nil, err
		}
		loss, err := s.ranks.Evaluate(s.batch, 0)
		if err != nil {
			return nil, err
		}
		sum += loss
		weight += s.batch.Weight
		if err := s.count(classes, entities); err != nil {
			return nil, err
		}
	}
	if weight == 0 {
		return nil, fmt.Errorf("nothing is scored in the split that is evaluated")
	}
	scores := Scores{{Name: "loss", Value: sum / weight}}
	for _, name := range s.metrics {
		scores = append(scores, monitor.Value{Name: name, Value: measure(name, classes, entities)})
	}
	return scores, nil
}

// counters are what the plan's metrics need; nil what they do not.
func (s *scorer) counters() (classes *metric.Classes, entities *metric.Entities) {
	for _, name := range s.metrics {
		if name == "entity_f1" {
			entities = metric.NewEntities(s.machine.Plan.Data.Labels)
		} else {
			classes = metric.NewClasses(s.machine.Plan.Model.Outputs)
		}
	}
	return classes, entities
}

// count adds the predictions of the batch that was just evaluated.
func (s *scorer) count(classes *metric.Classes, entities *metric.Entities) error {
	if classes == nil && entities == nil {
		return nil
	}
	b := s.machine.Evaluated(s.batch.Length, "predictions")
	if b == nil {
		return fmt.Errorf("the plan predicts no classes, so there is no %s", strings.Join(s.metrics, ", "))
	}
	n := kernels.Elements(b.Shape())
	if cap(s.predictions) < n {
		s.predictions = make([]int32, n)
	}
	s.predictions = s.predictions[:n]
	if err := s.machine.Read(b, bytesOf(s.predictions)); err != nil {
		return err
	}
	s.predictions = unpadded(s.predictions, b, s.batch)
	ignore := int32(s.machine.Plan.Data.Ignore)
	if classes != nil {
		classes.Add(s.predictions, s.batch.Labels, ignore)
	}
	if entities != nil {
		s.countEntities(entities, ignore)
	}
	return nil
}

// unpadded leaves out the rows and tokens that pad a batch.
func unpadded(predictions []int32, b *plan.Buffer, batch *data.Batch) []int32 {
	if len(b.Dims) < 2 {
		return predictions[:batch.Rows]
	}
	long := b.Dims[1].Size
	for row := range batch.Rows {
		copy(predictions[row*batch.Length:][:batch.Length], predictions[row*long:])
	}
	return predictions[:batch.Rows*batch.Length]
}

func (s *scorer) countEntities(entities *metric.Entities, ignore int32) {
	t := s.batch.Length
	for row := range s.batch.Rows {
		predicted, labels := s.predictions[row*t:(row+1)*t], s.batch.Labels[row*t:(row+1)*t]
		if s.batch.Segments != nil {
			entities.AddPacked(predicted, labels, s.batch.Segments[row*t:(row+1)*t], ignore)
		} else {
			entities.Add(predicted, labels, ignore)
		}
	}
}

func measure(name string, classes *metric.Classes, entities *metric.Entities) float64 {
	switch name {
	case "accuracy":
		return classes.Accuracy()
	case "f1":
		return classes.MacroF1()
	}
	return entities.F1()
}
