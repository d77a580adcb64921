package main

import (
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/gsc-project/gsc/conformance"
)

// table writes the rows of suites, each when it is told of it. Its columns are as wide as the names and the heads, which are known before the
// values are, and as values get.
type table struct {
	w      io.Writer
	err    error // the first in writing
	suite  *conformance.Suite
	widths []int // of the name and of the values
}

// valueWidth is that of a value such as 1.2e-10.
const valueWidth = 7

// tell writes a row of a suite; before the first one its head.
func (t *table) tell(s *conformance.Suite, at int) {
	if at == 0 {
		t.begin(s)
	}
	row := &s.Rows[at]
	verdict := "ok"
	switch {
	case row.Skipped:
		verdict = "skipped: " + row.Why
	case !row.Pass:
		verdict = "FAILED " + row.Why
	}
	t.line(row.Name, row.Cells(), verdict)
}

func (t *table) begin(s *conformance.Suite) {
	t.gap()
	t.suite = s
	t.widths = []int{utf8.RuneCountInString(s.Name)}
	for i := range s.Rows {
		t.widths[0] = max(t.widths[0], utf8.RuneCountInString(s.Rows[i].Name))
	}
	for _, c := range s.Columns {
		t.widths = append(t.widths, max(valueWidth, utf8.RuneCountInString(c)))
	}
	t.line(s.Name, s.Columns, "")
}

// gap is what parts a suite from what follows.
func (t *table) gap() {
	if t.suite != nil {
		t.print("\n")
	}
}

func (t *table) line(name string, cells []string, last string) {
	t.print("%-*s  ", t.widths[0], name)
	for i, c := range cells {
		t.print("%-*s  ", t.widths[i+1], c)
	}
	t.print("%s\n", last)
}

// end writes how many rows did what.
func (t *table) end(r conformance.Report) error {
	t.gap()
	t.print("%d passed, %d failed", r.Passed, r.Failed)
	if r.Skipped > 0 {
		t.print(", %d skipped", r.Skipped)
	}
	t.print("\n")
	return t.err
}

func (t *table) print(form string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, form, args...)
	}
}
