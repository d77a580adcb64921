package cpu

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/ref"
)

// operands makes the tensors of a call, from values that ref and cpu share.
type operands struct {
	r   *rand.Rand
	cpu []kernels.Tensor
	ref []kernels.Tensor
}

func (o *operands) add(cpu, ref kernels.Tensor) *operands {
	o.cpu, o.ref = append(o.cpu, cpu), append(o.ref, ref)
	return o
}

func tensorOf[T any](d kernels.DType, shape []int, data []T) kernels.Tensor {
	return kernels.Tensor{DType: d, Shape: shape, Data: unsafe.Pointer(unsafe.SliceData(data))}
}

// f adds a float operand of normal values.
func (o *operands) f(shape ...int) *operands { return o.each(shape, o.r.NormFloat64) }

// p adds a float operand of positive values.
func (o *operands) p(shape ...int) *operands {
	return o.each(shape, func() float64 { return 0.1 + o.r.Float64() })
}

func (o *operands) each(shape []int, value func() float64) *operands {
	narrow := make([]float32, kernels.Elements(shape))
	wide := make([]float64, len(narrow))
	for i := range narrow {
		narrow[i] = float32(value())
		wide[i] = float64(narrow[i])
	}
	return o.add(tensorOf(kernels.F32, shape, narrow), tensorOf(kernels.F64, shape, wide))
}

// i adds an index operand of values under n.
func (o *operands) i(n int, shape ...int) *operands {
	data := make([]int32, kernels.Elements(shape))
	for i := range data {
		data[i] = o.r.Int32N(int32(n))
	}
	return o.add(tensorOf(kernels.I32, shape, data), tensorOf(kernels.I32, shape, slices.Clone(data)))
}

// kept adds top-k codes of n numbers, of as many ranks.
func (o *operands) kept(share float64, n, ranks int) *operands {
	k := kernels.Kept(share, n)
	data := make([]int32, 0, 2*k*ranks)
	for range ranks {
		for p := range k {
			data = append(data, int32(p*n/k))
		}
		for range k {
			data = append(data, int32(math.Float32bits(float32(o.r.NormFloat64()))))
		}
	}
	shape := []int{ranks, 2 * k}
	return o.add(tensorOf(kernels.I32, shape, data), tensorOf(kernels.I32, shape, slices.Clone(data)))
}

// half adds an operand of bf16.
func (o *operands) half(shape ...int) *operands {
	data := make([]uint16, kernels.Elements(shape))
	for i := range data {
		data[i] = uint16(math.Float32bits(float32(o.r.NormFloat64())) >> 16)
	}
	return o.add(tensorOf(kernels.BF16, shape, data), tensorOf(kernels.BF16, shape, slices.Clone(data)))
}

// q adds an operand of int8 values.
func (o *operands) q(shape ...int) *operands {
	data := make([]int8, kernels.Elements(shape))
	for i := range data {
		data[i] = int8(o.r.IntN(256))
	}
	return o.add(tensorOf(kernels.I8, shape, data), tensorOf(kernels.I8, shape, slices.Clone(data)))
}

func (o *operands) real(values ...float64) *operands {
	shape := []int{len(values)}
	return o.add(tensorOf(kernels.F64, shape, values), tensorOf(kernels.F64, shape, slices.Clone(values)))
}

func (o *operands) counter(v int64) *operands {
	shape := []int{1}
	return o.add(tensorOf(kernels.I64, shape, []int64{v}), tensorOf(kernels.I64, shape, []int64{v}))
}

func (o *operands) absent() *operands { return o.add(kernels.Tensor{}, kernels.Tensor{}) }

// opCase is a call large enough to be cut into several pieces.
type opCase struct {
	op    kernels.Op
	attrs kernels.Attrs
	args  func(o *operands)
}

// The sizes of the cases: rows R, width C, vocabulary V, heads H of width D.
const (
	caseR, caseC, caseV  = 520, 192, 5003
	caseB, caseT         = 4, 130
	caseH, caseD         = 6, 32
	caseMatrix, caseLong = 400, 100_003
)

