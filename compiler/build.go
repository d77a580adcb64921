package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// mode is what a forward program is built for.
type mode struct {
	kind   string // plan.Train, plan.Evaluate, plan.Prefill or plan.Decode
	rows   int    // B of one call
	length int    // T of one call
	tokens int    // T with what pads it so that ranks can share it out; 0: T
}

func (m mode) cached() bool { return m.kind == plan.Prefill || m.kind == plan.Decode }

// weight is what the strategy says of a weight.
type weight struct {
	value  *graph.Value
	dims   []plan.Dim // of the whole tensor
	cut    plan.Cut
	part   bool    // ranks of data keep parts of it
	of     *weight // of a copy: what it is of
	stored []int
	inOut  bool // a linear weight stored [in, out]
	init   plan.Init
	pos    schema.Pos

	compression *compression // nil: it stays as it is
}

// weights are all weights of a model, in the order of their first use.
type weights struct {
	list   []*weight
	byName map[string]*weight
}

// builder turns layers into nodes. Problems that the schema cannot see are
// kept and reported together.
type builder struct {
	graph.Emitter
	strategy *schema.Strategy
	inputs   []string // of the data's batches
	weights  *weights
	mode     mode
	layer    string                  // what "{layer}" stands for
	teaches  bool                    // the layers are the teacher's
	tables   map[string]*graph.Value // what the program computes once: positions, types, rotary tables by their settings
	filled   map[string]*graph.Value // inputs by name
	problems schema.Errors
}

// build makes the forward program of a mode: from tokens to the loss (train,
// evaluate), the cache (prefill) or the logits (decode).
func build(g *graph.Graph, s *schema.Strategy, inputs []string, w *weights, m mode, name string) (*graph.Program, error) {
	p := &graph.Program{Name: name, Length: m.length, Boundaries: map[*graph.Value]bool{}}
	b := &builder{
		Emitter:  graph.Emitter{Graph: g, Program: p, Region: "residual"},
		strategy: s, inputs: inputs, weights: w, mode: m,
		tables: map[string]*graph.Value{}, filled: map[string]*graph.Value{},
	}
	taught := b.teacher()
	logits := b.layers(s.Model.Layers, nil)
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	b.Region = "head"
	switch m.kind {
	case plan.Train, plan.Evaluate:
		b.loss(logits, taught)
	case plan.Decode:
		p.Outputs = []graph.Port{{Name: "logits", Value: logits}}
	}
	if m.kind == plan.Evaluate {
		b.predictions(logits)
	}
	removeDead(p)
	g.Programs = append(g.Programs, p)
	return p, nil
}

func (b *builder) fail(pos schema.Pos, format string, args ...any) {
	b.problems = append(b.problems, &schema.Error{Path: "model", Message: fmt.Sprintf(format, args...), At: []schema.Pos{pos}})
}

// input is a batch tensor that the data layer fills before the program runs.
func (b *builder) input(name string, dtype kernels.DType, dims ...plan.Dim) *graph.Value {
	if v := b.filled[name]; v != nil {
		return v
	}
	v := b.Graph.Add(name, plan.Input, dtype, dims...)
	b.filled[name] = v
	b.Program.Inputs = append(b.Program.Inputs, graph.Port{Name: name, Value: v})
	return v
}

func (b *builder) given(name string) bool {
	return !b.mode.cached() && slices.Contains(b.inputs, name)
}

func (b *builder) batchSeq() []plan.Dim {
	return []plan.Dim{{Name: "batch", Size: b.mode.rows}, {Name: "seq", Size: cmp.Or(b.mode.tokens, b.mode.length)}}
}

func (b *builder) activation(name string, dims ...plan.Dim) *graph.Value {
	return b.Graph.Add(name, plan.Activation, kernels.F32, dims...)
}

// named fills the layer's number into a name; those of the teacher are told by their beginning.
func (b *builder) named(name string) string {
	name = strings.ReplaceAll(name, "{layer}", b.layer)
	if b.teaches {
		name = plan.TeacherPrefix + name
	}
	return name
}

