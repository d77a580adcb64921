package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/record"
)

// Sink takes what the files hold, record by record. A record is Begin, any
// number of pieces, End. No piece may be kept.
type Sink interface {
	Begin(split Split, at record.Place)
	Text(text []byte) // whole characters, where the text is valid UTF-8
	IDs(raw []byte)   // token ids as they stand in the file
	Tag(tag string)   // of the word that the next Text holds

	// End ends the record; label is nil where it has none. What it returns, if
	// anything, says why the label does not go with those before.
	End(label *Label) (bad string)
}

// Label is what a record is labelled with: Names of classes or Numbers.
type Label struct {
	Names   []string
	Numbers []float64
	Whole   bool // the one name was written as a whole number
	List    bool // written as a list
}

// Scan reads the files in order, gives their records to sink, and sets the
// size and digest of each file to those of the bytes that it read.
func Scan(spec plan.Data, files []File, sink Sink) Errors {
	var errs Errors
	s := &scanner{spec: spec, sink: sink, buf: make([]byte, chunkBytes)}
	s.validation, s.test = cuts(spec.Split, files)
	for i := range files {
		s.scan(&files[i], &errs)
	}
	return errs
}

// chunkBytes is how much of a file is read at once.
const chunkBytes = 1 << 20

// scanner is the state that outlives a file.
type scanner struct {
	spec             plan.Data
	sink             Sink
	buf              []byte
	line             []byte
	current          Split  // of the record that is open
	path             string // of the file
	offset           int64  // of the file within those that are cut by bytes
	validation, test int64  // where the splits begin, by bytes
}

// cuts says where validation and test begin in the concatenation of the files that are cut by bytes.
func cuts(s plan.Split, files []File) (validation, test int64) {
	var total int64
	for _, f := range files {
		if f.Split == All {
			total += f.SizeBytes
		}
	}
	validation = int64(math.Floor(float64(total) * (1 - s.Validation - s.Test)))
	test = int64(math.Floor(float64(total) * (1 - s.Test)))
	return validation, max(validation, test)
}

func (s *scanner) scan(f *File, errs *Errors) {
	rep := &report{errs: errs, path: f.Split.Path(), name: f.Path}
	s.path = f.Path
	file, err := os.Open(f.Found)
	if err != nil {
		rep.file("", "%s", plain(err))
		return
	}
	defer file.Close()
	digest := xxhash.New()
	in := &counted{r: io.TeeReader(file, digest)}
	err = s.read(in, s.region(f), rep)
	if err != nil && !errors.Is(err, errTooMany) {
		rep.file("", "%s", plain(err))
	}
	if f.Split == All {
		s.offset += in.n
	}
	f.SizeBytes, f.Digest = in.n, fmt.Sprintf("%016x", digest.Sum64())
}

func (s *scanner) read(r io.Reader, g region, rep *report) error {
	switch s.spec.Format {
	case "text":
		return s.readText(r, g)
	case "tokens":
		return s.readTokens(r, g, rep)
	case "jsonl":
		return s.readJSON(r, g, rep)
	case "conll":
		return s.readCoNLL(r, g, rep)
	}
	return fmt.Errorf("format %q has no reader", s.spec.Format)
}

// counted counts the bytes read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// region tells to which split each byte of a file belongs.
type region struct {
	split            Split // All: by the cuts, counted from the file's start
	validation, test int64
}

func (s *scanner) region(f *File) region {
	return region{split: f.Split, validation: s.validation - s.offset, test: s.test - s.offset}
}

// at is the split of the byte at offset.
func (g region) at(offset int64) Split {
	switch {
	case g.split != All:
		return g.split
	case offset < g.validation:
		return Train
	case offset < g.test:
		return Validation
	}
	return Test
}

// next is the first cut after offset.
func (g region) next(offset int64) int64 {
	switch {
	case g.split != All:
		return math.MaxInt64
	case offset < g.validation:
		return g.validation
	case offset < g.test:
		return g.test
	}
	return math.MaxInt64
}

// readText hands on a file as one record, or as one for each split that it reaches into.
func (s *scanner) readText(r io.Reader, g region) error {
	var offset int64
	held := 0
	s.begin(g.at(0))
	for {
		n, err := r.Read(s.buf[held:])
		text := s.buf[:held+n]
		end := len(text)
		if err == nil {
			end = wholeRunes(text)
		}
		s.cutText(text[:end], offset, g)
		offset += int64(end)
		held = copy(s.buf, text[end:])
		if err == io.EOF {
			s.sink.End(nil)
			return nil
		}
		if err != nil {
			s.sink.End(nil)
			return err
		}
	}
}