func opCases() []opCase {
	adam := kernels.Attrs{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, Decay: 0.1, RateScale: 1}
	lamb := adam
	lamb.RateScale = 0
	factored := kernels.Attrs{Epsilon: 1e-30, Epsilon2: 1e-3, MaxRMS: 1, Decay: 0.1, RateScale: 1}
	cases := []opCase{
		{kernels.Zero, kernels.Attrs{}, func(o *operands) { o.f(caseLong) }},
		{kernels.Copy, kernels.Attrs{}, func(o *operands) { o.f(caseLong).f(caseLong) }},
		{kernels.Iota, kernels.Attrs{}, func(o *operands) { o.counter(5).i(9, caseB, caseT) }},
		{kernels.Embedding, kernels.Attrs{}, func(o *operands) { o.i(caseV+9, caseR).f(caseV, caseC).f(caseR, caseC) }},
		{kernels.EmbeddingGrad, kernels.Attrs{Accumulate: true}, func(o *operands) { o.i(300, caseR).f(caseR, caseC).f(caseV, caseC) }},
		{kernels.Select, kernels.Attrs{Index: 3}, func(o *operands) { o.f(caseB, caseT, caseC).f(caseB, caseC) }},
		{kernels.SelectGrad, kernels.Attrs{Index: 3}, func(o *operands) { o.f(caseB, caseC).f(caseB, caseT, caseC) }},
		{kernels.CacheWrite, kernels.Attrs{}, func(o *operands) { o.f(caseB, caseT, caseH, caseD).counter(20).f(caseB, 140, caseH, caseD) }},
		{kernels.Widen, kernels.Attrs{}, func(o *operands) { o.half(caseLong).f(caseLong) }},
		{kernels.Round, kernels.Attrs{Rounding: "stochastic", Key: 7}, func(o *operands) { o.f(caseLong).counter(5).counter(6).half(caseLong) }},
		{kernels.Add, kernels.Attrs{}, func(o *operands) { o.f(caseLong).f(caseLong).f(caseLong) }},
		{kernels.Scale, kernels.Attrs{Alpha: 0.3}, func(o *operands) { o.f(caseLong).f(caseLong) }},
		{kernels.Dropout, kernels.Attrs{Rate: 0.1, Key: 7}, func(o *operands) {
			o.f(caseB, caseLong/caseB).counter(1<<40).counter(3).counter(5).absent().f(caseB, caseLong/caseB)
		}},
		{kernels.Dropout, kernels.Attrs{Rate: 0.1, Key: 7, Dim: 1, Of: 3*caseT - 7}, func(o *operands) {
			o.f(caseB, caseT, caseLong/caseB/caseT).counter(1<<40).counter(3).counter(5).counter(2).f(caseB, caseT, caseLong/caseB/caseT)
		}},
		{kernels.AddBias, kernels.Attrs{}, func(o *operands) { o.f(caseR, caseC).f(caseC).f(caseR, caseC) }},
		{kernels.Shift, kernels.Attrs{Index: 77}, func(o *operands) { o.i(5000, caseB, caseT).counter(3).i(5000, caseB, caseT) }},
		{kernels.SumRows, kernels.Attrs{Accumulate: true}, func(o *operands) { o.f(caseB, caseR, caseC).f(caseC) }},
		{kernels.LayerNorm, kernels.Attrs{Epsilon: 1e-5}, func(o *operands) { o.f(caseR, caseC).f(caseC).f(caseC).f(caseR, caseC).f(caseR).f(caseR) }},
		{kernels.LayerNormGrad, kernels.Attrs{Accumulate: true}, func(o *operands) {
			o.f(caseR, caseC).f(caseR, caseC).f(caseC).f(caseR).p(caseR).f(caseR, caseC).f(caseC).f(caseC).absent()
		}},
		{kernels.RMSNorm, kernels.Attrs{Epsilon: 1e-5, Offset: 1}, func(o *operands) { o.f(caseR, caseC).f(caseC).f(caseR, caseC).f(caseR) }},
		{kernels.RMSNormGrad, kernels.Attrs{Offset: 1}, func(o *operands) {
			o.f(caseR, caseC).f(caseR, caseC).f(caseC).p(caseR).f(caseR, caseC).f(caseC).absent()
		}},
		{kernels.RotaryTable, kernels.Attrs{Theta: 10000}, func(o *operands) { o.i(1000, caseB, 600).f(caseB, 600, caseD) }},
		{kernels.Rotary, kernels.Attrs{}, func(o *operands) { o.f(caseB, caseT, caseH, caseD).f(1, caseT, caseD).f(caseB, caseT, caseH, caseD) }},
		{kernels.QuantizeRows, kernels.Attrs{TransA: true}, func(o *operands) { o.f(caseR, caseMatrix).q(caseMatrix, caseR).f(caseMatrix) }},
		{kernels.MatMulInt8, kernels.Attrs{Kind: "gelu_tanh"}, func(o *operands) { // bias, residual and pre
			o.f(caseB, caseR).q(caseMatrix, caseR).p(caseMatrix).f(caseMatrix).f(caseB, caseMatrix).absent().f(caseB, caseMatrix).f(caseB, caseMatrix)
		}},
		{kernels.PruneMask, kernels.Attrs{Pattern: "elements"}, func(o *operands) { o.f(1, caseR, caseMatrix).real(0.7).q(1, caseR, caseMatrix) }},
		{kernels.PruneMask, kernels.Attrs{Pattern: "groups", Group: 4}, func(o *operands) { o.f(1, caseR, caseMatrix).real(0.5).q(1, caseR, caseMatrix) }},
		{kernels.PruneMask, kernels.Attrs{Pattern: "slices"}, func(o *operands) { o.f(caseB, caseR, caseMatrix).real(0.5).q(caseB, caseR, caseMatrix) }},
		{kernels.ApplyMask, kernels.Attrs{}, func(o *operands) { o.f(caseLong).q(caseLong).f(caseLong) }},
		{kernels.FakeQuantize, kernels.Attrs{Bits: 4, Group: 40}, func(o *operands) {
			o.f(1, caseR, caseMatrix).q(1, caseR, caseMatrix).counter(1).f(1, caseR, caseMatrix).f(1, caseR/40, caseMatrix).f(1, caseR/40, caseMatrix)
		}},
		{kernels.FakeQuantize, kernels.Attrs{Bits: 8, Symmetric: true}, func(o *operands) {
			o.f(caseR, caseMatrix, 1).absent().absent().f(caseR, caseMatrix, 1).f(caseR, 1, 1).absent()
		}},
		{kernels.EmbeddingInt8, kernels.Attrs{}, func(o *operands) { o.i(caseV+9, caseR).q(caseV, caseC).p(caseV).f(caseR, caseC) }},
		{kernels.Encode, kernels.Attrs{Kind: kernels.TopK, Share: 0.01}, func(o *operands) {
			o.f(caseLong).f(caseLong).real(4096).i(1, 2*kernels.Kept(0.01, caseLong)).f(caseLong).absent()
		}},
		{kernels.Encode, kernels.Attrs{Kind: kernels.OneBit}, func(o *operands) {
			o.f(caseLong).f(caseLong).absent().i(1, kernels.CodeWords(kernels.Attrs{Kind: kernels.OneBit}, caseLong)).f(caseLong).absent()
		}},
		{kernels.Decode, kernels.Attrs{Kind: kernels.TopK, Share: 0.02, Of: 3 * caseLong}, func(o *operands) { o.kept(0.02, 3*caseLong, 4).counter(1).real(4096).f(caseLong) }},
		{kernels.Decode, kernels.Attrs{Kind: kernels.OneBit}, func(o *operands) {
			o.i(1<<30, 3, kernels.CodeWords(kernels.Attrs{Kind: kernels.OneBit}, caseLong)).absent().absent().f(caseLong)
		}},
		{kernels.MatMul, kernels.Attrs{Kind: "gelu_tanh"}, func(o *operands) { // bias, residual and pre
			o.f(caseR, caseD).f(caseD, caseC).f(caseC).f(caseR, caseC).absent().f(caseR, caseC).f(caseR, caseC)
		}},
		{kernels.MatMul, kernels.Attrs{Kind: "silu", Derivative: true, TransB: true, Alpha: 0.3}, func(o *operands) {
			o.f(caseR, caseD).f(caseC, caseD).absent().f(caseR, caseC).f(caseR, caseC).absent().absent()
		}},
		{kernels.CrossEntropy, kernels.Attrs{IgnoreIndex: 7, Smoothing: 0.1}, func(o *operands) {
			o.f(70, caseV).i(caseV, 70).f(70).f(70).absent().absent().absent().absent()
		}},
		{kernels.CrossEntropy, kernels.Attrs{IgnoreIndex: 7}, func(o *operands) {
			o.f(70, caseV).i(caseV, 70).f(70).f(70).p(70).real(50).real(4).f(70, caseV)
		}},
		{kernels.CrossEntropyGrad, kernels.Attrs{IgnoreIndex: 7, Smoothing: 0.1}, func(o *operands) {
			o.f(70, caseV).i(caseV, 70).each([]int{70}, func() float64 { return 9 + o.r.Float64() }).p(70).real(50).real(4).absent().f(70, caseV)
		}},
		{kernels.CrossEntropyGrad, kernels.Attrs{IgnoreIndex: 7, Smoothing: 0.1, Classes: 2*caseV - 9}, func(o *operands) {
			o.f(70, caseV).i(2*caseV, 70).each([]int{70}, func() float64 { return 9 + o.r.Float64() }).p(70).real(50).real(4).counter(1).f(70, caseV)
		}},
		{kernels.CrossEntropyPart, kernels.Attrs{Smoothing: 0.1, Classes: 2*caseV - 9}, func(o *operands) { o.f(70, caseV).i(2*caseV, 70).counter(1).f(70, 1, 2) }},
		{kernels.CrossEntropyJoin, kernels.Attrs{IgnoreIndex: 7, Classes: 50}, func(o *operands) { o.f(caseR, 3, 2).i(60, caseR).f(caseR).f(caseR) }},
		{kernels.BinaryCrossEntropy, kernels.Attrs{}, func(o *operands) { o.f(caseR, caseC).p(caseR, caseC).f(caseR) }},
		{kernels.BinaryCrossEntropyGrad, kernels.Attrs{}, func(o *operands) { o.f(caseR, caseC).p(caseR, caseC).absent().real(50).absent().f(caseR, caseC) }},
		{kernels.SquaredError, kernels.Attrs{}, func(o *operands) { o.f(caseR, caseC).p(caseR, caseC).f(caseR) }},
		{kernels.SquaredErrorGrad, kernels.Attrs{}, func(o *operands) { o.f(caseR, caseC).p(caseR, caseC).p(caseR).real(50).real(8).f(caseR, caseC) }},
		{kernels.LossSum, kernels.Attrs{Accumulate: true}, func(o *operands) { o.f(caseLong).p(caseLong).real(3) }},
		{kernels.ArgMax, kernels.Attrs{}, func(o *operands) { o.f(70, caseV).i(9, 70) }},
		{kernels.SumSquares, kernels.Attrs{}, func(o *operands) { o.f(caseLong).real(3) }},
		{kernels.ClipFactor, kernels.Attrs{MaxNorm: 1}, func(o *operands) { o.real(3).real(2).real(0).real(0).counter(0) }},
		{kernels.LossScale, kernels.Attrs{Growth: 2, GrowthInterval: 4, Backoff: 0.5}, func(o *operands) {
			o.counter(1).real(3).real(1024).counter(3).counter(7)
		}},
		{kernels.SGD, kernels.Attrs{Momentum: 0.9, Nesterov: true, Decay: 0.1, RateScale: 1}, func(o *operands) {
			o.f(caseLong).f(caseLong).f(caseLong).real(1e-2).real(0.5)
		}},
		{kernels.Adam, adam, func(o *operands) { o.f(caseLong).f(caseLong).f(caseLong).p(caseLong).real(1e-2).counter(3).real(0.5) }},
		{kernels.AdamW, adam, func(o *operands) { o.f(caseLong).f(caseLong).f(caseLong).p(caseLong).real(1e-2).counter(3).real(0.5) }},
		{kernels.Lion, kernels.Attrs{Beta1: 0.9, Beta2: 0.99, Decay: 0.1, RateScale: 1}, func(o *operands) {
			o.f(caseLong).f(caseLong).f(caseLong).real(1e-2).real(0.5)
		}},
		{kernels.LAMBMoments, lamb, func(o *operands) { o.f(caseLong).f(caseLong).f(caseLong).p(caseLong).counter(3).real(0.5).real(0, 0) }},
		{kernels.LAMBApply, adam, func(o *operands) { o.f(caseLong).f(caseLong).p(caseLong).real(3, 4).real(1e-2).counter(3) }},
		{kernels.AdafactorMoments, kernels.Attrs{}, func(o *operands) {
			o.f(caseMatrix, caseMatrix).real(0.5).counter(3).p(caseMatrix).p(caseMatrix).absent()
		}},
		{kernels.AdafactorNorms, kernels.Attrs{Epsilon: 1e-30}, func(o *operands) {
			o.f(caseMatrix, caseMatrix).f(caseMatrix, caseMatrix).p(caseMatrix).p(caseMatrix).absent().real(0.5).real(0, 0)
		}},
		{kernels.AdafactorApply, factored, func(o *operands) {
			o.f(caseMatrix, caseMatrix).f(caseMatrix, caseMatrix).absent().absent().p(caseMatrix, caseMatrix).real(3, 4).real(1e-2).counter(3).real(0.5)
		}},
		{kernels.MuonMomentum, kernels.Attrs{Momentum: 0.95, Nesterov: true}, func(o *operands) { o.f(caseLong).f(caseLong).real(0.5).f(caseLong) }},
		{kernels.MuonApply, kernels.Attrs{Alpha: 0.2, Decay: 0.1, RateScale: 1}, func(o *operands) { o.f(caseLong).f(caseLong).real(1e-2) }},
	}
	for _, kind := range kernels.Activations {
		a := kernels.Attrs{Kind: kind}
		if kind == "soft_cap" {
			a.Cap = 3
		}
		cases = append(cases,
			opCase{kernels.Activate, a, func(o *operands) { o.f(caseLong).f(caseLong) }},
			opCase{kernels.ActivateGrad, a, func(o *operands) { o.f(caseLong).f(caseLong).f(caseLong) }},
			opCase{kernels.Gate, a, func(o *operands) { o.f(caseLong).f(caseLong).f(caseLong) }},
			opCase{kernels.GateGrad, a, func(o *operands) { o.f(caseLong).f(caseLong).f(caseLong).f(caseLong).f(caseLong) }})
	}
	return cases
}

