package runtime

import (
	"fmt"
	"unsafe"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/data"
)

// feed copies the rows of a batch into the inputs of a program. A program may take more rows, and longer ones, than there are: what pads
// them is not scored.
type feed struct {
	machine *Machine
	slot    int // of the program's call
	ports   []port
	rows    int // of one call
	ints    []int32
	floats  []float32
	wide    []float64
}

// port is an input: its buffer, and which tensor of the batch fills it.
type port struct {
	buffer *plan.Buffer
	name   string
	each   int // elements of a row
	token  int // elements of a token, of which a row has some; 0: a row has as many as the batch's
}

// newFeed looks up the inputs of a program once, so that feeding allocates nothing.
func (m *Machine) newFeed(of instance) (*feed, error) {
	f := &feed{machine: m, slot: of.slot}
	for _, in := range m.programs[of].plan.Inputs {
		b := &m.stage.Buffers[in.Buffer]
		n := kernels.Elements(b.Shape())
		f.rows = b.Dims[0].Size
		p := port{buffer: b, name: in.Name, each: n / f.rows}
		if len(b.Dims) > 1 && b.Dims[1].Name == "seq" {
			p.token = p.each / b.Dims[1].Size
		}
		f.ports = append(f.ports, p)
		if b.DType == kernels.I32 {
			f.ints = make([]int32, max(len(f.ints), n))
		} else {
			f.floats = make([]float32, max(len(f.floats), n))
		}
		if b.DType == kernels.F64 {
			f.wide = make([]float64, max(len(f.wide), n))
		}
	}
	for _, p := range f.ports {
		if p.buffer.Dims[0].Size != f.rows {
			return nil, fmt.Errorf("program %s: input %s has %d rows, others %d", of.program, p.name, p.buffer.Dims[0].Size, f.rows)
		}
	}
	return f, nil
}

// fill copies n rows of the batch, from the first on.
func (f *feed) fill(b *data.Batch, first, n int) error {
	for _, p := range f.ports {
		if err := f.copy(p, b, first, n); err != nil {
			return fmt.Errorf("input %s: %w", p.name, err)
		}
	}
	return nil
}

func (f *feed) copy(p port, b *data.Batch, first, n int) error {
	each := p.each // elements of a row of the batch
	if p.token > 0 {
		each = b.Length * p.token
	}
	if p.buffer.DType == kernels.I32 {
		values, pad := b.Ints(p.name), int32(0)
		switch {
		case p.name == plan.InputLabels:
			pad = int32(f.machine.Plan.Data.Ignore)
		case p.name == plan.InputLengths && values == nil: // of rows that are padded, though the data have none
			rows := f.ints[:f.rows]
			clear(rows)
			for i := range n {
				rows[i] = int32(b.Length)
			}
			return f.machine.writeIn(p.buffer, f.slot, bytesOf(rows))
		}
		rows, err := lay(f.ints[:f.rows*p.each], values, p.each, each, first, n, pad)
		if err != nil {
			return err
		}
		return f.machine.writeIn(p.buffer, f.slot, bytesOf(rows))
	}
	values := b.Values
	if further, ok := b.Further[p.name]; ok {
		values = further
	} else if p.name == plan.InputWeights {
		values = b.Weights
	}
	rows, err := lay(f.floats[:f.rows*p.each], values, p.each, each, first, n, 0)
	if err != nil {
		return err
	}
	if p.buffer.DType == kernels.F32 {
		return f.machine.writeIn(p.buffer, f.slot, bytesOf(rows))
	}
	for i, v := range rows {
		f.wide[i] = float64(v)
	}
	return f.machine.writeIn(p.buffer, f.slot, bytesOf(f.wide[:len(rows)]))
}

// lay gives n rows of values, from the first on, with what pads each and stands for those that are not there; into is room for them.
func lay[T int32 | float32](into, values []T, length, each, first, n int, pad T) ([]T, error) {
	if len(values) < (first+n)*each || each > length {
		return nil, fmt.Errorf("the batch has %d elements, rows of %d, not %d rows of %d", len(values), each, first+n, length)
	}
	values = values[first*each:][:n*each]
	if each == length && len(values) == len(into) {
		return values, nil
	}
	for i := range into {
		into[i] = pad
	}
	for i := range n {
		copy(into[i*length:], values[i*each:][:each])
	}
	return into, nil
}

// bytesOf sees a slice as its bytes. Plans and devices are little-endian.
func bytesOf[T int32 | float32 | float64](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}
