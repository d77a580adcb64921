package cpu

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// eachTable runs f with the loops of every level that the processor has, plain Go included.
func eachTable(t *testing.T, f func(t *testing.T, v *vectorTable)) {
	for _, l := range levels() {
		t.Run(l.String(), func(t *testing.T) { f(t, vectorTables[l]) })
	}
}

// guarded is n random values, with values behind them that a loop over the slice must leave alone.
type guarded struct{ all []float32 }

const guard = 40

func newGuarded(r *rand.Rand, n int) guarded {
	g := guarded{make([]float32, n+guard)}
	for i := range g.all {
		g.all[i] = float32(r.NormFloat64())
	}
	for i := n; i < len(g.all); i++ {
		g.all[i] = 12345
	}
	return g
}

func (g guarded) slice() []float32 { return g.all[: len(g.all)-guard : len(g.all)-guard] }

func (g guarded) clone() guarded { return guarded{slices.Clone(g.all)} }

func (g guarded) check(t *testing.T) {
	t.Helper()
	for _, v := range g.all[len(g.all)-guard:] {
		if v != 12345 {
			t.Fatal("a loop wrote beyond its slice")
		}
	}
}

// near fails unless every element of got is within relative, or absolute, distance of want.
func near(t *testing.T, name string, got, want []float32, relative, absolute float64) {
	t.Helper()
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		if math.IsNaN(g) != math.IsNaN(w) || math.IsInf(w, 0) && g != w || math.Abs(g-w) > relative*math.Abs(w)+absolute {
			t.Fatalf("%s: element %d of %d is %v, want %v", name, i, len(want), g, w)
		}
	}
}

func nearNumber(t *testing.T, name string, got, want, relative float64) {
	t.Helper()
	if math.Abs(got-want) > relative*math.Abs(want)+1e-30 {
		t.Fatalf("%s is %v, want %v", name, got, want)
	}
}

var vectorLengths = []int{0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 1000}

// TestLoops holds every loop of every level to plain Go, at lengths around the vectors' own.
func TestLoops(t *testing.T) {
	eachTable(t, func(t *testing.T, v *vectorTable) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, n := range vectorLengths {
			testElementwise(t, v, r, n)
			testSums(t, v, r, n)
			testNorms(t, v, r, n)
			testUpdates(t, v, r, n)
		}
	})
}

// twice runs f on the table and on plain Go, on equal copies of n-element operands, and compares all of them afterwards.
func twice(t *testing.T, name string, v *vectorTable, r *rand.Rand, n, operands int, relative, absolute float64,
	f func(v *vectorTable, x [][]float32)) {
	t.Helper()
	got, want := make([][]float32, operands), make([][]float32, operands)
	guards := make([]guarded, operands)
	for i := range operands {
		guards[i] = newGuarded(r, n)
		got[i], want[i] = guards[i].slice(), guards[i].clone().slice()
	}
	f(v, got)
	f(&genericVector, want)
	for i := range operands {
		guards[i].check(t)
		near(t, name, got[i], want[i], relative, absolute)
	}
}

func testElementwise(t *testing.T, v *vectorTable, r *rand.Rand, n int) {
	twice(t, "add", v, r, n, 3, 0, 0, func(v *vectorTable, x [][]float32) { v.add(x[0], x[1], x[2]) })
	twice(t, "add in place", v, r, n, 2, 0, 0, func(v *vectorTable, x [][]float32) { v.add(x[0], x[0], x[1]) })
	twice(t, "mul", v, r, n, 3, 0, 0, func(v *vectorTable, x [][]float32) { v.mul(x[0], x[1], x[2]) })
	twice(t, "scale", v, r, n, 2, 0, 0, func(v *vectorTable, x [][]float32) { v.scale(x[0], x[1], 1.7) })
	twice(t, "carry", v, r, n, 2, 0, 0, func(v *vectorTable, x [][]float32) { v.carry(x[0], x[1], 1.7) })
	twice(t, "expScale", v, r, n, 2, 3e-7, 3e-8, func(v *vectorTable, x [][]float32) { v.expScale(x[0], x[1], 2.25, 0.5, 0.125) })
	twice(t, "rotate", v, r, n, 6, 2e-7, 2e-7, func(v *vectorTable, x [][]float32) {
		v.rotate(x[0], x[1], x[2], x[3], x[4], x[5], -1)
	})
	for a := range activations {
		twice(t, "value", v, r, n, 2, 6e-7, 0, func(v *vectorTable, x [][]float32) { v.value[a](x[0], x[1]) })
		twice(t, "both", v, r, n, 3, 6e-7, 1e-7, func(v *vectorTable, x [][]float32) { v.both[a](x[0], x[1], x[2]) })
	}
	drop := newDropoutParams(7, 0.2)
	p := &drop
	p.set(0x123456789ABCDEF, 9)
	for _, block := range []uint64{0, 5<<32 + 3, 1<<32 - 8, 1<<32 - 32} {
		twice(t, "dropout", v, r, n, 2, 0, 0, func(v *vectorTable, x [][]float32) { v.dropout(x[0], x[1], p, block) })
	}
}

