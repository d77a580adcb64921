package kerneltest

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/ref"
)

// derivativeTolerance is far above what differences of fourth order leave in
// float64 (10⁻⁹ at these sizes) and far below what a wrong term would make.
const derivativeTolerance = 1e-6

// stride is the h of the differences (8(f(x+h) − f(x−h)) − (f(x+2h) − f(x−2h)))/12h.
const stride = 3e-4

// probes is the largest number of elements of each operand that are moved.
const probes = 24

// derivative says which operation is the gradient of which, and how their operands correspond.
type derivative struct {
	grad, forward kernels.Op
	attrs         func(kernels.Attrs) kernels.Attrs // of the forward operation; nil: the gradient's
	upstream      map[string]string                 // output of forward → operand of grad that holds the derivative by it
	wrt           map[string]string                 // input of forward → output of grad
}

type names = map[string]string

// derivatives are the pairs that finite differences can judge. A loss has no upstream: the derivative by row i is w_i/weight.
// Zero, Copy, Iota, CacheWrite, Add, RotaryTable, LossSum and ArgMax have no gradient operation, and the
// operations of the update are held against other implementations in package ref.
var derivatives = []derivative{
	{grad: kernels.EmbeddingGrad, forward: kernels.Embedding, upstream: names{"y": "dy"}, wrt: names{"table": "dtable"}},
	{grad: kernels.SelectGrad, forward: kernels.Select, upstream: names{"y": "dy"}, wrt: names{"x": "dx"}},
	{grad: kernels.Scale, forward: kernels.Scale, upstream: names{"y": "x"}, wrt: names{"x": "y"}},
	{grad: kernels.ActivateGrad, forward: kernels.Activate, upstream: names{"y": "dy"}, wrt: names{"x": "dx"}},
	{grad: kernels.GateGrad, forward: kernels.Gate, upstream: names{"y": "dy"}, wrt: names{"gate": "dgate", "up": "dup"}},
	{grad: kernels.Dropout, forward: kernels.Dropout, upstream: names{"y": "x"}, wrt: names{"x": "y"}},
	{grad: kernels.LayerNormGrad, forward: kernels.LayerNorm, attrs: withNormEpsilon,
		upstream: names{"y": "dy"}, wrt: names{"x": "dx", "weight": "dweight", "bias": "dbias"}},
	{grad: kernels.RMSNormGrad, forward: kernels.RMSNorm, attrs: withNormEpsilon,
		upstream: names{"y": "dy"}, wrt: names{"x": "dx", "weight": "dweight"}},
	{grad: kernels.Rotary, forward: kernels.Rotary, attrs: turnedBack, upstream: names{"y": "x"}, wrt: names{"x": "y"}},
	{grad: kernels.AttentionGrad, forward: kernels.Attention,
		upstream: names{"o": "do"}, wrt: names{"q": "dq", "k": "dk", "v": "dv"}},
	{grad: kernels.CrossEntropy, forward: kernels.CrossEntropy, wrt: names{"logits": "dlogits"}},
	{grad: kernels.CrossEntropyGrad, forward: kernels.CrossEntropy, wrt: names{"logits": "dlogits"}},
	{grad: kernels.BinaryCrossEntropyGrad, forward: kernels.BinaryCrossEntropy, wrt: names{"logits": "dlogits"}},
	{grad: kernels.SquaredErrorGrad, forward: kernels.SquaredError, wrt: names{"logits": "dlogits"}},
}

func withNormEpsilon(a kernels.Attrs) kernels.Attrs {
	a.Epsilon = normEpsilon
	return a
}

func turnedBack(a kernels.Attrs) kernels.Attrs {
	a.Inverse = !a.Inverse
	return a
}

// Derivatives holds every gradient of package ref against central finite differences
// of its forward operation; and the derivatives of a matrix product, which are two
// matrix products and a sum of rows, under the name of MatMul.
func Derivatives(opts Options) []Result {
	var results []Result
	for _, d := range derivatives {
		results = opts.derivative(results, d.grad, d.compare)
	}
	return opts.derivative(results, kernels.MatMul, matMulDerivatives)
}

// derivative tries one operation, unless the options leave it out.
func (o Options) derivative(results []Result, op kernels.Op, compare func(*judge, *sample) error) []Result {
	if !slices.Contains(o.ops(), op) {
		return results
	}
	r := Result{Op: op, Tolerance: derivativeTolerance}
	for n := range o.cases() {
		random := o.random(op, n)
		s, err := generate(op, random, small)
		if err == nil {
			err = compare(&judge{Rand: random, result: &r, number: n}, s)
		}
		if err != nil {
			r.Err = fmt.Errorf("case %d: %w", n, err)
			break
		}
		r.Cases++
	}
	return append(results, r)
}

func (d derivative) compare(j *judge, s *sample) error {
	out, err := evaluate(ref.New(), s)
	if err != nil {
		return err
	}
	attrs := s.attrs
	if d.attrs != nil {
		attrs = d.attrs(attrs)
	}
	j.scalar = scalar{forward: s.forward(d.forward, attrs, d.wrt), upstream: d.upstreamOf(s)}
	if s.operand("weight") == nil {
		j.fillNeutral("weight", 1-attrs.Offset)
	}
	for _, input := range slices.Sorted(maps.Keys(d.wrt)) { // in a fixed order: each takes random numbers
		output := d.wrt[input]
		if s.operand(output) == nil {
			continue
		}
		if err := j.compare(input, out[s.contract().Param(output)].floats); err != nil {
			return err
		}
	}
	return nil
}

