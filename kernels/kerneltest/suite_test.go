package kerneltest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/ref"
)

func check(t *testing.T, results []Result) {
	t.Helper()
	for _, r := range results {
		if !r.Pass() {
			t.Error(r)
		}
	}
}

func TestRunPassesRef(t *testing.T) {
	check(t, Run(ref.New(), Options{Seed: 1, CasesPerOp: 6}))
}

// One rounding of each output is what the strictest tolerance leaves room for.
func TestRunPassesSingle(t *testing.T) {
	check(t, Run(newSingle(), Options{Seed: 2, CasesPerOp: 6}))
}

func TestDerivatives(t *testing.T) { check(t, Derivatives(Options{Seed: 1})) }

// One element off by a hundredth must show, in whichever output of whichever operation.
func TestRunFlagsOneWrongElement(t *testing.T) {
	faults := map[string]func(c kernels.Call){
		"first": func(c kernels.Call) { change(outputs(c)[0], 0) },
		"last": func(c kernels.Call) {
			all := outputs(c)
			change(all[len(all)-1], all[len(all)-1].Extent()-1)
		},
	}
	for name, fault := range faults {
		for _, r := range Run(faulty{Device: newSingle(), after: fault}, Options{Seed: 3, CasesPerOp: 5}) {
			if r.Pass() {
				t.Errorf("%v passes with its %s element wrong", r.Op, name)
			}
		}
	}
}

// A systematic error of a thousandth must show in every operation with real results.
func TestRunFlagsBias(t *testing.T) {
	bias := func(c kernels.Call) {
		for _, y := range outputs(c) {
			if y.DType == kernels.F32 {
				eachOffset(y.Shape, y.Strides, func(_, offset int) { *(*float32)(unsafe.Add(y.Data, offset*4)) *= 1.001 })
			}
		}
	}
	for _, r := range Run(faulty{Device: newSingle(), after: bias}, Options{Seed: 4, CasesPerOp: 5}) {
		switch r.Op {
		case kernels.Zero, kernels.Iota, kernels.Shift, kernels.Round, kernels.ArgMax, kernels.LossSum, kernels.SumSquares, kernels.ClipFactor, kernels.LossScale, kernels.AdafactorNorms, kernels.PruneMask:
			continue // no float32 result but 0
		}
		if r.Pass() {
			t.Errorf("%v passes with results a thousandth too large", r.Op)
		}
	}
}

func TestRunFlagsMisbehaviour(t *testing.T) {
	runs, held := 0, float32(0)
	for _, test := range []struct {
		name, want string
		dev        faulty
	}{
		{"a write behind an output", "wrote outside its outputs", faulty{after: func(c kernels.Call) { y := outputs(c)[0]; change(y, y.Extent()) }}},
		{"a write before an output", "wrote outside its outputs", faulty{after: func(c kernels.Call) { change(outputs(c)[0], -1) }}},
		{"a changed input", "wrote outside its outputs", faulty{after: func(c kernels.Call) { change(inputs(c)[0], 0) }}},
		{"runs that differ", "two runs of the same call differ", faulty{after: func(c kernels.Call) {
			if runs++; runs%2 == 0 {
				change(outputs(c)[0], 0)
			}
		}}},
		{"an output that is read", "error +Inf", faulty{
			before: func(c kernels.Call) { held = *(*float32)(outputs(c)[0].Data) },
			after:  func(c kernels.Call) { *(*float32)(outputs(c)[0].Data) += 0 * held }}},
		{"a panic", "panic: boom", faulty{after: func(kernels.Call) { panic("boom") }}},
		{"bad calls taken", "the device accepts a call with", faulty{bindAll: true}},
	} {
		test.dev.Device = newSingle()
		op := kernels.SquaredError // all its operands are dense and nothing is in place
		got := Run(test.dev, Options{Seed: 5, CasesPerOp: 3, Ops: []kernels.Op{op}})[0]
		if text := got.String(); got.Pass() || !strings.Contains(text, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, text, test.want)
		}
	}
}

func TestRunNamesUnknownKind(t *testing.T) {
	got := Run(kindless{ref.New()}, Options{Ops: []kernels.Op{kernels.Add}})
	if len(got) != 1 || got[0].Pass() || got[0].Err == nil {
		t.Errorf("got %v", got)
	}
}

type kindless struct{ kernels.Device }

func (kindless) Kind() string { return "abacus" }

// A gradient off by a hundred-thousandth is above the tolerance of the differences.
func TestDerivativesFlagWrongGradient(t *testing.T) {
	x := operand{shape: []int{3}, values: values{floats: []float64{1, 2, 3}}}
	y := operand{shape: []int{3}, share: 1}
	f := &sample{op: kernels.Scale, attrs: kernels.Attrs{Alpha: 2}, operands: []operand{x, y}}
	for _, test := range []struct {
		gradient float64
		pass     bool
	}{{2, true}, {2.00002, false}} {
		r := Result{Cases: 1, Tolerance: derivativeTolerance}
		j := &judge{Rand: Options{}.random(kernels.Scale, 0), result: &r,
			scalar: scalar{forward: f, upstream: map[string][]float64{"y": {1, 1, 1}}}}
		if err := j.compare("x", []float64{2, test.gradient, 2}); err != nil || r.Pass() != test.pass {
			t.Errorf("gradient %v: %v %v", test.gradient, r, err)
		}
	}
}

