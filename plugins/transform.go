package plugins

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/tetratelabs/wazero/api"

	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/record"
)

// extent is a part of the guest's memory that gsc writes to.
type extent struct{ at, size uint32 }

// transformInstance is an instance with room for the calls of a transform.
type transformInstance struct {
	*instance
	transform api.Function
	call      uint32 // where the call's words lie
	rooms     []extent
}

// transformer checks that a plugin transforms what it is asked to.
func (p *Plugin) transformer(on abi.On) error {
	switch {
	case p.Manifest.Kind != abi.TransformKind:
		return p.wrong("", "", fmt.Errorf("it is a %s, not a transform", p.Manifest.Kind))
	case p.Manifest.On != on:
		return p.wrong("", "", fmt.Errorf("it transforms %s, not %s", p.Manifest.On, on))
	}
	return p.wrong("", "", p.has(ofTransform))
}

// newTransform makes an instance, with room for the words of a call.
func (p *Plugin) newTransform(ctx context.Context, params []byte, words int) (*transformInstance, error) {
	made, err := p.instance(ctx)
	if err != nil {
		return nil, err
	}
	i := &transformInstance{instance: made, transform: made.module.ExportedFunction(abi.Transform)}
	if err = i.init(params); err == nil {
		err = i.room(&i.call, uint32(words)*4)
	}
	if err != nil {
		return nil, errors.Join(err, made.close())
	}
	return i, nil
}

// room has the plugin give room, which must be apart from all that it gave before.
func (i *transformInstance) room(at *uint32, size uint32) (err error) {
	if *at, err = i.alloc(size); err != nil {
		return err
	}
	for _, r := range i.rooms {
		if uint64(*at) < uint64(r.at)+uint64(r.size) && uint64(r.at) < uint64(*at)+uint64(size) {
			return i.plugin.wrong(abi.Alloc, "", fmt.Errorf("it gave the bytes at %#x twice", max(*at, r.at)))
		}
	}
	i.rooms = append(i.rooms, extent{*at, size})
	return nil
}

// elements are n elements of the guest's memory, in which gsc allocated them, until its next call.
func elements[T byte | int32 | uint32 | float32 | uint64 | float64 | record.Span | abi.RowsCall | abi.RecordsCall](i *instance, at uint32, n int) []T {
	var one T
	bytes, err := i.bytes(at, uint32(n)*uint32(unsafe.Sizeof(one)))
	if err != nil {
		panic(err) // memory never shrinks, and what was allocated was in it
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(bytes))), n)
}

// column is room in the guest's memory that grows.
type column struct{ at, size uint32 }

// leastColumn is the least room that is asked for.
const leastColumn = 4 << 10

// writer writes columns until the first error.
type writer struct {
	*transformInstance
	err error
}

// put copies a column of a batch into the guest's memory, and says where it lies; 0 for one that is not there.
func put[T byte | int32 | uint32 | uint64 | float64 | record.Span](w *writer, c *column, data []T) uint32 {
	if data == nil || w.err != nil {
		return 0
	}
	var one T
	need := uint64(len(data)) * uint64(unsafe.Sizeof(one))
	if w.err = w.grow(c, need); w.err != nil {
		return 0
	}
	copy(elements[T](w.instance, c.at, len(data)), data)
	return c.at
}

// grow makes sure of a column's room.
func (w *writer) grow(c *column, need uint64) error {
	most := uint64(w.plugin.limits.MemoryBytes)
	switch {
	case need > most:
		return fmt.Errorf("%d bytes do not fit into a memory of %d: give it more with memory", need, most)
	case c.at != 0 && need <= uint64(c.size):
		return nil
	}
	c.size = max(uint32(need), min(2*c.size, uint32(most/4)), leastColumn)
	return w.room(&c.at, c.size)
}

// Records is a transform of records with its parameters, and an instance for each worker.
type Records struct {
	plugin    *Plugin
	ctx       context.Context
	params    []byte
	instances []*recordsInstance
}

// recordsInstance is an instance with the columns of a batch.
type recordsInstance struct {
	*transformInstance
	content, ends, names, nameEnds, labels, labelEnds, numbers, numberEnds, spans, spanEnds, seeds column
}

