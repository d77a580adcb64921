package data

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/record"
	"github.com/gsc-project/gsc/runtime/data/source"
)

// Transforms makes the transforms that a [plan.Data] names.
type Transforms interface {
	Records(t plan.Transform) (record.Transform, error)
	Rows(t plan.Transform, length int) (record.RowTransform, error)
	Seed() uint64 // of the run
}

// transformPath is where a strategy names a transform.
func transformPath(i int) string { return fmt.Sprintf("data.transforms[%d]", i) }

// transformsFit refuses transforms that nothing runs.
func transformsFit(spec *plan.Data, with Transforms) error {
	if len(spec.Transforms) > 0 && with == nil {
		return fmt.Errorf("data: nothing here runs the transform %s", spec.Transforms[0].Plugin)
	}
	return nil
}

// hasRecordTransforms says whether records are not those of the files.
func hasRecordTransforms(spec *plan.Data) bool {
	return slices.ContainsFunc(spec.Transforms, func(t plan.Transform) bool { return t.On == plan.OnRecords })
}

// changesWeights says whether a transform does.
func changesWeights(spec *plan.Data) bool {
	return slices.ContainsFunc(spec.Transforms, func(t plan.Transform) bool { return t.Weights })
}

// checkTransforms holds the transforms against the other settings.
func checkTransforms(spec *plan.Data, errs *Errors) {
	for i, t := range spec.Transforms {
		switch {
		case t.On != plan.OnRecords && t.On != plan.OnRows:
			errs.Add(transformPath(i), "use records or rows", "it works on %q", t.On)
		case t.On == plan.OnRecords && spec.Rows == "given":
			errs.Add(transformPath(i), "use a transform of rows", "%s transforms records, and data of the format %s are batches as they are", t.Plugin, spec.Format)
		case t.On == plan.OnRows && t.Weights && spec.Task == "values":
			errs.Add(transformPath(i), "", "%s changes the weights of tokens, and the labels here belong to rows", t.Plugin)
		}
		for _, split := range t.Splits {
			if !slices.Contains([]string{"train", "validation", "test"}, split) {
				errs.Add(transformPath(i)+".splits", "use train, validation or test", "unknown split %q", split)
			}
		}
	}
}

// scan reads the files, has the transforms of records change what they hold, and gives what comes out to the sink. did is the transforms with what they did.
func scan(spec plan.Data, files []source.File, sink source.Sink, with Transforms) (did []plan.Transform, errs Errors) {
	did = slices.Clone(spec.Transforms)
	var stages []*stage
	for i, t := range slices.Backward(spec.Transforms) {
		if t.On != plan.OnRecords {
			continue
		}
		s, err := newStage(&spec, i, sink, with)
		if err != nil {
			errs.Add(transformPath(i), "", "%v", err)
			continue
		}
		stages, sink = append(stages, s), s
	}
	if len(errs) == 0 {
		errs = source.Scan(spec, files, sink)
	}
	for _, s := range slices.Backward(stages) {
		if err := s.finish(); err != nil && len(errs) == 0 { // what a stage gives next to nothing is the fault of the one before it
			errs.Add(transformPath(s.number), "", "%v", err)
		}
		t := &did[s.number]
		t.Taken, t.Given, t.Digest = s.seen, s.given, fmt.Sprintf("%016x", s.digest.Sum64())
	}
	return did, errs
}

// errDiffers is the error of a transform that gave other records the second time.
var errDiffers = errors.New("it gave other records than when the plan was made, of the same files: what a transform gives must follow from records, parameters and seeds alone")

// didTheSame holds what transforms did against what the plan says.
func didTheSame(spec *plan.Data, did []plan.Transform) error {
	for i, t := range spec.Transforms {
		if d := did[i]; t.Digest != d.Digest || t.Taken != d.Taken || t.Given != d.Given {
			return fmt.Errorf("data: transform %s: %w", t.Plugin, errDiffers)
		}
	}
	return nil
}
