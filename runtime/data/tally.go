package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/record"
	"github.com/gsc-project/gsc/runtime/data/source"
	"github.com/gsc-project/gsc/runtime/data/token"
)

// tally counts what the files hold: the sink of [Prepare].
type tally struct {
	spec  *plan.Data
	limit int64
	parts [splits]partTally
	names map[string]*[splits]bool // tags and classes, and where each was seen

	allWhole bool // all classes are whole numbers
	maxID    int32

	split   Split
	tokens  int64 // of the record that is open
	hasNUL  bool
	columns columns
}

// partTally is the tally of one split.
type partTally struct {
	tokens, records  int64
	cut, empty, nuls int64
	lengths          []int64 // of the records, where rows are packed
	runes            runeSet
}

// columns is the form of the labels of the task "values", which all records share.
type columns struct {
	known, named, list bool
	width              int
}

func newTally(spec *plan.Data) *tally {
	return &tally{spec: spec, limit: limit(spec), names: make(map[string]*[splits]bool), allWhole: true, maxID: -1}
}

func (t *tally) Begin(split Split, _ record.Place) { t.split, t.tokens, t.hasNUL = split, 0, false }

func (t *tally) Text(text []byte) {
	t.hasNUL = t.hasNUL || bytes.IndexByte(text, 0) >= 0
	if t.spec.Tokenizer == token.Bytes {
		t.tokens += int64(len(text))
		return
	}
	t.tokens += t.parts[t.split].runes.add(text)
}

func (t *tally) IDs(raw []byte) {
	width := source.TokenWidth(t.spec.TokenType)
	t.tokens += int64(len(raw) / width)
	for ; len(raw) >= width; raw = raw[width:] {
		id := int32(binary.LittleEndian.Uint16(raw))
		if width == 4 {
			id = int32(binary.LittleEndian.Uint32(raw))
		}
		t.maxID = max(t.maxID, id)
	}
}

func (t *tally) Tag(tag string) { t.name(tag) }

func (t *tally) name(name string) {
	seen := t.names[name]
	if seen == nil {
		seen = new([splits]bool)
		t.names[name] = seen
	}
	seen[t.split] = true
}

func (t *tally) End(label *source.Label) (bad string) {
	p := &t.parts[t.split]
	if t.tokens == 0 {
		p.empty++
		return ""
	}
	if t.hasNUL {
		p.nuls++
	}
	if t.tokens > t.limit {
		p.cut++
	}
	kept := min(t.tokens, t.limit)
	p.records++
	p.tokens += kept
	if t.spec.Rows == "packed" {
		p.lengths = append(p.lengths, kept)
	}
	if label == nil {
		return ""
	}
	for _, name := range label.Names {
		t.name(name)
	}
	t.allWhole = t.allWhole && label.Whole
	if t.spec.Task == "values" {
		return t.columns.fit(label)
	}
	return ""
}

// fit holds a label against the form of those before it.
func (c *columns) fit(l *source.Label) (bad string) {
	width, named := len(l.Numbers), len(l.Names) > 0
	switch {
	case !l.List && !named:
		width = 1
	case l.List && width == 0:
		named = true // an empty list is one of names
	}
	if !c.known {
		*c = columns{known: true, named: named, list: l.List, width: width}
		return ""
	}
	switch {
	case c.named != named:
		return "names in some rows and numbers in others"
	case !named && c.width != width:
		return fmt.Sprintf("%d values here, %d in the rows before", width, c.width)
	}
	return ""
}

// labels are the names of the classes, the tags or the values.
func (t *tally) labels() []string {
	if t.spec.Task == "values" && !t.columns.named {
		if !t.columns.list {
			return []string{t.spec.Label}
		}
		names := make([]string, t.columns.width)
		for i := range names {
			names[i] = t.spec.Label + "." + strconv.Itoa(i)
		}
		return names
	}
	names := slices.Sorted(maps.Keys(t.names))
	if t.allWhole && t.spec.Task == "class" {
		slices.SortFunc(names, compareWhole)
	}
	if i := slices.Index(names, "O"); i > 0 && t.spec.Task == "tags" {
		copy(names[1:], names[:i])
		names[0] = "O"
	}
	return names
}

func compareWhole(a, b string) int {
	x, _ := strconv.ParseInt(a, 10, 64)
	y, _ := strconv.ParseInt(b, 10, 64)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// vocabulary is the characters of the training split in ascending order, with [token.Unknown]
// for those that it lacks, and with [token.Separator] where records are joined or ended by it.
func (t *tally) vocabulary() []string {
	set := t.parts[Train].runes.all()
	set[token.Unknown] = true
	for i := range t.parts {
		if ends(t.spec) || joins(t.spec) && t.parts[i].records > 1 {
			set[token.Separator] = true
		}
	}
	var list []string
	for _, r := range slices.Sorted(maps.Keys(set)) {
		list = append(list, string(r))
	}
	return list
}

// unknown is the characters of a split that training lacks.
func (t *tally) unknown(split Split) []rune {
	known := t.parts[Train].runes.all()
	known[token.Unknown] = true
	var list []rune
	for _, r := range slices.Sorted(maps.Keys(t.parts[split].runes.all())) {
		if !known[r] {
			list = append(list, r)
		}
	}
	return list
}

// runeSet is a set of characters.
type runeSet struct {
	ascii [utf8.RuneSelf]bool
	other map[rune]bool
}

// add adds the characters of text and says how many it holds.
func (s *runeSet) add(text []byte) (count int64) {
	for len(text) > 0 {
		count++
		if c := text[0]; c < utf8.RuneSelf {
			s.ascii[c] = true
			text = text[1:]
			continue
		}
		r, n := utf8.DecodeRune(text)
		if s.other == nil {
			s.other = make(map[rune]bool)
		}
		s.other[r] = true
		text = text[n:]
	}
	return count
}

func (s *runeSet) all() map[rune]bool {
	set := make(map[rune]bool, len(s.other))
	maps.Copy(set, s.other)
	for c, seen := range s.ascii {
		if seen {
			set[rune(c)] = true
		}
	}
	return set
}
