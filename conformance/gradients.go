package conformance

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
)

// gradientTerms are what each rank has of the gradients of a step, before its update adds them up.
type gradientTerms struct {
	sync.Mutex
	of map[*runtime.Machine]map[string][]float64
}

// keepGradients has each rank keep its terms of the weights' gradients in the next step.
func (s *session) keepGradients() *gradientTerms {
	g := &gradientTerms{of: map[*runtime.Machine]map[string][]float64{}}
	s.ranks.BeforeUpdate(func(m *runtime.Machine) {
		terms := map[string][]float64{}
		for i := range s.plan.Tensors {
			if t := &s.plan.Tensors[i]; t.Class == plan.Weight {
				terms[t.Name] = m.Gradient(t.Name)
			}
		}
		g.Lock()
		defer g.Unlock()
		g.of[m] = terms
	})
	return g
}

// gradients are the whole gradients of the step that was just taken, by weight.
func (s *session) gradients(g *gradientTerms) (map[string][]float64, error) {
	s.ranks.BeforeUpdate(nil)
	whole := map[string][]float64{}
	for i := range s.plan.Tensors {
		t := &s.plan.Tensors[i]
		if t.Class != plan.Weight {
			continue
		}
		terms, err := s.ranks.Gather(func(m *runtime.Machine) []float64 { return g.of[m][t.Name] })
		if err != nil {
			return nil, err
		}
		whole[t.Name] = joinGradient(s.plan, t, terms)
	}
	return whole, nil
}

// joinGradient adds up and puts together a weight's gradient, of which each rank that has the weight has a term.
func joinGradient(p *plan.Plan, t *plan.Tensor, terms [][]float64) []float64 {
	sum := make([]float64, kernels.Elements(t.Shape()))
	cut := *t
	cut.Part = "" // that is of the weight alone
	for stage := range p.Stages {
		axes := summedAlong(&p.Stages[stage], t.Name)
		for rank, term := range terms {
			if p.StageOf(rank) != stage || len(term) == 0 || repeats(p, t, rank, axes) {
				continue
			}
			for _, run := range p.Runs(&cut, rank) {
				for i := range run.N {
					sum[run.First+i] += term[i]
				}
				term = term[run.N:]
			}
		}
	}
	return sum
}

// repeats says whether another rank has the same of a gradient: along an axis that neither cuts the weight nor has its terms added up all are alike.
func repeats(p *plan.Plan, t *plan.Tensor, rank int, summed map[string]bool) bool {
	return slices.ContainsFunc(p.Mesh, func(a plan.Axis) bool {
		return a.Name != plan.AxisPipeline && a.Name != t.Cut.Axis && !summed[a.Name] && p.Place(rank, a.Name) > 0
	})
}

// summedAlong are the axes along which a stage's ranks add up their terms of a weight's gradient.
func summedAlong(s *plan.Stage, weight string) map[string]bool {
	axes := map[string]bool{}
	for i := range s.Programs {
		for _, in := range s.Programs[i].Instructions {
			of, _, _ := strings.Cut(in.Name, "#") // a copy's
			if of == "reduce.grad."+weight && (in.Op == kernels.AllReduce || in.Op == kernels.ReduceScatter) {
				axes[in.Attrs.Axis] = true
			}
		}
	}
	return axes
}

// compareGradients compares all of them.
func (r *ReferenceResult) compareGradients(t *trial, gradients map[string][]float64) error {
	norms, err := t.read("grad_norm")
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(gradients)) {
		if err := r.compare(t, "grad."+name, gradients[name], 1e-3*norms[0], &r.Gradients); err != nil {
			return err
		}
	}
	return nil
}
