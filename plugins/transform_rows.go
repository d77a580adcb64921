package plugins

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/record"
)

// A call of a transform of rows gets as many as have chunkTokens tokens, but no more than chunkRows, or one where that has more.
const (
	chunkTokens = 16 << 10
	chunkRows   = 512
)

// rowInstances serve those who make batches at the same time: of training, and of an evaluation meanwhile.
const rowInstances = 2

// RowTransform is a transform of rows with its parameters.
type RowTransform struct {
	plugin    *Plugin
	instances []*rowsInstance
	free      chan *rowsInstance
	tokens    int // of a call at most
}

// rowsInstance is an instance with room for a call.
type rowsInstance struct {
	*transformInstance
	at abi.RowsCall // every pointer
}

// NewRows makes the instances of a transform of rows of at most so many tokens.
func (p *Plugin) NewRows(ctx context.Context, params []byte, length int) (*RowTransform, error) {
	if err := p.transformer(abi.OnRows); err != nil {
		return nil, err
	}
	r := &RowTransform{plugin: p, free: make(chan *rowsInstance, rowInstances), tokens: max(length, chunkTokens)}
	for range rowInstances {
		i, err := r.instance(ctx, params)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.instances = append(r.instances, i)
		r.free <- i
	}
	return r, nil
}

// Close drops the instances.
func (r *RowTransform) Close() error {
	var errs []error
	for _, i := range r.instances {
		errs = append(errs, i.close())
	}
	return errors.Join(errs...)
}

func (r *RowTransform) instance(ctx context.Context, params []byte) (*rowsInstance, error) {
	if int64(r.tokens)*4 > r.plugin.limits.MemoryBytes {
		return nil, r.plugin.wrong("", "", fmt.Errorf("a row of %d tokens does not fit into a memory of %d bytes: give it more with memory", r.tokens, r.plugin.limits.MemoryBytes))
	}
	made, err := r.plugin.newTransform(ctx, params, abi.RowsCallWords)
	if err != nil {
		return nil, err
	}
	i := &rowsInstance{transformInstance: made}
	each := uint32(r.tokens) * 4
	for _, room := range []struct {
		to   *uint32
		size uint32
	}{{&i.at.Tokens, each}, {&i.at.Labels, each}, {&i.at.Weights, each}, {&i.at.Types, each}, {&i.at.Segments, each}, {&i.at.Valid, chunkRows * 4}, {&i.at.Seeds, chunkRows * 8}} {
		if err == nil {
			err = i.room(room.to, room.size)
		}
	}
	if err != nil {
		return nil, errors.Join(err, made.close())
	}
	return i, nil
}

// Apply transforms rows where they stand, some at a time.
func (r *RowTransform) Apply(rows *record.Rows) error {
	i := <-r.free
	defer func() { r.free <- i }()
	n := len(rows.Valid)
	most := min(chunkRows, max(1, r.tokens/max(1, rows.Length)))
	for from := 0; from < n; from += most {
		to := min(n, from+most)
		if err := i.invoke(rows, from, to); err != nil {
			return i.blame(rows, from, to, err)
		}
		for row := from; row < to; row++ {
			if err := i.take(rows, row, row-from); err != nil {
				return r.plugin.wrong(abi.Transform, rowSpan(row, row+1), err)
			}
		}
	}
	return nil
}

// blame names the row that a call failed for: the first that fails alone, too, if it is found in the time of a call.
func (i *rowsInstance) blame(rows *record.Rows, from, to int, err error) error {
	began := time.Now()
	for row := from; row < to && to-from > 1 && time.Since(began) <= i.plugin.limits.Time; row++ {
		if err := i.invoke(rows, row, row+1); err != nil {
			return i.plugin.wrong(abi.Transform, rowSpan(row, row+1), err)
		}
	}
	return i.plugin.wrong(abi.Transform, rowSpan(from, to), err)
}

