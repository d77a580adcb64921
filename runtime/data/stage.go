package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/record"
	"github.com/gsc-project/gsc/runtime/data/source"
	"github.com/gsc-project/gsc/runtime/data/token"
)

// A batch of records is full with so many of them, or so many bytes. Batches depend on the files alone, so that threads change nothing.
const (
	batchRecords = 1024
	batchBytes   = 256 << 10
)

// stage is a transform of records between a sink and what fills it. It gathers batches, which several workers may transform at once, and gives what comes
// out in order. After its first error it gives nothing more.
type stage struct {
	spec      *plan.Data
	number    int // of the transform
	name      string
	splits    [splits]bool // that it is for
	transform record.Transform
	next      source.Sink
	seeds     record.Seeds
	digest    *xxhash.Digest
	err       error

	slots   []*slot // one for each worker, in turn
	filling int     // the one that takes records
	past    bool    // the record that is open is of a split that the transform is not for
	given   int64   // records that came out
	seen    int64   // records, so far
	known   map[string]string
	raw     []byte
	header  [8]byte
}

// slot is a batch on its way.
type slot struct {
	worker  int
	split   Split
	in      record.Batch
	out     record.Result
	names   map[string]uint32 // those of the batch
	lists   []bool            // of each label, whether it was written as a list
	wholes  []bool            // and as a whole number
	pending chan error        // of the worker; nil: none is at it
	from    int               // where the record that is open begins
}

func newStage(spec *plan.Data, number int, next source.Sink, with Transforms) (*stage, error) {
	t := spec.Transforms[number]
	made, err := with.Records(t)
	if err != nil {
		return nil, err
	}
	s := &stage{spec: spec, number: number, name: t.Plugin, transform: made, next: next, digest: xxhash.New(), known: map[string]string{},
		seeds: record.SeedsOf(with.Seed(), t.Plugin, "records")}
	for split := range s.splits {
		s.splits[split] = slices.Contains(t.Splits, Split(split).String())
	}
	for worker := range made.Workers() {
		s.slots = append(s.slots, s.newSlot(worker))
	}
	return s, nil
}

// newSlot makes a batch with the columns that the data have.
func (s *stage) newSlot(worker int) *slot {
	b := &slot{worker: worker, names: map[string]uint32{}}
	c := &b.in.Columns
	c.Ends, b.in.Seeds = []uint32{}, []uint64{}
	if s.spec.Format == "tokens" {
		c.IDs = []int32{}
	} else {
		c.Text = []byte{}
	}
	if s.labelled() || s.spec.Task == "tags" {
		c.Names, c.NameEnds = []byte{}, []uint32{}
	}
	if s.labelled() {
		c.Labels, c.LabelEnds, c.Numbers, c.NumberEnds = []uint32{}, []uint32{}, []float64{}, []uint32{}
	}
	if s.spec.Task == "tags" {
		c.Spans, c.SpanEnds = []record.Span{}, []uint32{}
	}
	return b
}

// labelled says whether records have labels.
func (s *stage) labelled() bool { return s.spec.Task == "class" || s.spec.Task == "values" }

// clear empties a batch, whose columns keep their room.
func (b *slot) clear() {
	c := &b.in.Columns
	c.Text, c.IDs, c.Ends, c.Names, c.NameEnds = c.Text[:0], c.IDs[:0], c.Ends[:0], c.Names[:0], c.NameEnds[:0]
	c.Labels, c.LabelEnds, c.Numbers, c.NumberEnds = c.Labels[:0], c.LabelEnds[:0], c.Numbers[:0], c.NumberEnds[:0]
	c.Spans, c.SpanEnds = c.Spans[:0], c.SpanEnds[:0]
	b.in.Places, b.in.Seeds, b.lists, b.wholes, b.from = b.in.Places[:0], b.in.Seeds[:0], b.lists[:0], b.wholes[:0], 0
	clear(b.names)
}

// length is how long the batch's content is.
func (b *slot) length() int { return len(b.in.Text) + len(b.in.IDs) }

// name is the number of a name in the batch's table.
func (b *slot) name(name string) uint32 {
	n, ok := b.names[name]
	if !ok {
		n = uint32(len(b.in.NameEnds))
		b.names[name] = n
		b.in.Names = append(b.in.Names, name...)
		b.in.NameEnds = append(b.in.NameEnds, uint32(len(b.in.Names)))
	}
	return n
}

func (s *stage) Begin(split Split, at record.Place) {
	if s.err != nil {
		return
	}
	if s.past = !s.splits[split]; s.past {
		if s.drain(); s.err == nil {
			s.next.Begin(split, at)
		}
		return
	}
	if b := s.slots[s.filling]; len(b.in.Places) > 0 && b.split != split {
		s.send()
	}
	b := s.slots[s.filling]
	b.split, b.in.Places = split, append(b.in.Places, at)
}