func (c opCase) name() string { return c.op.String() + c.attrs.Kind }

func (c opCase) operands() *operands {
	o := &operands{r: rand.New(rand.NewPCG(5, 6))}
	c.args(o)
	return o
}

// run runs the case on the device, on a copy of the operands, which it returns with the bytes that its outputs then hold.
func (c opCase) run(t *testing.T, d *Device, o *operands) (args []kernels.Tensor, outputs [][]byte) {
	t.Helper()
	for i, arg := range o.cpu {
		if !arg.Absent() {
			data := slices.Clone(unsafe.Slice((*byte)(arg.Data), arg.Len()*arg.DType.Size()))
			arg.Data = unsafe.Pointer(unsafe.SliceData(data))
			if kernels.Contracts[c.op].RoleOf(i, c.attrs).Writes() {
				outputs = append(outputs, data)
			}
		}
		args = append(args, arg)
	}
	mustBind(t, d, kernels.Call{Op: c.op, Attrs: c.attrs, Args: args})()
	return args, outputs
}

// TestPieces: on every level, calls of many pieces give ref's values, and the same bits with 1, 2 and 4 threads.
func TestPieces(t *testing.T) {
	for _, c := range opCases() {
		t.Run(c.name(), func(t *testing.T) {
			o := c.operands()
			k, err := ref.New().Bind(kernels.Call{Op: c.op, Attrs: c.attrs, Args: o.ref})
			if err != nil {
				t.Fatal(err)
			}
			k()
			for _, l := range levels() {
				got, first := c.run(t, openLevel(t, 1, l), o)
				compareOperands(t, c, got, o.ref)
				for _, threads := range []int{2, 4} {
					_, bits := c.run(t, openLevel(t, threads, l), o)
					if !slices.EqualFunc(first, bits, bytes.Equal) {
						t.Errorf("%v: %d threads give other bits than 1", l, threads)
					}
				}
			}
		})
	}
}

