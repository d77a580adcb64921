package compiler

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// compression is what may happen to a weight, and the values that are reserved for it.
type compression struct {
	plan.Compression
	pos string // of the rule that says so

	along  view  // what each output is a sum of
	slices view  // what is pruned together, where it is more than an element
	part   *part // of it that a rank has, when the update is made

	dense, mask, scale, zero, squares *graph.Value
}

// acts says whether the weight itself is compressed, and not what it is multiplied with alone.
func (c *compression) acts() bool { return c != nil && (c.Pattern != "" || c.Bits > 0) }

// view is a weight as [a, k, b].
type view struct{ a, k, b int }

// compress finds what the rules say of each weight, and rounds what is multiplied with those whose activations are quantised.
func (u *unitOfWork) compress() error {
	if len(u.strategy.Compress) == 0 {
		return nil
	}
	if err := u.compressFits(); err != nil {
		return err
	}
	for _, rule := range u.strategy.Compress {
		if p := rule.Plugin; p != nil && (p.Digest == "" || u.declare == nil) {
			return u.strategy.Wrong(rule.Path+".plugin", fmt.Sprintf("the module of %s was not looked at", p.File), "call Strategy.WithPolicy before compiling, and give Options.Declare")
		}
	}
	r := &compressRules{strategy: u.strategy, kinds: kindsOf(u.graph), matched: make([]bool, len(u.strategy.Compress)), steps: steps(u.strategy, u.data), declare: u.declare}
	for _, w := range u.weights.list {
		w.compression = r.of(w)
	}
	if !u.short {
		r.unmatched()
	}
	if len(r.problems) > 0 {
		return r.problems
	}
	bits := map[*graph.Value]*compression{}
	for _, w := range u.weights.list {
		if w.compression != nil && w.compression.ActivationBits > 0 {
			bits[w.value] = w.compression
		}
	}
	for _, p := range u.graph.Programs {
		quantiseActivations(u.graph, p, bits)
	}
	return nil
}

// compressFits refuses what plans cannot do with compressed weights.
func (u *unitOfWork) compressFits() error {
	s := u.strategy
	switch {
	case u.kind.Separate:
		return s.Wrong("compress", fmt.Sprintf("weights are not compressed on devices of the kind %s yet", u.kind.Name), `use devices.kind: "cpu", or leave compress out`)
	case s.Precision.Master == "bf16":
		return s.Wrong("precision.master", "a compressed weight has a dense copy, which is kept in f32", `use precision.master: "f32" with compress`)
	}
	return nil
}

// compressRules finds what the rules of a strategy say.
type compressRules struct {
	strategy *schema.Strategy
	kinds    map[*graph.Value]compress.Kind
	declare  func(*schema.Plugin, compress.Tensor) (compress.Declaration, error)
	matched  []bool
	steps    int64
	problems schema.Errors
}

// kindsOf says what matrices are for; a table that is a layer's weight, too, is a table.
func kindsOf(g *graph.Graph) map[*graph.Value]compress.Kind {
	kinds := map[*graph.Value]compress.Kind{}
	for _, p := range g.Programs {
		for _, n := range p.Nodes {
			switch n.Op {
			case kernels.Embedding:
				kinds[n.Arg("table")] = compress.Table
			case kernels.MatMul:
				if b := n.Arg("b"); b.Class == plan.Weight && kinds[b] == "" {
					kinds[b] = compress.Linear
				}
			}
		}
	}
	return kinds
}

