package schema

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
)

// wireTransform is a transform as a strategy names it.
type wireTransform struct {
	wirePlugin
	Splits []string
}

// transforms reads those that the data go through.
func (d *wireData) transforms() ([]Transform, error) {
	var list []Transform
	for i, w := range d.Transforms {
		p, err := w.plugin(fmt.Sprintf("data.transforms[%d]", i), plan.PluginTransform)
		if err != nil {
			return nil, err
		}
		list = append(list, Transform{*p, w.Splits})
	}
	return list, nil
}

// TransformModule is what the module of a transform says of itself besides.
type TransformModule struct {
	On        string // "records" or "rows"
	Evaluates bool   // it is for rows of evaluation, too
	Labels    bool   // it labels tokens with token ids
	Weights   bool   // it changes the weights of tokens
}

// everySplit names the splits.
var everySplit = []string{"train", "validation", "test"}

// WithTransforms is the strategy with what was found in the modules of its data's transforms, one for each. Parameters are held against their schemas as those of a loss are.
func (s *Strategy) WithTransforms(modules []Module) (*Strategy, error) {
	made := *s
	made.Transforms, made.Data.Transforms = slices.Clone(s.Transforms), nil
	var list Errors
	for i, m := range modules {
		t := &made.Transforms[i]
		params, err := s.params(&t.Plugin, m)
		if err != nil {
			for _, e := range ErrorsOf(err) {
				list.add(e)
			}
			continue
		}
		t.Name, t.Version, t.Digest, t.Params = made.freeName(m.Name, i), m.Version, m.Digest, params
		if t.Splits == nil {
			t.Splits = everySplit
			if m.Transform.On == plan.OnRows && !m.Transform.Evaluates {
				t.Splits = everySplit[:1]
			}
		}
		made.Data.Transforms = append(made.Data.Transforms, plan.Transform{Plugin: t.Name, On: m.Transform.On, Splits: t.Splits, Weights: m.Transform.Weights})
	}
	if len(list) == 0 {
		list = made.transformsFit(modules)
	}
	if len(list) > 0 {
		return nil, list.sorted()
	}
	return &made, nil
}

// freeName is a name for the i-th transform that no plugin before it has.
func (s *Strategy) freeName(name string, i int) string {
	taken := func(name string) bool {
		return s.Objective.Plugin != nil && s.Objective.Plugin.Name == name || slices.ContainsFunc(s.Transforms[:i], func(t Transform) bool { return t.Name == name })
	}
	free := name
	for n := 2; taken(free); n++ {
		free = fmt.Sprintf("%s.%d", name, n)
	}
	return free
}

// transformsFit holds what transforms make of labels against the model.
func (s *Strategy) transformsFit(modules []Module) (list Errors) {
	labels := -1
	for i, t := range s.Data.Transforms {
		if !modules[i].Transform.Labels {
			continue
		}
		labels = i
		if s.Data.Task != "next" && s.Data.Task != "given" {
			list.add(s.Wrong(s.Transforms[i].Path, fmt.Sprintf("%s labels tokens with tokens, and here labels are of another kind", t.Plugin), `use it with text or tokens, and model.task: "tokens" or "causal"`))
		}
	}
	if s.Model.Task != "tokens" || s.Data.Task != "next" {
		return list
	}
	if labels < 0 {
		list.add(s.Wrong("data.transforms", fmt.Sprintf(`none of them labels tokens, which model.task = "tokens" needs of data of the format %s`, s.Data.Format), "add one that does, such as a masked language model's"))
		return list
	}
	for _, split := range everySplit {
		if s.hasSplit(split) && !slices.Contains(s.Data.Transforms[labels].Splits, split) {
			list.add(s.Wrong(s.Transforms[labels].Path+".splits", fmt.Sprintf("%s makes the labels, and leaves out those of %s", s.Data.Transforms[labels].Plugin, split), "let it be for every split that there is"))
		}
	}
	return list
}

// hasSplit says whether the strategy asks for a split.
func (s *Strategy) hasSplit(split string) bool {
	d := &s.Data
	switch split {
	case "validation":
		return len(d.Validation) > 0 || d.Split.Validation > 0
	case "test":
		return len(d.Test) > 0 || d.Split.Test > 0
	}
	return true
}