// weight finds or makes a weight with the given dims.
func (b *builder) weight(w schema.Weight, stored []int, dims ...plan.Dim) *graph.Value {
	name := b.named(w.Name)
	if known := b.weights.byName[name]; known != nil {
		if !slices.Equal(known.stored, stored) {
			b.fail(w.Pos, "weight %s has shape %v here, but %v at %s", name, stored, known.stored, known.pos)
		}
		return known.value
	}
	class := plan.Weight
	if b.teaches {
		class = plan.Taught
	}
	v, _ := b.Graph.Lasting(name, class, kernels.F32, dims...)
	known := &weight{value: v, dims: slices.Clone(dims), stored: stored, init: w.Init, pos: w.Pos}
	b.weights.list = append(b.weights.list, known)
	b.weights.byName[name] = known
	return v
}

// vector is an optional weight over the given dims, stored flat.
func (b *builder) vector(w *schema.Weight, dims ...plan.Dim) graph.Arg {
	if w == nil {
		return graph.Arg{}
	}
	n := size(dims)
	return graph.As(b.weight(*w, []int{n}, dims...), n)
}

func size(dims []plan.Dim) int {
	n := 1
	for _, d := range dims {
		n *= d.Size
	}
	return n
}

// layers applies layers in order to the hidden state x; nil stands for the beginning.
func (b *builder) layers(list []schema.Layer, x *graph.Value) *graph.Value {
	for i := range list {
		x = b.apply(&list[i], x)
		if len(b.problems) > 0 {
			return x
		}
	}
	return x
}

func (b *builder) apply(l *schema.Layer, x *graph.Value) *graph.Value {
	defer func(region, pos string) { b.Region, b.Pos = region, pos }(b.Region, b.Pos)
	if l.Region != "" {
		b.Region = l.Region
	}
	b.Pos = string(l.Pos)
	if x == nil && l.Kind != "embedding" && l.Kind != "group" {
		b.fail(l.Pos, "layer %s stands before any embedding: the first layer must be an embedding", l.Kind)
		return nil
	}
	name := b.named(l.Name)
	switch l.Kind {
	case "embedding":
		return b.embedding(l, name, x)
	case "norm":
		return b.norm(l, name, x)
	case "linear":
		return b.linear(l.Linear, name, x)
	case "activation":
		return b.activate(l, name, x)
	case "gated":
		return b.gated(l, name, x)
	case "scale":
		y := b.activation(name, x.Dims...)
		b.Emit(kernels.Scale, name, kernels.Attrs{Alpha: l.Factor}, graph.Args{"x": graph.Is(x), "y": graph.Is(y)})
		return y
	case "dropout":
		return b.dropout(l.Rate, name, x)
	case "attention":
		return b.attention(l.Attention, name, x)
	case "residual":
		return b.residual(l, name, x)
	case "repeat":
		return b.repeat(l, x)
	case "select":
		return b.selectPosition(l, name, x)
	case "group":
		return b.layers(l.Branches[0], x)
	}
	b.fail(l.Pos, "unknown layer %q", l.Kind)
	return x
}

func (b *builder) repeat(l *schema.Layer, x *graph.Value) *graph.Value {
	defer func(layer string, block int) { b.layer, b.Block = layer, block }(b.layer, b.Block)
	for i := range l.Count {
		b.layer = strconv.Itoa(i)
		if !b.teaches { // of a teacher nothing is computed again, or cut into stages
			b.Block = i + 1
			b.Program.Boundaries[x] = true
		}
		x = b.layers(l.Branches[i%len(l.Branches)], x)
		if len(b.problems) > 0 {
			break
		}
	}
	return x
}

func (b *builder) residual(l *schema.Layer, name string, x *graph.Value) *graph.Value {
	sum := x
	for i := range l.Branches {
		sum = b.add(fmt.Sprintf("%s.add%d", name, i), sum, b.layers(l.Branches[i], x))
	}
	return sum
}

