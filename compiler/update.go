package compiler

import (
	"fmt"
	"math"
	"path"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// treatment is how one weight is trained, after all rules.
type treatment struct {
	frozen bool
	rate   float64 // factor on the learning rate
	decay  float64
}

// treat applies the parameter rules to a weight; a later rule wins.
func treat(s *schema.Strategy, w *weight) treatment {
	t := treatment{rate: 1, decay: s.Optimizer.Decay}
	if w.value.Class == plan.Taught {
		t.frozen = true
		return t
	}
	if s.Optimizer.DecayOn != "all" && len(w.stored) < 2 {
		t.decay = 0
	}
	for _, rule := range s.Parameters {
		if ok, _ := path.Match(rule.Match, w.value.Name); !ok {
			continue
		}
		if rule.Train != nil {
			t.frozen = !*rule.Train
		}
		if rule.Rate != nil {
			t.rate = *rule.Rate
		}
		if rule.Decay != nil {
			t.decay = *rule.Decay
		}
	}
	return t
}

// updater emits the update program.
type updater struct {
	graph.Emitter
	optimizer schema.Optimizer
	scaling   schema.LossScale // zero: none
	ranks     int              // that share out the rows
	zero      int              // what else they share out
	bucket    int64            // bytes of gradients that are summed in one call, or more
	each      bool             // gradients are summed over the ranks after each micro-batch, not once
	stage     *stage
	backward  []*graph.Program              // of the stage
	parts     map[*weight]*graph.Value      // of gradients
	summed    map[*graph.Value]*graph.Value // by gradient: the part of its sum, where that is taken after each micro-batch
	codec     *schema.Codec                 // nil: gradients are added up as they are
	codecAt   string                        // where the strategy names it
	degrees   map[string]int                // of the axes
	uncoded   int64                         // steps at the beginning in which they are, too
	codings   []*coding
	asks      bool // plugins decide about weights
	states    []*state
}

// state is a tensor of the optimizer.
type state struct {
	value *graph.Value
	of    *weight
	whole bool       // it has an element for each of the weight's
	part  bool       // it is a rank's part of those
	terms bool       // each rank that takes rows has one of its own
	dims  []plan.Dim // not nil: of all of it, which is neither the weight's nor the value's
	cut   plan.Cut   // of those
	init  plan.Init
}

// makeUpdate makes the program of each stage that follows its last backward: the sums over ranks, norm, clipping,
// and the optimizer's step for each trained weight, skipped when the norm is not finite.
func (u *unitOfWork) makeUpdate() error {
	s := u.strategy
	if err := u.codecFits(); err != nil {
		return err
	}
	all := &updater{uncoded: u.uncoded, codec: s.Parallel.Codec, codecAt: string(s.Positions[schema.CodecPath]), asks: len(u.policies()) > 0, degrees: u.degrees(), Emitter: graph.Emitter{Graph: u.graph, Region: "update", Pos: string(s.Positions["optimizer"])}, optimizer: s.Optimizer,
		scaling: s.Precision.LossScale, ranks: s.Parallel.Mesh.DataRanks(), zero: s.Parallel.Zero, each: s.Parallel.Each(), bucket: s.Parallel.BucketBytes}
	groups := all.groups(u.stages)
	for _, st := range u.stages {
		one := *all
		st.update = &graph.Program{Name: plan.UpdateProgram}
		one.Program, one.stage, one.parts, one.summed = st.update, st, map[*weight]*graph.Value{}, map[*graph.Value]*graph.Value{}
		for _, b := range st.buckets {
			one.backward = append(one.backward, some(b.backward, b.weigh)...)
		}
		if err := one.update(s, groups, len(u.stages) > 1); err != nil {
			return err
		}
		st.states = one.states
		for _, w := range st.weights.list {
			if c, is := one.notCoded(w); is && w.of == nil {
				u.choices = append(u.choices, c)
			}
		}
		u.graph.Programs = append(u.graph.Programs, some(st.sum, st.code, st.update, st.keep)...)
	}
	return nil
}

// update emits the program of a stage, of which there may be several.
func (u *updater) update(s *schema.Strategy, groups [][]string, several bool) error {
	w := u.stage.weights
	u.reserveCompressed(w)
	if err := u.exchange(w, several); err != nil {
		return err
	}
	for _, b := range u.backward {
		u.reduceTerms(b)
	}
	u.maskGradients(w)
	u.norm(w, groups, several)
	u.lossScale()
	finite := u.Graph.Scalar(plan.ScalarFinite)
	from := len(u.Program.Nodes)
	for _, weight := range w.list {
		grad := u.grad(weight)
		if grad == nil || weight.of != nil {
			continue
		}
		if sum := u.Graph.Find("sum." + grad.Name); sum != nil {
			grad = sum
		}
		if err := u.weight(weight, grad, treat(s, weight)); err != nil {
			return err
		}
	}
	if u.stage.keep == nil {
		u.keep()
	}
	for _, n := range u.Program.Nodes[from:] {
		n.Guard = finite
	}
	u.handOut(w, false)
	u.compressed(w)
	u.handOut(w, true)
	for _, weight := range w.list {
		weight.part = u.zero >= 3 && u.shares(weight)
	}
	return nil
}

// grad is the gradient that the stage finds for a weight; nil where it is not trained.
func (u *updater) grad(w *weight) *graph.Value { return u.Graph.Find("grad." + w.value.Name) }

// collect adds to a gradient, or the rank's part of it, what another stage has found for its copy of the weight, or hands it to that.
func (u *updater) collect(w *weight, grad *graph.Value) {
	for _, t := range u.stage.ties {
		switch {
		case t.weight != w:
		case !t.owner:
			u.Emit(kernels.Send, "tie."+grad.Name, tieAttrs(t), graph.Args{"x": graph.Is(grad)})
		default:
			term := u.Graph.Add(fmt.Sprintf("%s#%d", grad.Name, t.peer), plan.Workspace, grad.DType, grad.Dims...)
			u.Emit(kernels.Receive, "tie."+grad.Name, tieAttrs(t), graph.Args{"y": graph.Is(term)})
			u.Emit(kernels.Add, "tie."+grad.Name+".add", kernels.Attrs{}, graph.Args{"x": graph.Is(grad), "y": graph.Is(term), "z": graph.Is(grad)})
		}
	}
}

// handOut gives other stages the weights that they have copies of, and puts the parts together that ranks updated. It runs whether the norm is finite or not, since all wait
// for it. A weight that is compressed is made first, of its dense copy, and then handed out as it is.
func (u *updater) handOut(w *weights, made bool) {
	for _, t := range u.stage.ties {
		if u.grad(t.weight) == nil || t.weight.compression.acts() != made {
			continue
		}
		v := t.weight.value
		if u.shares(t.weight) {
			v = u.Graph.Share(v, plan.AxisData, u.share(t.weight))
		}
		if t.owner {
			u.Emit(kernels.Send, "tie."+t.weight.value.Name, tieAttrs(t), graph.Args{"x": graph.Is(v)})
		} else {
			u.Emit(kernels.Receive, "tie."+t.weight.value.Name, tieAttrs(t), graph.Args{"y": graph.Is(v)})
		}
	}
	for _, weight := range w.list {
		late := weight.of != nil && weight.compression.acts()
		if u.zero < 3 && u.parts[weight] != nil && u.shares(weight) && late == made {
			u.allGather("gather."+u.updated(weight).Name, u.updated(weight), u.share(weight))
		}
	}
}

func tieAttrs(t tie) kernels.Attrs {
	return kernels.Attrs{Axis: plan.AxisPipeline, Peer: t.peer, Lane: updateLane}
}

// total is the sum of a gradient over ranks.
type total struct {
	weight *weight
	sum    *graph.Value // all of it or, where it is shared out, the rank's part
	axes   []string     // along which its terms are to be added up yet, in order
	whole  *graph.Value // not nil: what its parts are gathered to
	coded  bool         // along data and replica codes are exchanged
}

// exchange has ranks add up what they found, or send codes of it. Where the first steps are without codes, there is a program for each, before that of the update, and one behind
// it for what codes leave out.
func (u *updater) exchange(w *weights, several bool) error {
	if u.codec == nil {
		return u.reduce(w, several, false)
	}
	if u.uncoded == 0 || !slices.ContainsFunc(w.list, func(w *weight) bool { return u.codes(w) && u.grad(w) != nil }) {
		u.maskTerms(w)
		return u.reduce(w, several, true)
	}
	s, update := u.stage, u.Program
	defer func() { u.Program = update }()
	s.sum, s.code, s.keep = &graph.Program{Name: update.Name + ".sum"}, &graph.Program{Name: update.Name + ".code"}, &graph.Program{Name: update.Name + ".keep"}
	u.Program = s.sum
	if err := u.reduce(w, several, false); err != nil {
		return err
	}
	if len(s.sum.Nodes) == 0 { // of one rank
		s.sum = nil
	}
	u.Program = s.code
	u.maskTerms(w)
	if err := u.reduce(w, several, true); err != nil {
		return err
	}
	u.Program = s.keep
	u.keep()
	for _, n := range s.keep.Nodes {
		n.Guard = u.Graph.Scalar(plan.ScalarFinite)
	}
	return nil
}

// reduce adds up what the ranks found for their parts of the batch: the loss, and the gradients, or codes of those that are coded. parts keeps the rank's part of each gradient
// that divides among the ranks of data; where a rank updates its part alone (shares), it is all that it gets. What is done for all gradients stands together, so that it can be
// one call.
func (u *updater) reduce(w *weights, several, coded bool) error {
	loss := u.Graph.Scalar(plan.ScalarLoss)
	axes := loss.Partial
	if several {
		axes = append(slices.Clone(axes), plan.AxisPipeline)
	}
	u.allReduce("reduce.loss", loss, axes...)
	if several && u.asks {
		u.allReduce("reduce.pruned", u.Graph.Scalar(plan.ScalarPruned), plan.AxisPipeline)
	}
	var totals []total
	for _, weight := range w.list {
		if grad := u.grad(weight); grad != nil {
			totals = append(totals, u.total(weight, grad, coded && u.codes(weight)))
		}
	}
	for _, axis := range slices.Concat([]string{plan.AxisData}, plan.Axes) { // in the order of parts, so that a stage of ZeRO changes no bit
		for i := range totals {
			if t := &totals[i]; len(t.axes) > 0 && t.axes[0] == axis {
				u.allReduce("reduce."+u.grad(t.weight).Name, t.sum, axis)
				t.axes = t.axes[1:]
			}
		}
	}
	if err := u.code(totals); err != nil {
		return err
	}
	for _, t := range totals {
		u.collect(t.weight, t.sum)
	}
	for _, t := range totals {
		if t.whole != nil {
			u.allGather("gather."+u.grad(t.weight).Name, t.whole, u.share(t.weight))
		}
	}
	return nil
}

// total begins the sum of a gradient: it takes the rank's part of it, where that is all that it gets.
func (u *updater) total(w *weight, grad *graph.Value, coded bool) total {
	if coded {
		return u.codedTotal(w, grad)
	}
	t := total{weight: w, sum: grad}
	if len(grad.Partial) == 0 {
		return t
	}
	t.axes = slices.DeleteFunc(slices.Clone(grad.Partial), func(axis string) bool { return axis == plan.AxisData })
	switch {
	case u.each && u.divides(w) && !u.codes(w):
		u.reduceEach(w, grad, &t)
	case u.shares(w):
		t.sum = u.part(w, grad)
		u.reduceScatter(&u.Emitter, grad, t.sum)
	default:
		if len(t.axes) < len(grad.Partial) {
			t.axes = append([]string{plan.AxisData}, t.axes...)
		}
		if u.divides(w) {
			u.parts[w] = u.Graph.Share(grad, plan.AxisData, u.share(w))
		}
	}
	return t
}

// part is the rank's part of a gradient's sum, where that lies by itself.
func (u *updater) part(w *weight, grad *graph.Value) *graph.Value {
	if u.parts[w] == nil {
		u.parts[w] = u.Graph.Add(grad.Name+".part", plan.Gradient, grad.DType, u.share(w))
	}
	return u.parts[w]
}

func (u *updater) allReduce(name string, v *graph.Value, axes ...string) {
	for _, axis := range axes {
		u.Emit(kernels.AllReduce, name, kernels.Attrs{Axis: axis}, graph.Args{"x": graph.Is(v), "y": graph.Is(v)}).Joins = true
	}
}

func (u *updater) reduceScatter(e *graph.Emitter, grad, part *graph.Value) *graph.Node {
	n := e.Emit(kernels.ReduceScatter, "reduce."+grad.Name, kernels.Attrs{Axis: plan.AxisData}, graph.Args{"x": graph.As(grad, grad.Len()), "y": graph.Is(part)})
	n.Joins = true
	return n
}

// allGather puts the parts of a value together, of which the rank's is in its place.
func (u *updater) allGather(name string, v *graph.Value, part plan.Dim) {
	u.Emit(kernels.AllGather, name, kernels.Attrs{Axis: plan.AxisData},
		graph.Args{"x": graph.Is(u.Graph.Share(v, plan.AxisData, part)), "y": graph.As(v, v.Len())}).Joins = true
}

// reduceEach sums a gradient over the ranks of data as soon as a backward program has all of it: what is kept from one micro-batch to the next is
// the rank's part. Where each rank updates the whole weight the part lies in a gradient of its own, and the others' are gathered.
func (u *updater) reduceEach(w *weight, grad *graph.Value, t *total) {
	grad.Class = plan.Workspace
	if u.shares(w) {
		t.sum = u.part(w, grad)
	} else {
		sum, _ := u.Graph.Lasting("sum."+grad.Name, plan.Gradient, grad.DType, w.value.Dims...)
		t.sum = u.Graph.Share(sum, plan.AxisData, u.share(w))
		if w.of == nil {
			t.whole = sum
		}
	}
	u.parts[w] = t.sum
	u.summed[grad] = t.sum
}

// reduceTerms adds the rank's parts of the sums behind the last terms of gradients, which each micro-batch begins anew. Those of a block wait for each other until they
// are a bucket.
func (u *updater) reduceTerms(p *graph.Program) {
	last := map[*graph.Value]*graph.Node{}
	for _, n := range p.Nodes {
		for _, v := range outputs(n) {
			if u.summed[v] != nil {
				last[v], n.First = n, false
			}
		}
	}
	var nodes, ready []*graph.Node
	var bytes int64
	for _, from := range p.Nodes {
		if len(ready) > 0 && from.Block != ready[0].Block {
			nodes, ready, bytes = append(nodes, ready...), nil, 0
		}
		nodes = append(nodes, from)
		for _, grad := range slices.Backward(outputs(from)) {
			if last[grad] != from {
				continue
			}
			e := graph.Emitter{Graph: u.Graph, Program: &graph.Program{}, Region: from.Region, Pos: from.Pos}
			n := u.reduceScatter(&e, grad, u.summed[grad])
			n.First, n.Async, n.Block = true, true, from.Block
			ready, bytes = append(ready, n), bytes+bytesOf(grad)
			delete(last, grad) // a view of it may be another output
		}
		if bytes >= u.bucket {
			nodes, ready, bytes = append(nodes, ready...), nil, 0
		}
	}
	p.Nodes = append(nodes, ready...)
}

// divides says whether the ranks can share out a weight's elements evenly.
func (u *updater) divides(w *weight) bool { return u.ranks > 1 && w.value.Len()%u.ranks == 0 }

// shares says whether each rank updates a part of the weight alone, and keeps the optimizer's state for it alone. An optimizer that looks
// at a matrix as a whole does not.
func (u *updater) shares(w *weight) bool {
	return u.zero > 0 && u.divides(w) && slices.Contains(elementwise, u.kind(w))
}

// elementwise are the optimizers whose update of an element depends on nothing but the element's own.
var elementwise = []string{"adam", "adamw", "lion", "sgd"}

// wholeMatrix are those whose update of an element depends on all of its matrix.
var wholeMatrix = []string{"adafactor", "lamb", "muon"}

// share is the dim of a part.
func (u *updater) share(w *weight) plan.Dim {
	return plan.Dim{Name: "part", Size: w.value.Len() / u.ranks}
}

// norm sums the squares of all gradients, in the order of the weights, and finds the factor that clips them. What ranks share out they sum
// apart, and then add up. Those of data sum their parts at every stage of ZeRO: so a stage changes no bit of it.
func (u *updater) norm(w *weights, groups [][]string, several bool) {
	total := u.Graph.Add("norm.squares", plan.Workspace, kernels.F64)
	if len(groups) > 1 {
		total.Dims = []plan.Dim{{Name: "part", Size: len(groups)}}
	}
	for i, axes := range groups {
		sum := total
		if len(groups) > 1 {
			sum = u.Graph.Run(total, i)
		}
		terms := 0
		for _, weight := range w.list {
			x := u.grad(weight)
			if x == nil || weight.of != nil || !slices.Equal(u.sharers(weight), axes) {
				continue
			}
			if part, sum := u.parts[weight], u.Graph.Find("sum."+x.Name); part != nil {
				x = part
			} else if sum != nil {
				x = sum
			}
			u.Emit(kernels.SumSquares, "norm."+weight.value.Name, kernels.Attrs{Accumulate: terms > 0}, graph.Args{"x": graph.Is(x), "total": graph.Is(sum)})
			terms++
		}
		if terms == 0 { // all of them are other stages'
			u.Emit(kernels.Zero, "norm.none", kernels.Attrs{}, graph.Args{"y": graph.Is(sum)})
		}
		u.allReduce("reduce.norm", sum, axes...)
	}
	if several {
		u.allReduce("reduce.norm", total, plan.AxisPipeline)
	}
	u.Emit(kernels.ClipFactor, "norm", kernels.Attrs{MaxNorm: u.optimizer.ClipNorm}, u.withScale(graph.Args{
		"total": graph.Is(total), "norm": graph.Is(u.Graph.Scalar(plan.ScalarNorm)),
		"factor": graph.Is(u.factor()), "finite": graph.Is(u.Graph.Scalar(plan.ScalarFinite))}))
}

// withScale adds the scale of gradients to operands, where there is one.
func (u *updater) withScale(args graph.Args) graph.Args {
	if u.scaling.Initial > 0 {
		args["scale"] = graph.Is(u.Graph.Scalar(plan.ScalarLossScale))
	}
	return args
}

// lossScale moves the scale of the next step's gradients, and counts the updates: it runs whether the norm is finite or not.
func (u *updater) lossScale() {
	l := u.scaling
	if l.Initial == 0 {
		return
	}
	scalar := func(name string) graph.Arg { return graph.Is(u.Graph.Scalar(name)) }
	u.Emit(kernels.LossScale, "loss_scale", kernels.Attrs{Growth: l.Growth, GrowthInterval: l.GrowthInterval, Backoff: l.Backoff}, graph.Args{
		"finite": scalar(plan.ScalarFinite), "loss": scalar(plan.ScalarLoss), "scale": scalar(plan.ScalarLossScale),
		"good": scalar(plan.ScalarGood), "updates": scalar(plan.ScalarUpdates)})
}

// groups lists by which axes ranks share out what is summed for the norm, in the order of the weights of all stages.
func (u *updater) groups(stages []*stage) (groups [][]string) {
	for _, s := range stages {
		for _, w := range s.weights.list {
			if u.grad(w) == nil {
				continue
			}
			axes := u.sharers(w)
			if !slices.ContainsFunc(groups, func(known []string) bool { return slices.Equal(known, axes) }) {
				groups = append(groups, axes)
			}
		}
	}
	return groups
}

// sharers are the axes whose ranks sum the squares of a weight's gradient in parts.
func (u *updater) sharers(w *weight) (axes []string) {
	if len(u.grad(w).Partial) > 0 && u.divides(w) {
		axes = append(axes, plan.AxisData)
	}
	if w.cut.Axis != "" {
		axes = append(axes, w.cut.Axis)
	}
	return axes
}

func (u *updater) factor() *graph.Value {
	v, _ := u.Graph.Lasting("factor", plan.ScalarKind, kernels.F64)
	return v
}

// state makes a tensor of the optimizer for a weight: the rank's part of it, where ranks share out the update.
func (u *updater) state(w *weight, suffix string, dims ...plan.Dim) *graph.Value {
	part, whole := u.shares(w), slices.Equal(dims, w.value.Dims)
	if part {
		dims = []plan.Dim{u.share(w)}
	}
	v, _ := u.Graph.Lasting(w.value.Name+"."+suffix, plan.State, kernels.F32, dims...)
	v.Of = w.value
	u.states = append(u.states, &state{value: v, of: w, whole: whole, part: part, init: plan.Init{Kind: "zeros"}})
	return v
}

// kind is the optimizer that a weight is updated by.
func (u *updater) kind(w *weight) string {
	if w.of != nil {
		w = w.of
	}
	if o := u.optimizer; o.Kind != "muon" || takes(o.Match, w.value.Name) {
		return o.Kind
	}
	return "adamw"
}

func (u *updater) scalars(args graph.Args, names ...string) graph.Args {
	for _, name := range names {
		switch {
		case name == "factor":
			args[name] = graph.Is(u.factor())
		case name == "step" && u.scaling.Initial > 0: // steps that were skipped do not count
			args[name] = graph.Is(u.Graph.Scalar(plan.ScalarUpdates))
		default:
			args[name] = graph.Is(u.Graph.Scalar(name))
		}
	}
	return args
}

// weight emits the step of one weight by the optimizer's kind.
func (u *updater) weight(w *weight, grad *graph.Value, t treatment) error {
	o := u.optimizer
	name := "update." + w.value.Name
	attrs := kernels.Attrs{Decay: t.decay, RateScale: t.rate, VarianceSteps: u.varianceSteps(w)}
	args := graph.Args{"weight": graph.Is(u.updated(w)), "grad": graph.Is(grad)}
	if u.shares(w) {
		args = graph.Args{"weight": graph.Is(u.updatedPart(w)), "grad": graph.Is(u.parts[w])}
	}
	moments := func(suffixes ...string) {
		for _, suffix := range suffixes {
			args[suffix] = graph.Is(u.state(w, suffix, w.value.Dims...))
		}
	}
	kind := u.kind(w)
	if w.cut.Axis != "" && slices.Contains(wholeMatrix, kind) {
		return &schema.Error{Path: "optimizer.kind", Message: fmt.Sprintf("%s looks at whole matrices, and the ranks along %s share %s out", kind, w.cut.Axis, w.value.Name),
			At: []schema.Pos{schema.Pos(u.Pos), w.pos}, Fix: "use adamw, adam, lion or sgd"}
	}
	switch kind {
	case "sgd":
		attrs.Momentum, attrs.Nesterov = o.Momentum, o.Nesterov
		if o.Momentum != 0 {
			moments("m")
		}
		u.Emit(kernels.SGD, name, attrs, u.scalars(args, "rate", "factor"))
	case "adam", "adamw":
		moments("m", "v")
		attrs.Beta1, attrs.Beta2, attrs.Epsilon = o.Betas[0], o.Betas[1], o.Epsilon
		op := kernels.AdamW
		if kind == "adam" {
			op = kernels.Adam
		}
		u.Emit(op, name, attrs, u.scalars(args, "rate", "step", "factor"))
	case "lion":
		moments("m")
		attrs.Beta1, attrs.Beta2 = o.Betas[0], o.Betas[1]
		u.Emit(kernels.Lion, name, attrs, u.scalars(args, "rate", "factor"))
	case "lamb":
		moments("m", "v")
		u.lamb(name, attrs, args)
	case "adafactor":
		u.adafactor(w, name, attrs, args)
	case "muon":
		return u.muon(w, name, attrs, args)
	default:
		return &schema.Error{Path: "optimizer.kind", Message: fmt.Sprintf("unknown optimizer %q", o.Kind), At: []schema.Pos{schema.Pos(u.Pos)}}
	}
	return nil
}

func takes(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name)
		return ok
	})
}

