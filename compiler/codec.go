package compiler

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// coding is a gradient that ranks of data do not add up: each sends a code of its own, gathers those of all and decodes them in rank order. What its code leaves out goes
// into the next gradient's (Karimireddy et al., arXiv:1901.09847, algorithm 2).
type coding struct {
	total    *total
	codes    *graph.Value // of the ranks that were gathered so far
	words    int          // of each
	next     *graph.Value // what the code leaves out
	residual *graph.Value // and where it is kept
}

// codecFits refuses a codec that the device kind, or what was found of its module, does not go with, and one that names no weights. It finds how many steps are without codes.
func (u *unitOfWork) codecFits() error {
	c := u.strategy.Parallel.Codec
	if c == nil {
		return nil
	}
	if c.Plugin != nil && c.Bytes == nil {
		return u.strategy.Wrong(c.Plugin.Path, fmt.Sprintf("the module of %s was not looked at", c.Plugin.File), "call Strategy.WithCodec before compiling")
	}
	if u.kind.Separate {
		return u.strategy.Wrong(schema.CodecPath, fmt.Sprintf("it does not go with devices of the kind %s, which have no kernels for it", u.kind.Name), "leave it out")
	}
	for _, pattern := range c.Match {
		if !slices.ContainsFunc(u.weights.list, func(w *weight) bool { return takes([]string{pattern}, w.value.Name) && !treat(u.strategy, w).frozen }) {
			return u.strategy.Wrong(schema.CodecPath+".match", fmt.Sprintf("%q matches no weight that is trained", pattern), "gsc plan --format text names the weights")
		}
	}
	if u.strategy.Parallel.Each() {
		u.choices = append(u.choices, plan.Choice{What: "parallel.reduce", Value: "once for gradients that are coded",
			Why: "a code is of the sum over all micro-batches, so each rank keeps these gradients whole until then: memory as with zero 1"})
	}
	return u.warmUp()
}

// settling is how many steps a mean of squares has to settle in before it stays, in a run of so many: a fifth of them, and more of short ones, of which 200 where two fifths are as many.
func settling(run int64) int64 { return max((run+4)/5, min(200, 2*run/5)) }

// warmUp finds how many steps at the beginning are without codes: those that the strategy says; where it says nothing and the optimizer divides by a mean of squares, those in
// which the learning rate climbs, or in which that mean settles.
func (u *unitOfWork) warmUp() error {
	s := u.strategy
	c, run, optimizer := s.Parallel.Codec, steps(s, u.data), &updater{optimizer: s.Optimizer, codec: s.Parallel.Codec, stage: &stage{}}
	squares := slices.ContainsFunc(u.weights.list, func(w *weight) bool {
		return optimizer.codes(w) && !treat(s, w).frozen && slices.Contains(ofSquares, optimizer.kind(w))
	})
	path := schema.CodecPath + ".warmup"
	switch {
	case c.Warmup == nil && squares:
		u.uncoded = max(1, min(max(s.Schedule.Warmup, settling(run)), run-1))
		u.choices = append(u.choices, plan.Choice{What: path, Value: fmt.Sprint(u.uncoded),
			Why: fmt.Sprintf("%s divides by the root of a mean of squares, which is as these steps leave it: codes would make it too large", s.Optimizer.Kind)})
	case c.Warmup == nil:
	case *c.Warmup == 0 && squares:
		return s.Wrong(path, fmt.Sprintf("%s divides by the root of a mean of squares, which codes make too large: without steps before them it learns badly", s.Optimizer.Kind),
			"leave it out, for as many as that mean needs, or use lion or sgd")
	case *c.Warmup >= run && run > 0:
		return s.Wrong(path, fmt.Sprintf("%d steps without codes leave none of the run's %d for them", *c.Warmup, run), "use fewer, or no codec")
	default:
		u.uncoded = *c.Warmup
	}
	return nil
}

// ofSquares are the optimizers that divide by the root of a mean of squares.
var ofSquares = []string{"adam", "adamw", "lamb"}

// varianceSteps is how long the mean of squares of a weight takes in gradients: until they are coded. What is decoded is right as a sum over steps, and its squares are not.
func (u *updater) varianceSteps(w *weight) int {
	if slices.Contains(ofSquares, u.kind(w)) && u.codes(w) {
		return int(u.uncoded)
	}
	return 0
}

// codes says whether a weight's gradient is coded. One that two stages have terms of is not, so that they agree on its sum.
func (u *updater) codes(w *weight) bool {
	return u.toCode(w) && !u.padded(w) && !slices.ContainsFunc(u.stage.ties, func(t tie) bool { return t.weight == w })
}

// toCode says whether the strategy has a weight's gradient coded.
func (u *updater) toCode(w *weight) bool {
	switch c := u.codec; {
	case c == nil:
		return false
	case c.Match == nil:
		return len(w.stored) >= 2
	default:
		return takes(c.Match, w.value.Name)
	}
}

// padded says whether the last of a weight's parts is filled up to the length of the others: with what fills it up a code would say something of numbers that are not there.
func (u *updater) padded(w *weight) bool {
	return w.cut.Axis != "" && w.dims[w.cut.Dim].Size%max(1, u.degrees[w.cut.Axis]) != 0
}

// notCoded tells of a gradient that the strategy has coded, and that is added up all the same.
func (u *updater) notCoded(w *weight) (c plan.Choice, is bool) {
	if !u.toCode(w) || !u.padded(w) || u.grad(w) == nil {
		return c, false
	}
	dim, degree := w.dims[w.cut.Dim], u.degrees[w.cut.Axis]
	return plan.Choice{What: schema.CodecPath, Value: "not for " + w.value.Name,
		Why: fmt.Sprintf("%d %s do not divide among %d ranks of %s, of which the last fills its part up: its gradient is added up", dim.Size, dim.Name, degree, w.cut.Axis)}, true
}

