package runtime

import (
	"fmt"
	"unsafe"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/data"
)

// feed copies the rows of a batch into the inputs of a program.
type feed struct {
	machine *Machine
	ports   []port
	rows    int // of one call
	wide    []float64
}

// port is an input: its buffer, and which tensor of the batch fills it.
type port struct {
	buffer *plan.Buffer
	name   string
}

// newFeed looks up the inputs of a program once, so that feeding allocates nothing.
func (m *Machine) newFeed(name string) (*feed, error) {
	f := &feed{machine: m}
	for _, in := range m.programs[name].plan.Inputs {
		b := &m.stage.Buffers[in.Buffer]
		f.ports = append(f.ports, port{b, in.Name})
		f.rows = b.Dims[0].Size
		if b.DType == kernels.F64 {
			f.wide = make([]float64, max(len(f.wide), kernels.Elements(b.Shape())))
		}
	}
	for _, p := range f.ports {
		if p.buffer.Dims[0].Size != f.rows {
			return nil, fmt.Errorf("program %s: input %s has %d rows, others %d", name, p.name, p.buffer.Dims[0].Size, f.rows)
		}
	}
	return f, nil
}

// fill copies a part of the batch's rows: the parts are as many rows each as a call takes.
func (f *feed) fill(b *data.Batch, part int) error {
	for _, p := range f.ports {
		if err := f.copy(p, b, part); err != nil {
			return fmt.Errorf("input %s: %w", p.name, err)
		}
	}
	return nil
}

func (f *feed) copy(p port, b *data.Batch, part int) error {
	n := kernels.Elements(p.buffer.Shape())
	from, to := part*n, (part+1)*n
	if p.buffer.DType == kernels.I32 {
		values := b.Ints(p.name)
		if len(values) < to {
			return fmt.Errorf("the batch has %d elements, not %d", len(values), to)
		}
		return f.machine.Write(p.buffer, bytesOf(values[from:to]))
	}
	values := b.Values
	if p.name == plan.InputWeights {
		values = b.Weights
	}
	if len(values) < to {
		return fmt.Errorf("the batch has %d elements, not %d", len(values), to)
	}
	if p.buffer.DType == kernels.F32 {
		return f.machine.Write(p.buffer, bytesOf(values[from:to]))
	}
	for i, v := range values[from:to] {
		f.wide[i] = float64(v)
	}
	return f.machine.Write(p.buffer, bytesOf(f.wide[:n]))
}

// bytesOf sees a slice as its bytes. Plans and devices are little-endian.
func bytesOf[T int32 | float32 | float64](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}