// cutText hands on text that begins at offset, beginning a new record at each cut. A cut moves on to the next
// byte that begins a character.
func (s *scanner) cutText(text []byte, offset int64, g region) {
	for len(text) > 0 {
		n := 0
		if g.at(offset) == s.current {
			n = int(min(g.next(offset)-offset, int64(len(text))))
		} else if utf8.RuneStart(text[0]) {
			s.cross(g.at(offset))
			continue
		}
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n++
		}
		s.sink.Text(text[:n])
		text, offset = text[n:], offset+int64(n)
	}
}

func (s *scanner) begin(split Split) {
	s.current = split
	s.sink.Begin(split, record.Place{Path: s.path})
}

// cross begins a new record where what comes next is of another split.
func (s *scanner) cross(split Split) {
	if split != s.current {
		s.sink.End(nil)
		s.begin(split)
	}
}

// wholeRunes is the length of text without an unfinished character at its end.
func wholeRunes(text []byte) int {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if utf8.FullRune(text[i:]) {
				return len(text)
			}
			return i
		}
	}
	return len(text)
}

// readTokens hands on a file of token ids as one record, or as one for each split that it reaches into.
func (s *scanner) readTokens(r io.Reader, g region, rep *report) error {
	width := TokenWidth(s.spec.TokenType)
	var offset int64
	s.begin(g.at(0))
	defer s.sink.End(nil)
	for {
		n, err := io.ReadFull(r, s.buf)
		if width == 4 {
			tooLarge(s.buf[:n-n%width], offset, rep)
		}
		s.cutTokens(s.buf[:n-n%width], offset, g, int64(width))
		offset += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			if offset%int64(width) != 0 {
				rep.file("", "its %d bytes are not a whole number of %s tokens", offset, s.spec.TokenType)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tooLarge reports the first id that does not fit in an int32.
func tooLarge(raw []byte, offset int64, rep *report) {
	for i := 0; i < len(raw) && rep.count == 0; i += 4 {
		if id := binary.LittleEndian.Uint32(raw[i:]); id > math.MaxInt32 {
			rep.count++
			rep.file("", "token %d has the id %d, above the largest, %d", (offset+int64(i))/4, id, math.MaxInt32)
		}
	}
}

func (s *scanner) cutTokens(raw []byte, offset int64, g region, width int64) {
	for len(raw) > 0 {
		s.cross(g.at(offset))
		n := int64(len(raw))
		if next := g.next(offset); next-offset < n {
			n = (next - offset + width - 1) / width * width
		}
		s.sink.IDs(raw[:n])
		raw, offset = raw[n:], offset+n
	}
}

// TokenWidth is the size of a token of a token file.
func TokenWidth(tokenType string) int {
	if tokenType == "uint32" {
		return 4
	}
	return 2
}

// lines calls each with every line of r, without its end, its number from 1 and its
// offset. The line may not be kept.
func (s *scanner) lines(r io.Reader, each func(line []byte, number int, offset int64) error) error {
	in := lineReader{r: r, buf: s.buf, spill: s.line}
	defer func() { s.line = in.spill }()
	var offset int64
	for number := 1; ; number++ {
		line, err := in.next()
		if len(line) > 0 {
			text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			if number == 1 {
				text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
			}
			if err := each(text, number, offset); err != nil {
				return err
			}
			offset += int64(len(line))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// lineReader reads lines of any length through a fixed buffer; a line that spans two fillings is put together in spill.
type lineReader struct {
	r          io.Reader
	buf, spill []byte
	start, end int
	err        error
}

// next is the next line with its end, and the error that came after it.
func (l *lineReader) next() ([]byte, error) {
	l.spill = l.spill[:0]
	for {
		if i := bytes.IndexByte(l.buf[l.start:l.end], '\n'); i >= 0 {
			line := l.buf[l.start : l.start+i+1]
			l.start += i + 1
			return l.joined(line), nil
		}
		if l.err != nil {
			line := l.joined(l.buf[l.start:l.end])
			l.start = l.end
			return line, l.err
		}
		l.spill = append(l.spill, l.buf[l.start:l.end]...)
		l.start = 0
		l.end, l.err = l.r.Read(l.buf)
	}
}

func (l *lineReader) joined(line []byte) []byte {
	if len(l.spill) == 0 {
		return line
	}
	l.spill = append(l.spill, line...)
	return l.spill
}
