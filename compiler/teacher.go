package compiler

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/schema"
)

// teacher makes the forward pass of the teacher, on the student's inputs, and gives its logits; nil where there is none. It stands before the student's layers, so that
// what it needs besides its logits is free again when they begin. Nothing drops out in it.
func (b *builder) teacher() *graph.Value {
	teacher := b.strategy.Objective.Teacher
	if teacher == nil || b.mode.cached() {
		return nil
	}
	s, own := *b.strategy, *b
	s.Model = teacher.Model
	own.strategy, own.teaches, own.tables = &s, true, map[string]*graph.Value{}
	own.mode.kind = plan.Evaluate
	logits := own.layers(s.Model.Layers, nil)
	b.problems = own.problems
	return logits
}

// teacherFits refuses a teacher that the student cannot learn from.
func teacherFits(s *schema.Strategy, length int) error {
	const path = "objective.teacher.from"
	t := s.Objective.Teacher
	switch {
	case t == nil:
	case t.Model.Task != s.Model.Task:
		return s.Wrong(path, fmt.Sprintf("the teacher's task is %q, the student's %q", t.Model.Task, s.Model.Task), "use a teacher that was made for the same")
	case t.Model.Outputs != s.Model.Outputs || t.Model.Vocabulary != s.Model.Vocabulary:
		return s.Wrong(path, fmt.Sprintf("the teacher gives %d logits for each of %d tokens, the student %d for %d", t.Model.Outputs, t.Model.Vocabulary, s.Model.Outputs, s.Model.Vocabulary),
			"use a teacher with the student's vocabulary")
	case t.Model.Context < length:
		return s.Wrong(path, fmt.Sprintf("the teacher's context is %d, and rows have %d tokens", t.Model.Context, length), "use shorter rows (data.length), or another teacher")
	}
	return nil
}