func TestDifference(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, test := range []struct {
		got, want []float64
		terms     float64
		error     float64
	}{
		{[]float64{3, 4}, []float64{3, 4}, 0, 0},
		{[]float64{3, 5}, []float64{3, 4}, 0, 0.2},
		{[]float64{3, 5}, []float64{3, 4}, 10, 0.1},
		{[]float64{nan, inf, 1}, []float64{nan, inf, 1}, 0, 0},
		{[]float64{nan}, []float64{1}, 0, inf},
		{[]float64{1}, []float64{nan}, 0, inf},
		{[]float64{-inf}, []float64{inf}, 0, inf},
		{[]float64{1e-9}, []float64{0}, 0, inf},
		{append(make([]float64, 9999), 2), append(make([]float64, 9999), 1), 1000, 0.1 / 64},
	} {
		got := difference(values{floats: test.got}, values{floats: test.want}, test.terms)
		if got != test.error && math.Abs(got-test.error) > 1e-12 {
			t.Errorf("difference(%.3v, %.3v, %v) = %v, want %v", test.got[:1], test.want[:1], test.terms, got, test.error)
		}
	}
	if !math.IsInf(difference(values{ints: []int64{1}}, values{ints: []int64{2}}, 0), 1) {
		t.Error("unequal integers pass")
	}
}

func TestGenerateFollowsFromSeed(t *testing.T) {
	for _, op := range kernels.Ops() {
		first, _ := generate(op, Options{Seed: 7}.random(op, 3), full)
		second, _ := generate(op, Options{Seed: 7}.random(op, 3), full)
		if first.String() != second.String() {
			t.Errorf("%v: %v, then %v", op, first, second)
		}
	}
}

// Over many calls every attribute varies, every optional operand comes and goes, every operand that may be strided is,
// every pair that may share does, and every shape has several ranks where it may.
func TestGenerateCovers(t *testing.T) {
	for _, op := range kernels.Ops() {
		seen := map[string]bool{}
		for n := range 100 {
			s, err := generate(op, Options{Seed: 8}.random(op, n), full)
			if err != nil {
				t.Fatal(err)
			}
			s.features(seen)
		}
		for _, want := range expected(op) {
			if !seen[want] {
				t.Errorf("%v: no call with %s", op, want)
			}
		}
	}
}

func (s *sample) features(seen map[string]bool) {
	attrs := map[string]any{}
	text, _ := json.Marshal(s.attrs)
	_ = json.Unmarshal(text, &attrs)
	for name := range attrs {
		seen["attribute "+name] = true
	}
	for i, p := range s.contract().Params {
		o := s.operands[i]
		seen[fmt.Sprintf("%s absent %v", p.Name, o.absent)] = true
		if o.strides != nil {
			seen[p.Name+" strided"] = true
		}
		if o.share != i {
			seen[p.Name+" in place of "+s.contract().Params[o.share].Name] = true
		}
	}
	seen[fmt.Sprintf("%d leading dims", len(s.leading))] = true
}

func expected(op kernels.Op) []string {
	contract := kernels.Contracts[op]
	var want []string
	for _, name := range strings.Fields(contract.Attrs) {
		want = append(want, "attribute "+name)
	}
	for _, p := range contract.Params {
		if p.Class == kernels.Bytes {
			continue
		}
		if p.Optional {
			want = append(want, p.Name+" absent true")
		}
		want = append(want, p.Name+" absent false")
		if p.Strided {
			want = append(want, p.Name+" strided")
		}
		if strings.HasPrefix(p.Shape, "...") {
			want = append(want, "0 leading dims", "1 leading dims", "2 leading dims", "3 leading dims")
		}
	}
	for _, pair := range contract.InPlace {
		want = append(want, pair[0]+" in place of "+pair[1])
	}
	return want
}

// What the suite knows by name is what the contracts name.
func TestAttributesAreKnown(t *testing.T) {
	fields := reflect.TypeFor[kernels.Attrs]()
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		taken := slices.ContainsFunc(kernels.Ops(), func(op kernels.Op) bool { return kernels.Contracts[op].Takes(name) })
		if taken != (attributes[name] != nil) {
			t.Errorf("the suite does not draw attribute %s", name)
		}
	}
	for _, op := range kernels.Ops() {
		if _, ok := recipes[op]; !ok {
			t.Errorf("%v has no recipe, and so no tolerance", op)
		}
	}
}

// Views and sharing change no bit of what ref computes: a call with them gives what the same call gives with every operand dense and apart.
func TestRefTakesViews(t *testing.T) {
	for _, op := range kernels.Ops() {
		for n := range 8 {
			s, err := generate(op, Options{Seed: 9}.random(op, n), full)
			if err != nil {
				t.Fatal(err)
			}
			got, err := evaluate(ref.New(), s)
			if err != nil {
				t.Fatal(err)
			}
			dense := s.forward(op, s.attrs, nil)
			want, err := evaluate(ref.New(), dense)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if difference(got[i], want[i], 0) != 0 {
					t.Errorf("%s of %v differs from that of %v", s.contract().Params[i].Name, s, dense)
				}
			}
		}
	}
}

func TestRunFlagsPanicWhenBinding(t *testing.T) {
	got := Run(hasty{newSingle()}, Options{CasesPerOp: 1, Ops: []kernels.Op{kernels.Scale}})[0]
	if got.Pass() || !strings.Contains(got.String(), "panic when it binds") {
		t.Errorf("got %v", got)
	}
}

// hasty looks at operands before it checks them.
type hasty struct{ kernels.Device }

func (d hasty) Bind(c kernels.Call) (kernels.Kernel, error) {
	_ = c.Args[1].Shape
	return d.Device.Bind(c)
}
