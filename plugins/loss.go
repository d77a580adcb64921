package plugins

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/tetratelabs/wazero/api"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/plugins/abi"
)

// chunkFloats is how many logits a call of a loss gets, or one row where that is more: they and their gradients stay in a processor's second-level cache. It depends on no
// thread, so that a plugin sees the same calls on any number of them.
const chunkFloats = 32 << 10

// Loss is a plugin with its parameters and an instance for each worker.
type Loss struct {
	plugin    *Plugin
	classes   int
	rows      int // of a call at most
	instances []*lossInstance
}

// lossInstance is an instance with room for a call.
type lossInstance struct {
	*instance
	loss api.Function
	call uint32       // where the call's words lie
	at   abi.LossCall // and what they are, with every pointer
	rows []int        // that the call is about
	busy atomic.Bool  // a goroutine is at it
}

// errBusy is a broken contract inside gsc: guest memory would be written by two at once.
const errBusy = "plugins: an instance was called by two goroutines at once"

// NewLoss makes the instances of a loss over so many classes.
func (p *Plugin) NewLoss(ctx context.Context, params []byte, classes, workers int) (*Loss, error) {
	if p.Manifest.Kind != abi.LossKind {
		return nil, p.wrong("", "", fmt.Errorf("it is a %s, not a loss", p.Manifest.Kind))
	}
	if err := p.has(ofLoss); err != nil {
		return nil, p.wrong("", "", err)
	}
	if int64(classes)*4 > p.limits.MemoryBytes {
		return nil, p.wrong("", "", fmt.Errorf("a row of %d logits does not fit into a memory of %d bytes: give it more with memory", classes, p.limits.MemoryBytes))
	}
	l := &Loss{plugin: p, classes: classes, rows: max(1, chunkFloats/max(1, classes))}
	for range workers {
		i, err := l.instance(ctx, params)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.instances = append(l.instances, i)
	}
	return l, nil
}

// Close drops the instances.
func (l *Loss) Close() error {
	var errs []error
	for _, i := range l.instances {
		errs = append(errs, i.close())
	}
	return errors.Join(errs...)
}

func (l *Loss) instance(ctx context.Context, params []byte) (*lossInstance, error) {
	made, err := l.plugin.instance(ctx)
	if err != nil {
		return nil, err
	}
	i := &lossInstance{instance: made, loss: made.module.ExportedFunction(abi.Loss), rows: make([]int, 0, l.rows)}
	err = i.init(params)
	matrix, column := uint32(l.rows*l.classes*4), uint32(l.rows*4)
	targets := column
	if l.plugin.Manifest.Targets == abi.Values {
		targets = matrix
	}
	for _, room := range []struct {
		size uint32
		to   *uint32
	}{{abi.LossCallBytes, &i.call}, {matrix, &i.at.Logits}, {targets, &i.at.Targets}, {column, &i.at.Weights}, {column, &i.at.Values}, {matrix, &i.at.Gradients}} {
		if err == nil {
			*room.to, err = i.alloc(room.size)
		}
	}
	if err == nil {
		err = l.plugin.wrong(abi.Alloc, "", l.apart(i))
	}
	if err != nil {
		return nil, errors.Join(err, made.close())
	}
	i.at.Classes = uint32(l.classes)
	return i, nil
}

// apart refuses room that was given out twice.
func (l *Loss) apart(i *lossInstance) error {
	matrix, column := uint64(l.rows*l.classes*4), uint64(l.rows*4)
	targets := column
	if l.plugin.Manifest.Targets == abi.Values {
		targets = matrix
	}
	type span struct{ from, to uint64 }
	var known []span
	for _, s := range []struct {
		at   uint32
		size uint64
	}{{i.call, abi.LossCallBytes}, {i.at.Logits, matrix}, {i.at.Targets, targets}, {i.at.Weights, column}, {i.at.Values, column}, {i.at.Gradients, matrix}} {
		own := span{uint64(s.at), uint64(s.at) + s.size}
		for _, k := range known {
			if own.from < k.to && k.from < own.to {
				return fmt.Errorf("it gave the bytes at %#x twice", max(own.from, k.from))
			}
		}
		known = append(known, own)
	}
	return nil
}

// Rows are what a loss is computed of and where the results go: tensors of float32 or float64, all of one type, and labels of int32. Absent ones have no Data.
type Rows struct {
	Logits, Labels, Targets kernels.Tensor // one of Labels and Targets, as the manifest says
	Weights                 kernels.Tensor // may be absent
	Ignore                  int            // label that is not scored
	Loss, Gradient          kernels.Tensor // one of them may be absent

	// Total and Scale are the factors of gradients: scale·w/weight. nil: 1.
	Total, Scale *float64
}

// Spread calls job once for each piece, from workers with numbers below the loss's, and returns when all are done.
type Spread func(pieces int, job func(piece, worker int))

// Bind prepares the loss of rows; what it returns may be called any number of times, while no other of this loss runs. It computes all rows; its error is that of
// the first row that has one.
func (l *Loss) Bind(r Rows, spread Spread) func() error {
	rows := kernels.Elements(r.Logits.Shape) / l.classes
	pieces := (rows + l.rows - 1) / l.rows
	b := newBound(l, r)
	errs := make([]error, pieces)
	job := func(piece, worker int) {
		from := piece * l.rows
		errs[piece] = b.chunk(l.instances[worker], from, min(rows, from+l.rows))
	}
	return func() error {
		spread(pieces, job)
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// chunk computes the rows [from, to).
func (b *bound) chunk(i *lossInstance, from, to int) error {
	if !i.busy.CompareAndSwap(false, true) {
		panic(errBusy)
	}
	defer i.busy.Store(false)
	b.gather(i, from, to)
	if len(i.rows) == 0 {
		return nil
	}
	if err := i.invoke(b); err != nil {
		return b.plugin.wrong(abi.Loss, span(i.rows), err)
	}
	return b.scatter(i)
}

// span names the rows of a call.
func span(rows []int) string {
	if len(rows) == 1 {
		return fmt.Sprintf("row %d", rows[0])
	}
	return fmt.Sprintf("rows %d to %d", rows[0], rows[len(rows)-1])
}

// invoke writes the call's words and calls.
func (i *lossInstance) invoke(b *bound) error {
	view, err := i.bytes(i.call, abi.LossCallBytes)
	if err != nil {
		return err
	}
	at := i.at
	at.Rows = uint32(len(i.rows))
	if !b.weighs {
		at.Weights = 0
	}
	if !b.slopes {
		at.Gradients = 0
	}
	for k, word := range [...]uint32{at.Rows, at.Classes, at.Logits, at.Targets, at.Weights, at.Values, at.Gradients} {
		binary.LittleEndian.PutUint32(view[4*k:], word)
	}
	i.stack[0] = uint64(i.call)
	return i.status(i.loss, 1)
}

// floats are some of the guest's memory as numbers, until its next call.
func (i *instance) floats(at uint32, n int) []float32 {
	view, err := i.bytes(at, uint32(n)*4)
	if err != nil {
		panic(err) // memory never shrinks, and what was allocated was in it
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(view))), n)
}

// notFinite says what a number is that it must not be.
func notFinite(what string, v float32) error {
	name := "NaN"
	if !math.IsNaN(float64(v)) {
		name = "infinite"
	}
	return fmt.Errorf("%s is %s", what, name)
}