func (s *stage) Text(text []byte) {
	switch {
	case s.err != nil:
	case s.past:
		s.next.Text(text)
	default:
		b := s.slots[s.filling]
		b.in.Text = append(b.in.Text, text...)
		s.spanEnds(b, len(text))
		s.bound(b)
	}
}

func (s *stage) IDs(raw []byte) {
	switch {
	case s.err != nil:
	case s.past:
		s.next.IDs(raw)
	default:
		b := s.slots[s.filling]
		for width := source.TokenWidth(s.spec.TokenType); len(raw) >= width; raw = raw[width:] {
			id := int32(binary.LittleEndian.Uint16(raw))
			if width == 4 {
				id = int32(binary.LittleEndian.Uint32(raw))
			}
			b.in.IDs = append(b.in.IDs, id)
		}
		s.bound(b)
	}
}

// Tag begins a span, which is as long as the text that comes next.
func (s *stage) Tag(tag string) {
	switch {
	case s.err != nil:
	case s.past:
		s.next.Tag(tag)
	default:
		b := s.slots[s.filling]
		at := uint32(b.length() - b.from)
		b.in.Spans = append(b.in.Spans, record.Span{From: at, To: at, Name: b.name(tag)})
	}
}

// spanEnds lets the span that was just begun end behind n bytes.
func (s *stage) spanEnds(b *slot, n int) {
	if k := len(b.in.Spans) - 1; k >= 0 && b.in.Spans[k].From == b.in.Spans[k].To {
		b.in.Spans[k].To += uint32(n)
	}
}

// bound refuses a record that is longer than the transform takes.
func (s *stage) bound(b *slot) {
	size := int64(b.length() - b.from)
	if b.in.IDs != nil {
		size *= 4
	}
	if limit := s.transform.LimitBytes(); size > limit {
		s.fail(b.in.Places[len(b.in.Places)-1], fmt.Errorf("it is longer than the %d bytes that the transform takes: cut it, or raise record_bytes in the plugin's manifest", limit))
	}
}

// fail notes the first error.
func (s *stage) fail(at record.Place, err error) {
	if s.err == nil {
		s.err = fmt.Errorf("transform %s: record %v: %w", s.name, at, err)
	}
}

func (s *stage) End(label *source.Label) (bad string) {
	if s.err != nil {
		return ""
	}
	if s.past {
		return s.next.End(label)
	}
	b := s.slots[s.filling]
	b.in.Ends = append(b.in.Ends, uint32(b.length()))
	b.in.Seeds = append(b.in.Seeds, s.seeds.At(s.seen, 0))
	s.seen++
	if b.in.SpanEnds != nil {
		b.in.SpanEnds = append(b.in.SpanEnds, uint32(len(b.in.Spans)))
	}
	if b.in.LabelEnds != nil {
		b.label(label)
	}
	b.from = b.length()
	if len(b.in.Ends) >= batchRecords || b.from >= batchBytes {
		s.send()
	}
	return ""
}

// label adds the label of the record that ends.
func (b *slot) label(label *source.Label) {
	c := &b.in.Columns
	for _, name := range label.Names {
		c.Labels = append(c.Labels, b.name(name))
	}
	c.Numbers = append(c.Numbers, label.Numbers...)
	c.LabelEnds, c.NumberEnds = append(c.LabelEnds, uint32(len(c.Labels))), append(c.NumberEnds, uint32(len(c.Numbers)))
	b.lists, b.wholes = append(b.lists, label.List), append(b.wholes, label.Whole)
}

// send has the batch transformed, and makes the next slot ready for records.
func (s *stage) send() {
	b := s.slots[s.filling]
	b.pending = make(chan error, 1)
	go func() { b.pending <- s.transform.Apply(b.worker, &b.in, &b.out) }()
	s.filling = (s.filling + 1) % len(s.slots)
	s.settle(s.slots[s.filling])
}

// settle waits for a batch, and gives on what came of it.
func (s *stage) settle(b *slot) {
	if b.pending == nil {
		return
	}
	err := <-b.pending
	if b.pending = nil; s.err == nil {
		s.err = err
	}
	if s.err == nil {
		s.give(b)
	}
	b.clear()
}

// drain sends what was gathered, and gives on all that is on its way.
func (s *stage) drain() {
	if len(s.slots[s.filling].in.Ends) > 0 {
		s.send()
	}
	for i := range s.slots {
		s.settle(s.slots[(s.filling+i)%len(s.slots)])
	}
}

// finish ends the work.
func (s *stage) finish() error {
	if s.err == nil {
		s.drain()
	}
	for _, b := range s.slots {
		s.settle(b)
	}
	return errors.Join(s.err, s.transform.Close())
}

