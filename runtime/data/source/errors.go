package source

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a user's mistake. Path is the place in the strategy that it belongs
// to, such as "data.train.files".
type Error struct {
	Path    string
	Message string
	Fix     string // empty where none can be named
}

func (e *Error) Error() string {
	text := e.Path + ": " + e.Message
	if e.Fix != "" {
		text += "\n    " + e.Fix
	}
	return text
}

// Errors are all mistakes that were found at once.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each of them.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, err := range e {
		list[i] = err
	}
	return list
}

// Err is nil when there are none.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Add appends an error; its message is formatted.
func (e *Errors) Add(path, fix, format string, args ...any) {
	*e = append(*e, &Error{Path: path, Message: fmt.Sprintf(format, args...), Fix: fix})
}

// maxFileErrors is how many mistakes of one file are reported; the
// first few tell what is wrong with it.
const maxFileErrors = 5

// errTooMany ends the reading of a file that has had its say.
var errTooMany = errors.New("too many errors in one file")

// report collects the mistakes of one file.
type report struct {
	errs  *Errors
	path  string // of the strategy
	name  string // of the file
	count int
}

// line reports a mistake of one line; the error it returns, if any, ends the reading.
func (r *report) line(number int, fix, format string, args ...any) error {
	r.count++
	if r.count > maxFileErrors {
		r.errs.Add(r.path, "", "%s: more lines are wrong; the rest of the file was not read", r.name)
		return errTooMany
	}
	r.errs.Add(r.path, fix, "%s:%d: %s", r.name, number, fmt.Sprintf(format, args...))
	return nil
}

// file reports a mistake of the file as a whole.
func (r *report) file(fix, format string, args ...any) {
	r.errs.Add(r.path, fix, "%s: %s", r.name, fmt.Sprintf(format, args...))
}
