package ref

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// run is an entry of optimizers.json: a few steps of one optimizer on one tensor.
type run struct {
	Name               string
	Attrs              map[string]any
	Factor             float64
	Weight             array
	Steps              []runStep
	Momentum, Factored bool // which state there is
}

type runStep struct {
	Rate         float64
	Grad, Weight array
}

// Optimizers follow PyTorch's, and the papers' where it has none, step by step; testdata/optimizers.py made the values.
func TestOptimizersAgreeWithPyTorch(t *testing.T) {
	var runs []run
	readJSON(t, "optimizers.json", &runs)
	for i, r := range runs {
		t.Run(fmt.Sprintf("%d_%s", i, r.Name), func(t *testing.T) {
			update := updates[r.Name]
			if update == nil {
				t.Fatalf("no test of %s", r.Name)
			}
			o := newOptimizer(t, r)
			for i, step := range r.Steps {
				o.operands["grad"] = of(o.shape, step.Grad.Values...)
				o.operands["rate"], o.operands["step"] = scalarOf(step.Rate), scalarOf(float64(i+1))
				update(o)
				near(t, fmt.Sprintf("weight after step %d", i+1), o.operands["weight"].Values, step.Weight.Values, 1e-12)
			}
		})
	}
}

// updates are the operations that make up one step of each optimizer.
var updates = map[string]func(o *optimizer){
	"sgd":   func(o *optimizer) { o.do(kernels.SGD) },
	"adam":  func(o *optimizer) { o.do(kernels.Adam) },
	"adamw": func(o *optimizer) { o.do(kernels.AdamW) },
	"lion":  func(o *optimizer) { o.do(kernels.Lion) },
	"lamb":  func(o *optimizer) { o.do(kernels.LAMBMoments, kernels.LAMBApply) },
	"adafactor": func(o *optimizer) {
		o.do(kernels.AdafactorMoments, kernels.AdafactorNorms, kernels.AdafactorApply)
	},
	"muon": func(o *optimizer) {
		o.do(kernels.MuonMomentum)
		o.operands["x"], o.operands["y"] = o.operands["u"], of(o.shape)
		o.do(kernels.NewtonSchulz)
		o.operands["u"] = o.operands["y"]
		o.do(kernels.MuonApply)
	},
}

// optimizer holds the operands of an optimizer's operations from step to step.
type optimizer struct {
	*testing.T
	attrs    map[string]any
	shape    []int
	operands arrays
}

// newOptimizer starts with state 0; a tensor that is not a matrix is one row.
func newOptimizer(t *testing.T, r run) *optimizer {
	shape := r.Weight.Shape
	if len(shape) == 1 {
		shape = dims(1, shape[0])
	}
	o := &optimizer{T: t, attrs: r.Attrs, shape: shape, operands: arrays{}}
	o.operands["weight"], o.operands["factor"] = of(shape, r.Weight.Values...), scalarOf(r.Factor)
	if r.Name != "sgd" || r.Momentum {
		o.operands["m"] = of(shape)
	}
	o.operands["v"], o.operands["u"], o.operands["norms"] = of(shape), of(shape), of(dims(2))
	if r.Factored {
		o.operands["row"], o.operands["column"] = of(shape[:1]), of(shape[1:])
	} else {
		o.operands["variance"] = of(shape)
	}
	return o
}

// do runs operations on the operands that they name, and keeps what they wrote.
func (o *optimizer) do(ops ...kernels.Op) {
	for _, op := range ops {
		operands := arrays{}
		for _, p := range kernels.Contracts[op].Params {
			if x, ok := o.operands[p.Name]; ok {
				operands[p.Name] = x
			}
		}
		for name, values := range invoke(o.T, op, only(op, o.attrs), operands) {
			o.operands[name] = of(operands[name].Shape, values...)
		}
	}
}

// only are the attributes that an operation takes.
func only(op kernels.Op, attrs map[string]any) kernels.Attrs {
	taken := map[string]any{}
	for name, value := range attrs {
		if kernels.Contracts[op].Takes(name) {
			taken[name] = value
		}
	}
	text, _ := json.Marshal(taken)
	var a kernels.Attrs
	if err := json.Unmarshal(text, &a); err != nil {
		panic(err)
	}
	return a
}