// rowSpan names the rows [from, to).
func rowSpan(from, to int) string {
	if to-from == 1 {
		return fmt.Sprintf("row %d", from)
	}
	return fmt.Sprintf("rows %d to %d", from, to-1)
}

// place copies some rows of a matrix into the guest's memory; 0 stands for one that is not there.
func place[T int32 | float32 | uint64](i *rowsInstance, at uint32, list []T, from, to, each int) uint32 {
	if list == nil {
		return 0
	}
	copy(elements[T](i.instance, at, (to-from)*each), list[from*each:to*each])
	return at
}

// labelsARow is how many labels a row has.
func labelsARow(rows *record.Rows) int {
	switch {
	case rows.Labels == nil:
		return 0
	case len(rows.Labels) == len(rows.Valid)*rows.Length:
		return rows.Length
	}
	return 1
}

// invoke writes the rows [from, to) and the call's words, and calls.
func (i *rowsInstance) invoke(rows *record.Rows, from, to int) error {
	call, labels := i.at, labelsARow(rows)
	call.Rows, call.Length, call.Vocabulary, call.Outputs, call.Ignore = uint32(to-from), uint32(rows.Length), uint32(rows.Vocabulary), uint32(rows.Outputs), rows.Ignore
	call.LabelsARow = uint32(labels)
	call.Tokens = place(i, i.at.Tokens, rows.Tokens, from, to, rows.Length)
	call.Labels = place(i, i.at.Labels, rows.Labels, from, to, labels)
	call.Weights = place(i, i.at.Weights, rows.Weights, from, to, max(1, labels))
	call.Types = place(i, i.at.Types, rows.Types, from, to, rows.Length)
	call.Segments = place(i, i.at.Segments, rows.Segments, from, to, rows.Length)
	call.Valid = place(i, i.at.Valid, rows.Valid, from, to, 1)
	call.Seeds = place(i, i.at.Seeds, rows.Seeds, from, to, 1)
	elements[abi.RowsCall](i.instance, i.call, 1)[0] = call
	i.stack[0] = uint64(i.call)
	return i.status(i.transform, 1)
}

// take copies what is valid of a row out of the guest's memory, where it stands as row k of the call, once it was looked at.
func (i *rowsInstance) take(rows *record.Rows, row, k int) error {
	valid, labels := int(rows.Valid[row]), labelsARow(rows)
	if err := takeInts(i, i.at.Tokens, rows.Tokens, row, k, rows.Length, valid, "token", func(v int32) bool { return v >= 0 && int(v) < rows.Vocabulary }); err != nil {
		return err
	}
	label := func(v int32) bool { return v == rows.Ignore || v >= 0 && int(v) < rows.Outputs }
	if err := takeInts(i, i.at.Labels, rows.Labels, row, k, labels, min(valid, labels), "label", label); err != nil {
		return err
	}
	if err := takeInts(i, i.at.Types, rows.Types, row, k, rows.Length, valid, "type", func(v int32) bool { return v >= 0 }); err != nil {
		return err
	}
	if rows.Weights == nil {
		return nil
	}
	each := max(1, labels)
	from := elements[float32](i.instance, i.at.Weights, (k+1)*each)[k*each:][:min(valid, each)]
	for c, w := range from {
		if !(w >= 0) || math.IsInf(float64(w), 1) {
			return fmt.Errorf("the weight of its token %d is %g", c, w)
		}
	}
	copy(rows.Weights[row*each:], from)
	return nil
}

// takeInts copies the first n of a row's numbers back, each of which must be fit.
func takeInts(i *rowsInstance, at uint32, list []int32, row, k, each, n int, what string, fit func(int32) bool) error {
	if list == nil {
		return nil
	}
	from := elements[int32](i.instance, at, (k+1)*each)[k*each:][:n]
	for c, v := range from {
		if !fit(v) {
			return fmt.Errorf("%s %d of it is %d", what, c, v)
		}
	}
	copy(list[row*each:], from)
	return nil
}
