package ref

import (
	"fmt"
	"math"
	"testing"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

func TestEveryOperationIsDefined(t *testing.T) {
	for _, op := range kernels.Ops() {
		if definitions[op] == nil {
			t.Errorf("%v is not defined", op)
		}
	}
	if len(definitions) != len(kernels.Ops()) {
		t.Errorf("%d definitions of %d operations", len(definitions), len(kernels.Ops()))
	}
}

func TestBindRefuses(t *testing.T) {
	narrow := kernels.Tensor{DType: kernels.F32, Shape: dims(2)}
	for _, c := range []kernels.Call{
		{Op: kernels.Scale, Args: []kernels.Tensor{narrow, narrow}},
		{Op: kernels.Copy, Args: []kernels.Tensor{narrow, narrow}},
		{Op: kernels.Scale},
		{},
	} {
		if _, err := New().Bind(c); err == nil {
			t.Errorf("%v with %d operands is taken", c.Op, len(c.Args))
		}
	}
}

func TestMemory(t *testing.T) {
	m, err := New().Alloc(kernels.DeviceMemory, 100)
	if err != nil || m.SizeBytes() != 100 {
		t.Fatalf("%v bytes, %v", m.SizeBytes(), err)
	}
	if at := uintptr(m.Pointer(0)); at%64 != 0 {
		t.Errorf("memory at %#x", at)
	}
	if n, err := m.WriteAt([]byte{1, 2, 3}, 98); n != 2 || err == nil {
		t.Errorf("a write past the end wrote %d, %v", n, err)
	}
	got := make([]byte, 3)
	if n, err := m.ReadAt(got, 98); n != 2 || err == nil || got[1] != 2 {
		t.Errorf("a read past the end read %d, %v", n, err)
	}
	if *(*byte)(m.Pointer(99)) != 2 {
		t.Error("Pointer and WriteAt do not agree")
	}
	if _, err := New().Alloc(kernels.HostMemory, -1); err == nil {
		t.Error("negative memory is given")
	}
	if empty, err := New().Alloc(kernels.HostMemory, 0); err != nil || empty.Pointer(0) == nil {
		t.Errorf("empty memory: %v", err)
	}
}

func TestMovement(t *testing.T) {
	none := kernels.Attrs{}
	expect(t, invoke(t, kernels.Zero, none, arrays{"y": of(dims(3), 1, 2, 3)}), "y", 0, 0, 0)
	expect(t, invoke(t, kernels.Iota, none, arrays{"y": of(dims(2, 3))}), "y", 0, 1, 2, 0, 1, 2)
	expect(t, invoke(t, kernels.Iota, none, arrays{"offset": scalarOf(5), "y": of(dims(1, 2))}), "y", 5, 6)
	table := of(dims(2, 2), 1, 2, 3, 4)
	expect(t, invoke(t, kernels.Embedding, none, arrays{"ids": of(dims(4), 1, -1, 2, 0), "table": table, "y": of(dims(4, 2))}),
		"y", 3, 4, 0, 0, 0, 0, 1, 2)
	grads := arrays{"ids": of(dims(4), 1, -1, 2, 1), "dy": of(dims(4, 2), 1, 2, 3, 4, 5, 6, 7, 8), "dtable": of(dims(2, 2), 10, 20, 30, 40)}
	expect(t, invoke(t, kernels.EmbeddingGrad, none, grads), "dtable", 0, 0, 8, 10)
	expect(t, invoke(t, kernels.EmbeddingGrad, kernels.Attrs{Accumulate: true}, grads), "dtable", 10, 20, 38, 50)
	second := kernels.Attrs{Index: 1}
	expect(t, invoke(t, kernels.Select, second, arrays{"x": of(dims(2, 2, 1), 1, 2, 3, 4), "y": of(dims(2, 1))}), "y", 2, 4)
	expect(t, invoke(t, kernels.SelectGrad, second, arrays{"dy": of(dims(2, 1), 5, 6), "dx": of(dims(2, 2, 1), 9, 9, 9, 9)}), "dx", 0, 5, 0, 6)
	cache := arrays{"x": of(dims(1, 3, 1, 1), 7, 8, 9), "offset": scalarOf(2), "cache": of(dims(1, 4, 1, 1), 1, 2, 3, 4)}
	expect(t, invoke(t, kernels.CacheWrite, none, cache), "cache", 1, 2, 7, 8)
}

// The operand of x[i][j] at strides (1, 3) is a transpose; MatMul and Copy read it where it lies.
func TestStridedOperands(t *testing.T) {
	data, copied := []float64{1, 2, 3, 4, 5, 6}, make([]float64, 9)
	x := kernels.Tensor{DType: kernels.F64, Shape: dims(3, 2, 1), Strides: dims(1, 3, 1), Data: unsafe.Pointer(&data[0])}
	y := kernels.Tensor{DType: kernels.F64, Shape: dims(3, 2, 1), Strides: dims(3, 1, 1), Data: unsafe.Pointer(&copied[0])}
	kernel, err := New().Bind(kernels.Call{Op: kernels.Copy, Args: []kernels.Tensor{x, y}})
	if err != nil {
		t.Fatal(err)
	}
	kernel()
	near(t, "y", copied, []float64{1, 4, 0, 2, 5, 0, 3, 6, 0}, 0)
}

func TestElementwise(t *testing.T) {
	expect(t, invoke(t, kernels.Add, kernels.Attrs{}, arrays{"x": of(dims(2), 1, 2), "y": of(dims(2), 10, 20), "z": of(dims(2))}), "z", 11, 22)
	expect(t, invoke(t, kernels.Scale, kernels.Attrs{Alpha: -2}, arrays{"x": of(dims(2), 1, 2), "y": of(dims(2))}), "y", -2, -4)
}

// An element is kept by its place in the global batch, and then is as much larger as others are missing.
func TestDropout(t *testing.T) {
	const seed, step, key, origin, rate = 12345 << 30, 3, 77, 5, 0.25
	a := kernels.Attrs{Rate: rate, Key: key}
	x := of(dims(2, 3, 5))
	for i := range 30 {
		x.Values = append(x.Values, float64(i+1))
	}
	got := invoke(t, kernels.Dropout, a, arrays{"x": x, "seed": scalarOf(seed), "step": scalarOf(step), "origin": scalarOf(origin), "y": of(x.Shape)})
	for i, y := range got["y"] {
		place := uint64(origin*15 + i)
		want := x.Values[i] / 0.75
		if kernels.Philox(seed, place/4, step, key)[place%4] < 1<<30 {
			want = 0
		}
		if y != want {
			t.Errorf("y[%d] = %v, want %v", i, y, want)
		}
	}
}

func TestSums(t *testing.T) {
	rows := arrays{"x": of(dims(2, 1, 2), 1, 2, 3, 4), "y": of(dims(2), 100, 200)}
	expect(t, invoke(t, kernels.SumRows, kernels.Attrs{}, rows), "y", 4, 6)
	expect(t, invoke(t, kernels.SumRows, kernels.Attrs{Accumulate: true}, rows), "y", 104, 206)
	product := arrays{"a": of(dims(1, 2), 1, 2), "b": of(dims(2, 1), 3, 4), "bias": of(dims(1), 100), "c": of(dims(1, 1), 1000)}
	expect(t, invoke(t, kernels.MatMul, kernels.Attrs{}, product), "c", 111)
	expect(t, invoke(t, kernels.MatMul, kernels.Attrs{Accumulate: true}, product), "c", 1111)
	losses := arrays{"loss": of(dims(2, 2), 1, 2, 3, 4), "total": scalarOf(50)}
	expect(t, invoke(t, kernels.LossSum, kernels.Attrs{}, losses), "total", 10)
	losses["row_weights"] = of(dims(2, 2), 1, 0, 2, 0)
	expect(t, invoke(t, kernels.LossSum, kernels.Attrs{Accumulate: true}, losses), "total", 57)
	squares := arrays{"x": of(dims(3), 1, 2, -3), "total": of(dims(1), 5)}
	expect(t, invoke(t, kernels.SumSquares, kernels.Attrs{}, squares), "total", 14)
	expect(t, invoke(t, kernels.SumSquares, kernels.Attrs{Accumulate: true}, squares), "total", 19)
}

func TestArgMax(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, test := range []struct {
		x    []float64
		want float64
	}{
		{[]float64{1, 3, 2}, 1}, {[]float64{3, 3, 2}, 0}, {[]float64{nan, 1, nan}, 1}, {[]float64{nan, nan, nan}, 0},
		{[]float64{nan, -inf, -inf}, 1}, {[]float64{inf, nan, inf}, 0},
	} {
		expect(t, invoke(t, kernels.ArgMax, kernels.Attrs{}, arrays{"x": of(dims(1, 3), test.x...), "y": of(dims(1))}), "y", test.want)
	}
}

func TestClipFactorOfWhatIsNotFinite(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, test := range []struct{ total, maxNorm, norm, factor, finite float64 }{
		{9, 0, 3, 1, 1}, {inf, 1, inf, 0, 0}, {nan, 1, nan, nan, 0}, {nan, 0, nan, 1, 0}, {0, 1, 0, 1, 1},
	} {
		after := invoke(t, kernels.ClipFactor, kernels.Attrs{MaxNorm: test.maxNorm},
			arrays{"total": scalarOf(test.total), "norm": scalarOf(0), "factor": scalarOf(0), "finite": scalarOf(0)})
		expect(t, after, "norm", test.norm)
		expect(t, after, "factor", test.factor)
		expect(t, after, "finite", test.finite)
	}
}

// What the gradients were multiplied by is taken out of the norm, and by the factor out of the gradients.
func TestClipFactorOfScaledGradients(t *testing.T) {
	for _, test := range []struct{ maxNorm, norm, factor float64 }{{0, 0.5, 1.0 / 8}, {1, 0.5, 1.0 / 8}, {0.25, 0.5, 0.25 / (0.5 + 1e-6) / 8}} {
		after := invoke(t, kernels.ClipFactor, kernels.Attrs{MaxNorm: test.maxNorm},
			arrays{"total": scalarOf(16), "scale": scalarOf(8), "norm": scalarOf(0), "factor": scalarOf(0), "finite": scalarOf(0)})
		expect(t, after, "norm", test.norm)
		expect(t, after, "factor", test.factor)
	}
}

func TestLossScale(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct{ finite, loss, good, wantScale, wantGood, wantUpdates float64 }{
		{1, 3, 0, 64, 1, 8}, {1, 3, 4, 256, 0, 8}, {0, 3, 4, 16, 0, 7}, {1, nan, 4, 16, 0, 7}, {1, math.Inf(1), 0, 16, 0, 7},
	} {
		after := invoke(t, kernels.LossScale, kernels.Attrs{Growth: 4, GrowthInterval: 5, Backoff: 0.25}, arrays{"finite": scalarOf(test.finite),
			"loss": scalarOf(test.loss), "scale": scalarOf(64), "good": scalarOf(test.good), "updates": scalarOf(7)})
		expect(t, after, "scale", test.wantScale)
		expect(t, after, "good", test.wantGood)
		expect(t, after, "updates", test.wantUpdates)
	}
	never := arrays{"finite": scalarOf(1), "loss": scalarOf(1), "scale": scalarOf(64), "good": scalarOf(0), "updates": scalarOf(0)}
	expect(t, invoke(t, kernels.LossScale, kernels.Attrs{Growth: 2, Backoff: 0.5}, never), "scale", 64)
}

// Operands are rounded: 1 + 2⁻⁹ is no bf16, and 3·10⁻⁸ is 2⁻²⁴, the least f16; the sum and the bias are not.
func TestMatMulComputeTypes(t *testing.T) {
	product := arrays{"a": of(dims(1, 2), 1+1.0/512, 3e-8), "b": of(dims(2, 1), 1, 1+1.0/512), "bias": of(dims(1), 1.0/4096), "c": of(dims(1, 1))}
	expect(t, invoke(t, kernels.MatMul, kernels.Attrs{Compute: "bf16"}, product), "c", 1+kernels.BF16.Round(3e-8)+1.0/4096)
	expect(t, invoke(t, kernels.MatMul, kernels.Attrs{Compute: "f16"}, product), "c", 1+1.0/512+(0x1p-24)*(1+1.0/512)+1.0/4096)
}

// After five steps every singular value is between 0.6 and 1.3, whatever it was; a tall matrix is the transpose of a wide one.
func TestNewtonSchulz(t *testing.T) {
	wide := of(dims(2, 3), 3, 1, 0.2, -1, 0.5, 0.1)
	tall := of(dims(3, 2), 3, -1, 1, 0.5, 0.2, 0.1)
	a := kernels.Attrs{Steps: 5, Epsilon: 1e-7}
	y := invoke(t, kernels.NewtonSchulz, a, arrays{"x": wide, "y": of(wide.Shape)})["y"]
	z := invoke(t, kernels.NewtonSchulz, a, arrays{"x": tall, "y": of(tall.Shape)})["y"]
	near(t, "transposed", z, []float64{y[0], y[3], y[1], y[4], y[2], y[5]}, 1e-14)
	p, q, r := dot(y[:3], y[:3]), dot(y[:3], y[3:]), dot(y[3:], y[3:]) // the Gram matrix (p q; q r)
	spread := math.Sqrt((p-r)*(p-r)/4 + q*q)
	if low, high := math.Sqrt((p+r)/2-spread), math.Sqrt((p+r)/2+spread); low < 0.6 || high > 1.3 {
		t.Errorf("singular values %v and %v", low, high)
	}
	none := invoke(t, kernels.NewtonSchulz, kernels.Attrs{Epsilon: 10}, arrays{"x": of(dims(1, 2), 3, 4), "y": of(dims(1, 2))})
	expect(t, none, "y", 0.3, 0.4)
}

// The ratio of LAMB is 1 where a norm is 0; a step of Lion from nothing is none.
func TestUpdateCorners(t *testing.T) {
	attrs := kernels.Attrs{Beta1: 0.5, Beta2: 0.5, RateScale: 1}
	for _, norms := range [][]float64{{0, 4}, {4, 0}} {
		after := invoke(t, kernels.LAMBApply, attrs, arrays{"weight": of(dims(1), 1), "m": of(dims(1), 0.5), "v": of(dims(1), 0.5),
			"norms": of(dims(2), norms...), "rate": scalarOf(0.25), "step": scalarOf(1)})
		expect(t, after, "weight", 0.75)
	}
	after := invoke(t, kernels.Lion, attrs, arrays{"weight": of(dims(2), 3, 3), "grad": of(dims(2), 0, -1), "m": of(dims(2), 0, 0),
		"rate": scalarOf(1), "factor": scalarOf(1)})
	expect(t, after, "weight", 3, 4)
	expect(t, after, "m", 0, -0.5)
}

// Behind variance_steps a step moves by the mean of gradients alone, over the variance as these steps left it.
func TestVarianceStays(t *testing.T) {
	attrs := kernels.Attrs{Beta1: 0.5, Beta2: 0.5, RateScale: 1, VarianceSteps: 2}
	for step, want := range map[float64]struct{ v, w float64 }{
		2: {0.5*0.75 + 0.5*1, -(0.5 / 0.75) / math.Sqrt(0.875/0.75)},
		3: {0.75, -(0.5 / 0.875)}, // m̂ of three steps, and v̂ = 1 of two
	} {
		for _, op := range []kernels.Op{kernels.Adam, kernels.AdamW} {
			after := invoke(t, op, attrs, arrays{"weight": of(dims(1), 0), "grad": of(dims(1), 1), "m": of(dims(1), 0), "v": of(dims(1), 0.75),
				"rate": scalarOf(1), "step": scalarOf(step), "factor": scalarOf(1)})
			near(t, "v", after["v"], []float64{want.v}, 1e-15)
			near(t, "weight", after["weight"], []float64{want.w}, 1e-15)
		}
	}
	// What had no gradient until then moves by its mean over a share of it, not over epsilon.
	after := invoke(t, kernels.AdamW, attrs, arrays{"weight": of(dims(1), 0), "grad": of(dims(1), 4), "m": of(dims(1), 0), "v": of(dims(1), 0),
		"rate": scalarOf(1), "step": scalarOf(3), "factor": scalarOf(1)})
	near(t, "v", after["v"], []float64{0.75 * 16 / (kernels.SpreadLimit * kernels.SpreadLimit)}, 1e-15)
	near(t, "weight", after["weight"], []float64{-(2.0 / 0.875) / (4.0 / kernels.SpreadLimit)}, 1e-15)
}

// A parameter that never had a gradient stays where it is.
func TestAdafactorOfNothing(t *testing.T) {
	attrs := kernels.Attrs{Epsilon: 1e-3, Epsilon2: 1e-3, MaxRMS: 1, RateScale: 1}
	operands := arrays{"weight": of(dims(2, 2), 1, 2, 3, 4), "grad": of(dims(2, 2), 0, 0, 1, 1), "row": of(dims(2), 0, 1), "column": of(dims(2), 0.5, 0.5),
		"norms": of(dims(2), 4, 4), "rate": scalarOf(0.5), "step": scalarOf(1), "factor": scalarOf(1)}
	// The second row: V = 1·0.5/0.5, u = 1, the rate 0.5, RMS(w) = 1, RMS(u) = 1.
	expect(t, invoke(t, kernels.AdafactorApply, attrs, operands), "weight", 1, 2, 2.5, 3.5)
}

func TestSumPieces(t *testing.T) {
	for _, n := range []int{0, 1, kernels.SquaresPiece, kernels.SquaresPiece + 1, 3*kernels.SquaresPiece - 1} {
		if got := sumPieces(n, func(int) float64 { return 1 }); got != float64(n) {
			t.Errorf("%d ones are %v", n, got)
		}
	}
}

func TestRotaryScalings(t *testing.T) {
	attrs := kernels.Attrs{Theta: 100, RopeScaling: "llama3", RopeFactor: 8, RopeLow: 1, RopeHigh: 4, RopeOriginal: 32 * math.Pi}
	c := &call{Attrs: attrs, sizes: kernels.Sizes{"R": 4}}
	// The wavelength of f = 1 is 2π, below O/4 = 8π: kept. That of f = 0.1 is 20π, between 8π and 32π: s = (1.6 − 1)/3 = 0.2.
	near(t, "f", []float64{c.frequency(0), c.frequency(1)}, []float64{1, 0.1 * (0.8/8 + 0.2)}, 1e-14)
	c.RopeOriginal = 2 * math.Pi
	near(t, "f", []float64{c.frequency(0), c.frequency(1)}, []float64{1.0 / 8, 0.1 / 8}, 1e-14)
	c.RopeScaling, c.RopeFactor = "linear", 4
	near(t, "f", []float64{c.frequency(0), c.frequency(1)}, []float64{0.25, 0.025}, 1e-14)
}

func ExampleDevice() {
	dev := New()
	memory, _ := dev.Alloc(kernels.DeviceMemory, 24)
	ids := kernels.Tensor{DType: kernels.I32, Shape: []int{2, 3}, Data: memory.Pointer(0)}
	kernel, _ := dev.Bind(kernels.Call{Op: kernels.Iota, Args: []kernels.Tensor{{}, ids}})
	kernel()
	fmt.Println(kernels.Slice[int32](ids))
	// Output: [0 1 2 0 1 2]
}