// NewRecords makes the instances of a transform of records: as many as there are workers, or one where it must see all records.
func (p *Plugin) NewRecords(ctx context.Context, params []byte, workers int) (*Records, error) {
	if err := p.transformer(abi.OnRecords); err != nil {
		return nil, err
	}
	if p.Manifest.Order == abi.Sequential {
		workers = 1
	}
	r := &Records{plugin: p, ctx: ctx, params: params}
	for range workers {
		i, err := r.instance()
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.instances = append(r.instances, i)
	}
	return r, nil
}

func (r *Records) instance() (*recordsInstance, error) {
	i, err := r.plugin.newTransform(r.ctx, r.params, abi.RecordsCallWords)
	if err != nil {
		return nil, err
	}
	return &recordsInstance{transformInstance: i}, nil
}

// Workers is how many batches may be transformed at once.
func (r *Records) Workers() int { return len(r.instances) }

// LimitBytes is how long a record may be.
func (r *Records) LimitBytes() int64 { return r.plugin.Manifest.RecordBytes }

// Close drops the instances.
func (r *Records) Close() error {
	var errs []error
	for _, i := range r.instances {
		errs = append(errs, i.close())
	}
	return errors.Join(errs...)
}

// Apply transforms a batch. What comes out lies in the guest's memory, and has been looked at.
func (r *Records) Apply(worker int, in *record.Batch, out *record.Result) error {
	i := r.instances[worker]
	call, err := i.invoke(in)
	if err != nil {
		return r.blame(in, err)
	}
	read := reader{memory: i.module.Memory(), limit: uint64(r.plugin.limits.MemoryBytes), in: in, call: call}
	at, err := read.result(out)
	if err == nil {
		return nil
	}
	where := places(in.Places)
	if at >= 0 {
		where = places(in.Places[at : at+1])
	}
	return r.plugin.wrong(abi.Transform, where, err)
}

// blame names the record that a call failed for: in any order, the first for which one that gets it alone fails, too.
func (r *Records) blame(in *record.Batch, err error) error {
	whole := r.plugin.wrong(abi.Transform, places(in.Places), err)
	if r.plugin.Manifest.Order == abi.Sequential || len(in.Ends) < 2 {
		return whole
	}
	i, failed := r.instance()
	if failed != nil {
		return whole
	}
	defer i.close()
	began := time.Now()
	for k := range in.Ends {
		if time.Since(began) > r.plugin.limits.Time { // a module that hangs may do so for some of them alone
			break
		}
		if _, err := i.invoke(in.One(k)); err != nil {
			return r.plugin.wrong(abi.Transform, places(in.Places[k:k+1]), err)
		}
	}
	return whole
}

// places names records.
func places(list []record.Place) string {
	switch len(list) {
	case 0:
		return "no records"
	case 1:
		return "record " + list[0].String()
	}
	return fmt.Sprintf("records %v to %v", list[0], list[len(list)-1])
}

// invoke writes a batch and the call's words, calls, and gives the words with what the plugin left for an answer.
func (i *recordsInstance) invoke(in *record.Batch) (call abi.RecordsCall, err error) {
	w := &writer{transformInstance: i.transformInstance}
	call.Unit, call.In.Content = 1, put(w, &i.content, in.Text)
	if in.IDs != nil {
		call.Unit, call.In.Content = 4, put(w, &i.content, in.IDs)
	}
	c := &call.In
	c.Records, c.Ends = uint32(len(in.Ends)), put(w, &i.ends, in.Ends)
	c.NameCount, c.Names, c.NameEnds = uint32(len(in.NameEnds)), put(w, &i.names, in.Names), put(w, &i.nameEnds, in.NameEnds)
	c.Labels, c.LabelEnds = put(w, &i.labels, in.Labels), put(w, &i.labelEnds, in.LabelEnds)
	c.Numbers, c.NumberEnds = put(w, &i.numbers, in.Numbers), put(w, &i.numberEnds, in.NumberEnds)
	c.Spans, c.SpanEnds = put(w, &i.spans, in.Spans), put(w, &i.spanEnds, in.SpanEnds)
	call.Seeds = put(w, &i.seeds, in.Seeds)
	if w.err != nil {
		return call, w.err
	}
	call.Out.Records = c.Records
	elements[abi.RecordsCall](i.instance, i.call, 1)[0] = call
	i.stack[0] = uint64(i.call)
	if err := i.status(i.transform, 1); err != nil {
		return call, err
	}
	left := elements[abi.RecordsCall](i.instance, i.call, 1)[0]
	call.Out, call.Origins = left.Out, left.Origins
	return call, nil
}
