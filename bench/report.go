package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// report is what a run has found.
type report struct {
	Machine []fact `json:"machine"`
	Lines   []line `json:"lines"`
}

// fact is a setting or a version that the figures depend on.
type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

var header = []string{"work", "gsc", "peer", "ratio", "must reach", "share of peak", "result", "note"}

// markdown is the table, its columns aligned so that it reads well in a terminal too. The last line says how many lines are met.
func (r report) markdown() string {
	var b strings.Builder
	for _, f := range r.Machine {
		fmt.Fprintf(&b, "- %s: %s\n", f.Name, f.Value)
	}
	table := [][]string{header}
	for _, l := range r.Lines {
		table = append(table, l.cells())
	}
	fmt.Fprintf(&b, "\n%s\n%s\n", aligned(table), r.summary())
	return b.String()
}

// aligned pads the cells of a Markdown table, whose first line is the header.
func aligned(table [][]string) string {
	widths := make([]int, len(table[0]))
	for _, cells := range table {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for n, cells := range table {
		for i, c := range cells {
			fmt.Fprintf(&b, "| %s%s ", c, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range widths {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// summary counts the lines of which something is asked.
func (r report) summary() string {
	count := map[verdict]int{}
	for _, l := range r.Lines {
		if l.Verdict != skipped || l.Must != "" {
			count[l.Verdict]++
		}
	}
	return fmt.Sprintf("%d of %d rows met, %d skipped", count[met], count[met]+count[notMet]+count[skipped], count[skipped])
}

// write writes the report into a folder.
func (r report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "results.json"), append(text, '\n'), 0o666),
		os.WriteFile(filepath.Join(dir, "results.md"), []byte(r.markdown()), 0o666))
}
