package source

import (
	"encoding/json"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gsc-project/gsc/record"
)

// readJSON hands on each line as a record: the text under Field, and the label under Label where the task has one.
func (s *scanner) readJSON(r io.Reader, g region, rep *report) error {
	object := make(map[string]json.RawMessage)
	return s.lines(r, func(line []byte, number int, offset int64) error {
		if blank(line) {
			return nil
		}
		clear(object)
		if err := json.Unmarshal(line, &object); err != nil {
			return rep.line(number, "each line is one JSON object", "not a JSON object: %s", jsonCause(err))
		}
		text, bad := textField(object, s.spec.Field)
		if bad != "" {
			return rep.line(number, "", "%s", bad)
		}
		var label *Label
		if s.spec.Task == "class" || s.spec.Task == "values" {
			if label, bad = labelField(object, s.spec.Label, s.spec.Task); bad != "" {
				return rep.line(number, "", "%s", bad)
			}
		}
		s.sink.Begin(g.at(offset), record.Place{Path: s.path, Line: number})
		s.sink.Text([]byte(text))
		if bad := s.sink.End(label); bad != "" {
			return rep.line(number, "", "field %q: %s", s.spec.Label, bad)
		}
		return nil
	})
}

func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

// jsonCause is the message of a JSON error without Go's words for types.
func jsonCause(err error) string {
	if t, ok := err.(*json.UnmarshalTypeError); ok {
		return "it is of type " + t.Value
	}
	return err.Error()
}

func textField(object map[string]json.RawMessage, field string) (text, bad string) {
	raw, ok := object[field]
	if !ok {
		return "", "no field " + strconv.Quote(field) + fieldsOf(object)
	}
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return "", "field " + strconv.Quote(field) + " is not a string"
	}
	return text, ""
}

// fieldsOf names the fields that there are instead.
func fieldsOf(object map[string]json.RawMessage) string {
	if len(object) == 0 {
		return ""
	}
	names := slices.Sorted(maps.Keys(object))
	if len(names) > 8 {
		names = append(names[:8], "…")
	}
	return ": there are " + strings.Join(names, ", ")
}

func labelField(object map[string]json.RawMessage, field, task string) (label *Label, bad string) {
	raw, ok := object[field]
	if !ok {
		return nil, "no field " + strconv.Quote(field) + fieldsOf(object)
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return nil, "field " + strconv.Quote(field) + ": " + jsonCause(err)
	}
	if task == "class" {
		label, ok = classLabel(value)
	} else {
		label, ok = valuesLabel(value)
	}
	switch {
	case ok:
		return label, ""
	case task == "class":
		return nil, "field " + strconv.Quote(field) + " is not a class: a string, a whole number, true or false"
	}
	return nil, "field " + strconv.Quote(field) + " is neither numbers nor names"
}

func classLabel(value any) (*Label, bool) {
	switch v := value.(type) {
	case string:
		return &Label{Names: []string{v}}, true
	case bool:
		return &Label{Names: []string{strconv.FormatBool(v)}}, true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return &Label{Names: []string{strconv.FormatInt(int64(v), 10)}, Whole: true}, true
		}
	}
	return nil, false
}

// valuesLabel takes a number, a truth value or a name, or a list of either numbers or names.
func valuesLabel(value any) (*Label, bool) {
	list, ok := value.([]any)
	if !ok {
		label := &Label{}
		return label, label.add(value)
	}
	label := &Label{List: true}
	for _, v := range list {
		if !label.add(v) {
			return nil, false
		}
	}
	return label, len(label.Names) == 0 || len(label.Numbers) == 0
}

func (l *Label) add(value any) bool {
	switch v := value.(type) {
	case string:
		l.Names = append(l.Names, v)
	case float64:
		l.Numbers = append(l.Numbers, v)
	case bool:
		number := 0.0
		if v {
			number = 1
		}
		l.Numbers = append(l.Numbers, number)
	default:
		return false
	}
	return true
}