func (b *builder) add(name string, x, y *graph.Value) *graph.Value {
	if x.Len() != y.Len() {
		b.fail(schema.Pos(b.Pos), "%s adds %v to %v", name, y.Dims, x.Dims)
		return x
	}
	z := b.activation(name, x.Dims...)
	b.Emit(kernels.Add, name, kernels.Attrs{}, graph.Args{"x": graph.Is(x), "y": graph.As(y, x.Shape()...), "z": graph.Is(z)})
	return z
}

func (b *builder) embedding(l *schema.Layer, name string, x *graph.Value) *graph.Value {
	width := b.strategy.Model.Width
	embed := plan.Dim{Name: "embed", Size: width}
	table := b.weight(*l.Weight, []int{l.Rows, width}, plan.Dim{Name: indexDims[l.Index], Size: l.Rows}, embed)
	y := b.activation(name, append(b.batchSeq(), embed)...)
	b.Emit(kernels.Embedding, name, kernels.Attrs{}, graph.Args{"ids": graph.Is(b.indices(l.Index)), "table": graph.Is(table), "y": graph.Is(y)})
	if x == nil {
		return y
	}
	return b.add(name+".add", x, y)
}

var indexDims = map[string]string{"token": "vocab", "position": "position", "type": "type"}

// indices are the rows of a table to take: tokens, positions or token types.
func (b *builder) indices(index string) *graph.Value {
	switch index {
	case "position":
		return b.positions()
	case "type":
		if b.given(plan.InputTypes) {
			return b.input(plan.InputTypes, kernels.I32, b.batchSeq()...)
		}
		return b.computed("types", func(v *graph.Value) {
			b.Emit(kernels.Zero, "types", kernels.Attrs{}, graph.Args{"y": graph.Is(v)})
		})
	}
	return b.input(plan.InputTokens, kernels.I32, b.batchSeq()...)
}

// positions are 0 … T−1 in each row, those of the packed documents, or, with a
// cache, counted from the tokens that are already in it.
func (b *builder) positions() *graph.Value {
	if b.given(plan.InputPositions) {
		return b.input(plan.InputPositions, kernels.I32, b.batchSeq()...)
	}
	return b.computed("positions", func(v *graph.Value) {
		b.Emit(kernels.Iota, "positions", kernels.Attrs{}, graph.Args{"offset": b.cachePosition(), "y": graph.Is(v)})
	})
}

// computed is an index tensor that the program makes once and shares.
func (b *builder) computed(name string, emit func(*graph.Value)) *graph.Value {
	if v := b.tables[name]; v != nil {
		return v
	}
	v := b.Graph.Add(name, plan.Activation, kernels.I32, b.batchSeq()...)
	b.shared(name, v, func() { emit(v) })
	return v
}

// shared notes a value that all blocks use, whichever asked for it first.
func (b *builder) shared(key string, v *graph.Value, emit func()) {
	defer func(block int) { b.Block = block }(b.Block)
	b.Block = 0
	b.tables[key] = v
	emit()
}

func (b *builder) cachePosition() graph.Arg {
	if !b.mode.cached() {
		return graph.Arg{}
	}
	return graph.Is(b.Graph.Scalar(plan.ScalarPosition))
}

func (b *builder) norm(l *schema.Layer, name string, x *graph.Value) *graph.Value {
	last := x.Dims[len(x.Dims)-1:]
	rows := x.Dims[:len(x.Dims)-1]
	y, rstd := b.activation(name, x.Dims...), b.activation(name+".rstd", rows...)
	args := graph.Args{"x": graph.Is(x), "weight": b.vector(l.Weight, last...), "y": graph.Is(y), "rstd": graph.Is(rstd)}
	if l.Norm == "rms" {
		b.Emit(kernels.RMSNorm, name, kernels.Attrs{Epsilon: l.Epsilon, Offset: l.Offset}, args)
		return y
	}
	args["bias"] = b.vector(l.Bias, last...)
	args["mean"] = graph.Is(b.activation(name+".mean", rows...))
	b.Emit(kernels.LayerNorm, name, kernels.Attrs{Epsilon: l.Epsilon}, args)
	return y
}

