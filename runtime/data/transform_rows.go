package data

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/record"
)

// rowStage is a transform of rows.
type rowStage struct {
	name      string
	splits    [splits]bool // that it is for
	transform record.RowTransform
	training  record.Seeds // of the run's seed, the step and the row of the global batch
	other     record.Seeds // of the row of the split, the same in every run
}

// rowStages makes the transforms of rows.
func rowStages(spec *plan.Data, with Transforms) (list []rowStage, err error) {
	for _, t := range spec.Transforms {
		if t.On != plan.OnRows {
			continue
		}
		s := rowStage{name: t.Plugin, training: record.SeedsOf(with.Seed(), t.Plugin, "training"), other: record.SeedsOf(0, t.Plugin, "evaluation")}
		for split := range s.splits {
			s.splits[split] = slices.Contains(t.Splits, Split(split).String())
		}
		if s.transform, err = with.Rows(t, spec.Length); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// tryRows has each transform of rows change one row of the first token, so that what it does not take is known before the first step.
func tryRows(spec *plan.Data, with Transforms) (errs Errors) {
	for i, t := range spec.Transforms {
		if t.On != plan.OnRows {
			continue
		}
		b := NewBatch(*spec, 1)
		b.clear()
		b.valid[0] = int32(spec.Length)
		b.view(spec)
		made, err := with.Rows(t, spec.Length)
		if err == nil {
			err = made.Apply(&b.rows)
		}
		if err != nil {
			errs.Add(transformPath(i), "", "on a row that holds the first token alone: %v", err)
		}
	}
	return errs
}

// change has the transforms of rows change a batch of a split; step is 0 in evaluation.
func (s *Set) change(split Split, step int64, b *Batch) error {
	for i := range s.rows {
		stage := &s.rows[i]
		if !stage.splits[split] {
			continue
		}
		b.view(&s.spec)
		for k := range b.rows.Seeds {
			if step > 0 {
				b.rows.Seeds[k] = stage.training.At(int64(k), step)
			} else {
				b.rows.Seeds[k] = stage.other.At(b.Index[k], 0)
			}
		}
		if err := stage.transform.Apply(&b.rows); err != nil {
			return fmt.Errorf("transform %s: %w", stage.name, err)
		}
	}
	return nil
}

// view makes of a batch what its transforms see.
func (b *Batch) view(spec *plan.Data) {
	r := &b.rows
	if r.Seeds == nil {
		r.Seeds, r.Valid = make([]uint64, b.Rows), make([]int32, b.Rows)
	}
	r.Tokens, r.Labels, r.Weights, r.Types, r.Segments, r.Length = b.Tokens, b.Labels, b.Weights, b.Types, b.Segments, b.Length
	r.Vocabulary, r.Outputs, r.Ignore = spec.VocabularySize, spec.Outputs, b.ignore
	copy(r.Valid, b.valid)
	if spec.Rows == "given" { // what a mask leaves out may stand anywhere
		setAll(r.Valid, int32(b.Length))
	}
}
