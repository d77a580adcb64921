package compiler

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
)

// shareWeights gives each stage the weights that it uses. One that several use is the first one's; the others have copies, with
// gradients of their own, which the first adds to its.
func (u *unitOfWork) shareWeights() {
	uses := map[*stage]map[*graph.Value]bool{}
	for _, s := range u.stages {
		uses[s] = s.uses()
	}
	for _, w := range u.weights.list {
		var owner *stage
		for _, s := range u.stages {
			if !uses[s][w.value] {
				continue
			}
			if owner == nil {
				owner = s
				s.weights.list = append(s.weights.list, w)
				continue
			}
			c := u.copyOf(w, s)
			s.weights.list = append(s.weights.list, c)
			owner.ties, s.ties = append(owner.ties, tie{w, s.number, true}), append(s.ties, tie{c, owner.number, false})
		}
		if owner != nil && len(owner.ties) > 0 {
			u.firstTerm(owner, w)
		}
	}
}

// programs are all of the stage's.
func (s *stage) programs() (list []*graph.Program) {
	for _, b := range s.buckets {
		list = append(list, b.programs()...)
		list = append(list, b.evaluate)
	}
	return list
}

// uses are the roots that the stage's nodes use.
func (s *stage) uses() map[*graph.Value]bool {
	used := map[*graph.Value]bool{}
	for _, p := range s.programs() {
		p.Uses(func(_ *graph.Node, v *graph.Value) { used[v.Root()] = true })
	}
	return used
}

// copyOf makes a stage work on a copy of a weight, and find a gradient of its own for it.
func (u *unitOfWork) copyOf(w *weight, s *stage) *weight {
	c := *w
	c.of = w
	c.value = u.twin(w.value, s)
	twins := map[*graph.Value]*graph.Value{w.value: c.value}
	if grad := u.graph.Find("grad." + w.value.Name); grad != nil {
		twins[grad] = u.twin(grad, s)
		twins[grad].Of = c.value
	}
	for _, p := range s.programs() {
		for _, n := range p.Nodes {
			for i := range n.Args {
				n.Args[i].Value = replaceRoot(u.graph, n.Args[i].Value, twins)
			}
		}
	}
	u.firstTerm(s, &c)
	return &c
}

// twin is a lasting value like another, of a stage. The gradient's name is that of the gradient of the weight's twin.
func (u *unitOfWork) twin(v *graph.Value, s *stage) *graph.Value {
	t, _ := u.graph.Lasting(fmt.Sprintf("%s#%d", v.Name, s.number), v.Class, v.DType, v.Dims...)
	t.Split, t.Partial = v.Split, v.Partial
	return t
}

// replaceRoot gives a value in which roots have twins.
func replaceRoot(g *graph.Graph, v *graph.Value, twins map[*graph.Value]*graph.Value) *graph.Value {
	switch {
	case v == nil:
		return nil
	case twins[v] != nil:
		return twins[v]
	case v.View == nil:
		return v
	}
	of := replaceRoot(g, v.View.Of, twins)
	if of == v.View.Of {
		return v
	}
	twin, view := g.Add(v.Name, v.Class, v.DType, v.Dims...), *v.View
	view.Of = of
	twin.View, twin.Split, twin.Of = &view, v.Split, v.Of
	twins[v] = twin
	return twin
}

// firstTerm has the first node that adds to a weight's gradient in a stage begin it, for each length.
func (u *unitOfWork) firstTerm(s *stage, w *weight) {
	grad := u.graph.Find("grad." + w.value.Name)
	if grad == nil {
		return
	}
	begun := map[int]bool{}
	for _, b := range slices.Backward(s.buckets) {
		for _, p := range some(b.backward, b.weigh) {
			for _, n := range p.Nodes {
				if !slices.Contains(outputs(n), grad) {
					continue
				}
				n.First = !begun[b.length]
				n.Attrs.Accumulate, begun[b.length] = !n.First, true
			}
		}
	}
}