// linear contracts the trailing dims In of x with the weight.
func (b *builder) linear(l *schema.Linear, name string, x *graph.Value) *graph.Value {
	k, n := size(l.In), size(l.Out)
	lead := len(x.Dims) - len(l.In)
	if lead < 0 || size(x.Dims[lead:]) != k {
		b.fail(schema.Pos(b.Pos), "linear %s takes %v, but its input is %v", name, l.In, x.Dims)
		return x
	}
	m := x.Len() / k
	attrs, stored, dims := kernels.Attrs{}, []int{k, n}, slices.Concat(l.In, l.Out)
	if l.Layout == "out_in" {
		attrs.TransB, stored, dims = true, []int{n, k}, slices.Concat(l.Out, l.In)
	}
	w := b.weight(l.Weight, stored, dims...)
	b.weights.byName[w.Name].inOut = l.Layout == "in_out"
	y := b.activation(name, slices.Concat(x.Dims[:lead], l.Out)...)
	b.Emit(kernels.MatMul, name, attrs, graph.Args{
		"a": graph.As(x, m, k), "b": graph.As(w, stored...), "bias": b.vector(l.Bias, l.Out...), "c": graph.As(y, m, n)})
	return y
}

func (b *builder) activate(l *schema.Layer, name string, x *graph.Value) *graph.Value {
	y := b.activation(name, x.Dims...)
	b.Emit(kernels.Activate, name, kernels.Attrs{Kind: l.Activation, Cap: l.Cap}, graph.Args{"x": graph.Is(x), "y": graph.Is(y)})
	return y
}

func (b *builder) gated(l *schema.Layer, name string, x *graph.Value) *graph.Value {
	gate, up := b.linear(l.Gate, name+".gate", x), b.linear(l.Up, name+".up", x)
	y := b.activation(name, up.Dims...)
	b.Emit(kernels.Gate, name, kernels.Attrs{Kind: l.Activation, Cap: l.Cap}, graph.Args{"gate": graph.Is(gate), "up": graph.Is(up), "y": graph.Is(y)})
	return y
}

func (b *builder) dropout(rate float64, name string, x *graph.Value) *graph.Value {
	if rate == 0 || b.mode.kind != plan.Train {
		return x
	}
	y := b.activation(name, x.Dims...)
	args := graph.Args{"x": graph.Is(x), "y": graph.Is(y)}
	b.random(args)
	b.Emit(kernels.Dropout, name, kernels.Attrs{Rate: rate, Key: kernels.StreamKey(kernels.PurposeDropout, name)}, args)
	return y
}

// random adds the scalars that random bits depend on.
func (b *builder) random(args graph.Args) {
	for _, name := range []string{plan.ScalarSeed, plan.ScalarStep, plan.ScalarOrigin} {
		args[name] = graph.Is(b.Graph.Scalar(name))
	}
}

func (b *builder) selectPosition(l *schema.Layer, name string, x *graph.Value) *graph.Value {
	y := b.activation(name, x.Dims[0], x.Dims[2])
	b.Emit(kernels.Select, name, kernels.Attrs{Index: l.Position}, graph.Args{"x": graph.Is(x), "y": graph.Is(y)})
	return y
}

// removeDead drops the nodes whose results nothing uses: in a prefill program, the head.
func removeDead(p *graph.Program) {
	live := map[*graph.Value]bool{}
	for _, out := range p.Outputs {
		live[out.Value.Root()] = true
	}
	kept := p.Nodes[:0:0]
	for _, n := range slices.Backward(p.Nodes) {
		if !hasEffect(n, live) {
			continue
		}
		n.Uses(func(v *graph.Value, role kernels.Role) { live[v.Root()] = true })
		kept = append(kept, n)
	}
	slices.Reverse(kept)
	p.Nodes = kept
}

func hasEffect(n *graph.Node, live map[*graph.Value]bool) bool {
	effect := false
	n.Uses(func(v *graph.Value, role kernels.Role) {
		root := v.Root()
		effect = effect || role.Writes() && (live[root] || root.Lasting() || root.Class == plan.Cache)
	})
	return effect
}
