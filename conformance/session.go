package conformance

import (
	"errors"
	"io"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/data"
)

// planFor plans a strategy with settings of its section parallel.
func planFor(file, device string, threads int, mesh []string) (*plan.Plan, error) {
	options := gsc.Options{Device: device, Threads: threads}
	for _, setting := range mesh {
		options.Set = append(options.Set, "parallel."+setting)
	}
	return gsc.Plan(file, options)
}

// session is a plan that can be trained step by step: its devices, its data and its weights as they start.
type session struct {
	plan   *plan.Plan
	ranks  *runtime.Ranks
	closer io.Closer
	set    *data.Set
	batch  *data.Batch // of a step
}

// newSession binds a plan, opens its data and gives the weights their starting values.
func newSession(p *plan.Plan, level string, threads int) (s *session, err error) {
	s = &session{plan: p}
	if s.ranks, s.closer, err = gsc.Bind(p, level, threads); err != nil {
		return nil, err
	}
	s.set, err = data.Open(p.Data)
	if err == nil {
		err = s.ranks.Start()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.batch = data.NewBatch(p.Data, p.Training.Sequences)
	return s, nil
}

func (s *session) close() error { return s.closer.Close() }

// fill makes the batch that of a step.
func (s *session) fill(step int) error {
	return s.set.Fill(s.plan.Training.Seed, int64(step), s.batch)
}

// step trains on the batch.
func (s *session) step(step int, rate float64) (runtime.Result, error) {
	return s.ranks.Train(s.batch, int64(step), rate)
}

// weights are the whole weights by name.
func (s *session) weights() (map[string][]float64, error) {
	weights := map[string][]float64{}
	for i := range s.plan.Tensors {
		t := &s.plan.Tensors[i]
		if t.Class != plan.Weight {
			continue
		}
		values, err := s.ranks.Tensor(t.Name)
		if err != nil {
			return nil, err
		}
		weights[t.Name] = values
	}
	return weights, nil
}