// of is what the rules say of a weight; a later one wins, in what it says. nil: nothing.
func (r *compressRules) of(w *weight) *compression {
	kind, c, found := r.kinds[w.value], r.fresh(w), false
	for i, rule := range r.strategy.Compress {
		if ok, _ := path.Match(rule.Match, w.value.Name); !ok {
			continue
		}
		named := !strings.ContainsAny(rule.Match, `*?[\`)
		if kind == "" && named {
			r.matched[i] = true
			r.wrong(rule.Path+".match", w, fmt.Sprintf("%s has one dim, %v: vectors stay as they are", w.value.Name, w.stored), "name a matrix")
		}
		if kind == "" || kind == compress.Table && !named {
			continue
		}
		r.matched[i], found = true, true
		if treat(r.strategy, w).frozen {
			r.wrong(rule.Path+".match", w, fmt.Sprintf("%s is not trained, and weights are compressed behind their updates", w.value.Name), "train it, or name others")
		}
		if rule.Plugin != nil {
			c = r.fresh(w)
			r.ask(c, w, rule)
			continue
		}
		if c.Plugin != "" {
			c = r.fresh(w)
		}
		if rule.Prune != nil {
			r.prune(c, w, rule)
		}
		if rule.Quantize != nil {
			r.quantise(c, w, rule)
		}
		c.pos = string(r.strategy.Positions[rule.Path])
	}
	if !found || !c.acts() {
		return nil
	}
	return c
}

// fresh is a weight of which nothing is said yet.
func (r *compressRules) fresh(w *weight) *compression {
	c := &compression{Compression: plan.Compression{Tensor: w.value.Name, Kind: string(r.kinds[w.value]), Heads: headsOf(w)}}
	c.look(w)
	return c
}

// ask has a policy declare what may happen to a weight.
func (r *compressRules) ask(c *compression, w *weight, rule schema.CompressRule) {
	c.pos = string(r.strategy.Positions[rule.Path])
	d, err := r.declare(rule.Plugin, compress.Tensor{Name: c.Tensor, Kind: compress.Kind(c.Kind), Shape: w.stored, In: c.In, Out: c.Out, Heads: c.Heads})
	if err != nil {
		r.wrong(rule.Path+".plugin", w, err.Error(), "name weights that it takes, or ask who made it")
		return
	}
	c.Plugin, c.Pattern, c.Of, c.Sparsity, c.Bits, c.Group, c.Symmetric = rule.Plugin.Name, string(d.Pattern), d.Of, d.Sparsity, d.Bits, d.Group, d.Symmetric
	c.look(w)
}

// wrong notes what is wrong with a rule for a weight, once for all weights.
func (r *compressRules) wrong(path string, w *weight, message, fix string) {
	e := r.strategy.Wrong(path, message, fix)
	e.At = append(e.At, w.pos)
	if !slices.ContainsFunc(r.problems, func(other *schema.Error) bool { return other.Path == path }) {
		r.problems = append(r.problems, e)
	}
}

// unmatched adds to what is wrong the rules that find nothing.
func (r *compressRules) unmatched() {
	for i, ok := range r.matched {
		if rule := r.strategy.Compress[i]; !ok {
			r.problems = append(r.problems, r.strategy.Wrong(rule.Path+".match", fmt.Sprintf("no matrix of a linear layer has a name like %q", rule.Match),
				"gsc plan --format text lists the names of weights; a table of embeddings must be named in full"))
		}
	}
}

// headsOf is how many heads a weight's elements belong to; 0: to none.
func headsOf(w *weight) int {
	if i := headsDim(w); i >= 0 {
		return w.dims[i].Size
	}
	return 0
}

func headsDim(w *weight) int {
	return slices.IndexFunc(w.dims, func(d plan.Dim) bool { return d.Name == "heads" || d.Name == "kv_heads" })
}

// look finds how the weight is stored, and what of it is pruned together.
func (c *compression) look(w *weight) {
	if len(w.stored) != 2 {
		return
	}
	if c.Out, c.In, c.Across = w.stored[0], w.stored[1], w.inOut; w.inOut {
		c.Out, c.In = c.In, c.Out
	}
	c.along, c.slices = view{c.Out, c.In, 1}, view{1, c.Out, c.In}
	if w.inOut {
		c.along, c.slices = view{1, c.In, c.Out}, view{c.In, c.Out, 1}
	}
	switch i := headsDim(w); compress.Pattern(c.Pattern) {
	case compress.Heads:
		c.slices = view{size(w.dims[:i]), w.dims[i].Size, size(w.dims[i+1:])}
	case compress.Elements, compress.Neighbours:
		c.slices = c.along
	}
}

func (r *compressRules) prune(c *compression, w *weight, rule schema.CompressRule) {
	p, path := rule.Prune, rule.Path+".prune"
	c.Sparsity, c.Begin, c.End, c.Every, c.Cubic = p.Sparsity, p.Begin, p.End, p.Every, p.Schedule == "cubic"
	c.Pattern, c.Of = p.Pattern, p.Of
	switch {
	case p.Of > 0:
		c.Pattern = string(compress.Neighbours)
		if c.In%p.Of != 0 {
			r.wrong(path+".pattern", w, fmt.Sprintf("runs of %d neighbours do not divide the %d elements along the input of %s", p.Of, c.In, w.value.Name), "use another pattern, or name fewer weights")
		}
	case p.Pattern == string(compress.Heads) && c.Heads == 0:
		r.wrong(path+".pattern", w, fmt.Sprintf("%s belongs to no heads of attention", w.value.Name), "name the weights of attention alone")
		return
	}
	c.look(w)
	if c.Pattern != string(compress.Elements) && c.Of == 0 && kernels.Pruned(c.slices.k, c.Sparsity) == 0 {
		r.wrong(path+".sparsity", w, fmt.Sprintf("%g of the %d %s of %s is not one of them", c.Sparsity, c.slices.k, c.Pattern, w.value.Name), "prune more")
	}
	if c.End > r.steps && r.steps > 0 {
		r.wrong(path, w, fmt.Sprintf("pruning ends at step %d, but the run at step %d", c.End, r.steps), "end it earlier, or train longer")
	}
}

func (r *compressRules) quantise(c *compression, w *weight, rule schema.CompressRule) {
	q, path := rule.Quantize, rule.Path+".quantize"
	c.Bits, c.Group, c.Symmetric, c.QuantizeFrom, c.ActivationBits = q.Bits, q.Group, q.Symmetric, q.Begin, q.ActivationBits
	if c.Group > 0 && c.In%c.Group != 0 {
		r.wrong(path+".group", w, fmt.Sprintf("groups of %d do not divide the %d elements along the input of %s", c.Group, c.In, w.value.Name), "use a divisor, or 0 for one scale an output")
	}
	if c.QuantizeFrom > r.steps && r.steps > 0 {
		r.wrong(path+".begin", w, fmt.Sprintf("it begins at step %d, but the run ends at step %d", c.QuantizeFrom, r.steps), "begin earlier")
	}
	if c.ActivationBits > 0 && r.kinds[w.value] == compress.Table {
		r.wrong(path+".activations", w, fmt.Sprintf("%s is a table, which tokens choose rows of", w.value.Name), "leave activations out")
	}
}

// quantiseActivations rounds what some weights are multiplied with. What several are multiplied with is rounded once.
func quantiseActivations(g *graph.Graph, p *graph.Program, of map[*graph.Value]*compression) {
	type key struct {
		x    *graph.Value
		bits int
	}
	made := map[key]*graph.Value{}
	var nodes []*graph.Node
	for _, n := range p.Nodes {
		if n.Op == kernels.MatMul && of[n.Arg("b")] != nil {
			i := n.Contract().Param("a")
			a, c := n.Args[i], of[n.Arg("b")]
			k := key{a.Value, c.ActivationBits}
			if made[k] == nil {
				made[k] = g.Add(a.Value.Name+".rounded", plan.Activation, a.Value.DType, a.Value.Dims...)
				shape := append(slices.Clone(a.ViewShape()), 1)
				e := graph.Emitter{Graph: g, Program: &graph.Program{}, Region: n.Region, Pos: c.pos, Block: n.Block}
				nodes = append(nodes, e.Emit(kernels.FakeQuantize, a.Value.Name+".round", kernels.Attrs{Bits: c.ActivationBits, Symmetric: true},
					graph.Args{"x": graph.As(a.Value, shape...), "y": graph.As(made[k], shape...)}))
			}
			n.Args[i].Value = made[k]
		}
		nodes = append(nodes, n)
	}
	p.Nodes = nodes
}

// reserveCompressed makes what compressed weights of a stage have beside them.
func (u *updater) reserveCompressed(w *weights) {
	for _, weight := range w.list {
		c := weight.compression
		if weight.of != nil || !c.acts() {
			continue
		}
		c.part = partOf(weight)
		if c.Plugin != "" {
			c.squares = u.compressState(weight, plan.SuffixSquares, kernels.F64, "zeros", plan.Dim{Name: "part", Size: 1})
		}
		c.dense = u.compressState(weight, plan.SuffixDense, kernels.F32, plan.InitWeight, weight.value.Dims...)
		if u.keepsPart(weight) {
			c.dense.Dims = []plan.Dim{u.share(weight)}
			u.states[len(u.states)-1].part = true
		}
		if c.Pattern != "" {
			c.mask = u.compressState(weight, plan.SuffixMask, kernels.I8, "ones", weight.value.Dims...)
		}
		if c.Bits > 0 {
			c.scale = u.scales(weight, plan.SuffixScale)
			if !c.Symmetric {
				c.zero = u.scales(weight, plan.SuffixZero)
			}
		}
	}
}

// compressState makes a tensor that every rank has whole, or as it has the weight.
func (u *updater) compressState(w *weight, suffix string, dtype kernels.DType, init string, dims ...plan.Dim) *graph.Value {
	v, _ := u.Graph.Lasting(w.value.Name+suffix, plan.State, dtype, dims...)
	v.Of = w.value
	u.states = append(u.states, &state{value: v, of: w, whole: slices.Equal(dims, w.value.Dims), init: plan.Init{Kind: init}})
	return v
}

// updated is what the optimizer works on: the weight, or the dense copy that it is made of. Another stage's copy of a weight is as it is.
func (u *updater) updated(w *weight) *graph.Value {
	if w.of == nil && w.compression.acts() {
		return w.compression.dense
	}
	return w.value
}

// maskGradients leaves out what is pruned, before anything is made of the gradients.
func (u *updater) maskGradients(w *weights) {
	for weight, grad := range u.pruned(w) {
		mask := graph.As(weight.compression.mask, weight.compression.mask.Len())
		if sum := u.Graph.Find("sum." + grad.Name); sum != nil {
			grad = sum
		}
		if u.shares(weight) {
			grad, mask = u.parts[weight], graph.Is(u.Graph.Share(weight.compression.mask, plan.AxisData, u.share(weight)))
		}
		u.mask(weight, grad, mask)
	}
}

// maskTerms does so before they are coded: what is pruned would be left out of codes for ever, and the residual grow by it.
func (u *updater) maskTerms(w *weights) {
	if u.codec == nil {
		return
	}
	for weight, grad := range u.pruned(w) {
		u.mask(weight, grad, graph.As(weight.compression.mask, weight.compression.mask.Len()))
	}
}

// pruned goes through the weights with a mask, and their gradients.
func (u *updater) pruned(w *weights) func(yield func(*weight, *graph.Value) bool) {
	return func(yield func(*weight, *graph.Value) bool) {
		for _, weight := range w.list {
			c, grad := weight.compression, u.grad(weight)
			if weight.of == nil && c.acts() && c.mask != nil && grad != nil && !yield(weight, grad) {
				return
			}
		}
	}
}

func (u *updater) mask(w *weight, grad *graph.Value, mask graph.Arg) {
	x := graph.As(grad, grad.Len())
	u.Emit(kernels.ApplyMask, "mask."+grad.Name, kernels.Attrs{}, graph.Args{"x": x, "mask": mask, "y": x}).Pos = w.compression.pos
}

// keepsPart says whether the ranks of data keep parts of a weight, and of its dense copy.
func (u *updater) keepsPart(w *weight) bool { return u.zero >= 3 && u.shares(w) }

// updatedPart is the rank's part of what the optimizer works on.
func (u *updater) updatedPart(w *weight) *graph.Value {
	if w.compression.acts() && u.keepsPart(w) {
		return w.compression.dense
	}
	return u.Graph.Share(u.updated(w), plan.AxisData, u.share(w))
}

// compressed makes the weights of their dense copies. Where ranks keep parts, each makes the whole, for as long as it takes, and keeps its part.
func (u *updater) compressed(w *weights) {
	for _, weight := range w.list {
		c := weight.compression
		if weight.of != nil || !c.acts() || u.grad(weight) == nil {
			continue
		}
		from := len(u.Program.Nodes)
		if !u.keepsPart(weight) {
			u.compressOne(weight, c.dense, weight.value)
		} else {
			dense := u.Graph.Add(c.dense.Name+".whole", plan.Workspace, c.dense.DType, weight.value.Dims...)
			made := u.Graph.Add(weight.value.Name+".whole", plan.Workspace, weight.value.DType, weight.value.Dims...)
			u.Emit(kernels.AllGather, "gather."+c.dense.Name, kernels.Attrs{Axis: plan.AxisData}, graph.Args{"x": graph.Is(c.dense), "y": graph.As(dense, dense.Len())})
			u.compressOne(weight, dense, made)
			u.Emit(kernels.Copy, "keep."+weight.value.Name, kernels.Attrs{}, graph.Args{
				"x": graph.Is(u.Graph.Share(made, plan.AxisData, u.share(weight))), "y": graph.Is(u.Graph.Share(weight.value, plan.AxisData, u.share(weight)))})
		}
		for _, n := range u.Program.Nodes[from:] {
			n.Pos = c.pos
		}
	}
}

// compressOne makes a weight, or the part of it that a cut leaves the rank, of its dense copy.
func (u *updater) compressOne(w *weight, dense, made *graph.Value) {
	c, name, n := w.compression, w.value.Name, dense.Len()
	if c.mask != nil {
		u.prune(w, dense)
	}
	masked := func(y *graph.Value) {
		u.Emit(kernels.ApplyMask, "compress."+name, kernels.Attrs{}, graph.Args{"x": graph.As(dense, n), "mask": graph.As(c.mask, n), "y": graph.As(y, n)})
	}
	switch {
	case c.Bits == 0:
		masked(made)
	case c.part.holds(c.Group):
		u.quantise(c, graph.As(dense, c.part.along.shape()...), c.mask, graph.As(made, c.part.along.shape()...))
	case c.mask != nil:
		kept := u.Graph.Add(name+".kept", plan.Workspace, dense.DType, w.value.Dims...)
		masked(kept)
		u.quantiseWhole(w, kept, made)
	default:
		u.quantiseWhole(w, dense, made)
	}
	if c.squares != nil {
		u.Emit(kernels.SumSquares, "squares."+name, kernels.Attrs{}, graph.Args{"x": graph.Is(dense), "total": graph.Is(c.squares)})
		if w.cut.Axis != "" {
			u.Emit(kernels.AllReduce, "squares."+name, kernels.Attrs{Axis: w.cut.Axis}, graph.Args{"x": graph.Is(c.squares), "y": graph.Is(c.squares)})
		}
	}
}

// quantise emits the rounding of x, of which a mask may leave elements out, into y.
func (u *updater) quantise(c *compression, x graph.Arg, mask *graph.Value, y graph.Arg) {
	scales := func(v *graph.Value) graph.Arg {
		return graph.As(v, x.Shape[0], v.Len()/(x.Shape[0]*x.Shape[2]), x.Shape[2])
	}
	args := graph.Args{"x": x, "on": graph.Is(u.scalar(plan.ScalarQuantize(c.Tensor), kernels.I64)), "y": y, "scale": scales(c.scale)}
	if mask != nil {
		args["mask"] = graph.As(mask, x.Shape...)
	}
	if c.zero != nil {
		args["zero"] = scales(c.zero)
	}
	u.Emit(kernels.FakeQuantize, "compress."+c.Tensor, kernels.Attrs{Bits: c.Bits, Group: c.Group, Symmetric: c.Symmetric}, args)
}

// pattern is what PruneMask is told.
func (c *compression) pattern() kernels.Attrs {
	switch compress.Pattern(c.Pattern) {
	case compress.Elements:
		return kernels.Attrs{Pattern: "elements"}
	case compress.Neighbours:
		return kernels.Attrs{Pattern: "groups", Group: c.Of}
	}
	return kernels.Attrs{Pattern: "slices"}
}

func (u *updater) scalar(name string, dtype kernels.DType) *graph.Value {
	v, _ := u.Graph.Lasting(name, plan.ScalarKind, dtype)
	return v
}

// policies are the plugins that decide about weights, each once.
func (u *unitOfWork) policies() (list []plan.Plugin) {
	for _, rule := range u.strategy.Compress {
		if p := rule.Plugin; p != nil && !slices.ContainsFunc(list, func(other plan.Plugin) bool { return other.Name == p.Name }) {
			list = append(list, p.Plugin)
		}
	}
	return list
}

// compressions are what the plan says of compressed weights, in the order of the weights.
func (u *unitOfWork) compressions() (list []plan.Compression) {
	for _, s := range u.stages {
		for _, w := range s.weights.list {
			if w.of == nil && w.compression != nil {
				list = append(list, w.compression.Compression)
			}
		}
	}
	return list
}
