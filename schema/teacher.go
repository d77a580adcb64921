package schema

import (
	"path/filepath"
	"strconv"
	"strings"
)

// teacherPath is where a strategy names its teacher.
const teacherPath = "objective.teacher.from"

// teacher reads the teacher's architecture from its folder, as model.from does: it is the model of a strategy that is the same but for that.
func (s *Strategy) teacher(path string, opts Options) error {
	t := s.Objective.Teacher
	if t == nil {
		return nil
	}
	folder := t.From
	if opts.ModelOf != nil {
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(s.Data.Base, folder)
		}
		found, err := opts.ModelOf(folder)
		if err != nil {
			return Errors{s.Wrong(teacherPath, err.Error(), "")}
		}
		folder = found
	}
	again := Options{Tags: opts.Tags, Dir: opts.Dir}
	for _, set := range opts.Set {
		if !strings.HasPrefix(set, "model") && !strings.HasPrefix(set, "objective") {
			again.Set = append(again.Set, set)
		}
	}
	again.Set = append(again.Set, "model={from: "+strconv.Quote(folder)+"}", `objective={loss: "cross_entropy"}`)
	taught, err := Load(path, again)
	if list := ErrorsOf(err); list != nil {
		return s.wrongTeacher(list)
	}
	if err != nil {
		return err
	}
	t.Model = taught.Model
	return nil
}

// wrongTeacher puts what is wrong with the teacher's model to where the strategy names it.
func (s *Strategy) wrongTeacher(list Errors) error {
	var found Errors
	for _, e := range list {
		message := e.Message
		if e.Path != "" && e.Path != "model.from" {
			message = e.Path + " of the teacher: " + message
		}
		found.add(s.Wrong(teacherPath, message, e.Fix))
	}
	return found.sorted()
}
