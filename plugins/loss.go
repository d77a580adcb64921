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
	unit      int // rows of a unit
	length    int // rows of a sequence; 1 where units are rows
	rows      int // of a call at most, a multiple of unit
	instances []*lossInstance
}

// lossInstance is an instance with room for a call.
type lossInstance struct {
	*instance
	loss   api.Function
	call   uint32       // where the call's words lie
	at     abi.LossCall // and what they are, with every pointer
	inputs []uint32     // where the further inputs lie
	rows   []int        // that the call is about
	busy   atomic.Bool  // a goroutine is at it
}

// errBusy is a broken contract inside gsc: guest memory would be written by two at once.
const errBusy = "plugins: an instance was called by two goroutines at once"

// NewLoss makes the instances of a loss over so many classes; sequences, which units may be made of, have so many rows.
func (p *Plugin) NewLoss(ctx context.Context, params []byte, classes, length, workers int) (*Loss, error) {
	if p.Manifest.Kind != abi.LossKind {
		return nil, p.wrong("", "", fmt.Errorf("it is a %s, not a loss", p.Manifest.Kind))
	}
	if err := p.has(ofLoss); err != nil {
		return nil, p.wrong("", "", err)
	}
	l := &Loss{plugin: p, classes: classes, unit: 1, length: 1}
	if n := p.Manifest.Unit.Records(); n > 0 {
		l.unit, l.length = n*length, length
	}
	if int64(l.unit)*int64(classes)*4 > min(p.limits.MemoryBytes, math.MaxInt32) {
		return nil, p.wrong("", "", fmt.Errorf("%s of %d logits does not fit into a memory of %d bytes: give it more with memory", l.unitText(), classes, p.limits.MemoryBytes))
	}
	l.rows = max(1, chunkFloats/max(1, classes*l.unit)) * l.unit
	for range workers {
		i, err := l.instance(ctx, params)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.instances = append(l.instances, i)
	}
	return l, nil
}

func (l *Loss) unitText() string {
	if l.unit == 1 {
		return "a row"
	}
	return fmt.Sprintf("a unit of %d rows", l.unit)
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
	i := &lossInstance{instance: made, loss: made.module.ExportedFunction(abi.Loss), inputs: make([]uint32, len(l.plugin.Manifest.Inputs)), rows: make([]int, 0, l.rows)}
	if err = i.init(params); err == nil {
		err = i.allocate(l.rooms(i))
	}
	if err != nil {
		return nil, errors.Join(err, made.close())
	}
	i.at.Classes, i.at.Length = uint32(l.classes), uint32(l.length)
	return i, nil
}

// rooms are all that a call needs.
func (l *Loss) rooms(i *lossInstance) []room {
	matrix, column := uint32(l.rows*l.classes*4), uint32(l.rows*4)
	targets := column
	if l.plugin.Manifest.Targets == abi.Values {
		targets = matrix
	}
	list := []room{{abi.LossCallBytes, &i.call}, {matrix, &i.at.Logits}, {targets, &i.at.Targets}, {column, &i.at.Weights}, {column, &i.at.Values}, {matrix, &i.at.Gradients}}
	if l.plugin.Manifest.Unit.Records() > 0 {
		list = append(list, room{column, &i.at.Lengths})
	}
	if len(i.inputs) > 0 {
		list = append(list, room{uint32(4 * len(i.inputs)), &i.at.Inputs})
	}
	for k := range i.inputs {
		list = append(list, room{matrix, &i.inputs[k]})
	}
	return list
}

// write writes words to the guest.
func (i *instance) write(at uint32, words []uint32) error {
	view, err := i.bytes(at, uint32(4*len(words)))
	if err != nil {
		return err
	}
	for k, word := range words {
		binary.LittleEndian.PutUint32(view[4*k:], word)
	}
	return nil
}

// Rows are what a loss is computed of and where the results go: tensors of float32 or float64, all of one type, and labels of int32. Absent ones have no Data.
type Rows struct {
	Logits, Labels, Targets kernels.Tensor   // one of Labels and Targets, as the manifest says
	Inputs                  []kernels.Tensor // as the manifest names them
	Weights                 kernels.Tensor   // may be absent
	Ignore                  int              // label that is not scored
	Loss, Gradient          kernels.Tensor   // one of them may be absent

	// Total and Scale are the factors of gradients: scale·w/weight. nil: 1.
	Total, Scale *float64

	// Vectors are a device's loops; nil: they are done here.
	Vectors kernels.Vectors

	// Name says which row one is, for errors; nil: by its number.
	Name func(row int) string
}

// Spread calls job once for each piece, from workers with numbers below the loss's, and returns when all are done.
type Spread func(pieces int, job func(piece, worker int))

// Bind prepares the loss of rows; what it returns may be called any number of times, while no other of this loss runs. It computes all rows; its error is that of
// the first row that has one.
func (l *Loss) Bind(r Rows, spread Spread) func() error {
	rows := kernels.Elements(r.Logits.Shape) / l.classes
	pieces := (rows + l.rows - 1) / l.rows
	b := newBound(l, r)
	return bindPieces(pieces, spread, func(piece, worker int) error {
		from := piece * l.rows
		return b.chunk(l.instances[worker], from, min(rows, from+l.rows))
	})
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
		return b.plugin.wrong(abi.Loss, b.span(i.rows), err)
	}
	return b.scatter(i)
}

// span names the rows of a call.
func (b *bound) span(rows []int) string {
	first, last := rows[0], rows[len(rows)-1]
	switch name := b.rows.Name; {
	case name == nil && first == last:
		return fmt.Sprintf("row %d", first)
	case name == nil:
		return fmt.Sprintf("rows %d to %d", first, last)
	case first == last:
		return name(first)
	default:
		return name(first) + " to " + name(last)
	}
}

// invoke writes the call's words and calls.
func (i *lossInstance) invoke(b *bound) error {
	at := i.at
	at.Rows = uint32(len(i.rows))
	if !b.weighs {
		at.Weights = 0
	}
	if !b.slopes {
		at.Gradients = 0
	}
	words := at.Words()
	if err := errors.Join(i.write(i.call, words[:]), i.write(i.at.Inputs, i.inputs)); err != nil {
		return err
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
