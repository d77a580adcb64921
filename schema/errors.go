package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong with a strategy.
type Error struct {
	Path    string // of the value, such as "optimizer.betas"; empty when it is about a whole file or option
	Message string
	At      []Pos  // where the values stand that take part
	Fix     string // what would make it right, when that can be named
}

// Error writes the form that all of gsc's errors about strategies have:
//
//	PATH: MESSAGE:
//	    ./train.cue:12:9
//	    FIX
func (e *Error) Error() string {
	var b strings.Builder
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	lines := make([]string, 0, len(e.At)+1)
	for _, pos := range e.At {
		lines = append(lines, string(pos))
	}
	if e.Fix != "" {
		lines = append(lines, e.Fix)
	}
	if len(lines) > 0 {
		b.WriteString(":")
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "\n    %s", line)
	}
	return b.String()
}

// Errors is everything that is wrong with a strategy, sorted by path.
type Errors []*Error

func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}

// ErrorsOf is what an error says is wrong with a strategy; nil where it is about something else.
func ErrorsOf(err error) Errors {
	if list, ok := errorAs[Errors](err); ok {
		return list
	}
	if one, ok := errorAs[*Error](err); ok {
		return Errors{one}
	}
	return nil
}

// Unwrap gives the single errors.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, err := range e {
		list[i] = err
	}
	return list
}

// add notes an error once.
func (e *Errors) add(err *Error) {
	for _, known := range *e {
		if known.Path == err.Path && known.Message == err.Message {
			known.At = union(known.At, err.At)
			return
		}
	}
	*e = append(*e, err)
}

// sorted is nil when there are no errors.
func (e Errors) sorted() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return e
}

// union is a followed by what b has beside it.
func union(a, b []Pos) []Pos {
	for _, pos := range b {
		if !slices.Contains(a, pos) {
			a = append(a, pos)
		}
	}
	return a
}