func (u *updater) lamb(name string, attrs kernels.Attrs, args graph.Args) {
	o := u.optimizer
	attrs.Beta1, attrs.Beta2, attrs.Epsilon = o.Betas[0], o.Betas[1], o.Epsilon
	norms := graph.Is(u.Graph.Add(name+".norms", plan.Workspace, kernels.F64, plan.Dim{Name: "part", Size: 2}))
	first := attrs
	first.RateScale = 0
	args["norms"] = norms
	u.Emit(kernels.LAMBMoments, name+".moments", first, u.scalars(args, "step", "factor"))
	u.Emit(kernels.LAMBApply, name, attrs, u.scalars(graph.Args{
		"weight": args["weight"], "m": args["m"], "v": args["v"], "norms": norms}, "rate", "step"))
}

// adafactor keeps a mean for each row and column of a matrix, and the whole variance of anything else.
func (u *updater) adafactor(w *weight, name string, attrs kernels.Attrs, args graph.Args) {
	o := u.optimizer
	rows, columns := 1, w.value.Len()
	states := graph.Args{}
	if len(w.stored) >= 2 {
		columns = w.stored[len(w.stored)-1]
		rows = w.value.Len() / columns
		states["row"] = graph.Is(u.state(w, "row", plan.Dim{Name: "row", Size: rows}))
		states["column"] = graph.Is(u.state(w, "column", plan.Dim{Name: "column", Size: columns}))
	} else {
		states["variance"] = graph.As(u.state(w, "variance", w.value.Dims...), rows, columns)
	}
	matrix := func(name string) graph.Arg { return graph.As(args[name].Value, rows, columns) }
	with := func(more graph.Args) graph.Args {
		for name, arg := range states {
			more[name] = arg
		}
		return more
	}
	norms := graph.Is(u.Graph.Add(name+".norms", plan.Workspace, kernels.F64, plan.Dim{Name: "part", Size: 2}))
	u.Emit(kernels.AdafactorMoments, name+".moments", kernels.Attrs{}, with(u.scalars(graph.Args{"grad": matrix("grad")}, "step", "factor")))
	u.Emit(kernels.AdafactorNorms, name+".norms", kernels.Attrs{Epsilon: o.Epsilon},
		with(u.scalars(graph.Args{"weight": matrix("weight"), "grad": matrix("grad"), "norms": norms}, "factor")))
	attrs.Epsilon, attrs.Epsilon2, attrs.MaxRMS = o.Epsilon, o.Epsilon2, o.MaxRMS
	u.Emit(kernels.AdafactorApply, name, attrs,
		with(u.scalars(graph.Args{"weight": matrix("weight"), "grad": matrix("grad"), "norms": norms}, "rate", "step", "factor")))
}