// give gives the records of a batch on.
func (s *stage) give(b *slot) {
	for j := range b.out.Len(&b.in) {
		origin := b.out.Origin(j)
		if err := s.record(b, j, origin); err != nil {
			s.fail(b.in.Places[origin], err)
			return
		}
	}
}

// record gives on record j of a result.
func (s *stage) record(b *slot, j, origin int) error {
	from, at := b.out.Content(&b.in, j)
	label, err := s.labelOf(b, j, origin)
	if err != nil {
		return err
	}
	s.given++
	s.next.Begin(b.split, b.in.Places[origin])
	if b.in.IDs != nil {
		err = s.giveIDs(record.Part(from.IDs, from.Ends, at))
	} else {
		err = s.giveText(record.Part(from.Text, from.Ends, at), record.Part(b.in.Text, b.in.Ends, origin), from, at)
	}
	if bad := s.next.End(label); bad != "" && err == nil {
		err = fmt.Errorf("its label: %s", bad)
	}
	return err
}

// note adds to the digest of what was given.
func (s *stage) note(what byte, number int, content []byte) {
	binary.LittleEndian.PutUint64(s.header[:], uint64(number)<<8|uint64(what))
	s.digest.Write(s.header[:])
	s.digest.Write(content)
}

// giveIDs gives ids on as they would stand in a file.
func (s *stage) giveIDs(ids []int32) error {
	s.raw = s.raw[:0]
	wide := source.TokenWidth(s.spec.TokenType) == 4
	for k, id := range ids {
		switch {
		case wide:
			s.raw = binary.LittleEndian.AppendUint32(s.raw, uint32(id))
		case id <= math.MaxUint16:
			s.raw = binary.LittleEndian.AppendUint16(s.raw, uint16(id))
		default:
			return fmt.Errorf("the id of token %d that comes out is %d, and the data are uint16", k, id)
		}
	}
	s.note('i', len(ids), s.raw)
	s.next.IDs(s.raw)
	return nil
}

// giveText gives text on, with the tags of its spans.
func (s *stage) giveText(text, before []byte, from *record.Columns, at int) error {
	if s.spec.Tokenizer == token.Characters && !utf8.Valid(text) && utf8.Valid(before) {
		return errors.New("the text that comes out is not UTF-8, and what went in is")
	}
	s.note('t', len(text), text)
	done := uint32(0)
	for _, span := range record.Part(from.Spans, from.SpanEnds, at) {
		if span.From > done {
			s.next.Text(text[done:span.From])
		}
		tag := s.intern(record.Part(from.Names, from.NameEnds, int(span.Name)))
		s.note('s', int(span.From), []byte(tag))
		s.next.Tag(tag)
		s.next.Text(text[span.From:span.To])
		done = span.To
	}
	if int(done) < len(text) {
		s.next.Text(text[done:])
	}
	return nil
}

// intern is a name as a string, of which there is one.
func (s *stage) intern(name []byte) string {
	known, ok := s.known[string(name)]
	if !ok {
		known = string(name)
		s.known[known] = known
	}
	return known
}

// labelOf is the label of a record: the one it was given, or that of its origin.
func (s *stage) labelOf(b *slot, j, origin int) (*source.Label, error) {
	if b.in.LabelEnds == nil {
		return nil, nil
	}
	from, at := b.out.Label(&b.in, j)
	own := b.out.LabelEnds != nil
	label := &source.Label{Numbers: slices.Clone(record.Part(from.Numbers, from.NumberEnds, at)), List: b.lists[origin], Whole: b.wholes[origin]}
	for _, name := range record.Part(from.Labels, from.LabelEnds, at) {
		text := s.intern(record.Part(from.Names, from.NameEnds, int(name)))
		s.note('l', 0, []byte(text))
		if label.Names = append(label.Names, text); own {
			label.Whole = whole(text)
		}
	}
	for _, v := range label.Numbers {
		s.note('n', 0, binary.LittleEndian.AppendUint64(s.raw[:0], math.Float64bits(v)))
	}
	switch {
	case !own:
	case s.spec.Task == "class" && (len(label.Names) != 1 || len(label.Numbers) > 0):
		return nil, fmt.Errorf("a record that comes out has %d names of classes and %d numbers for a label: give one name", len(label.Names), len(label.Numbers))
	case len(label.Names) > 0 && len(label.Numbers) > 0:
		return nil, errors.New("a record that comes out has names and numbers for a label: give the ones or the others")
	case !label.List && len(label.Names)+len(label.Numbers) != 1:
		return nil, fmt.Errorf("a record that comes out has a label of %d values, and the one that it had is no list", len(label.Names)+len(label.Numbers))
	}
	return label, nil
}

// whole says whether a name is a whole number, as gsc would write it.
func whole(name string) bool {
	n, err := strconv.ParseInt(name, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == name
}