// fillNeutral gives a norm's weight that the gradient's call leaves out, though it asks for
// the derivative by it, the value that changes nothing.
func (f scalar) fillNeutral(name string, value float64) {
	x := f.forward.floats(name)
	for i := range x {
		x[i] = value
	}
}

// upstreamOf is the derivative of the scalar by each output of the forward operation.
func (d derivative) upstreamOf(s *sample) map[string][]float64 {
	upstream := map[string][]float64{}
	for output, name := range d.upstream {
		upstream[output] = s.floats(name)
	}
	if d.upstream == nil {
		for i := range s.sizes["..."] {
			upstream["loss"] = append(upstream["loss"], s.or("row_weights", i, 1)/s.scalar("weight"))
		}
	}
	return upstream
}

// matMulDerivatives: with C = A·B + bias, dA = dC·Bᵀ and dB = Aᵀ·dC, stored as A and B are, and dbias = Σ_m dC.
func matMulDerivatives(j *judge, s *sample) error {
	dc := operand{shape: []int{s.sizes["M"], s.sizes["N"]}}
	for range kernels.Elements(dc.shape) {
		dc.floats = append(dc.floats, j.NormFloat64())
	}
	j.scalar = scalar{forward: s.forward(kernels.MatMul, s.attrs, nil), upstream: map[string][]float64{"c": dc.floats}}
	a, b := *s.operand("a"), *s.operand("b")
	ta, tb := s.attrs.TransA, s.attrs.TransB
	da, err := product(dc, b, false, !tb, a.shape)
	if ta {
		da, err = product(b, dc, tb, true, a.shape)
	}
	if err != nil {
		return err
	}
	db, err := product(a, dc, !ta, false, b.shape)
	if tb {
		db, err = product(dc, a, true, ta, b.shape)
	}
	if err != nil {
		return err
	}
	if err := j.compare("a", da); err != nil {
		return err
	}
	if err := j.compare("b", db); err != nil {
		return err
	}
	return matMulBias(j, s, dc)
}

func matMulBias(j *judge, s *sample, dc operand) error {
	if s.operand("bias") == nil {
		return nil
	}
	sum := &sample{op: kernels.SumRows, operands: []operand{dc, {shape: dc.shape[1:], share: 1}}}
	out, err := evaluate(ref.New(), sum)
	if err != nil {
		return err
	}
	return j.compare("bias", out[1].floats)
}

// product runs a matrix product of dense operands.
func product(a, b operand, transA, transB bool, shape []int) ([]float64, error) {
	s := &sample{op: kernels.MatMul, attrs: kernels.Attrs{TransA: transA, TransB: transB}}
	for i := range s.contract().Params {
		s.operands = append(s.operands, operand{absent: true, share: i})
	}
	for i, o := range map[int]operand{0: a, 1: b, 3: {shape: shape}} {
		o.share = i
		s.operands[i] = o
	}
	out, err := evaluate(ref.New(), s)
	if err != nil {
		return nil, err
	}
	return out[3].floats, nil
}

// scalar is a function of a call's inputs: Σ upstream·output.
type scalar struct {
	forward  *sample
	upstream map[string][]float64
}

func (f scalar) value() (float64, error) {
	out, err := evaluate(ref.New(), f.forward)
	if err != nil {
		return 0, err
	}
	total := 0.0
	for output, weights := range f.upstream {
		for i, w := range weights {
			total += w * out[f.forward.contract().Param(output)].floats[i]
		}
	}
	return total, nil
}

// judge compares analytic derivatives of a scalar with differences.
type judge struct {
	*rand.Rand
	scalar
	result *Result
	number int
}

// compare moves elements of one input, and holds the differences against its gradient.
func (j *judge) compare(input string, gradient []float64) error {
	x := j.forward.floats(input)
	places := j.Perm(len(x))
	places = places[:min(len(places), probes)]
	numeric, analytic := make([]float64, len(places)), make([]float64, len(places))
	for n, i := range places {
		slope, err := j.difference(&x[i])
		if err != nil {
			return fmt.Errorf("%v: %w", j.forward, err)
		}
		numeric[n], analytic[n] = slope, gradient[i]
	}
	j.result.note(difference(values{floats: numeric}, values{floats: analytic}, j.floor()*math.Sqrt(float64(len(places)))),
		"case %d: derivative by %s of %v", j.number, input, j.forward)
	return nil
}

// floor is the size below which a derivative counts as 0: the differences of a scalar this large are not exact.
func (j *judge) floor() float64 {
	total := 0.0
	for _, weights := range j.upstream {
		total += norm(weights)
	}
	return 1e-2 * total
}

// difference is the derivative by one element.
func (j *judge) difference(x *float64) (float64, error) {
	at := *x
	defer func() { *x = at }()
	total := 0.0
	for _, move := range []struct{ by, weight float64 }{{1, 8}, {-1, -8}, {2, -1}, {-2, 1}} {
		*x = at + move.by*stride
		value, err := j.value()
		if err != nil {
			return 0, err
		}
		total += move.weight * value
	}
	return total / (12 * stride), nil
}
