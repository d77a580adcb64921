// Package record is what the data layer and transforms hand to each other: batches of records, in columns.
//
// A record is text or token ids, with a label where the data has one, and tagged spans where its words have tags. A [Transform] gives zero or more records
// for each that it sees. It knows neither files nor WebAssembly, so that the data layer and the host of plugins need not know each other.
package record

import (
	"fmt"

	"github.com/gsc-project/gsc/kernels"
)

// Columns are records. Ends[i] is where record i ends in Text or IDs, and the next begins; other columns that belong to records have ends of their own.
type Columns struct {
	Text []byte  // one after the other; nil where records are ids
	IDs  []int32 // nil where they are text
	Ends []uint32

	Names    []byte // that labels and spans have: a table of the batch
	NameEnds []uint32

	Labels     []uint32 // numbers of names
	LabelEnds  []uint32 // nil: no record has a label
	Numbers    []float64
	NumberEnds []uint32 // nil with LabelEnds

	Spans    []Span   // ascending, and apart, within each record
	SpanEnds []uint32 // nil: no record has spans
}

// Span is a tagged part of a record: its places count from the record's beginning.
type Span struct{ From, To, Name uint32 }

// Part is what record j has of a column, by the ends of the records in it.
func Part[T any](list []T, ends []uint32, j int) []T {
	if list == nil || ends == nil {
		return nil
	}
	from := uint32(0)
	if j > 0 {
		from = ends[j-1]
	}
	return list[from:ends[j]]
}

// Batch is records as a transform sees them.
type Batch struct {
	Columns
	Places []Place  // where each comes from
	Seeds  []uint64 // of each: functions of the run's seed and of how many records went before it
}

// One is a batch of record k alone.
func (b *Batch) One(k int) *Batch {
	one := &Batch{Columns: Columns{Names: b.Names, NameEnds: b.NameEnds}, Places: b.Places[k : k+1], Seeds: b.Seeds[k : k+1]}
	one.Text, one.IDs, one.Spans = Part(b.Text, b.Ends, k), Part(b.IDs, b.Ends, k), Part(b.Spans, b.SpanEnds, k)
	one.Labels, one.Numbers = Part(b.Labels, b.LabelEnds, k), Part(b.Numbers, b.NumberEnds, k)
	one.Ends = []uint32{uint32(len(one.Text) + len(one.IDs))}
	if b.LabelEnds != nil {
		one.LabelEnds, one.NumberEnds = []uint32{uint32(len(one.Labels))}, []uint32{uint32(len(one.Numbers))}
	}
	if b.SpanEnds != nil {
		one.SpanEnds = []uint32{uint32(len(one.Spans))}
	}
	return one
}

// Result is what a transform made of a batch. It may be read until the transform is called again.
type Result struct {
	Columns          // Ends nil: each record is what its origin is
	Origins []uint32 // of each record, the one of the batch that it was made of; never descending
}

// Len is how many records came out of a batch.
func (r *Result) Len(in *Batch) int {
	switch {
	case r.Origins != nil:
		return len(r.Origins)
	case r.Ends != nil:
		return len(r.Ends)
	}
	return len(in.Ends)
}

// Origin is the record of the batch that record j is made of.
func (r *Result) Origin(j int) int {
	if r.Origins == nil {
		return j
	}
	return int(r.Origins[j])
}

// Content is where record j's text, ids and spans stand: in the result, or in the batch that it was made of.
func (r *Result) Content(in *Batch, j int) (c *Columns, at int) {
	if r.Ends == nil {
		return &in.Columns, r.Origin(j)
	}
	return &r.Columns, j
}

// Label is where record j's label stands.
func (r *Result) Label(in *Batch, j int) (c *Columns, at int) {
	if r.LabelEnds == nil {
		return &in.Columns, r.Origin(j)
	}
	return &r.Columns, j
}

// Place is where a record stands in the files.
type Place struct {
	Path string
	Line int // from 1; 0: the file is one record, or several that splits cut it into
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.Path
	}
	return fmt.Sprintf("%s:%d", p.Path, p.Line)
}

// Transform changes records. Workers with different numbers, from 0 on, may be called at the same time.
type Transform interface {
	Workers() int
	LimitBytes() int64 // of a record
	Apply(worker int, in *Batch, out *Result) error
	Close() error
}

// Rows are rows of a batch on their way to the model, one after the other. A transform changes the tokens, labels, weights and types of the tokens that are valid; what it does
// not give to rows of its kind is nil.
type Rows struct {
	Tokens   []int32   // (rows, Length)
	Labels   []int32   // (rows, Length), or (rows): one each
	Weights  []float32 // like Labels
	Types    []int32   // (rows, Length)
	Segments []int32   // (rows, Length); to be read
	Valid    []int32   // (rows): tokens that are no padding
	Seeds    []uint64  // (rows)
	Length   int

	Vocabulary, Outputs int   // tokens and labels are below them
	Ignore              int32 // the label that is not scored
}

// RowTransform changes rows where they stand. It may be called by several goroutines.
type RowTransform interface {
	Apply(r *Rows) error
}

// Seeds is a stream of seeds of a transform. Seeds of records, of rows in training and of rows in evaluation never meet.
type Seeds struct {
	seed   uint64
	stream uint32
}

// SeedsOf is the stream that a run's seed gives a transform: its name, and what the seeds are of.
func SeedsOf(seed uint64, name, of string) Seeds {
	return Seeds{seed, kernels.StreamKey(kernels.PurposePlugin, of+" "+name)}
}

// At is the seed of record or row i, in a step where steps count.
func (s Seeds) At(i int64, step int64) uint64 {
	w := kernels.Philox(s.seed, uint64(i), uint32(step), s.stream)
	return uint64(w[0]) | uint64(w[1])<<32
}