// TestRoundings holds the roundings of every level to plain Go, bit for bit, over their range.
func TestRoundings(t *testing.T) {
	eachTable(t, func(t *testing.T, v *vectorTable) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, n := range vectorLengths {
			testRoundings(t, v, r, n)
		}
	})
}

func testRoundings(t *testing.T, v *vectorTable, r *rand.Rand, n int) {
	for _, size := range []float32{1, 1e-5, 1e-8, 4e4, 1e38} {
		twice(t, "roundBF16", v, r, n, 2, 0, 0, func(v *vectorTable, x [][]float32) {
			special(x[1], size)
			v.roundBF16(x[0], x[1])
		})
		twice(t, "roundF16", v, r, n, 2, 0, 0, func(v *vectorTable, x [][]float32) {
			special(x[1], size)
			v.roundF16(x[0], x[1])
		})
		testStorage(t, v, r, n, size)
	}
}

// testStorage narrows n values, nearest and by words, and widens them again.
func testStorage(t *testing.T, v *vectorTable, r *rand.Rand, n int, size float32) {
	t.Helper()
	x := newGuarded(r, n).slice()
	special(x, size)
	p := philoxParams{stream: 7}
	p.set(0x123456789ABCDEF, 9)
	halves := func(f func(y []uint16)) []uint16 {
		y := make([]uint16, n+guard) // what is behind must stay 0
		f(y[:n:n])
		return y
	}
	for _, block := range []uint64{0, 5<<32 + 3, 1<<32 - 32} {
		got := halves(func(y []uint16) { v.narrowByWords(y, x, &p, block) })
		if want := halves(func(y []uint16) { narrowByWordsGeneric(y, x, &p, block) }); !slices.Equal(got, want) {
			t.Fatalf("narrowByWords of %d at block %d gives %x, want %x", n, block, got, want)
		}
	}
	got, want := halves(func(y []uint16) { v.narrowBF16(y, x) }), halves(func(y []uint16) { narrowGeneric(y, x) })
	if !slices.Equal(got, want) {
		t.Fatalf("narrowBF16 of %d gives %x, want %x", n, got, want)
	}
	wide := newGuarded(r, n)
	v.widenBF16(wide.slice(), got[:n])
	wide.check(t)
	for i, y := range wide.slice() {
		if want := kernels.RoundBF16(x[i]); y != want && (y == y || want == want) {
			t.Fatalf("%v is narrowed and widened to %v, want %v", x[i], y, want)
		}
	}
}

// special scales x, and gives it a NaN and infinities.
func special(x []float32, size float32) {
	for i := range x {
		x[i] *= size
		if i%11 == 5 {
			x[i] = float32(math.NaN())
		} else if i%13 == 5 {
			x[i] = float32(math.Inf(i%2*2 - 1))
		}
	}
}

func testSums(t *testing.T, v *vectorTable, r *rand.Rand, n int) {
	x := newGuarded(r, n).slice()
	for i := range x {
		x[i] += 3
	}
	if got, want := v.max(x), maxGeneric(x); got != want {
		t.Fatalf("max of %d is %v, want %v", n, got, want)
	}
	nearNumber(t, "sum", v.sum(x), sumGeneric(x), 1e-14)
	sum, squares := v.moments(x)
	wantSum, wantSquares := momentsGeneric(x)
	nearNumber(t, "moments", sum, wantSum, 1e-14)
	nearNumber(t, "moments", squares, wantSquares, 1e-14)
	nearNumber(t, "expSum", v.expSum(x, 4), expSumGeneric(x, 4), 3e-7)
	got, want := make([]float64, n+8), make([]float64, n+8)
	for i := range got {
		got[i], want[i] = float64(i), float64(i)
	}
	v.accumulate(got[:n], x)
	accumulateGeneric(want[:n], x)
	if !slices.Equal(got, want) {
		t.Fatalf("accumulate of %d gives %v, want %v", n, got, want)
	}
}

