package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	goruntime "runtime"
	"sync"
	"sync/atomic"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// Initialise gives tensors of the plan their initial values: all of them, or those of one class. A value depends
// on the seed, the tensor's name and the element's index alone.
func (m *Machine) Initialise(class plan.Class) error {
	var errs []error
	for i := range m.Plan.Tensors {
		if t := &m.Plan.Tensors[i]; class == "" || t.Class == class {
			errs = append(errs, m.initialise(t))
		}
	}
	return errors.Join(errs...)
}

// chunk is how many elements are made at a time; a multiple of the four words of a Philox block.
const chunk = 1 << 14

// initialise makes a tensor's chunks on all processors; before the run there is no pool to share.
func (m *Machine) initialise(t *plan.Tensor) error {
	b := &m.stage.Buffers[t.Buffer]
	n := m.Plan.PartLen(t)
	if t.Part != "" && t.Init.Kind != "zeros" {
		return fmt.Errorf("tensor %s: a part starts with zeros, not as %s", t.Name, t.Init.Kind)
	}
	stream := kernels.StreamKey(kernels.PurposeInit, t.Name)
	var group sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, goruntime.GOMAXPROCS(0))
	for worker := range errs {
		group.Go(func() {
			values := make([]float64, chunk)
			for errs[worker] == nil {
				from := int(next.Add(1)-1) * chunk
				if from >= n {
					return
				}
				errs[worker] = m.initialiseChunk(t, b, stream, from, values[:min(chunk, n-from)])
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func (m *Machine) initialiseChunk(t *plan.Tensor, b *plan.Buffer, stream uint32, from int, values []float64) error {
	if err := start(t.Init, m.Plan.Training.Seed, stream, from, values); err != nil {
		return fmt.Errorf("tensor %s: %w", t.Name, err)
	}
	_, err := m.memories[b.Space].WriteAt(encode(b.DType, values), b.Offset+int64(from*b.DType.Size()))
	return err
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
			four := random(in, kernels.Philox(seed, uint64(from+i)/4, 0, stream))
			copy(values[i:], four[:])
		}
	default:
		return fmt.Errorf("unknown initialisation %q", in.Kind)
	}
	return nil
}

// random makes the four values of one Philox block.
func random(in plan.Init, w [4]uint32) (v [4]float64) {
	if in.Kind == "uniform" {
		for i := range v {
			v[i] = in.Bound * (2*kernels.Uniform(w[i]) - 1)
		}
		return v
	}
	v[0], v[1] = kernels.Normals(w[0], w[1])
	v[2], v[3] = kernels.Normals(w[2], w[3])
	for i := range v {
		v[i] *= in.Std
	}
	return v
}

// encode writes values in a storage type, little-endian.
func encode(dtype kernels.DType, values []float64) []byte {
	out := make([]byte, 0, len(values)*dtype.Size())
	for _, v := range values {
		switch dtype {
		case kernels.F64:
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		case kernels.BF16: // the upper half of a float32
			out = binary.LittleEndian.AppendUint16(out, uint16(math.Float32bits(float32(kernels.BF16.Round(v)))>>16))
		default:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		}
	}
	return out
}
