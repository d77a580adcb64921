package graph

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// derivatives has the rule of each operation that a gradient passes through.
var derivatives map[kernels.Op]func(*differentiator, *Node) error

func init() {
	derivatives = map[kernels.Op]func(*differentiator, *Node) error{
		kernels.Copy:               copyRule,
		kernels.Embedding:          embeddingRule,
		kernels.Select:             selectRule,
		kernels.Add:                addRule,
		kernels.Scale:              scaleRule,
		kernels.Activate:           activateRule,
		kernels.Gate:               gateRule,
		kernels.Dropout:            dropoutRule,
		kernels.MatMul:             matmulRule,
		kernels.LayerNorm:          normRule,
		kernels.RMSNorm:            normRule,
		kernels.Rotary:             rotaryRule,
		kernels.FakeQuantize:       straightThrough,
		kernels.Attention:          attentionRule,
		kernels.CrossEntropy:       lossRule(kernels.CrossEntropyGrad),
		kernels.BinaryCrossEntropy: lossRule(kernels.BinaryCrossEntropyGrad),
		kernels.SquaredError:       lossRule(kernels.SquaredErrorGrad),
		kernels.PluginLoss:         lossRule(kernels.PluginLossGrad),
		kernels.LossSum:            lossSumRule,
	}
}

// dy is the gradient of a node's only differentiable output; nil when nothing depends on it.
func (d *differentiator) dy(n *Node, output string) (*Value, Args) {
	return d.grad(n.Arg(output)), Args{}
}

// same copies operands of the forward node into the arguments of its gradient.
func same(args Args, n *Node, names ...string) Args {
	for _, name := range names {
		args[name] = n.Args[n.Contract().Param(name)]
	}
	return args
}

func copyRule(d *differentiator, n *Node) error {
	if dy, _ := d.dy(n, "y"); dy != nil {
		d.pass(n.Arg("x"), dy)
	}
	return nil
}

// straightThrough takes rounding for the identity (Bengio et al., arXiv:1308.3432, section 4).
func straightThrough(d *differentiator, n *Node) error { return copyRule(d, n) }

func addRule(d *differentiator, n *Node) error {
	if dz, _ := d.dy(n, "z"); dz != nil {
		d.pass(n.Arg("x"), dz)
		d.pass(n.Arg("y"), dz)
	}
	return nil
}

func scaleRule(d *differentiator, n *Node) error {
	if dy, args := d.dy(n, "y"); dy != nil {
		d.contribute(n.Arg("x"), func(dst *Value) {
			args["x"], args["y"] = Is(dy), Is(dst)
			d.Emit(kernels.Scale, n.Name+".grad", n.Attrs, args)
		})
	}
	return nil
}

func dropoutRule(d *differentiator, n *Node) error {
	if dy, args := d.dy(n, "y"); dy != nil {
		d.contribute(n.Arg("x"), func(dst *Value) {
			args["x"], args["y"] = Is(dy), Is(dst)
			d.Emit(kernels.Dropout, n.Name+".grad", n.Attrs, same(args, n, "seed", "step", "origin"))
		})
	}
	return nil
}

func activateRule(d *differentiator, n *Node) error {
	if dy, args := d.dy(n, "y"); dy != nil {
		d.contribute(n.Arg("x"), func(dst *Value) {
			args["dy"], args["dx"] = Is(dy), Is(dst)
			d.Emit(kernels.ActivateGrad, n.Name+".grad", n.Attrs, same(args, n, "x"))
		})
	}
	return nil
}

// gateRule needs both gradients at once; where only one leads to a trained weight the other is thrown away.
func gateRule(d *differentiator, n *Node) error {
	dy, args := d.dy(n, "y")
	if dy == nil || !d.needs(n.Arg("gate")) && !d.needs(n.Arg("up")) {
		return nil
	}
	args["dy"] = Is(dy)
	finish := d.several(n, args, "gate", "up")
	d.Emit(kernels.GateGrad, n.Name+".grad", n.Attrs, same(args, n, "gate", "up"))
	finish()
	return nil
}

// several fills in the outputs of a gradient operation that gives the
// gradients of several inputs at once, "d" before their names. An output is the first term of its input's gradient, or a term
// that finish adds once the operation is emitted, or nothing that is needed.
func (d *differentiator) several(n *Node, args Args, inputs ...string) (finish func()) {
	terms := map[*Value]*Value{}
	for _, input := range inputs {
		v := n.Arg(input)
		switch {
		case d.needs(v) && d.grads[v] == nil:
			d.grads[v] = d.target(v)
			args["d"+input] = Is(d.grads[v])
		default:
			terms[v] = d.fresh(v)
			args["d"+input] = Is(terms[v])
		}
	}
	return func() {
		for _, input := range inputs {
			if v := n.Arg(input); terms[v] != nil && d.needs(v) {
				d.accumulate(v, terms[v])
			}
		}
	}
}

func embeddingRule(d *differentiator, n *Node) error {
	dy, args := d.dy(n, "y")
	if w := n.Arg("table"); dy != nil && d.needs(w) {
		args["dy"] = Is(dy)
		d.sum(kernels.EmbeddingGrad, n.Name+".grad", kernels.Attrs{}, w, "dtable", nil, same(args, n, "ids"))
	}
	return nil
}

