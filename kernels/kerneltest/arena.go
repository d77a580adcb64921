package kerneltest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// canary fills what no operand defines: the bytes around operands, the gaps of
// strided views, outputs before they are written, workspace. As a float32 it is a
// signalling NaN: a kernel that computes with what it should not read shows, and so does one
// that stores what it computed. As an index it lies outside any table.
var canary = [4]byte{0xA5, 0xA5, 0xA5, 0xFF}

// guardBytes lie between operands.
const guardBytes = 128

var errPanic = errors.New("panic")

// arena is the memory of one call on one device.
type arena struct {
	sample  *sample
	memory  kernels.Memory
	tensors []kernels.Tensor
	offsets []int64 // of each operand's first element; -1: absent
	image   []byte  // what the memory holds before the call
	outputs []byte  // 1 where the call must write, 2 where it may
}

func newArena(dev kernels.Device, s *sample) (*arena, error) {
	kind := kernels.Kinds[dev.Kind()]
	a := &arena{sample: s}
	for i := range s.operands {
		a.tensors = append(a.tensors, s.tensor(i, kind.Compute))
	}
	sizes, err := kernels.Check(s.op, s.attrs, a.tensors)
	if err != nil {
		return nil, fmt.Errorf("the suite made a call that breaks the contract: %w", err)
	}
	if w := s.contract().Param("workspace"); w >= 0 {
		if n := kind.Workspace(s.op, sizes, s.attrs); n > 0 {
			a.tensors[w] = kernels.Tensor{DType: kernels.U8, Shape: []int{int(n)}}
		}
	}
	a.place(kind.AlignBytes)
	a.draw()
	return a, a.allocate(dev)
}

// tensor is an operand without its memory.
func (s *sample) tensor(i int, compute kernels.DType) kernels.Tensor {
	o := &s.operands[i]
	if o.absent {
		return kernels.Tensor{}
	}
	return kernels.Tensor{DType: o.dtype(compute), Shape: o.shape, Strides: o.strides}
}

// place gives every operand its offset.
func (a *arena) place(align int64) {
	a.offsets = make([]int64, len(a.tensors))
	next := int64(guardBytes)
	for i, t := range a.tensors {
		o := &a.sample.operands[i]
		if t.Absent() {
			a.offsets[i] = -1
			continue
		}
		if o.share != i {
			continue
		}
		next = (next + align - 1) / align * align
		size := int64(t.DType.Size())
		a.offsets[i] = next + int64(o.start)*size
		next = a.offsets[i] + int64(t.Extent())*size + guardBytes
	}
	for i := range a.tensors {
		a.offsets[i] = a.offsets[a.sample.operands[i].share]
	}
	a.image, a.outputs = make([]byte, next), make([]byte, next)
}

// draw fills the image and marks the outputs.
func (a *arena) draw() {
	for i := range a.image {
		a.image[i] = canary[i%len(canary)]
	}
	for i, p := range a.sample.contract().Params {
		t, o := a.tensors[i], &a.sample.operands[i]
		if t.Absent() {
			continue
		}
		size := t.DType.Size()
		eachOffset(t.Shape, t.Strides, func(n, offset int) {
			at := int(a.offsets[i]) + offset*size
			if o.floats != nil || o.ints != nil {
				o.encode(a.image[at:], t.DType, n)
			}
			if p.Role.Writes() {
				mark(a.outputs[at:at+size], p.Class)
			}
		})
	}
}

func mark(outputs []byte, c kernels.Class) {
	for i := range outputs {
		outputs[i] = 1
		if c == kernels.Bytes {
			outputs[i] = 2
		}
	}
}

func (a *arena) allocate(dev kernels.Device) error {
	memory, err := dev.Alloc(kernels.DeviceMemory, int64(len(a.image)))
	if err != nil {
		return err
	}
	a.memory = memory
	for i := range a.tensors {
		if a.offsets[i] >= 0 {
			a.tensors[i].Data = memory.Pointer(a.offsets[i])
		}
	}
	return nil
}

// run fills the memory, runs the kernel and gives what the memory holds then.
func (a *arena) run(k kernels.Kernel) (after []byte, err error) {
	if _, err := a.memory.WriteAt(a.image, 0); err != nil {
		return nil, err
	}
	if err := tryKernel(k); err != nil {
		return nil, err
	}
	after = make([]byte, len(a.image))
	_, err = a.memory.ReadAt(after, 0)
	return after, err
}

// checkUntouched finds a byte outside the outputs that changed.
func (a *arena) checkUntouched(after []byte) error {
	for at := range after {
		if after[at] != a.image[at] && a.outputs[at] == 0 {
			return fmt.Errorf("the kernel wrote outside its outputs: %s", a.where(int64(at)))
		}
	}
	return nil
}

