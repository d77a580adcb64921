package gsc

import "unsafe"

// Record is one of those that a transform gets. What it holds belongs to gsc, and is there during the call alone.
type Record struct {
	Text    []byte    // any bytes; nil where records are token ids
	IDs     []int32   // nil where records are text
	Numbers []float64 // labels that are numbers
	Seed    uint64    // of the run's seed, and of how many records this transform was given before
	ids     bool
	batch   *columns
	at      int
}

// Span is a tagged part of a record. Its places count from the record's beginning.
type Span struct {
	From, To int
	Name     string
}

// HoldsIDs says whether records of the data are token ids, not text.
func (r *Record) HoldsIDs() bool { return r.ids }

// Labels are the names of its classes; none where the data have none.
func (r *Record) Labels() []string {
	var names []string
	for _, name := range part(r.batch.labels, r.batch.labelEnds, r.at) {
		names = append(names, r.batch.name(int(name)))
	}
	return names
}

// HasSpans says whether records of the data have spans.
func (r *Record) HasSpans() bool { return r.batch.spanEnds != 0 }

// Spans are its tagged words, which ascend and do not overlap.
func (r *Record) Spans() []Span {
	var spans []Span
	for _, s := range part(r.batch.spans, r.batch.spanEnds, r.at) {
		spans = append(spans, Span{int(s.from), int(s.to), r.batch.name(int(s.name))})
	}
	return spans
}

// RecordTransform gives what comes of a record, none or more, to out. In any order it follows from the record and its seed alone.
type RecordTransform func(r *Record, out *Records) error

// TransformRecords makes the program a plugin that transforms records, as files hold them, before they are tokens. prepare gets the parameters, once, and gives the transform for them, or says why
// there is none.
func TransformRecords(m Manifest, prepare func(Params) (RecordTransform, error)) {
	describe("transform", member("on", "records"), m)
	var transform RecordTransform
	prepared(&transform, prepare)
	var out Records
	registered.transform = func(call unsafe.Pointer) error {
		c := (*recordsCall)(call)
		out.clear(c)
		in := &c.before
		for i := range int(in.records) {
			r := Record{Numbers: part(in.numbers, in.numberEnds, i), Seed: c.seeds.from(i, 1)[0], ids: out.unit == idBytes, batch: in, at: i}
			if content := in.content(i, out.unit); r.ids {
				r.IDs = unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(content))), len(content)/idBytes)
			} else {
				r.Text = content
			}
			out.at = i
			if err := transform(&r, &out); err != nil {
				return err
			}
		}
		out.fill(c)
		return nil
	}
}

// idBytes is the size of a token id.
const idBytes = 4

// tagged is a span as it lies in memory, and columns are records, and recordsCall is a call.
type (
	tagged struct{ from, to, name uint32 }

	columns struct {
		records    uint32
		contents   pointer[byte]
		ends       pointer[uint32]
		nameCount  uint32
		names      pointer[byte]
		nameEnds   pointer[uint32]
		labels     pointer[uint32]
		labelEnds  pointer[uint32]
		numbers    pointer[float64]
		numberEnds pointer[uint32]
		spans      pointer[tagged]
		spanEnds   pointer[uint32]
	}

	recordsCall struct {
		before  columns
		unit    uint32
		seeds   pointer[uint64]
		after   columns
		origins pointer[uint32]
	}
)

// extent is where what belongs to the i-th of some begins and ends.
func extent(ends pointer[uint32], i int) (from, to int) {
	if i > 0 {
		from = int(ends.from(i-1, 1)[0])
	}
	return from, int(ends.from(i, 1)[0])
}

// part is what belongs to the i-th of those whose ends are given; nil where these are not.
func part[T any](list pointer[T], ends pointer[uint32], i int) []T {
	if ends == 0 {
		return nil
	}
	from, to := extent(ends, i)
	return list.from(from, to-from)
}

// content is a record's, in bytes.
func (c *columns) content(i, unit int) []byte {
	from, to := extent(c.ends, i)
	return c.contents.from(from*unit, (to-from)*unit)
}

func (c *columns) name(i int) string { return string(part(c.names, c.nameEnds, i)) }

// Records are what comes out of a batch. As long as records are kept as they are, all that is written is which; with the first that is not, all columns are.
type Records struct {
	batch      *columns
	unit, at   int  // bytes of an element of content; the record that is being transformed
	written    bool // there are columns
	labelled   bool // those of labels, too
	ownLabels  bool // the last record's are no longer those of what it is made of
	origins    column[uint32]
	content    column[byte]
	ends       column[uint32]
	names      column[byte]
	nameEnds   column[uint32]
	labels     column[uint32]
	labelEnds  column[uint32]
	numbers    column[float64]
	numberEnds column[uint32]
	spans      column[tagged]
	spanEnds   column[uint32]
}

// Keep has the record come out as it is.
func (o *Records) Keep() {
	if o.written {
		o.copy(o.at)
	}
	o.begin()
}

