package data

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/data/token"
)

// Set is the data of a run, held in memory. Its methods may be called by several goroutines at once.
type Set struct {
	spec      plan.Data
	tokenizer *token.Tokenizer
	parts     [splits]part
	rows      []rowStage
}

// part is what a set holds of one split.
type part struct {
	tokens  ids
	tags    ids       // task "tags": the label plus 1 at the first token of a word, else 0
	starts  []int64   // of the records in tokens, and the end
	classes []int32   // of the records
	values  []float32 // of the records
	packing *packing
	given   *given

	length int64 // tokens a row
	rows   int64 // of an epoch or of a pass
	ends   int32 // label of a record's last token
	target string
}

// Spec is the prepared spec that the set was opened with.
func (s *Set) Spec() plan.Data { return s.spec }

// Tokenizer is the set's tokenizer.
func (s *Set) Tokenizer() *token.Tokenizer { return s.tokenizer }

// Rows is how many rows a split has: of an epoch or of a pass of evaluation.
func (s *Set) Rows(split Split) int64 { return s.parts[split].rows }

// Documents is how many records a split has.
func (s *Set) Documents(split Split) int64 { return int64(max(len(s.parts[split].starts)-1, 0)) }

// Document is the tokens of a record.
func (s *Set) Document(split Split, i int64) []int32 {
	p := &s.parts[split]
	end := p.starts[i+1]
	if joins(&s.spec) && i+1 < s.Documents(split) {
		end-- // the separator
	}
	list := make([]int32, end-p.starts[i])
	p.tokens.get(list, p.starts[i])
	return list
}

// Bytes is the joined records of a split of text in bytes, nil for other data. It belongs to the set.
func (s *Set) Bytes(split Split) []byte {
	if s.spec.Tokenizer != token.Bytes || s.spec.Rows != "stream" {
		return nil
	}
	return s.parts[split].tokens.one
}

// SizeBytes is the memory that the set holds.
func (s *Set) SizeBytes() (total int64) {
	for i := range s.parts {
		p := &s.parts[i]
		total += p.tokens.sizeBytes() + p.tags.sizeBytes()
		total += 8*int64(cap(p.starts)) + 4*int64(cap(p.classes)) + 4*int64(cap(p.values))
		if p.packing != nil {
			total += p.packing.sizeBytes()
		}
		if p.given != nil {
			total += p.given.sizeBytes()
		}
	}
	return total
}

// EstimateBytes is the memory that a set of a prepared spec will hold: [Set.SizeBytes] or, for packed
// rows, a little more.
func EstimateBytes(spec plan.Data) (total int64) {
	for split := Train; split < splits; split++ {
		c := CountOf(spec, split)
		if spec.Rows == "given" {
			total += givenBytes(&spec, c)
			continue
		}
		total += c.Tokens*int64(widthFor(spec.VocabularySize)) + 8*(c.Records+1)
		switch spec.Task {
		case "tags":
			total += c.Tokens * int64(widthFor(spec.Outputs+1))
		case "class":
			total += 4 * c.Records
		case "values":
			total += 4 * c.Records * int64(spec.Outputs)
		}
		if spec.Rows == "packed" {
			total += 16*(c.Records+c.Tokens/int64(max(spec.Length, 1))) + 4*(c.Rows+1)
		}
	}
	return total
}

// Fill makes the training batch of a step, from 1. It is a function of the set's spec, the seed, the step and
// the number of rows of b, and nothing else.
func (s *Set) Fill(seed uint64, step int64, b *Batch) error {
	p := &s.parts[Train]
	if step < 1 || p.rows == 0 {
		return fmt.Errorf("step %d: steps count from 1, and training has %d rows", step, p.rows)
	}
	if p.given != nil {
		if err := p.given.check(step, b.Rows); err != nil {
			return err
		}
	}
	g := (step - 1) * int64(b.Rows)
	for i := range b.Index {
		b.Index[i] = s.pick(seed, step, i, g+int64(i))
	}
	if err := s.fill(Train, step, b, s.spec.Order == "random"); err != nil {
		return fmt.Errorf("step %d: %w", step, err)
	}
	return nil
}

// pick is the row of the epoch, or for random rows the place, of training row i of a step, the g-th of the run.
func (s *Set) pick(seed uint64, step int64, i int, g int64) int64 {
	p := &s.parts[Train]
	switch {
	case s.spec.Order == "random":
		return draw(seed, uint32(step), i, p.tokens.len()-p.length)
	case s.spec.Order == "sequential" || p.given != nil:
		if plan.RecordsOf(s.spec.Unit) > 1 && p.rows > 1 {
			return g % (p.rows / 2 * 2)
		}
		return g % p.rows
	}
	if plan.RecordsOf(s.spec.Unit) > 1 && p.rows > 1 { // pairs stay together; the last row of an odd number has no partner, and its turn never comes
		pairs := p.rows / 2
		return 2*permute(seed, uint32(g/2/pairs), g/2%pairs, pairs) + g%2
	}
	return permute(seed, uint32(g/p.rows), g%p.rows, p.rows)
}

