package ref

import (
	"fmt"
	"io"
	"slices"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// Device is the reference device.
type Device struct{}

// New makes a reference device.
func New() *Device { return &Device{} }

// Kind is "ref".
func (*Device) Kind() string { return "ref" }

// Close does nothing: there are no workers.
func (*Device) Close() error { return nil }

// Bind checks the call and prepares its kernel.
func (*Device) Bind(c kernels.Call) (kernels.Kernel, error) {
	sizes, err := kernels.Check(c.Op, c.Attrs, c.Args)
	if err != nil {
		return nil, err
	}
	contract := &kernels.Contracts[c.Op]
	for i, arg := range c.Args {
		if half := contract.Params[i].Class == kernels.Half; half && arg.DType != kernels.BF16 {
			return nil, fmt.Errorf("%v: operand %s: the ref device stores halves as bf16, not %v", c.Op, contract.Params[i].Name, arg.DType)
		} else if !half && arg.DType.Float() && arg.DType != kernels.F64 {
			return nil, fmt.Errorf("%v: operand %s: the ref device computes in f64, not %v", c.Op, contract.Params[i].Name, arg.DType)
		}
	}
	run := definitions[c.Op]
	if run == nil {
		return nil, fmt.Errorf("%v: the ref device has no definition of it", c.Op)
	}
	bound := &call{Attrs: c.Attrs, contract: contract, args: slices.Clone(c.Args), sizes: sizes}
	return func() { run(bound) }, nil
}

// definitions is the table of contents: what defines each operation.
var definitions = map[kernels.Op]func(*call){
	kernels.Zero:          zero,
	kernels.Copy:          copyElements,
	kernels.Iota:          iotas,
	kernels.Shift:         shift,
	kernels.Embedding:     embedding,
	kernels.EmbeddingGrad: embeddingGrad,
	kernels.Select:        selectPosition,
	kernels.SelectGrad:    selectPositionGrad,
	kernels.CacheWrite:    cacheWrite,

	kernels.Widen: widen,
	kernels.Round: roundStored,

	kernels.Add:          add,
	kernels.AddBias:      addBias,
	kernels.Scale:        scale,
	kernels.Activate:     activate,
	kernels.ActivateGrad: activateGrad,
	kernels.Gate:         gate,
	kernels.GateGrad:     gateGrad,
	kernels.Dropout:      dropout,

	kernels.MatMul:  matMul,
	kernels.SumRows: sumRows,

	kernels.LayerNorm:     layerNorm,
	kernels.LayerNormGrad: layerNormGrad,
	kernels.RMSNorm:       rmsNorm,
	kernels.RMSNormGrad:   rmsNormGrad,

	kernels.RotaryTable:   rotaryTable,
	kernels.Rotary:        rotary,
	kernels.Attention:     attention,
	kernels.AttentionGrad: attentionGrad,

	kernels.CrossEntropy:           crossEntropy,
	kernels.CrossEntropyPart:       crossEntropyPart,
	kernels.CrossEntropyJoin:       crossEntropyJoin,
	kernels.CrossEntropyGrad:       crossEntropyGrad,
	kernels.BinaryCrossEntropy:     binaryCrossEntropy,
	kernels.BinaryCrossEntropyGrad: binaryCrossEntropyGrad,
	kernels.SquaredError:           squaredError,
	kernels.SquaredErrorGrad:       squaredErrorGrad,
	kernels.LossSum:                lossSum,
	kernels.ArgMax:                 argMax,

	kernels.SumSquares:       sumSquares,
	kernels.ClipFactor:       clipFactor,
	kernels.LossScale:        lossScale,
	kernels.SGD:              sgd,
	kernels.Adam:             adam,
	kernels.AdamW:            adamW,
	kernels.Lion:             lion,
	kernels.LAMBMoments:      lambMoments,
	kernels.LAMBApply:        lambApply,
	kernels.AdafactorMoments: adafactorMoments,
	kernels.AdafactorNorms:   adafactorNorms,
	kernels.AdafactorApply:   adafactorApply,
	kernels.MuonMomentum:     muonMomentum,
	kernels.NewtonSchulz:     newtonSchulz,
	kernels.MuonApply:        muonApply,

	kernels.QuantizeRows:  quantizeRows,
	kernels.MatMulInt8:    matMulInt8,
	kernels.EmbeddingInt8: embeddingInt8,

	kernels.PruneMask:    pruneMask,
	kernels.ApplyMask:    applyMask,
	kernels.FakeQuantize: fakeQuantize,
	kernels.Encode:       encode,
	kernels.Decode:       decode,
}

// memory is a slice of the Go heap; whoever holds a pointer into it keeps it alive.
type memory struct{ bytes []byte }

// Alloc makes zeroed memory, aligned as the kind promises.
func (*Device) Alloc(space kernels.Space, sizeBytes int64) (kernels.Memory, error) {
	if sizeBytes < 0 {
		return nil, fmt.Errorf("ref: %v memory of %d bytes", space, sizeBytes)
	}
	align := kernels.Kinds["ref"].AlignBytes
	bytes := make([]byte, sizeBytes+align)
	skip := (align - int64(uintptr(unsafe.Pointer(&bytes[0]))%uintptr(align))) % align
	return &memory{bytes[skip : skip+sizeBytes]}, nil
}

func (m *memory) SizeBytes() int64 { return int64(len(m.bytes)) }

// Pointer gives an address one past the end, too, for tensors without elements.
func (m *memory) Pointer(offset int64) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.bytes)), offset)
}

func (m *memory) ReadAt(p []byte, offset int64) (int, error) {
	n := copy(p, m.bytes[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) WriteAt(p []byte, offset int64) (int, error) {
	n := copy(m.bytes[offset:], p)
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func (m *memory) Close() error {
	m.bytes = nil
	return nil
}
