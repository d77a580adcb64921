package runtime

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// Initialise gives every tensor of the plan its starting value. A value depends
// on the seed, the tensor's name and the element's index alone.
func (m *Machine) Initialise() error {
	for i := range m.Plan.Tensors {
		if err := m.initialise(&m.Plan.Tensors[i]); err != nil {
			return err
		}
	}
	return nil
}

// chunk is how many elements are made at a time; a multiple of the four words of a Philox block.
const chunk = 1 << 14

func (m *Machine) initialise(t *plan.Tensor) error {
	b := &m.stage.Buffers[t.Buffer]
	n := kernels.Elements(t.Shape())
	values := make([]float64, chunk)
	stream := kernels.StreamKey(kernels.PurposeInit, t.Name)
	for from := 0; from < n; from += chunk {
		part := values[:min(chunk, n-from)]
		if err := start(t.Init, m.Plan.Training.Seed, stream, from, part); err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		if _, err := m.memories[b.Space].WriteAt(encode(b.DType, part), b.Offset+int64(from*b.DType.Size())); err != nil {
			return err
		}
	}
	return nil
}

// start fills values with the elements from the given index on.
func start(in plan.Init, seed uint64, stream uint32, from int, values []float64) error {
	switch in.Kind {
	case "zeros", "ones", "constant":
		v := map[string]float64{"ones": 1, "constant": in.Value}[in.Kind]
		for i := range values {
			values[i] = v
		}
	case "normal", "uniform":
		for i := 0; i < len(values); i += 4 {
			w := kernels.Philox(seed, uint64(from+i)/4, 0, stream)
			copy(values[i:], random(in, w))
		}
	default:
		return fmt.Errorf("unknown initialisation %q", in.Kind)
	}
	return nil
}

// random makes four values of one Philox block.
func random(in plan.Init, w [4]uint32) []float64 {
	if in.Kind == "uniform" {
		v := make([]float64, 4)
		for i := range v {
			v[i] = in.Bound * (2*kernels.Uniform(w[i]) - 1)
		}
		return v
	}
	a, b := kernels.Normals(w[0], w[1])
	c, d := kernels.Normals(w[2], w[3])
	return []float64{in.Std * a, in.Std * b, in.Std * c, in.Std * d}
}

// encode writes values in a storage type, little-endian.
func encode(dtype kernels.DType, values []float64) []byte {
	out := make([]byte, 0, len(values)*dtype.Size())
	for _, v := range values {
		if dtype == kernels.F64 {
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		} else {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		}
	}
	return out
}
