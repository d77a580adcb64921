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
}

// array is n elements at a pointer.
func array[T byte | int32 | uint32 | float64 | record.Span](m memory, what string, at, n uint32) ([]T, error) {
	if n == 0 {
		return []T{}, nil
	}
	var one T
	size := uint64(n) * uint64(unsafe.Sizeof(one))
	switch {
	case at == 0:
		return nil, fmt.Errorf("its %s are missing: %d are needed", what, n)
	case at%abi.Align != 0:
		return nil, fmt.Errorf("its pointer %#x to %s is not a multiple of %d", at, what, abi.Align)
	case size > math.MaxUint32:
		return nil, fmt.Errorf("its %s are %d, more than memory holds", what, n)
	}
	view, ok := m.Read(at, uint32(size))
	if !ok {
		return nil, fmt.Errorf("its pointer %#x to %d bytes of %s leads out of its memory", at, size, what)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(view))), n), nil
}

// ends is a column of ends, which must not descend, and the last of them.
func ends(m memory, what string, at, n uint32) ([]uint32, uint32, error) {
	list, err := array[uint32](m, what, at, n)
	last := uint32(0)
	for i, end := range list {
		if end < last {
			return nil, 0, fmt.Errorf("its %s descend: element %d is %d, the one before it %d", what, i, end, last)
		}
		last = end
	}
	return list, last, err
}

// result reads all columns. at is the record of the batch that an error is about; −1: it is about all.
func (r *reader) result(out *record.Result) (at int, err error) {
	*out = record.Result{}
	c := &r.call.Out
	if r.call.Origins != 0 || c.Records == 0 {
		if out.Origins, err = array[uint32](r.memory, "origins", r.call.Origins, c.Records); err == nil {
			err = ascend(out.Origins, len(r.in.Ends))
		}
	} else if int(c.Records) != len(r.in.Ends) {
		err = fmt.Errorf("it gives %d records for %d, and does not say of which they are made: give origins", c.Records, len(r.in.Ends))
	}
	if err != nil {
		return -1, err
	}
	if c.Ends == 0 && c.Records > 0 {
		return -1, r.kept(out)
	}
	if err := r.columns(out); err != nil {
		return -1, err
	}
	for j := range out.Ends {
		if err := r.record(out, j); err != nil {
			return r.origin(out, j), err
		}
	}
	return -1, nil
}

func (r *reader) origin(out *record.Result, j int) int {
	if out.Origins == nil {
		return j
	}
	return int(out.Origins[j])
}

// ascend holds origins against the records that there were.
func ascend(origins []uint32, records int) error {
	last := uint32(0)
	for i, o := range origins {
		if o < last || int64(o) >= int64(records) {
			return fmt.Errorf("origin %d is %d: origins are numbers of the %d records that it was given, and do not descend", i, o, records)
		}
		last = o
	}
	return nil
}

// kept: what comes out is records that went in, whole, of which there may not be more than fit into the plugin's memory.
func (r *reader) kept(out *record.Result) error {
	c := r.call.Out
	c.Records = 0
	if c != (abi.Columns{}) {
		return errors.New("it gives columns of records without their ends")
	}
	total := uint64(0)
	for _, o := range out.Origins {
		from := uint32(0)
		if o > 0 {
			from = r.in.Ends[o-1]
		}
		if total += uint64(r.in.Ends[o] - from); total*uint64(r.call.Unit) > r.limit {
			return fmt.Errorf("it gives more than the %d bytes that its memory may have", r.limit)
		}
	}
	return nil
}

// columns reads what records consist of.
func (r *reader) columns(out *record.Result) error {
	c, m := &r.call.Out, r.memory
	var errs [9]error
	var content, names, labels, numbers, spans uint32
	out.Ends, content, errs[0] = ends(m, "ends", c.Ends, c.Records)
	if out.NameEnds, names, errs[1] = ends(m, "ends of names", c.NameEnds, c.NameCount); errs[1] == nil {
		out.Names, errs[2] = array[byte](m, "names", c.Names, names)
	}
	if r.call.Unit == 4 {
		out.IDs, errs[3] = array[int32](m, "ids", c.Content, content)
	} else {
		out.Text, errs[3] = array[byte](m, "bytes", c.Content, content)
	}
	if c.LabelEnds != 0 || c.NumberEnds != 0 {
		if r.in.LabelEnds == nil {
			return errors.New("it labels records, and this data has no labels")
		}
		out.LabelEnds, labels, errs[4] = optionalEnds(m, "ends of labels", c.LabelEnds, c.Records)
		out.NumberEnds, numbers, errs[5] = optionalEnds(m, "ends of numbers", c.NumberEnds, c.Records)
		if errs[4] == nil && errs[5] == nil {
			out.Labels, errs[4] = array[uint32](m, "labels", c.Labels, labels)
			out.Numbers, errs[5] = array[float64](m, "numbers", c.Numbers, numbers)
		}
	}
	if c.SpanEnds != 0 {
		if r.in.SpanEnds == nil {
			return errors.New("it gives spans to records, and this data has none")
		}
		if out.SpanEnds, spans, errs[6] = ends(m, "ends of spans", c.SpanEnds, c.Records); errs[6] == nil {
			out.Spans, errs[7] = array[record.Span](m, "spans", c.Spans, spans)
		}
	}
	errs[8] = utf8Names(out)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// optionalEnds are those of a column that a transform may leave out, in which case no record has any of it.
func optionalEnds(m memory, what string, at, n uint32) ([]uint32, uint32, error) {
	if at == 0 {
		return make([]uint32, n), 0, nil
	}
	return ends(m, what, at, n)
}

func utf8Names(out *record.Result) error {
	from := uint32(0)
	for i, end := range out.NameEnds {
		if int(end) > len(out.Names) {
			return nil // the error of the names says so
		}
		if name := out.Names[from:end]; !utf8.Valid(name) {
			return fmt.Errorf("its name %d, %q, is not UTF-8", i, name)
		}
		from = end
	}
	return nil
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