func mustLevel(t testing.TB) level {
	l, err := chooseLevel()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func compareOperands(t *testing.T, c opCase, got, want []kernels.Tensor) {
	t.Helper()
	for i, p := range kernels.Contracts[c.op].Params {
		switch {
		case got[i].Absent():
		case got[i].DType == kernels.F32:
			compareFloats(t, p.Name, kernels.Slice[float32](got[i]), kernels.Slice[float64](want[i]))
		case got[i].DType == kernels.F64:
			for j, v := range kernels.Slice[float64](got[i]) {
				nearNumber(t, p.Name, v, kernels.Slice[float64](want[i])[j], 1e-6)
			}
		case got[i].DType == kernels.BF16:
			if !slices.Equal(kernels.Slice[uint16](got[i]), kernels.Slice[uint16](want[i])) {
				t.Errorf("%s differs", p.Name)
			}
		case got[i].DType == kernels.I32:
			if !slices.Equal(kernels.Slice[int32](got[i]), kernels.Slice[int32](want[i])) {
				t.Errorf("%s differs", p.Name)
			}
		case got[i].DType == kernels.I8:
			if !slices.Equal(kernels.Slice[int8](got[i]), kernels.Slice[int8](want[i])) {
				t.Errorf("%s differs", p.Name)
			}
		}
	}
}

// compareFloats allows 1e-6 of the root mean square of the wanted values beside 1e-6 of each.
func compareFloats(t *testing.T, name string, got []float32, want []float64) {
	t.Helper()
	squares := 0.0
	for _, w := range want {
		squares += w * w
	}
	size := math.Sqrt(squares / float64(len(want)))
	for i, w := range want {
		if e := math.Abs(float64(got[i]) - w); !(e <= 1e-6*(math.Abs(w)+size)) {
			t.Fatalf("%s[%d] is %v, want %v", name, i, got[i], w)
		}
	}
}

// TestKernelsAllocateNothing runs every case with workers, at every level.
func TestKernelsAllocateNothing(t *testing.T) {
	eachLevel(t, 3, func(t *testing.T, d *Device) {
		for _, c := range opCases() {
			k := mustBind(t, d, kernels.Call{Op: c.op, Attrs: c.attrs, Args: c.operands().cpu})
			if n := testing.AllocsPerRun(3, k); n != 0 {
				t.Errorf("%s allocates %v times a run", c.name(), n)
			}
		}
	})
}

// TestCasesCoverBinders: an operation that is bound has a case here, or a test file of its own.
func TestCasesCoverBinders(t *testing.T) {
	tested := map[kernels.Op]bool{kernels.MatMul: true, kernels.Attention: true, kernels.AttentionGrad: true, kernels.NewtonSchulz: true}
	for _, c := range opCases() {
		tested[c.op] = true
	}
	for _, op := range kernels.Ops() {
		if !tested[op] {
			t.Errorf("%v has no case", op)
		}
	}
}

// TestNaNReachesNorm: a NaN anywhere in a gradient gives a NaN norm and factor.
func TestNaNReachesNorm(t *testing.T) {
	for _, l := range levels() {
		d := openLevel(t, 2, l)
		for _, at := range []int{0, 77, 70_000, caseLong - 1} {
			o := opCase{kernels.SumSquares, kernels.Attrs{}, func(o *operands) { o.f(caseLong).real(0).absent().real(0).real(0).counter(1) }}.operands()
			kernels.Slice[float32](o.cpu[0])[at] = float32(math.NaN())
			mustBind(t, d, kernels.Call{Op: kernels.SumSquares, Args: o.cpu[:2]})()
			mustBind(t, d, kernels.Call{Op: kernels.ClipFactor, Attrs: kernels.Attrs{MaxNorm: 1}, Args: o.cpu[1:]})()
			norm, factor, finite := *scalar[float64](o.cpu[3]), *scalar[float64](o.cpu[4]), *scalar[int64](o.cpu[5])
			if !math.IsNaN(norm) || !math.IsNaN(factor) || finite != 0 {
				t.Errorf("%v: a NaN at %d gives norm %v, factor %v, finite %d", l, at, norm, factor, finite)
			}
		}
	}
}

// BenchmarkOps times calls of the sizes that a small GPT-2 has: 4096 tokens, width 768.
func BenchmarkOps(b *testing.B) {
	const rows, width, wide, vocabulary = 4096, 768, 3072, 50257
	n := rows * width
	adam := kernels.Attrs{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, Decay: 0.1, RateScale: 1}
	cases := []opCase{
		{kernels.Zero, kernels.Attrs{}, func(o *operands) { o.f(n) }},
		{kernels.Copy, kernels.Attrs{}, func(o *operands) { o.f(n).f(n) }},
		{kernels.Add, kernels.Attrs{}, func(o *operands) { o.f(n).f(n).f(n) }},
		{kernels.Embedding, kernels.Attrs{}, func(o *operands) { o.i(vocabulary, rows).f(vocabulary, width).f(rows, width) }},
		{kernels.EmbeddingGrad, kernels.Attrs{Accumulate: true}, func(o *operands) { o.i(256, rows).f(rows, width).f(vocabulary, width) }},
		{kernels.Activate, kernels.Attrs{Kind: "gelu"}, func(o *operands) { o.f(rows, wide).f(rows, wide) }},
		{kernels.ActivateGrad, kernels.Attrs{Kind: "gelu"}, func(o *operands) { o.f(rows, wide).f(rows, wide).f(rows, wide) }},
		{kernels.Activate, kernels.Attrs{Kind: "gelu_tanh"}, func(o *operands) { o.f(rows, wide).f(rows, wide) }},
		{kernels.ActivateGrad, kernels.Attrs{Kind: "gelu_tanh"}, func(o *operands) { o.f(rows, wide).f(rows, wide).f(rows, wide) }},
		{kernels.Gate, kernels.Attrs{Kind: "silu"}, func(o *operands) { o.f(rows, wide).f(rows, wide).f(rows, wide) }},
		{kernels.GateGrad, kernels.Attrs{Kind: "silu"}, func(o *operands) { o.f(rows, wide).f(rows, wide).f(rows, wide).f(rows, wide).f(rows, wide) }},
		{kernels.Dropout, kernels.Attrs{Rate: 0.1}, func(o *operands) { o.f(n).counter(1).counter(3).counter(5).absent().f(n) }},
		{kernels.SumRows, kernels.Attrs{}, func(o *operands) { o.f(rows, wide).f(wide) }},
		{kernels.LayerNorm, kernels.Attrs{Epsilon: 1e-5}, func(o *operands) { o.f(rows, width).f(width).f(width).f(rows, width).f(rows).f(rows) }},
		{kernels.LayerNormGrad, kernels.Attrs{}, func(o *operands) {
			o.f(rows, width).f(rows, width).f(width).f(rows).p(rows).f(rows, width).f(width).f(width).absent()
		}},
		{kernels.RMSNorm, kernels.Attrs{Epsilon: 1e-5}, func(o *operands) { o.f(rows, width).f(width).f(rows, width).f(rows) }},
		{kernels.RMSNormGrad, kernels.Attrs{}, func(o *operands) {
			o.f(rows, width).f(rows, width).f(width).p(rows).f(rows, width).f(width).absent()
		}},
		{kernels.Rotary, kernels.Attrs{}, func(o *operands) { o.f(4, rows/4, 12, 64).f(1, rows/4, 64).f(4, rows/4, 12, 64) }},
		{kernels.CrossEntropy, kernels.Attrs{IgnoreIndex: -1}, func(o *operands) {
			o.f(256, vocabulary).i(vocabulary, 256).f(256).f(256).absent().absent().absent().absent()
		}},
		{kernels.CrossEntropy, kernels.Attrs{IgnoreIndex: -1}, func(o *operands) {
			o.f(256, vocabulary).i(vocabulary, 256).f(256).f(256).absent().real(50).absent().f(256, vocabulary)
		}},
		{kernels.CrossEntropyGrad, kernels.Attrs{IgnoreIndex: -1}, func(o *operands) {
			o.f(256, vocabulary).i(vocabulary, 256).each([]int{256}, func() float64 { return 12 }).absent().real(50).absent().absent().f(256, vocabulary)
		}},
		{kernels.ArgMax, kernels.Attrs{}, func(o *operands) { o.f(256, vocabulary).i(9, 256) }},
		{kernels.SumSquares, kernels.Attrs{}, func(o *operands) { o.f(n).real(0) }},
		{kernels.SGD, kernels.Attrs{Momentum: 0.9, RateScale: 1}, func(o *operands) { o.f(n).f(n).f(n).real(0).real(1) }},
		{kernels.AdamW, adam, func(o *operands) { o.f(n).f(n).f(n).p(n).real(0).counter(3).real(0.5) }},
		{kernels.Lion, kernels.Attrs{Beta1: 0.9, Beta2: 0.99, RateScale: 1}, func(o *operands) { o.f(n).f(n).f(n).real(0).real(1) }},
		{kernels.LAMBApply, adam, func(o *operands) { o.f(n).f(n).p(n).real(3, 4).real(0).counter(3) }},
		{kernels.MuonMomentum, kernels.Attrs{Momentum: 0.95, Nesterov: true}, func(o *operands) { o.f(n).f(n).real(0.5).f(n) }},
		{kernels.AdafactorApply, kernels.Attrs{Epsilon: 1e-30, MaxRMS: 1, RateScale: 1}, func(o *operands) {
			o.f(rows, width).f(rows, width).p(rows).p(width).absent().real(3, 4).real(0).counter(3).real(0.5)
		}},
	}
	for _, threads := range []int{1, 2} {
		d := openLevel(b, threads, mustLevel(b))
		for _, c := range cases {
			b.Run(fmt.Sprintf("%d/%s", threads, c.name()), func(b *testing.B) { c.benchmark(b, d) })
		}
	}
}

func (c opCase) benchmark(b *testing.B, d *Device) {
	args := c.operands().cpu
	k := mustBind(b, d, kernels.Call{Op: c.op, Attrs: c.attrs, Args: args})
	largest := 0
	for i, arg := range args {
		if c.op != kernels.EmbeddingGrad && c.op != kernels.Embedding || i == 1 {
			largest = max(largest, arg.Len())
		}
	}
	b.SetBytes(kernels.TrafficBytes(c.op, c.attrs, args))
	for b.Loop() {
		k()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(largest), "ns/elem")
}
