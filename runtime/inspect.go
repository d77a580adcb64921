package runtime

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// badOutput names the first output of an instruction that holds NaN or Inf; empty when none does.
func (m *Machine) badOutput(in *plan.Instruction, slot int) string {
	c := &kernels.Contracts[in.Op]
	for i, o := range in.Operands {
		name := c.Params[i].Name
		if o.Buffer < 0 || !c.RoleOf(i, in.Attrs).Writes() || name == "lse" || name == "workspace" {
			continue
		}
		if b := &m.stage.Buffers[o.Buffer]; b.DType.Float() && m.holdsBad(b, slot, o) {
			return name
		}
	}
	return ""
}

// holdsBad looks at the elements of an operand's rows; a strided view's gaps are another's.
func (m *Machine) holdsBad(b *plan.Buffer, slot int, o plan.Operand) bool {
	values := make([]float64, 0)
	found := false
	eachRow(o, func(element, n int) {
		if found {
			return
		}
		values = m.load(values, b, slot, element, n)
		for _, v := range values {
			found = found || bad(v)
		}
	})
	return found
}

// eachRow calls f with the place and length of each dense run of an operand.
func eachRow(o plan.Operand, f func(element, n int)) {
	if o.Strides == nil || len(o.Shape) == 0 {
		f(o.Offset, kernels.Elements(o.Shape))
		return
	}
	last := len(o.Shape) - 1
	index := make([]int, last)
	for {
		at := o.Offset
		for i, x := range index {
			at += x * o.Strides[i]
		}
		f(at, o.Shape[last])
		i := last - 1
		for ; i >= 0; i-- {
			if index[i]++; index[i] < o.Shape[i] {
				break
			}
			index[i] = 0
		}
		if i < 0 {
			return
		}
	}
}

// load reads n elements of a buffer of floats or masks into values.
func (m *Machine) load(values []float64, b *plan.Buffer, slot, element, n int) []float64 {
	size := b.DType.Size()
	raw := make([]byte, n*size)
	if _, err := m.memories[b.Space].ReadAt(raw, m.offset(b, slot)+int64(element*size)); err != nil {
		panic(err) // an arena that verify admitted holds all its buffers
	}
	return decode(values[:0], b.DType, raw)
}

// decode appends the values of a storage type's little-endian bytes.
func decode(values []float64, dtype kernels.DType, raw []byte) []float64 {
	for i := 0; i < len(raw); i += dtype.Size() {
		switch dtype {
		case kernels.F64:
			values = append(values, math.Float64frombits(binary.LittleEndian.Uint64(raw[i:])))
		case kernels.I8:
			values = append(values, float64(int8(raw[i])))
		case kernels.BF16:
			values = append(values, float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[i:]))<<16)))
		default:
			values = append(values, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[i:]))))
		}
	}
	return values
}

// Values reads a whole float buffer.
func (m *Machine) Values(b *plan.Buffer) []float64 {
	return m.load(nil, b, 0, 0, kernels.Elements(b.Shape()))
}

// Indices reads a whole buffer of I32.
func (m *Machine) Indices(b *plan.Buffer) ([]int32, error) {
	values := make([]int32, kernels.Elements(b.Shape()))
	return values, m.Read(b, bytesOf(values))
}

// Tensor reads a logical tensor of the plan.
func (m *Machine) Tensor(name string) ([]float64, error) {
	t := m.Plan.Tensor(name)
	if t == nil {
		return nil, fmt.Errorf("the plan has no tensor %s", name)
	}
	id, ok := t.In(m.number())
	if !ok {
		return nil, fmt.Errorf("rank %d does not keep %s, which is of stage %d", m.rank.Number, name, t.Stage)
	}
	return m.Values(&m.stage.Buffers[id]), nil
}

// Gradient reads what the rank has of the gradient of a weight between the last backward program of a step and its update: with one rank all
// of it, else a term of it, which is as long as what the weight's cut leaves; where each micro-batch's terms are added up among the ranks of
// data, what is another's part of the sum is 0. It is nil when the weight is not trained, or is another stage's.
func (m *Machine) Gradient(weight string) []float64 {
	name := "grad." + weight
	if t := m.Plan.Tensor(weight); t != nil && t.Stage != m.number() {
		name += fmt.Sprintf("#%d", m.number()) // of the stage's copy
	}
	if b := m.gradient(name); b != nil {
		return m.Values(b)
	}
	ranks, place := m.Plan.Degree(plan.AxisData), m.Plan.Place(m.rank.Number, plan.AxisData)
	if b := m.gradient(name + ".part"); b != nil {
		part := m.Values(b)
		term := make([]float64, ranks*len(part))
		copy(term[place*len(part):], part)
		return term
	}
	if b := m.gradient("sum." + name); b != nil {
		term := m.Values(b)
		n := len(term) / ranks
		clear(term[:place*n])
		clear(term[(place+1)*n:])
		return term
	}
	return nil
}

// gradient is the buffer of a gradient, or of what gathers it.
func (m *Machine) gradient(name string) *plan.Buffer {
	for i := range m.stage.Buffers {
		if b := &m.stage.Buffers[i]; b.Class == plan.Gradient && b.Name == name {
			return b
		}
	}
	return nil
}

// Evaluated is the buffer of an output of the evaluation of rows of a length, which the rank's stage may lack: nil.
func (m *Machine) Evaluated(length int, output string) *plan.Buffer {
	for _, c := range m.stage.Schedule(plan.Evaluate, length).Calls {
		if b := m.Buffer(c.Program, output); b != nil {
			return b
		}
	}
	return nil
}

// Gather is what is read of each rank's machine, by rank, for every process: all of them must call it.
func (r *Ranks) Gather(read func(*Machine) []float64) ([][]float64, error) {
	parts := make([][]float64, r.First().Plan.Ranks())
	for _, m := range r.machines {
		parts[m.rank.Number] = read(m)
	}
	if r.apart == nil {
		return parts, nil
	}
	texts, err := r.apart.Gather(bytesOf(parts[r.First().rank.Number]))
	for rank, text := range texts {
		parts[rank] = decode(nil, kernels.F64, text)
	}
	return parts, err
}