func testNorms(t *testing.T, v *vectorTable, r *rand.Rand, n int) {
	twice(t, "layerNorm", v, r, n, 4, 3e-7, 3e-7, func(v *vectorTable, x [][]float32) { v.layerNorm(x[0], x[1], x[2], x[3], 0.5, 1.5) })
	twice(t, "rmsNorm", v, r, n, 3, 3e-7, 0, func(v *vectorTable, x [][]float32) { v.rmsNorm(x[0], x[1], x[2], 1.5, 1) })
	twice(t, "layerGrad", v, r, n, 6, 3e-7, 1e-6, func(v *vectorTable, x [][]float32) {
		v.layerGrad(x[0], x[1], x[2], x[3], x[4], x[5], 0.5, 1.5, 0.25, -0.75)
	})
	twice(t, "rmsGrad", v, r, n, 5, 3e-7, 1e-6, func(v *vectorTable, x [][]float32) {
		v.rmsGrad(x[0], x[1], x[2], x[3], x[4], 1.5, 1, -0.75)
	})
	dy, x, w := newGuarded(r, n).slice(), newGuarded(r, n).slice(), newGuarded(r, n).slice()
	g, gx := v.normSums(dy, x, w, 0.5, 1.5, 1)
	wantG, wantGX := normSumsGeneric(dy, x, w, 0.5, 1.5, 1)
	if e := 1e-6 * float64(n); math.Abs(g-wantG) > e || math.Abs(gx-wantGX) > e {
		t.Fatalf("normSums of %d gives %v and %v, want %v and %v", n, g, gx, wantG, wantGX)
	}
}

func testUpdates(t *testing.T, v *vectorTable, r *rand.Rand, n int) {
	p := &adamParams{factor: 0.5, coupled: 0.01, take1: 0.1, take2: 0.05, decay: 0.001, rate: 0.01, unbias: 3, epsilon: 1e-8}
	twice(t, "adam", v, r, n, 4, 1e-6, 3e-7, func(v *vectorTable, x [][]float32) {
		for i, m := range x[3] {
			x[3][i] = m * m
		}
		v.adam(x[0], x[1], x[2], x[3], p)
	})
	q := &lionParams{factor: 0.5, take1: 0.1, take2: 0.05, decay: 0.01, rate: 0.1}
	twice(t, "lion", v, r, n, 3, 3e-7, 1e-7, func(v *vectorTable, x [][]float32) {
		for i := range x[2] {
			if i%3 == 0 {
				x[1][i], x[2][i] = 0, 0
			}
		}
		v.lion(x[0], x[1], x[2], q)
	})
}

// exact are f and f′ of the activations, in float64 with the standard library.
var exact = [activations][2]func(x float64) float64{
	relu: {func(x float64) float64 { return math.Max(x, 0) }, func(x float64) float64 {
		if x > 0 {
			return 1
		}
		return 0
	}},
	gelu: {func(x float64) float64 { return x * exactNormal(x) }, func(x float64) float64 {
		return exactNormal(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	}},
	geluTanh: {func(x float64) float64 { return x * exactLogistic(geluTanhArgument(x)) }, func(x float64) float64 {
		s, c := exactLogistic(geluTanhArgument(x)), exactLogistic(-geluTanhArgument(x))
		return s + x*s*c*2*math.Sqrt(2/math.Pi)*(1+3*0.044715*x*x)
	}},
	silu: {func(x float64) float64 { return x * exactLogistic(x) }, func(x float64) float64 {
		return exactLogistic(x) * (1 + x*exactLogistic(-x))
	}},
	sigmoid: {exactLogistic, func(x float64) float64 { return exactLogistic(x) * exactLogistic(-x) }},
	tanh:    {math.Tanh, func(x float64) float64 { return 1 / (math.Cosh(x) * math.Cosh(x)) }},
}

func exactNormal(x float64) float64      { return math.Erfc(-x/math.Sqrt2) / 2 }
func exactLogistic(x float64) float64    { return 1 / (1 + math.Exp(-x)) }
func geluTanhArgument(x float64) float64 { return 2 * math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x) }