// fill makes the rows that b.Index names, by number or by the place of their first token, for a step of training, or for evaluation, whose step is 0.
func (s *Set) fill(split Split, step int64, b *Batch, places bool) error {
	p := &s.parts[split]
	b.resize(s.lengthOf(p, b.Index))
	b.clear()
	for i, r := range b.Index {
		if r >= 0 {
			s.fillRow(p, b, i, r, places)
		}
	}
	err := s.change(split, step, b)
	b.count()
	return err
}

// lengthOf is the length of a batch of the given rows.
func (s *Set) lengthOf(p *part, index []int64) int {
	if s.spec.Rows != "padded" {
		return s.spec.Length
	}
	longest := int64(0)
	for _, r := range index {
		if r >= 0 {
			longest = max(longest, p.starts[r+1]-p.starts[r])
		}
	}
	return bucket(&s.spec, int(min(longest, p.length)))
}

func (s *Set) fillRow(p *part, b *Batch, i int, r int64, places bool) {
	switch {
	case p.given != nil:
		p.given.fill(b, i, r)
	case p.packing != nil:
		p.fillPacked(b, i, r)
	case s.spec.Rows == "padded":
		p.fillRecord(b, i, r)
	case places:
		p.fillStream(b, i, r)
	default:
		p.fillStream(b, i, r*p.length)
	}
}

// fillStream takes the tokens from a place on.
func (p *part) fillStream(b *Batch, i int, at int64) {
	n := int(min(p.length, p.tokens.len()-1-at))
	p.tokens.get(b.span(b.Tokens, i)[:n], at)
	p.tokens.get(b.span(b.Labels, i)[:n], at+1)
	b.mark(i, 0, n, 1)
}

// fillPacked takes the pieces of a packed row.
func (p *part) fillPacked(b *Batch, i int, r int64) {
	from := 0
	for k, piece := range p.packing.row(r) {
		to := from + int(piece.length)
		p.tokens.get(b.span(b.Tokens, i)[from:to], piece.start)
		labels := b.span(b.Labels, i)[from:to]
		p.label(labels, piece.start, p.starts[piece.record+1])
		b.mark(i, from, to, int32(k+1))
		from = to
	}
}

// fillRecord takes a record as a padded row.
func (p *part) fillRecord(b *Batch, i int, r int64) {
	start, end := p.starts[r], p.starts[r+1]
	n := int(min(end-start, p.length))
	p.tokens.get(b.span(b.Tokens, i)[:n], start)
	b.mark(i, 0, n, 1)
	switch p.target {
	case "row":
		b.Labels[i] = p.classes[r]
		if b.Weights != nil {
			b.Weights[i] = 1
		}
	case "values":
		width := len(b.Values) / b.Rows
		copy(b.Values[i*width:(i+1)*width], p.values[r*int64(width):])
		b.Weights[i] = 1
	default:
		p.label(b.span(b.Labels, i)[:n], start, end)
	}
}

// label sets the labels of the tokens from start on, of a record that ends at end.
func (p *part) label(labels []int32, start, end int64) {
	if p.tags.width > 0 {
		p.labelTags(labels, start)
		return
	}
	known := int(min(int64(len(labels)), end-1-start))
	p.tokens.get(labels[:known], start+1)
	if known < len(labels) {
		labels[known] = p.ends
	}
}

// mark sets what goes with the tokens from … to−1 of row i, which are one segment.
func (b *Batch) mark(i, from, to int, segment int32) {
	b.valid[i] += int32(to - from)
	if b.Lengths != nil {
		b.Lengths[i] = b.valid[i]
	}
	if b.Segments != nil {
		setAll(b.span(b.Segments, i)[from:to], segment)
	}
	if b.Mask != nil {
		setAll(b.span(b.Mask, i)[from:to], 1)
	}
	if b.Positions != nil {
		for k := range to - from {
			b.Positions[i*b.Length+from+k] = int32(k)
		}
	}
	if b.target == "token" && b.Weights != nil {
		for k := from; k < to; k++ {
			b.Weights[i*b.Length+k] = 1
		}
	}
}

// labelTags sets the tags of words at their first tokens.
func (p *part) labelTags(labels []int32, start int64) {
	p.tags.get(labels, start)
	for i, tag := range labels {
		labels[i] = tag - 1
		if tag == 0 {
			labels[i] = p.ends
		}
	}
}

func setAll(list []int32, v int32) {
	for i := range list {
		list[i] = v
	}
}
