package kerneltest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/ref"
)

// sample is one call with its values, whatever type a device computes in.
type sample struct {
	op       kernels.Op
	attrs    kernels.Attrs
	sizes    kernels.Sizes // what the letters of the shape patterns stand for
	leading  []int         // what "..." stands for
	operands []operand     // in the order of the contract; workspace is the device's affair and absent here
}

// operand is one operand of a sample.
type operand struct {
	values
	absent  bool
	class   kernels.Class // never Any: it is settled to Float, Index or Quantised
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
	case kernels.Half:
		return kernels.BF16
	case kernels.Quantised:
		return kernels.I8
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

// round makes floats exact in float32, or in the type they are stored in, so that devices of either type see the same values.
func (s *sample) round() {
	for i := range s.operands {
		o := &s.operands[i]
		for j := range o.floats {
			switch o.class {
			case kernels.Float:
				o.floats[j] = float64(float32(o.floats[j]))
			case kernels.Half:
				o.floats[j] = kernels.BF16.Round(o.floats[j])
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

// forward is the call of another operation with the sizes of s, and with the operands of s that have
// the names of its parameters. It is dense. An input that s lacks, or holds no values of, is 0; an
// optional one that s lacks is absent, unless with names an operand of s it goes with.
func (s *sample) forward(op kernels.Op, attrs kernels.Attrs, with map[string]string) *sample {
	f := &sample{op: op, attrs: attrs, sizes: s.sizes, leading: s.leading}
	for i, p := range f.contract().Params {
		from := s.operand(p.Name)
		o := operand{class: p.Class, share: i}
		if p.Class == kernels.Any && from != nil {
			o.class = from.class
		}
		o.absent = p.Optional && from == nil && s.operand(with[p.Name]) == nil
		if !o.absent {
			o.shape = f.shape(p)
		}
		if !o.absent && f.contract().RoleOf(i, attrs).Reads() {
			o.take(from)
		}
		f.operands = append(f.operands, o)
	}
	return f
}

// take copies values, or makes zeros where there are none.
func (o *operand) take(from *operand) {
	switch {
	case from != nil && from.ints != nil:
		o.ints = slices.Clone(from.ints)
	case from != nil && from.floats != nil:
		o.floats = slices.Clone(from.floats)
	default:
		o.floats = make([]float64, kernels.Elements(o.shape))
	}
}

// shape is what a parameter's pattern stands for, as it is stored.
func (s *sample) shape(p kernels.Param) []int {
	shape := []int{}
	for _, letter := range strings.Fields(p.Shape) {
		n, err := strconv.Atoi(letter)
		switch {
		case letter == "...":
			shape = append(shape, s.leading...)
		case err == nil:
			shape = append(shape, n)
		default:
			shape = append(shape, s.sizes[letter])
		}
	}
	if p.Swap == "trans_a" && s.attrs.TransA || p.Swap == "trans_b" && s.attrs.TransB {
		slices.Reverse(shape)
	}
	return shape
}

// derive fills the operands of s that are outputs of an earlier operation, by
// running that operation on ref.
func (s *sample) derive(op kernels.Op, attrs kernels.Attrs) error {
	f := s.forward(op, attrs, nil)
	out, err := evaluate(ref.New(), f)
	if err != nil {
		return fmt.Errorf("deriving operands by %v: %w", op, err)
	}
	for i, p := range f.contract().Params {
		if o := s.operand(p.Name); o != nil && p.Role == kernels.Out && s.contract().Params[s.contract().Param(p.Name)].Role == kernels.In {
			o.values = out[i]
		}
	}
	return nil
}

// eachOffset calls f with the offset of every element of a view, in row-major order.
func eachOffset(shape, strides []int, f func(i, offset int)) {
	n := kernels.Elements(shape)
	if strides == nil {
		for i := range n {
			f(i, i)
		}
		return
	}
	for i := range n {
		rest, offset := i, 0
		for d := len(shape) - 1; d >= 0; d-- {
			offset += rest % shape[d] * strides[d]
			rest /= shape[d]
		}
		f(i, offset)
	}
}
