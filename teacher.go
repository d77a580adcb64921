package gsc

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/schema"
)

// modelOf is the model folder that a teacher comes from: the folder itself or, of a run, that of its newest checkpoint.
func modelOf(folder string) (string, error) {
	if _, err := os.Stat(filepath.Join(folder, runtime.PlanFile)); err != nil {
		return folder, nil
	}
	return newestWeights(folder)
}

// withTeacher is the strategy with the digest of its teacher's weights.
func withTeacher(s *schema.Strategy) (*schema.Strategy, error) {
	if s.Objective.Teacher == nil {
		return s, nil
	}
	made, t := *s, *s.Objective.Teacher
	made.Objective.Teacher = &t
	var err error
	if t.Digest, err = checkpoint.DigestModel(t.Model.From); err != nil {
		return nil, s.Wrong("objective.teacher.from", err.Error(), "")
	}
	return &made, nil
}

// checkTeacher holds the teacher's folder to what the plan pins.
func checkTeacher(p *plan.Plan) error {
	t := p.Model.Teacher
	if len(checkpoint.Teacher(p)) == 0 {
		return nil
	}
	digest, err := checkpoint.DigestModel(t.From)
	if err == nil && digest != t.Digest {
		err = fmt.Errorf("the weights in %s are not those that the plan was made with: their sha256 is %.12s, not %.12s; put those back, or plan again", t.From, digest, t.Digest)
	}
	if err != nil {
		return fmt.Errorf("the teacher: %w", err)
	}
	return nil
}
