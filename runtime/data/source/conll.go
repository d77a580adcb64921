package source

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/gsc-project/gsc/record"
)

// sentence gathers the words of one record; its buffers are used again.
type sentence struct {
	text  []byte // the words, joined by one space
	ends  []int  // of each word in text
	tags  []string
	names map[string]string // tags seen, so that each is held once
	start int64             // offset of the first line
	line  int               // its number
}

// readCoNLL hands on each sentence as a record: its words joined by one space, each announced by its tag.
// A line whose first column is -DOCSTART- says nothing.
func (s *scanner) readCoNLL(r io.Reader, g region, rep *report) error {
	current := sentence{names: make(map[string]string)}
	err := s.lines(r, func(line []byte, number int, offset int64) error {
		columns := split(line)
		switch {
		case len(columns) == 0:
			s.flush(&current, g)
			return nil
		case string(columns[0]) == "-DOCSTART-":
			return nil
		}
		word, tag, bad := s.pick(columns)
		if bad != "" {
			return rep.line(number, "", "%s", bad)
		}
		current.add(word, tag, offset, number)
		return nil
	})
	s.flush(&current, g)
	return err
}

// split cuts a line into columns: at tabs, or at white space where it has no tab.
func split(line []byte) [][]byte {
	if blank(line) {
		return nil
	}
	if bytes.IndexByte(line, '\t') >= 0 {
		return bytes.Split(line, []byte("\t"))
	}
	return bytes.Fields(line)
}

// pick takes the word and the tag from the columns of a line.
func (s *scanner) pick(columns [][]byte) (word, tag []byte, bad string) {
	w, t := s.spec.Column, s.spec.TagColumn
	if t < 0 {
		t += len(columns)
	}
	if w >= len(columns) || t < 0 || t >= len(columns) || t == w {
		return nil, nil, fmt.Sprintf("too few columns: %d, of which the word is column %d and the tag column %d", len(columns), w, s.spec.TagColumn)
	}
	word, tag = bytes.TrimSpace(columns[w]), bytes.TrimSpace(columns[t])
	switch {
	case len(word) == 0:
		return nil, nil, "the word is empty"
	case len(tag) == 0:
		return nil, nil, "the tag is empty"
	case !utf8.Valid(tag):
		return nil, nil, "the tag is not valid UTF-8"
	}
	return word, tag, ""
}

func (c *sentence) add(word, tag []byte, offset int64, line int) {
	if len(c.tags) == 0 {
		c.start, c.line = offset, line
	}
	name, ok := c.names[string(tag)]
	if !ok {
		name = string(tag)
		c.names[name] = name
	}
	c.text = append(c.text, word...)
	c.ends = append(c.ends, len(c.text))
	c.tags = append(c.tags, name)
}

// flush hands the sentence on, if there is one, and empties it.
func (s *scanner) flush(c *sentence, g region) {
	if len(c.tags) == 0 {
		return
	}
	s.sink.Begin(g.at(c.start), record.Place{Path: s.path, Line: c.line})
	from := 0
	for i, end := range c.ends {
		if i > 0 {
			s.sink.Text([]byte(" "))
		}
		s.sink.Tag(c.tags[i])
		s.sink.Text(c.text[from:end])
		from = end
	}
	s.sink.End(nil)
	c.text, c.ends, c.tags = c.text[:0], c.ends[:0], c.tags[:0]
}
