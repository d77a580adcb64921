package main

import gsc "github.com/gsc-project/gsc/sdk/go"

func init() {
	gsc.TransformRows(gsc.Manifest{Name: "rows", Version: "1", Evaluates: true, LabelsTokens: true, Weights: true}, func(gsc.Params) (gsc.RowTransform, error) { return row, nil })
}

func row(r *gsc.Tokens) error {
	for i := range r.Tokens {
		if r.Types != nil {
			r.Tokens[i] += r.Types[i]
			r.Types[i] = int32(i % 2)
		}
		if r.Segments != nil {
			r.Tokens[i] += r.Segments[i]
		}
		r.Tokens[i] %= r.Vocabulary
	}
	for i := range r.Weights {
		r.Weights[i] *= 0.5
	}
	for i, label := range r.Labels {
		switch {
		case label == r.Ignore:
			label = 0
		case r.LabelsTokens:
			label = (label + 1) % r.Outputs
		}
		r.Labels[i] = label
	}
	if len(r.Tokens) > 0 {
		r.Tokens[0] = int32(r.Seed % uint64(r.Vocabulary))
	}
	return nil
}

func main() {}
