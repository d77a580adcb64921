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
		if t := m.kept(&m.Plan.Tensors[i]); t != nil && (class == "" || t.Class == class) && t.Init.Kind != plan.InitWeight {
			errs = append(errs, m.initialise(t))
		}
	}
	return errors.Join(errs...)
}

// chunk is how many elements are made at a time.
const chunk = 1 << 14

// initialise makes a tensor's chunks on all processors; before the run there is no pool to share.
func (m *Machine) initialise(t *plan.Tensor) error {
	b := &m.stage.Buffers[t.Buffer]
	at := int64(0) // of the rank's elements
	for _, r := range m.runs(t) {
		if err := m.initialiseRun(t, b, r, at); err != nil {
			return err
		}
		at += r.N
	}
	return nil
}

// initialiseRun makes elements of a tensor, which lie from an element of its buffer on.
func (m *Machine) initialiseRun(t *plan.Tensor, b *plan.Buffer, r plan.Run, at int64) error {
	stream := kernels.StreamKey(kernels.PurposeInit, t.Name)
	workers := min(goruntime.GOMAXPROCS(0), int((r.N+chunk-1)/chunk))
	var group sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, workers)
	for worker := range errs {
		group.Go(func() {
			values := make([]float64, min(chunk, r.N))
			for errs[worker] == nil {
				from := (next.Add(1) - 1) * chunk
				if from >= r.N {
					return
				}
				errs[worker] = m.initialiseChunk(t, b, stream, r.First+from, at+from, values[:min(chunk, r.N-from)])
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// initialiseChunk makes the elements from one of the tensor on, which lies at one of its buffer.
func (m *Machine) initialiseChunk(t *plan.Tensor, b *plan.Buffer, stream uint32, from, at int64, values []float64) error {
	if err := start(t.Init, m.Plan.Training.Seed, stream, from, values); err != nil {
		return fmt.Errorf("tensor %s: %w", t.Name, err)
	}
	_, err := m.memories[b.Space].WriteAt(encode(b.DType, values), b.Offset+at*int64(b.DType.Size()))
	return err
}

// start fills values with the elements from the given index on.
func start(in plan.Init, seed uint64, stream uint32, from int64, values []float64) error {
	switch in.Kind {
	case "zeros", "ones", "constant":
		v := map[string]float64{"ones": 1, "constant": in.Value}[in.Kind]
		for i := range values {
			values[i] = v
		}
	case "normal", "uniform":
		skip := int(from % 4)
		for i := -skip; i < len(values); i += 4 {
			four := random(in, kernels.Philox(seed, uint64(from+int64(i))/4, 0, stream))
			copy(values[max(0, i):], four[max(0, -i):])
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
		case kernels.I8:
			out = append(out, byte(int8(v)))
		case kernels.BF16: // the upper half of a float32
			out = binary.LittleEndian.AppendUint16(out, uint16(math.Float32bits(float32(kernels.BF16.Round(v)))>>16))
		default:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		}
	}
	return out
}