// Text has a record with this text come out, with the labels of the one that it is made of, and without spans.
func (o *Records) Text(text []byte) {
	o.write()
	o.content.add(text...)
	o.end()
	o.begin()
}

// IDs has a record of these token ids come out, likewise.
func (o *Records) IDs(ids []int32) {
	o.Text(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(ids))), idBytes*len(ids)))
}

// Label adds a class to the record that came out last, in place of those of the one that it is made of.
func (o *Records) Label(name string) {
	o.relabel()
	o.labels.add(o.name(name))
	o.labelEnds[len(o.labelEnds)-1] = uint32(len(o.labels))
}

// Number adds a label that is a number to the record that came out last, likewise.
func (o *Records) Number(value float64) {
	o.relabel()
	o.numbers.add(value)
	o.numberEnds[len(o.numberEnds)-1] = uint32(len(o.numbers))
}

// Span adds a tagged part to the record that came out last, behind those that it has. A name is not empty.
func (o *Records) Span(s Span) {
	o.write()
	o.spans.add(tagged{uint32(s.From), uint32(s.To), o.name(s.Name)})
	o.spanEnds[len(o.spanEnds)-1] = uint32(len(o.spans))
}

// clear begins a batch.
func (o *Records) clear(c *recordsCall) {
	o.batch, o.unit, o.written, o.labelled = &c.before, int(c.unit), false, false
	for _, list := range []*column[uint32]{&o.origins, &o.ends, &o.nameEnds, &o.labels, &o.labelEnds, &o.numberEnds, &o.spanEnds} {
		*list = (*list)[:0]
	}
	o.content, o.names, o.numbers, o.spans = o.content[:0], o.names[:0], o.numbers[:0], o.spans[:0]
}

func (o *Records) begin() {
	o.origins.add(uint32(o.at))
	if o.labelled {
		o.copyLabels(o.at)
	}
	o.ownLabels = false
}

// write makes columns of what came out so far.
func (o *Records) write() {
	if o.written {
		return
	}
	o.written = true
	for i := range int(o.batch.nameCount) {
		o.addName(o.batch.name(i))
	}
	for _, i := range o.origins {
		o.copy(int(i))
	}
}

// copy copies a record's content and spans.
func (o *Records) copy(i int) {
	o.content.add(o.batch.content(i, o.unit)...)
	o.spans.add(part(o.batch.spans, o.batch.spanEnds, i)...)
	o.end()
}

// end ends a record's content and spans.
func (o *Records) end() {
	o.ends.add(uint32(len(o.content) / o.unit))
	o.spanEnds.add(uint32(len(o.spans)))
}

// relabel makes columns of the labels so far, and takes away those that the last record has from elsewhere.
func (o *Records) relabel() {
	o.write()
	if !o.labelled {
		o.labelled = true
		for _, i := range o.origins {
			o.copyLabels(int(i))
		}
	}
	if o.ownLabels {
		return
	}
	o.ownLabels = true
	o.labels = o.labels[:dropLast(o.labelEnds)]
	o.numbers = o.numbers[:dropLast(o.numberEnds)]
}

func (o *Records) copyLabels(i int) {
	o.labels.add(part(o.batch.labels, o.batch.labelEnds, i)...)
	o.labelEnds.add(uint32(len(o.labels)))
	o.numbers.add(part(o.batch.numbers, o.batch.numberEnds, i)...)
	o.numberEnds.add(uint32(len(o.numbers)))
}

// dropLast makes the last of those whose ends are given empty, and says where it begins.
func dropLast(ends []uint32) uint32 {
	from := uint32(0)
	if n := len(ends); n > 1 {
		from = ends[n-2]
	}
	ends[len(ends)-1] = from
	return from
}

// name is the number of a name in the table, which has it from now on.
func (o *Records) name(name string) uint32 {
	from := uint32(0)
	for i, end := range o.nameEnds {
		if string(o.names[from:end]) == name {
			return uint32(i)
		}
		from = end
	}
	o.addName(name)
	return uint32(len(o.nameEnds) - 1)
}

func (o *Records) addName(name string) {
	o.names.add([]byte(name)...)
	o.nameEnds.add(uint32(len(o.names)))
}

// fill says in a call where columns lie.
func (o *Records) fill(c *recordsCall) {
	c.after.records, c.origins = uint32(len(o.origins)), to(o.origins)
	if !o.written {
		return
	}
	c.after.contents, c.after.ends = to(o.content), to(o.ends)
	c.after.nameCount, c.after.names, c.after.nameEnds = uint32(len(o.nameEnds)), to(o.names), to(o.nameEnds)
	if o.batch.spanEnds != 0 || len(o.spans) > 0 {
		c.after.spans, c.after.spanEnds = to(o.spans), to(o.spanEnds)
	}
	if o.labelled {
		c.after.labels, c.after.labelEnds = to(o.labels), to(o.labelEnds)
		c.after.numbers, c.after.numberEnds = to(o.numbers), to(o.numberEnds)
	}
}