func (u *updater) muon(w *weight, name string, attrs kernels.Attrs, args graph.Args) error {
	if len(w.stored) != 2 {
		return &schema.Error{Path: "optimizer.match", Message: fmt.Sprintf("muon takes matrices, and %s has the shape %v", w.value.Name, w.stored),
			At: []schema.Pos{schema.Pos(u.Pos), w.pos}, Fix: "name fewer weights"}
	}
	o := u.optimizer
	direction := u.Graph.Add(name+".direction", plan.Workspace, kernels.F32, w.value.Dims...)
	m := graph.Is(u.state(w, "m", w.value.Dims...))
	u.Emit(kernels.MuonMomentum, name+".momentum", kernels.Attrs{Momentum: o.Momentum, Nesterov: o.Nesterov},
		u.scalars(graph.Args{"grad": args["grad"], "m": m, "u": graph.Is(direction)}, "factor"))
	orthogonal := u.Graph.Add(name+".orthogonal", plan.Workspace, kernels.F32, w.value.Dims...)
	u.Emit(kernels.NewtonSchulz, name+".orthogonal", kernels.Attrs{Steps: o.Steps, Epsilon: o.Epsilon2},
		graph.Args{"x": graph.As(direction, w.stored...), "y": graph.As(orthogonal, w.stored...)})
	attrs.Alpha = muonScale(o.Adjust, w)
	u.Emit(kernels.MuonApply, name, attrs, u.scalars(graph.Args{"weight": args["weight"], "u": graph.Is(orthogonal)}, "rate"))
	return nil
}

// muonScale is the factor on the rate that depends on the matrix's shape as
// [out, in], whichever way it is stored.
func muonScale(adjust string, w *weight) float64 {
	rows, columns := float64(w.stored[0]), float64(w.stored[1])
	if w.inOut {
		rows, columns = columns, rows
	}
	if adjust == "match_rms" {
		return 0.2 * math.Sqrt(max(rows, columns))
	}
	return math.Sqrt(max(1, rows/columns))
}