// TestActivationAccuracy scans f and f′ over the range where they vary. The errors are relative to the value (that of f plus 1e-6·|x|,
// since a rounded exponent far from zero costs relative precision), and for f′, which crosses zero, to the larger of its terms.
func TestActivationAccuracy(t *testing.T) {
	eachTable(t, func(t *testing.T, v *vectorTable) {
		x := sweep(9.9)
		y, dy, alone := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
		for a := range activations {
			v.value[a](alone, x)
			v.both[a](y, dy, x)
			worst, worstSlope := 0.0, 0.0
			for i := range x {
				at := float64(x[i])
				want, slope := exact[a][0](at), exact[a][1](at)
				size := math.Abs(want) + 1e-6*math.Abs(at)
				worst = max(worst, math.Abs(float64(y[i])-want)/size, math.Abs(float64(alone[i])-want)/size)
				worstSlope = max(worstSlope, math.Abs(float64(dy[i])-slope)/max(math.Abs(slope), exactLogistic(1.7*at)))
			}
			t.Logf("activation %d: relative error %.2g, of the derivative %.2g", a, worst, worstSlope)
			if worst > 1.5e-6 || worstSlope > 1.5e-6 {
				t.Errorf("activation %d: relative error %v, of the derivative %v", a, worst, worstSlope)
			}
		}
	})
}

// sweep is x from −limit to limit, close together around 0.
func sweep(limit float64) []float32 {
	var x []float32
	for at := 1e-6; at < limit; at *= 1.0003 {
		x = append(x, float32(at), float32(-at))
	}
	return x
}

func TestExpAccuracy(t *testing.T) {
	eachTable(t, func(t *testing.T, v *vectorTable) {
		x := sweep(87)
		y := make([]float32, len(x))
		v.expScale(y, x, 0, 1, 0)
		worst := 0.0
		for i := range x {
			want := math.Exp(float64(x[i]))
			ulp := float64(math.Nextafter32(float32(want), math.MaxFloat32)) - float64(float32(want))
			worst = max(worst, math.Abs(float64(y[i])-want)/ulp)
		}
		t.Logf("e^x is off by at most %.3f ulp", worst)
		if worst > 1.1 {
			t.Errorf("e^x is off by %v ulp", worst)
		}
	})
}

// specialLengths have a part of a vector, a whole one, and both.
var specialLengths = []int{1, 16, 37}

func filled(n int, value float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(value)
	}
	return x
}

// TestNaNPropagates: a NaN is never lost except by max.
func TestNaNPropagates(t *testing.T) {
	isNaN := func(y []float32) bool { return !slices.ContainsFunc(y, func(v float32) bool { return v == v }) }
	eachTable(t, func(t *testing.T, v *vectorTable) {
		for _, n := range specialLengths {
			x, y, dy := filled(n, math.NaN()), make([]float32, n), make([]float32, n)
			for a := range activations {
				if v.both[a](y, dy, x); !isNaN(y) {
					t.Errorf("activation %d, with its derivative, loses a NaN: %v", a, y)
				}
				if v.value[a](y, x); !isNaN(y) {
					t.Errorf("activation %d loses a NaN: %v", a, y)
				}
			}
			if got := v.max(x); got != float32(math.Inf(-1)) {
				t.Errorf("the largest of NaNs is %v", got)
			}
			if v.expScale(y, x, 0, 1, 0); !isNaN(y) {
				t.Errorf("expScale loses a NaN: %v", y)
			}
			sum, squares := v.moments(x)
			if !math.IsNaN(sum) || !math.IsNaN(squares) || !math.IsNaN(v.sum(x)) || !math.IsNaN(v.expSum(x, 0)) {
				t.Errorf("sums of %d lose a NaN", n)
			}
		}
	})
}

func TestInfinities(t *testing.T) {
	inf := float32(math.Inf(1))
	want := [activations]float32{relu: inf, gelu: inf, geluTanh: inf, silu: inf, sigmoid: 1, tanh: 1}
	eachTable(t, func(t *testing.T, v *vectorTable) {
		for _, n := range specialLengths {
			if got := v.expSum(filled(n, math.Inf(-1)), 0); got != 0 {
				t.Errorf("Σ e^−Inf is %v", got)
			}
			x, y := filled(n, math.Inf(1)), make([]float32, n)
			for a := range activations {
				if v.value[a](y, x); y[0] != want[a] || y[n-1] != want[a] {
					t.Errorf("activation %d of +Inf is %v, want %v", a, y[0], want[a])
				}
			}
		}
	})
}