// where names the operand that a byte lies in or behind.
func (a *arena) where(at int64) string {
	best := -1
	for i, offset := range a.offsets {
		if offset >= 0 && offset <= at && (best < 0 || offset > a.offsets[best]) {
			best = i
		}
	}
	if best < 0 {
		return fmt.Sprintf("byte %d, in front of all operands", at)
	}
	t := a.tensors[best]
	return fmt.Sprintf("byte %d of operand %s, which spans %d", at-a.offsets[best],
		a.sample.contract().Params[best].Name, t.Extent()*t.DType.Size())
}

// decode reads the outputs, workspace aside.
func (a *arena) decode(after []byte) []values {
	out := make([]values, len(a.tensors))
	for i, p := range a.sample.contract().Params {
		t := a.tensors[i]
		if t.Absent() || !p.Role.Writes() || p.Class == kernels.Bytes {
			continue
		}
		out[i].grow(p.Class, t.Len())
		eachOffset(t.Shape, t.Strides, func(_, offset int) {
			out[i].decode(after[int(a.offsets[i])+offset*t.DType.Size():], t.DType)
		})
	}
	return out
}

func (v *values) grow(c kernels.Class, n int) {
	if c == kernels.Float || c == kernels.Real || c == kernels.Half {
		v.floats = make([]float64, 0, n)
	}
}

func (v *values) encode(to []byte, d kernels.DType, n int) {
	switch d {
	case kernels.F32:
		binary.LittleEndian.PutUint32(to, math.Float32bits(float32(v.floats[n])))
	case kernels.F64:
		binary.LittleEndian.PutUint64(to, math.Float64bits(v.floats[n]))
	case kernels.BF16:
		binary.LittleEndian.PutUint16(to, uint16(math.Float32bits(float32(v.floats[n]))>>16))
	case kernels.I32:
		binary.LittleEndian.PutUint32(to, uint32(v.ints[n]))
	case kernels.I64:
		binary.LittleEndian.PutUint64(to, uint64(v.ints[n]))
	case kernels.I8:
		to[0] = byte(v.ints[n])
	}
}

func (v *values) decode(from []byte, d kernels.DType) {
	switch d {
	case kernels.F32:
		v.floats = append(v.floats, float64(math.Float32frombits(binary.LittleEndian.Uint32(from))))
	case kernels.F64:
		v.floats = append(v.floats, math.Float64frombits(binary.LittleEndian.Uint64(from)))
	case kernels.BF16:
		v.floats = append(v.floats, float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(from))<<16)))
	case kernels.I32:
		v.ints = append(v.ints, int64(int32(binary.LittleEndian.Uint32(from))))
	case kernels.I64:
		v.ints = append(v.ints, int64(binary.LittleEndian.Uint64(from)))
	case kernels.I8:
		v.ints = append(v.ints, int64(int8(from[0])))
	}
}

// execute runs a call twice, checks all but the values, and gives the outputs.
func execute(dev kernels.Device, s *sample) ([]values, error) {
	a, kernel, err := bind(dev, s)
	if err != nil {
		return nil, err
	}
	defer a.memory.Close()
	first, err := a.run(kernel)
	if err != nil {
		return nil, err
	}
	if err := a.checkUntouched(first); err != nil {
		return nil, err
	}
	second, err := a.run(kernel)
	if err != nil {
		return nil, err
	}
	for at := range first {
		if first[at] != second[at] && a.outputs[at] != 2 {
			return nil, fmt.Errorf("two runs of the same call differ: %s", a.where(int64(at)))
		}
	}
	return a.decode(first), nil
}

// evaluate runs a call once and gives the outputs.
func evaluate(dev kernels.Device, s *sample) ([]values, error) {
	a, kernel, err := bind(dev, s)
	if err != nil {
		return nil, err
	}
	defer a.memory.Close()
	after, err := a.run(kernel)
	if err != nil {
		return nil, err
	}
	return a.decode(after), nil
}

func bind(dev kernels.Device, s *sample) (*arena, kernels.Kernel, error) {
	a, err := newArena(dev, s)
	if err != nil {
		return nil, nil, err
	}
	kernel, err := tryBind(dev, kernels.Call{Op: s.op, Attrs: s.attrs, Args: a.tensors})
	if err != nil {
		return nil, nil, errors.Join(err, a.memory.Close())
	}
	return a, kernel, nil
}

// tryKernel runs a kernel; a panic is an error like any other.
func tryKernel(k kernels.Kernel) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	k()
	return nil
}

// tryBind binds a call, likewise.
func tryBind(dev kernels.Device, c kernels.Call) (k kernels.Kernel, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w when it binds: %v", errPanic, p)
		}
	}()
	return dev.Bind(c)
}