// codedTotal begins the sum of a gradient that is coded: along axes of other ranks than those that take rows it is added up as it is.
func (u *updater) codedTotal(w *weight, grad *graph.Value) total {
	t := total{weight: w, sum: grad, coded: true}
	for _, axis := range grad.Partial {
		if axis != plan.AxisData && axis != plan.AxisReplica {
			t.axes = append(t.axes, axis)
		}
	}
	return t
}

// code has the ranks exchange codes of gradients. What is done for all of them stands together, so that it can be one call.
func (u *updater) code(totals []total) error {
	for i := range totals {
		if !totals[i].coded {
			continue
		}
		c, err := u.encode(&totals[i])
		if err != nil {
			return err
		}
		u.codings = append(u.codings, c)
	}
	for _, axis := range []string{plan.AxisData, plan.AxisReplica} { // so that codes lie in the order of the ranks
		if ranks := u.degrees[axis]; ranks > 1 {
			for _, c := range u.codings {
				u.gatherCodes(c, axis, ranks)
			}
		}
	}
	for _, c := range u.codings {
		u.decode(c)
	}
	return nil
}

// encode emits the code of a gradient, and takes what it leaves out of the next.
func (u *updater) encode(t *total) (*coding, error) {
	grad, name := t.sum, t.weight.value.Name
	op, attrs := u.codecOp(kernels.Encode, kernels.PluginEncode)
	words, err := u.codeWords(attrs, grad.Len())
	if err != nil {
		return nil, err
	}
	residual, _ := u.Graph.Lasting(name+plan.Residual, plan.State, kernels.F32, grad.Dims...)
	residual.Of = t.weight.value
	u.states = append(u.states, &state{value: residual, of: t.weight, whole: true, terms: true, init: plan.Init{Kind: "zeros"}})
	c := &coding{total: t, residual: residual, words: words, codes: u.Graph.Add("code."+grad.Name, plan.Workspace, kernels.I32, plan.Dim{Name: "word", Size: words}),
		next: u.Graph.Add("next."+grad.Name, plan.Workspace, grad.DType, grad.Dims...)}
	u.emitAtCodec(op, "encode."+grad.Name, attrs, u.withScale(graph.Args{"x": graph.Is(grad), "residual": graph.Is(residual), "code": graph.Is(c.codes), "next": graph.Is(c.next)}))
	return c, nil
}

// codecOp is the operation of one of gsc's own codecs, or of a plugin.
func (u *updater) codecOp(own, plugged kernels.Op) (kernels.Op, kernels.Attrs) {
	if p := u.codec.Plugin; p != nil {
		return plugged, kernels.Attrs{Plugin: p.Name}
	}
	return own, kernels.Attrs{Kind: u.codec.Kind, Share: u.codec.Share}
}

// codeWords is how long the code of n numbers is.
func (u *updater) codeWords(a kernels.Attrs, n int) (int, error) {
	if u.codec.Plugin != nil {
		return kernels.PluginCodeWords(n, u.codec.Bytes)
	}
	return kernels.CodeWords(a, n), nil
}

func (u *updater) gatherCodes(c *coding, axis string, ranks int) {
	all := u.Graph.Add("codes."+c.total.sum.Name, plan.Workspace, kernels.I32, plan.Dim{Name: "word", Size: c.codes.Len() * ranks})
	u.emitAtCodec(kernels.AllGather, "gather.code."+c.total.sum.Name, kernels.Attrs{Axis: axis}, graph.Args{"x": graph.Is(c.codes), "y": graph.Is(all)}).Joins = true
	c.codes = all
}

// decode emits the sum of what all codes say in place of the gradient, or the rank's part of it, where that is all that it updates.
func (u *updater) decode(c *coding) {
	w, grad := c.total.weight, c.total.sum
	op, attrs := u.codecOp(kernels.Decode, kernels.PluginDecode)
	args := u.withScale(graph.Args{"codes": graph.As(c.codes, c.codes.Len()/c.words, c.words)})
	if u.shares(w) {
		c.total.sum = u.part(w, grad)
		attrs.Of, args["place"] = grad.Len(), graph.Is(u.Graph.Place([]string{plan.AxisData}, 1))
	} else if u.divides(w) {
		u.parts[w] = u.Graph.Share(grad, plan.AxisData, u.share(w))
	}
	args["y"] = graph.As(c.total.sum, c.total.sum.Len())
	u.emitAtCodec(op, "decode."+grad.Name, attrs, args)
}

// emitAtCodec emits a node that comes from where the strategy names the codec.
func (u *updater) emitAtCodec(op kernels.Op, name string, attrs kernels.Attrs, args graph.Args) *graph.Node {
	n := u.Emit(op, name, attrs, args)
	n.Pos = u.codecAt
	return n
}

// keep keeps what codes left out. A step that is skipped keeps what the one before it did.
func (u *updater) keep() {
	for _, c := range u.codings {
		u.emitAtCodec(kernels.Copy, "keep."+c.residual.Name, kernels.Attrs{}, graph.Args{"x": graph.Is(c.next), "y": graph.Is(c.residual)})
	}
}

// termsOf makes a tensor that each rank that takes rows has one of into all of them.
func (u *unitOfWork) termsOf(t *plan.Tensor) {
	degrees := u.degrees()
	t.Terms, t.Dims = true, append([]plan.Dim{{Name: "rank", Size: u.strategy.Parallel.Mesh.RowRanks()}}, t.Dims...)
	t.Cut, t.Part = plan.CutOfTerms(t.Cut, func(axis string) int { return degrees[axis] })
}