func BenchmarkLoops(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 2048
	x := make([][]float32, 6)
	for i := range x {
		x[i] = newGuarded(r, n).slice()
	}
	sums, halves := make([]float64, n), make([]uint16, n)
	drop := newDropoutParams(7, 0.2)
	update := &adamParams{factor: 0.5, take1: 0.1, take2: 0.05, decay: 0.001, rate: 1e-9, unbias: 3, epsilon: 1e-8}
	for _, l := range levels() {
		v := vectorTables[l]
		for name, f := range map[string]func(){
			"add": func() { v.add(x[0], x[1], x[2]) }, "max": func() { v.max(x[0]) }, "sum": func() { v.sum(x[0]) },
			"moments": func() { v.moments(x[0]) }, "accumulate": func() { v.accumulate(sums, x[0]) },
			"expSum": func() { v.expSum(x[1], 3) }, "expScale": func() { v.expScale(x[0], x[1], 3, 1, 0) },
			"gelu": func() { v.value[gelu](x[0], x[1]) }, "geluBoth": func() { v.both[gelu](x[0], x[2], x[1]) },
			"geluTanh": func() { v.value[geluTanh](x[0], x[1]) }, "geluTanhBoth": func() { v.both[geluTanh](x[0], x[2], x[1]) },
			"silu": func() { v.value[silu](x[0], x[1]) }, "siluBoth": func() { v.both[silu](x[0], x[2], x[1]) },
			"tanh": func() { v.value[tanh](x[0], x[1]) }, "tanhBoth": func() { v.both[tanh](x[0], x[2], x[1]) },
			"layerNorm": func() { v.layerNorm(x[0], x[1], x[2], x[3], 0.5, 1.5) },
			"normSums":  func() { v.normSums(x[1], x[2], x[3], 0.5, 1.5, 0) },
			"layerGrad": func() { v.layerGrad(x[0], x[1], x[2], x[3], x[4], x[5], 0.5, 1.5, 0, 0) },
			"rotate":    func() { v.rotate(x[0][:64], x[0][64:128], x[1][:64], x[1][64:128], x[2][:64], x[2][64:128], 1) },
			"dropout":   func() { v.dropout(x[0], x[1], &drop, 0) },
			"roundBF16": func() { v.roundBF16(x[0], x[1]) }, "roundF16": func() { v.roundF16(x[0], x[1]) },
			"widenBF16": func() { v.widenBF16(x[0], halves) }, "narrowBF16": func() { v.narrowBF16(halves, x[1]) },
			"narrowByWords": func() { v.narrowByWords(halves, x[1], &drop.philoxParams, 0) },
			"adam":          func() { v.adam(x[1], x[2], x[3], x[4], update) },
		} {
			b.Run(l.String()+"/"+name, func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/elem")
			})
		}
	}
}

// TestCarry: wherever y begins, near and far, and whatever x holds that is not finite.
func TestCarry(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, l := range levels() {
		d := openLevel(t, 1, l)
		for _, n := range []int{0, 1, 15, 31, 32, 33, 64, 100, 257} {
			for begin := range 17 {
				testCarry(t, d, r, n, begin, begin%2 == 0)
			}
		}
	}
}

func testCarry(t *testing.T, d *Device, r *rand.Rand, n, begin int, far bool) {
	t.Helper()
	x, out := newGuarded(r, n).slice(), newGuarded(r, begin+n)
	y := out.slice()[begin:]
	before, want := slices.Clone(out.slice()[:begin]), make([]float32, n)
	scaleGeneric(want, x, 0.3)
	if !d.Carry(y, x, 0.3, far) || !slices.Equal(y, want) || !slices.Equal(out.slice()[:begin], before) {
		t.Fatalf("%d numbers to %d on, far %v: not as they are", n, begin, far)
	}
	out.check(t)
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if n == 0 {
			return
		}
		at := r.IntN(n)
		was := x[at]
		if x[at] = float32(bad); d.Carry(y, x, 0.3, far) {
			t.Fatalf("%d numbers to %d on, far %v: %v at %d is overlooked", n, begin, far, bad, at)
		}
		x[at] = was
	}
}
