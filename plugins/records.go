package plugins

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
	"unsafe"

	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/record"
)

// memory is what a reader needs of a guest's.
type memory interface {
	Read(at, size uint32) ([]byte, bool)
}

// reader reads what a transform of records left, none of which it trusts.
type reader struct {
	memory memory
	limit  uint64 // of the bytes that come out
	in     *record.Batch
	call   abi.RecordsCall
	err    error
}

// array is n elements at a pointer. The first error stays, and nothing is read after it.
func array[T byte | int32 | uint32 | float64 | record.Span](r *reader, what string, at, n uint32) []T {
	var one T
	size := uint64(n) * uint64(unsafe.Sizeof(one))
	switch {
	case r.err != nil:
		return nil
	case n == 0:
		return []T{}
	case at == 0:
		r.err = fmt.Errorf("its %s are missing: %d are needed", what, n)
		return nil
	case at%abi.Align != 0:
		r.err = fmt.Errorf("its pointer %#x to %s is not a multiple of %d", at, what, abi.Align)
		return nil
	}
	if size <= math.MaxUint32 {
		if view, ok := r.memory.Read(at, uint32(size)); ok {
			return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(view))), n)
		}
	}
	r.err = fmt.Errorf("its pointer %#x to %d bytes of %s leads out of its memory", at, size, what)
	return nil
}

// ends is a column of ends, which must not descend, and the last of them.
func (r *reader) ends(what string, at, n uint32) (list []uint32, last uint32) {
	list = array[uint32](r, what, at, n)
	for i, end := range list {
		if end < last && r.err == nil {
			r.err = fmt.Errorf("its %s descend: element %d is %d, the one before it %d", what, i, end, last)
		}
		last = end
	}
	return list, last
}

// optionalEnds are those of a column that a transform may leave out, in which case no record has any of it.
func (r *reader) optionalEnds(what string, at, n uint32) ([]uint32, uint32) {
	if at == 0 && r.err == nil {
		return make([]uint32, n), 0
	}
	return r.ends(what, at, n)
}

// result reads all columns. at is the record of the batch that an error is about; −1: it is about all.
func (r *reader) result(out *record.Result) (at int, err error) {
	*out = record.Result{}
	r.origins(out)
	switch c := &r.call.Out; {
	case r.err != nil:
	case c.Ends == 0 && c.Records > 0:
		r.kept(out)
	default:
		r.columns(out)
	}
	if r.err != nil {
		return -1, r.err
	}
	for j := range out.Ends {
		if err := r.record(out, j); err != nil {
			return out.Origin(j), err
		}
	}
	return -1, nil
}

// origins reads what records are made of.
func (r *reader) origins(out *record.Result) {
	records, given := r.call.Out.Records, len(r.in.Ends)
	if r.call.Origins == 0 && records > 0 {
		if int64(records) != int64(given) {
			r.err = fmt.Errorf("it gives %d records for %d, and does not say of which they are made: give origins", records, given)
		}
		return
	}
	out.Origins = array[uint32](r, "origins", r.call.Origins, records)
	last := uint32(0)
	for i, o := range out.Origins {
		if o < last || int64(o) >= int64(given) {
			r.err = fmt.Errorf("origin %d is %d: origins are numbers of the %d records that it was given, and do not descend", i, o, given)
			return
		}
		last = o
	}
}

// kept: what comes out is records that went in, whole, of which there may not be more than fit into the plugin's memory.
func (r *reader) kept(out *record.Result) {
	c := r.call.Out
	c.Records = 0
	if c != (abi.Columns{}) {
		r.err = errors.New("it gives columns of records without their ends")
		return
	}
	total := uint64(0)
	for _, o := range out.Origins {
		from := uint32(0)
		if o > 0 {
			from = r.in.Ends[o-1]
		}
		if total += uint64(r.in.Ends[o] - from); total*uint64(r.call.Unit) > r.limit {
			r.err = fmt.Errorf("it gives more than the %d bytes that its memory may have", r.limit)
			return
		}
	}
}

// columns reads what records consist of.
func (r *reader) columns(out *record.Result) {
	c := &r.call.Out
	switch labels := c.LabelEnds != 0 || c.NumberEnds != 0; {
	case labels && r.in.LabelEnds == nil:
		r.err = errors.New("it labels records, and this data has no labels")
	case c.SpanEnds != 0 && r.in.SpanEnds == nil:
		r.err = errors.New("it gives spans to records, and this data has none")
	}
	var size uint32
	out.Ends, size = r.ends("ends", c.Ends, c.Records)
	if r.call.Unit == 4 {
		out.IDs = array[int32](r, "ids", c.Content, size)
	} else {
		out.Text = array[byte](r, "bytes", c.Content, size)
	}
	out.NameEnds, size = r.ends("ends of names", c.NameEnds, c.NameCount)
	out.Names = array[byte](r, "names", c.Names, size)
	r.names(out)
	if c.LabelEnds != 0 || c.NumberEnds != 0 {
		out.LabelEnds, size = r.optionalEnds("ends of labels", c.LabelEnds, c.Records)
		out.Labels = array[uint32](r, "labels", c.Labels, size)
		out.NumberEnds, size = r.optionalEnds("ends of numbers", c.NumberEnds, c.Records)
		out.Numbers = array[float64](r, "numbers", c.Numbers, size)
	}
	if c.SpanEnds != 0 {
		out.SpanEnds, size = r.ends("ends of spans", c.SpanEnds, c.Records)
		out.Spans = array[record.Span](r, "spans", c.Spans, size)
	}
}

// names looks at the table of names.
func (r *reader) names(out *record.Result) {
	for i := range out.NameEnds {
		if r.err != nil {
			return
		}
		if name := record.Part(out.Names, out.NameEnds, i); !utf8.Valid(name) {
			r.err = fmt.Errorf("its name %d, %q, is not UTF-8", i, name)
		}
	}
}

// record looks at what a record is made of.
func (r *reader) record(out *record.Result, j int) error {
	if out.IDs != nil {
		for k, id := range record.Part(out.IDs, out.Ends, j) {
			if id < 0 || id == math.MaxInt32 {
				return fmt.Errorf("the id of its token %d is %d", k, id)
			}
		}
	}
	for _, name := range record.Part(out.Labels, out.LabelEnds, j) {
		if int64(name) >= int64(len(out.NameEnds)) {
			return fmt.Errorf("its label is the name %d, of %d", name, len(out.NameEnds))
		}
	}
	for _, v := range record.Part(out.Numbers, out.NumberEnds, j) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("its label is %g", v)
		}
	}
	length, last := uint32(len(record.Part(out.Text, out.Ends, j))+len(record.Part(out.IDs, out.Ends, j))), uint32(0)
	for k, s := range record.Part(out.Spans, out.SpanEnds, j) {
		switch {
		case s.From < last || s.From >= s.To || s.To > length:
			return fmt.Errorf("its span %d is from %d to %d, of %d bytes: spans hold something, ascend, and do not overlap", k, s.From, s.To, length)
		case int64(s.Name) >= int64(len(out.NameEnds)) || len(record.Part(out.Names, out.NameEnds, int(s.Name))) == 0:
			return fmt.Errorf("its span %d has the name %d, which is empty, or none of %d", k, s.Name, len(out.NameEnds))
		}
		last = s.To
	}
	return nil
}