func selectRule(d *differentiator, n *Node) error {
	if dy, args := d.dy(n, "y"); dy != nil {
		d.contribute(n.Arg("x"), func(dst *Value) {
			args["dy"], args["dx"] = Is(dy), Is(dst)
			d.Emit(kernels.SelectGrad, n.Name+".grad", n.Attrs, args)
		})
	}
	return nil
}

// matmulRule: for c = a·w, da = dc·wᵀ and dw = aᵀ·dc, or dcᵀ·a where w is stored transposed.
func matmulRule(d *differentiator, n *Node) error {
	dc, _ := d.dy(n, "c")
	if dc == nil {
		return nil
	}
	param := n.Contract().Param
	a, b, c := n.Args[param("a")], n.Args[param("b")], n.Args[param("c")]
	dcArg := As(dc, c.ViewShape()...)
	d.contribute(a.Value, func(dst *Value) {
		d.Emit(kernels.MatMul, n.Name+".grad.x", kernels.Attrs{TransB: !n.Attrs.TransB},
			Args{"a": dcArg, "b": b, "c": As(dst, a.ViewShape()...)})
	})
	if d.needs(b.Value) {
		left, right := a, dcArg
		if n.Attrs.TransB {
			left, right = dcArg, a
		}
		d.sum(kernels.MatMul, n.Name+".grad.w", kernels.Attrs{TransA: true}, b.Value, "c", b.ViewShape(), Args{"a": left, "b": right})
	}
	if bias := n.Arg("bias"); d.needs(bias) {
		d.sum(kernels.SumRows, n.Name+".grad.b", kernels.Attrs{}, bias, "y", []int{bias.Len()}, Args{"x": dcArg})
	}
	return nil
}

func normRule(d *differentiator, n *Node) error {
	dy, args := d.dy(n, "y")
	if dy == nil {
		return nil
	}
	op, saved, weights := kernels.LayerNormGrad, []string{"x", "weight", "mean", "rstd"}, []string{"weight", "bias"}
	attrs := kernels.Attrs{}
	if n.Op == kernels.RMSNorm {
		op, saved, weights, attrs.Offset = kernels.RMSNormGrad, []string{"x", "weight", "rstd"}, weights[:1], n.Attrs.Offset
	}
	args["dy"] = Is(dy)
	first, later := 0, 0
	for _, name := range weights {
		w := n.Arg(name)
		if !d.needs(w) {
			continue
		}
		grad, accumulate := d.weightGrad(w)
		args["d"+name] = As(grad, grad.Len())
		if accumulate {
			later++
		} else {
			first++
		}
	}
	if first > 0 && later > 0 {
		return fmt.Errorf("a norm that shares one of its weights with another must share both")
	}
	attrs.Accumulate = later > 0
	emit := func(dx *Value) {
		args["dx"] = Is(dx)
		d.Emit(op, n.Name+".grad", attrs, same(args, n, saved...)).First = first > 0
	}
	x := n.Arg("x")
	if d.needs(x) {
		d.contribute(x, emit)
	} else if first+later > 0 {
		emit(d.fresh(x))
	}
	return nil
}

func rotaryRule(d *differentiator, n *Node) error {
	if dy, args := d.dy(n, "y"); dy != nil {
		d.contribute(n.Arg("x"), func(dst *Value) {
			attrs := n.Attrs
			attrs.Inverse = !attrs.Inverse
			args["x"], args["y"] = Is(dy), Is(dst)
			d.Emit(kernels.Rotary, n.Name+".grad", attrs, same(args, n, "table"))
		})
	}
	return nil
}

func attentionRule(d *differentiator, n *Node) error {
	do, args := d.dy(n, "o")
	if do == nil {
		return nil
	}
	args["do"] = Is(do)
	finish := d.several(n, args, "q", "k", "v")
	same(args, n, "q", "k", "v", "lengths", "q_segments", "k_segments", "offset", "seed", "step", "origin", "o", "lse")
	d.Emit(kernels.AttentionGrad, n.Name+".grad", n.Attrs, args)
	finish()
	return nil
}

// lossSumRule: the loss's own gradient is 1, and its rows' are their weights, which the gradient of the loss takes itself.
func lossSumRule(d *differentiator, n *Node) error {
	d.rowWeights = n.Args[n.Contract().Param("row_weights")]
	return nil
}

// lossRule starts the gradient: that of the step's loss with respect to the logits.
func lossRule(op kernels.Op) func(*differentiator, *Node) error {
	return func(d *differentiator, n *Node) error {
		logits := n.Arg("logits")
		if !d.needs(logits) {
			return nil
		}
		args := Args{"weight": Is(d.Graph.Scalar(plan.ScalarWeight)), "row_weights": d.rowWeights}
		if scale := d.Graph.Find(plan.ScalarLossScale); scale != nil {
			args["scale"] = Is(scale)
		}
		switch op {
		case kernels.CrossEntropyGrad:
			same(args, n, "logits", "labels", "lse")
		case kernels.PluginLossGrad:
			same(args, n, "logits", "labels", "targets", "input1", "input2")
		default:
			same(args, n, "logits", "targets")
		}
		d.contribute(logits, func(dst *Value) {
			args["dlogits"] = Is(dst)
			d.Emit(op, n.Name+".grad", n.Attrs, args)
		})
		return nil
	}
}
