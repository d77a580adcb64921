package kerneltest

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/ref"
)

// sample is one call with its values, whatever type a device computes in.
type sample struct {
	op       kernels.Op
	attrs    kernels.Attrs
	operands []operand // in the order of the contract; workspace is the device's affair and absent here
}

// operand is one operand of a sample.
type operand struct {
	values
	absent  bool
	class   kernels.Class // never Any: it is settled to Float or Index
	shape   []int
	strides []int // nil: dense
	start   int   // elements of its region before the first one
	share   int   // the operand whose storage it is; its own index when it has its own
}

// values are the elements in row-major order, in the one or the other form. Outputs that are not read have none.
type values struct {
	floats []float64
	ints   []int64
}

func (o *operand) dtype(compute kernels.DType) kernels.DType {
	switch o.class {
	case kernels.Index:
		return kernels.I32
	case kernels.Real:
		return kernels.F64
	case kernels.Counter:
		return kernels.I64
	case kernels.Bytes:
		return kernels.U8
	}
	return compute
}

func (s *sample) contract() *kernels.Contract { return &kernels.Contracts[s.op] }

// operand finds an operand by name; nil when the operation has none or the call leaves it out.
func (s *sample) operand(name string) *operand {
	i := s.contract().Param(name)
	if i < 0 || s.operands[i].absent {
		return nil
	}
	return &s.operands[i]
}

// floats are the values of an operand, none when it is absent.
func (s *sample) floats(name string) []float64 {
	if o := s.operand(name); o != nil {
		return o.floats
	}
	return nil
}

// scalar is the one value of an operand.
func (s *sample) scalar(name string) float64 { return s.floats(name)[0] }

// or is element i of an operand, or a value when it is absent.
func (s *sample) or(name string, i int, absent float64) float64 {
	if x := s.floats(name); x != nil {
		return x[i]
	}
	return absent
}

// width is the last dim of an operand.
func (s *sample) width(name string) int {
	shape := s.operand(name).shape
	return shape[len(shape)-1]
}

// round makes floats exact in float32, so that devices of either type see the same values.
func (s *sample) round() {
	for i := range s.operands {
		o := &s.operands[i]
		for j := range o.floats {
			if o.class == kernels.Float {
				o.floats[j] = float64(float32(o.floats[j]))
			}
		}
	}
}

// String describes the call for a person.
func (s *sample) String() string {
	var b strings.Builder
	b.WriteString(s.op.String())
	for i, p := range s.contract().Params {
		o := &s.operands[i]
		if o.absent {
			continue
		}
		fmt.Fprintf(&b, " %s%v", p.Name, o.shape)
		if o.strides != nil {
			fmt.Fprintf(&b, "/%v", o.strides)
		}
		if o.share != i {
			fmt.Fprintf(&b, "=%s", s.contract().Params[o.share].Name)
		}
	}
	attrs, _ := json.Marshal(s.attrs)
	fmt.Fprintf(&b, " %s", attrs)
	return b.String()
}

// forward is the call of another operation on the operands of s that have the
// names of its parameters, or that like names for them; all dense.
func (s *sample) forward(op kernels.Op, attrs kernels.Attrs, like map[string]string) *sample {
	f := &sample{op: op, attrs: attrs}
	for i, p := range f.contract().Params {
		name := p.Name
		if from, ok := like[name]; ok {
			name = from
		}
		o := operand{absent: true, share: i}
		if from := s.operand(name); from != nil {
			o = operand{class: from.class, shape: from.shape, share: i}
			if f.contract().RoleOf(i, attrs).Reads() {
				o.values = values{append([]float64(nil), from.floats...), append([]int64(nil), from.ints...)}
			}
		}
		f.operands = append(f.operands, o)
	}
	return f
}

// derive fills the operands of s that are outputs of an earlier operation, by
// running that operation on ref.
func (s *sample) derive(op kernels.Op, attrs kernels.Attrs, like map[string]string) error {
	f := s.forward(op, attrs, like)
	out, err := evaluate(ref.New(), f)
	if err != nil {
		return fmt.Errorf("deriving operands by %v: %w", op, err)
	}
	for i, p := range f.contract().Params {
		if o := s.operand(p.Name); o != nil && p.Role == kernels.Out {
			o.values = out[i]
		}
	}
	return nil
}

// eachOffset calls f with the offset of every element of a view, in row-major order.
func eachOffset(shape, strides []int, f func(i, offset int)) {
	t := kernels.Tensor{Shape: shape, Strides: strides}
	index := make([]int, len(shape))
	for i := range kernels.Elements(shape) {
		rest, offset := i, 0
		for d := len(shape) - 1; d >= 0; d-- {
			index[d] = rest % shape[d]
			rest /= shape[d]
			offset += index[d] * t.Stride(d)
		}
		f(i, offset)
	}
}

