package compiler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// shard lays the programs out for the ranks of a mesh. The rules of the strategy say which dims of a value are shared out along which axes
// ([layout]). What each node needs of its operands, and gives, follows from the patterns of its operation's contract: a letter that stands
// for a dim that is shared out makes the node work on the rank's part of it, and a letter that an output lacks makes that output a term of a
// sum over ranks. Where a value is laid out otherwise than a node needs it, collectives move it (reshard.go). At last every dim is as long as a rank's part.
func (u *unitOfWork) shard() error {
	mesh := u.mesh()
	if len(mesh) == 0 {
		return nil
	}
	s := &sharder{graph: u.graph, degrees: map[string]int{}, rules: u.strategy.Parallel.Table(), moved: map[move]*graph.Value{}, whole: map[uneven]bool{}, padded: map[string]int{}}
	for _, a := range mesh {
		s.degrees[a.Name] = a.Degree
	}
	s.padVocab = !slices.ContainsFunc(u.weights.list, func(w *weight) bool {
		return slices.IndexFunc(w.dims, func(d plan.Dim) bool { return d.Name == "vocab" }) > 0
	})
	for _, b := range u.buckets {
		for _, p := range []*graph.Program{b.forward, b.backward, b.evaluate} {
			if err := s.run(p); err != nil {
				return fmt.Errorf("program %s: %w", p.Name, err)
			}
		}
		if err := s.finish(b.evaluate); err != nil {
			return err
		}
	}
	for _, w := range u.weights.list {
		w.cut = s.cut(w.value)
	}
	s.localise()
	for _, what := range slices.Sorted(maps.Keys(s.padded)) {
		u.choices = append(u.choices, plan.Choice{What: "parallel.mesh", Value: what, Why: fmt.Sprintf("%d ranks share it out", s.padded[what])})
	}
	for _, w := range slices.SortedFunc(maps.Keys(s.whole), func(a, b uneven) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
		if w.dim != "vocab" {
			return u.strategy.Wrong("parallel.mesh."+w.axis, fmt.Sprintf("%d ranks do not divide %s = %d", s.degrees[w.axis], w.dim, w.size), "")
		}
		u.choices = append(u.choices, plan.Choice{What: "parallel.rules", Value: "vocab stays whole",
			Why: fmt.Sprintf("%d does not divide among %d ranks along %s", w.size, s.degrees[w.axis], w.axis)})
	}
	return nil
}

// sharder is the state of the pass.
type sharder struct {
	graph   *graph.Graph
	degrees map[string]int // by axis
	rules   []schema.Rule
	program *graph.Program
	nodes   []*graph.Node // of the program, so far
	moved   map[move]*graph.Value
	whole   map[uneven]bool
	padded  map[string]int // what is padded, and how many ranks share it out

	padVocab bool // the vocabulary may be shared out unevenly: it is the first dim of all weights that have it
}

// uneven is a dim that a rule names and that does not divide.
type uneven struct {
	dim, axis string
	size      int
}

// move is a value in another layout, in a program; "" stands for all programs.
type move struct {
	of      *graph.Value
	to      string
	program string
}

// shared is a dim of a layout: its size, and the axes that share it out.
type shared struct {
	size int
	axes []string
}

// indivisible are the letters of an operation's patterns whose dims no rank can have a part of.
var indivisible = map[kernels.Op]string{
	kernels.Iota: "T", kernels.Select: "T", kernels.SelectGrad: "T", kernels.LayerNorm: "C", kernels.LayerNormGrad: "C", kernels.RMSNorm: "C",
	kernels.RMSNormGrad: "C", kernels.RotaryTable: "R", kernels.Rotary: "R D", kernels.Attention: "T S D", kernels.AttentionGrad: "T S D",
	kernels.BinaryCrossEntropy: "V", kernels.BinaryCrossEntropyGrad: "V",
	kernels.SquaredError: "V", kernels.SquaredErrorGrad: "V", kernels.ArgMax: "V",
}

func (s *sharder) run(p *graph.Program) error {
	s.program, s.nodes = p, nil
	for _, in := range p.Inputs {
		in.Value.Split = s.layout(in.Value)
	}
	for _, n := range p.Nodes {
		if err := s.node(n); err != nil {
			return fmt.Errorf("%s (%s): %w", n.Name, n.Pos, err)
		}
	}
	p.Nodes = s.nodes
	return nil
}

// finish gives the first rank all that an evaluation predicts, and every rank the sum of the losses.
func (s *sharder) finish(p *graph.Program) error {
	s.program, s.nodes = p, p.Nodes
	for i, out := range p.Outputs {
		to := make([][]string, len(out.Value.Dims))
		if out.Name == plan.OutputLogits { // rows stay where they are
			copy(to, s.split(out.Value)[:len(to)-1])
		}
		v, err := s.moveTo(&graph.Node{Name: out.Name, Region: "head"}, out.Value, to)
		if err != nil {
			return err
		}
		p.Outputs[i].Value = v
	}
	loss := s.graph.Scalar(plan.ScalarLoss)
	e := graph.Emitter{Graph: s.graph, Program: &graph.Program{}, Region: "head"}
	for _, axis := range loss.Partial {
		s.nodes = append(s.nodes, e.Emit(kernels.AllReduce, "reduce.loss", kernels.Attrs{Axis: axis}, graph.Args{"x": graph.Is(loss), "y": graph.Is(loss)}))
	}
	p.Nodes = s.nodes
	return nil
}

// region is what a rule calls the region of a value: that of the layer that makes it, but for what is as wide as the residual stream.
func region(v *graph.Value, n *graph.Node) string {
	if slices.ContainsFunc(v.Dims, func(d plan.Dim) bool { return d.Name == "embed" }) {
		return "residual"
	}
	if n == nil {
		return ""
	}
	return n.Region
}

// layout is what the rules say of a value by its kind, its region and its dims.
func (s *sharder) layout(v *graph.Value) [][]string { return s.layoutIn(v, nil) }

func (s *sharder) layoutIn(v *graph.Value, n *graph.Node) [][]string {
	split := make([][]string, len(v.Dims))
	kind := "activation"
	if v.Class == plan.Weight {
		kind = "weight"
	}
	for i, d := range v.Dims {
		for _, r := range s.rules {
			if r.Dim != d.Name || r.Kind != "" && r.Kind != kind || r.Region != "" && r.Region != region(v, n) || s.degrees[r.Axis] < 2 ||
				slices.ContainsFunc(split, func(axes []string) bool { return slices.Contains(axes, r.Axis) }) {
				continue
			}
			if (v.Class == plan.Input || v.DType == kernels.I32) && r.Axis != plan.AxisData {
				continue // whole numbers are small: each rank has them all, and takes what it needs
			}
			if ways := s.degree(split[i]) * s.degrees[r.Axis]; d.Size%ways != 0 && d.Name == "vocab" && s.padVocab {
				s.padded[fmt.Sprintf("%s %d is padded to %d", d.Name, d.Size, ceilDiv(d.Size, ways)*ways)] = ways
			} else if d.Size%ways != 0 {
				s.whole[uneven{d.Name, r.Axis, d.Size}] = true
				continue
			}
			split[i] = append(split[i], r.Axis)
		}
	}
	return split
}

func (s *sharder) degree(axes []string) int {
	n := 1
	for _, a := range axes {
		n *= s.degrees[a]
	}
	return n
}

// split is the layout that a value has; whole, where nothing has settled it yet.
func (s *sharder) split(v *graph.Value) [][]string {
	switch {
	case v.Split != nil:
		return v.Split
	case v.View != nil && !v.View.Run && !v.View.Slice:
		of := s.split(v.View.Of)
		return slices.Concat(of[:v.View.Dim], of[v.View.Dim+1:])
	case v.Class == plan.Weight:
		v.Split = s.layout(v)
		return v.Split
	case v.Class == plan.Gradient:
		return s.split(v.Of)
	}
	return make([][]string, len(v.Dims))
}

// letter is a letter of an operand's pattern, with the dims of the value that it stands for.
type letter struct {
	name string
	dims []int
}

// letters are those of operand i. The shape that a node sees joins neighbouring dims of the value.
func letters(n *graph.Node, i int) []letter {
	p, a := n.Contract().Params[i], n.Args[i]
	if a.Value == nil || p.Shape == "*" {
		return nil
	}
	names := strings.Fields(p.Shape)
	if swapped := p.Swap == "trans_a" && n.Attrs.TransA || p.Swap == "trans_b" && n.Attrs.TransB; swapped {
		names = []string{names[1], names[0]}
	}
	groups := groupsOf(a)
	if len(groups) == 0 {
		return nil
	}
	var list []letter
	if names[0] == "..." {
		rest := len(names) - 1
		list = append(list, letter{"...", slices.Concat(groups[:len(groups)-rest]...)})
		names, groups = names[1:], groups[len(groups)-rest:]
	}
	for k, name := range names {
		if n.Op == kernels.Rotary && name == "E" {
			name = "B"
		}
		list = append(list, letter{name, groups[k]})
	}
	return list
}

// groupsOf lists, for each length of the shape that a node sees, the dims of the value that it joins.
func groupsOf(a graph.Arg) [][]int {
	if a.Shape == nil {
		groups := make([][]int, len(a.Value.Dims))
		for i := range groups {
			groups[i] = []int{i}
		}
		return groups
	}
	groups := make([][]int, len(a.Shape))
	dim := 0
	for i, n := range a.Shape {
		for product := 1; dim < len(a.Value.Dims) && (product < n || a.Value.Dims[dim].Size == 1); dim++ {
			product *= a.Value.Dims[dim].Size
			groups[i] = append(groups[i], dim)
		}
	}
	return groups
}

// sharedOf is the layout of the dims that a letter stands for; nil: they are whole.
func sharedOf(v *graph.Value, split [][]string, dims []int) []shared {
	var list []shared
	any := false
	for _, d := range dims {
		if v.Dims[d].Size > 1 {
			list = append(list, shared{v.Dims[d].Size, split[d]})
			any = any || len(split[d]) > 0
		}
	}
	if !any {
		return nil
	}
	return list
}

// choice is what a node does with each letter.
type choice struct {
	op     kernels.Op
	shared map[string][]shared
}

// take settles a letter, unless it is, leaving out the axes that others have.
func (c *choice) take(name string, list []shared) {
	if _, settled := c.shared[name]; settled || slices.Contains(strings.Fields(indivisible[c.op]), name) {
		return
	}
	var kept []shared
	any := false
	for _, d := range list {
		axes := slices.DeleteFunc(slices.Clone(d.axes), func(axis string) bool { return c.uses(axis) && !slices.Contains(c.axes(partner[name]), axis) })
		kept = append(kept, shared{d.size, axes})
		any = any || len(axes) > 0
	}
	if !any {
		kept = nil
	}
	c.shared[name] = kept
}

// partner is the letter whose axes another takes, too: heads, and the key-value heads that they share.
var partner = map[string]string{"H": "G", "G": "H"}

func (c *choice) uses(axis string) bool {
	for _, list := range c.shared {
		for _, d := range list {
			if slices.Contains(d.axes, axis) {
				return true
			}
		}
	}
	return false
}

// axes are all that a letter's dims are shared out along.
func (c *choice) axes(name string) (axes []string) {
	for _, d := range c.shared[name] {
		axes = append(axes, d.axes...)
	}
	return axes
}

// node appends a node, with what its operands need before it and what its outputs need after it.
func (s *sharder) node(n *graph.Node) error {
	c := s.choose(n)
	for i := range n.Args {
		if n.Args[i].Value != nil && n.Contract().RoleOf(i, n.Attrs) == kernels.In {
			if err := s.input(n, i, c); err != nil {
				return err
			}
		}
	}
	bias := s.deferBias(n, c)
	s.localTable(n, c)
	s.ownQueries(n, c)
	if s.partOfClasses(n, c) {
		return s.crossEntropy(n, c)
	}
	s.nodes = append(s.nodes, n)
	for i := range n.Args {
		if n.Args[i].Value != nil && n.Contract().RoleOf(i, n.Attrs).Writes() {
			if err := s.output(n, i, c, bias); err != nil {
				return fmt.Errorf("%s: %w", n.Contract().Params[i].Name, err)
			}
		}
	}
	return nil
}

// choose settles how a node shares out each letter: as its weights are, whose layout no node changes; else as the rules say of its first
// output; else as its inputs are.
func (s *sharder) choose(n *graph.Node) *choice {
	c := &choice{op: n.Op, shared: map[string][]shared{}}
	fixed := func(i int) bool {
		class := n.Args[i].Value.Root().Class
		return class == plan.Weight || class == plan.Gradient
	}
	main := s.mainOutput(n)
	for rank := range 4 {
		for i, a := range n.Args {
			if a.Value == nil {
				continue
			}
			reads := n.Contract().RoleOf(i, n.Attrs) == kernels.In
			split := s.split(a.Value)
			switch {
			case rank == 0 && fixed(i):
			case rank == 1 && i == main && a.Value.DType != kernels.I32 && !fixed(i):
				split = s.wanted(a.Value, n)
			case rank == 2 && reads && !fixed(i):
				s.takeMost(n, i, c)
				continue
			case rank == 3 && i == main && a.Value.DType == kernels.I32:
				split = s.layoutIn(a.Value, n)
			default:
				continue
			}
			for _, l := range letters(n, i) {
				if list := sharedOf(a.Value, split, l.dims); list != nil || rank == 1 {
					c.take(l.name, list)
				}
			}
		}
	}
	if n.Op == kernels.Attention || n.Op == kernels.AttentionGrad {
		s.sequenceIntoHeads(n, c, main)
	}
	return c
}

// takeMost settles the letters of an input, by that input of the node whose dim most ranks share out.
func (s *sharder) takeMost(n *graph.Node, i int, c *choice) {
	for _, l := range letters(n, i) {
		var most []shared
		for k, a := range n.Args {
			if a.Value == nil || n.Contract().RoleOf(k, n.Attrs) != kernels.In {
				continue
			}
			for _, other := range letters(n, k) {
				if list := sharedOf(a.Value, s.split(a.Value), other.dims); other.name == l.name && s.ways(list) > s.ways(most) {
					most = list
				}
			}
		}
		if most != nil {
			c.take(l.name, most)
		}
	}
}

// ways is how many ranks share dims out.
func (s *sharder) ways(list []shared) int {
	n := 1
	for _, d := range list {
		n *= s.degree(d.axes)
	}
	return n
}

// mainOutput is the first output: the others follow from it.
func (s *sharder) mainOutput(n *graph.Node) int {
	for i, a := range n.Args {
		if a.Value != nil && n.Contract().RoleOf(i, n.Attrs).Writes() {
			return i
		}
	}
	return -1
}

// wanted is the layout that an output is to have: a gradient's is that of what it is the gradient of.
func (s *sharder) wanted(v *graph.Value, n *graph.Node) [][]string {
	switch {
	case v.Split != nil:
		return v.Split
	case v.View != nil:
		root := s.wanted(v.View.Of, n)
		return slices.Concat(root[:v.View.Dim], root[v.View.Dim+1:])
	case v.Class == plan.Gradient, v.Of != nil:
		return s.split(v.Of)
	case v.Lasting():
		return s.split(v)
	}
	return s.layoutIn(v, n)
}

// sequenceIntoHeads lets attention share heads out along the axes that share its tokens out: a head needs all tokens.
// Source: Jacobs et al., DeepSpeed Ulysses, arXiv:2309.14509, section 3.1. Where heads do not divide, each rank works on its own queries, and
// keys and values are gathered.
func (s *sharder) sequenceIntoHeads(n *graph.Node, c *choice, main int) {
	v := n.Args[main].Value
	split := s.wanted(v, n)
	var tokens []shared
	for _, l := range letters(n, main) {
		if l.name == "T" {
			tokens = sharedOf(v, split, l.dims)
		}
	}
	if tokens == nil {
		return
	}
	heads := map[string][]shared{}
	for _, name := range []string{"H", "G"} {
		size := s.sizeOf(n, name)
		axes := append(c.axes(name), tokens[0].axes...)
		if size%s.degree(axes) != 0 {
			c.shared["T"] = tokens
			return
		}
		heads[name] = []shared{{size, axes}}
	}
	maps.Copy(c.shared, heads)
}

// ownQueries tells attention which of the tokens its queries are.
func (s *sharder) ownQueries(n *graph.Node, c *choice) {
	axes := c.axes("T")
	if n.Op != kernels.Attention && n.Op != kernels.AttentionGrad || len(axes) == 0 {
		return
	}
	set(n, "offset", graph.Is(s.graph.Place(axes, s.sizeOf(n, "T")/s.degree(axes))))
}

// sizeOf is the length of the dim that a letter stands for.
func (s *sharder) sizeOf(n *graph.Node, name string) int {
	for i := range n.Args {
		for _, l := range letters(n, i) {
			if l.name == name {
				return kernels.Elements(lengths(n.Args[i].Value, l.dims))
			}
		}
	}
	return 1
}

func lengths(v *graph.Value, dims []int) []int {
	list := make([]int, len(dims))
	for i, d := range dims {
		list[i] = v.Dims[d].Size
	}
	return list
}

// needed is the layout of operand i that a choice means.
func (s *sharder) needed(n *graph.Node, i int, c *choice) ([][]string, error) {
	v := n.Args[i].Value
	split := make([][]string, len(v.Dims))
	for _, l := range letters(n, i) {
		list := c.shared[l.name]
		if list == nil {
			continue
		}
		k := 0
		for _, d := range l.dims {
			if v.Dims[d].Size == 1 {
				continue
			}
			if k >= len(list) || list[k].size != v.Dims[d].Size {
				return nil, fmt.Errorf("operand %s: %v is shared out in a way that its dims do not have", n.Contract().Params[i].Name, v.Dims)
			}
			split[d] = list[k].axes
			k++
		}
	}
	return split, nil
}

func (s *sharder) input(n *graph.Node, i int, c *choice) error {
	split, err := s.needed(n, i, c)
	if err != nil {
		return err
	}
	v, err := s.moveTo(n, n.Args[i].Value, split)
	if err != nil {
		return fmt.Errorf("operand %s: %w", n.Contract().Params[i].Name, err)
	}
	n.Args[i].Value = v
	return nil
}

// terms are the axes over which an output is the sum of what ranks have: those of none of its letters.
func (s *sharder) terms(n *graph.Node, i int, c *choice) (axes []string) {
	for _, axis := range plan.Axes {
		shares := func(l letter) bool { return slices.Contains(c.axes(l.name), axis) }
		if c.uses(axis) && !slices.ContainsFunc(letters(n, i), shares) {
			axes = append(axes, axis)
		}
	}
	return axes
}

// output gives an output its layout: at once, or by what follows the node.
func (s *sharder) output(n *graph.Node, i int, c *choice, bias graph.Arg) error {
	v := n.Args[i].Value
	split, err := s.needed(n, i, c)
	if err != nil {
		return err
	}
	terms := s.terms(n, i, c)
	if class := v.Root().Class; class == plan.Gradient || class == plan.ScalarKind {
		return s.sum(v, split, terms)
	}
	want := split
	if i == s.mainOutput(n) && v.DType != kernels.I32 || v.Split != nil || v.View != nil || v.Of != nil {
		want = s.wanted(v, n)
	}
	if len(terms) == 0 && same2(split, want) && bias.Value == nil {
		if v.View == nil || v.View.Of.Split != nil {
			v.Split = want
			return nil
		}
		return s.settleRoot(v, want, n)
	}
	if n.Contract().RoleOf(i, n.Attrs).Reads() {
		return fmt.Errorf("it adds to what is laid out otherwise")
	}
	if v.View != nil {
		if err := s.settleRoot(v, want, n); err != nil {
			return err
		}
	}
	v.Split = want
	part := s.graph.Add(v.Name+".part", plan.Workspace, v.DType, append([]plan.Dim{}, v.Dims...)...)
	part.Split, part.Partial = split, terms
	n.Args[i].Value = part
	if bias.Value == nil {
		return s.moveInto(n, part, v)
	}
	sum := s.graph.Add(v.Name+".sum", plan.Workspace, v.DType, append([]plan.Dim{}, v.Dims...)...)
	sum.Split = want
	if err := s.moveInto(n, part, sum); err != nil {
		return err
	}
	shape := []int{sum.Len() / bias.Value.Len(), bias.Value.Len()}
	s.emit(n, kernels.AddBias, n.Name+".bias", kernels.Attrs{}, graph.Args{"x": graph.As(sum, shape...), "bias": bias, "y": graph.As(v, shape...)})
	return nil
}

// settleRoot gives what a view is of the layout that the view is to have.
func (s *sharder) settleRoot(v *graph.Value, want [][]string, n *graph.Node) error {
	if v.View.Run || v.View.Slice || v.View.Of.View != nil {
		return fmt.Errorf("%s is a view of a view", v.Name)
	}
	root := v.View.Of
	if root.Split == nil {
		root.Split = s.wanted(root, n)
	}
	v.Split = nil
	if !same2(s.split(v), want) {
		return fmt.Errorf("%s is laid out otherwise than what it is a part of", v.Name)
	}
	return nil
}

// sum notes what a gradient or the loss is a term of. All who add to it must agree.
func (s *sharder) sum(v *graph.Value, split [][]string, terms []string) error {
	root := v.Root()
	if !same2(split, s.split(v)) {
		return fmt.Errorf("%s is laid out otherwise", v.Name)
	}
	if len(root.Partial) == 0 {
		root.Partial = terms
	}
	if !slices.Equal(root.Partial, terms) {
		return fmt.Errorf("one of its terms is to be summed over the ranks of %v, another over those of %v", root.Partial, terms)
	}
	return nil
}

// deferBias takes the bias out of a product whose sum ranks share out: it is added once, to the whole sum.
func (s *sharder) deferBias(n *graph.Node, c *choice) graph.Arg {
	if n.Op != kernels.MatMul || len(c.axes("K")) == 0 || n.Arg("bias") == nil {
		return graph.Arg{}
	}
	bias := n.Args[n.Contract().Param("bias")]
	set(n, "bias", graph.Arg{})
	return bias
}

// localTable makes ids count from the first row of the rank's part of a table.
func (s *sharder) localTable(n *graph.Node, c *choice) {
	axes := c.axes("V")
	if n.Op != kernels.Embedding && n.Op != kernels.EmbeddingGrad || len(axes) == 0 {
		return
	}
	ids := n.Arg("ids")
	size := ceilDiv(s.sizeOf(n, "V"), s.degree(axes))
	key := move{ids, fmt.Sprint("shift ", size, axes), s.program.Name}
	if s.moved[key] == nil {
		y := s.graph.Add(ids.Name+".shift", plan.Activation, kernels.I32, append([]plan.Dim{}, ids.Dims...)...)
		y.Split = ids.Split
		s.emit(n, kernels.Shift, ids.Name+".shift", kernels.Attrs{Index: size}, graph.Args{"x": graph.Is(ids), "place": graph.Is(s.graph.Place(axes, 1)), "y": graph.Is(y)})
		s.moved[key] = y
	}
	set(n, "ids", graph.Is(s.moved[key]))
}

// partOfClasses tells a cross entropy which part of the classes it works on. It says whether the loss itself must be put together.
func (s *sharder) partOfClasses(n *graph.Node, c *choice) bool {
	axes := c.axes("V")
	if n.Op != kernels.CrossEntropy && n.Op != kernels.CrossEntropyGrad || len(axes) == 0 {
		return false
	}
	if n.Op == kernels.CrossEntropyGrad {
		n.Attrs.Classes = s.sizeOf(n, "V")
		set(n, "place", graph.Is(s.graph.Place(axes, 1)))
	}
	return n.Op == kernels.CrossEntropy
}

// crossEntropy puts the loss of each row together from what the ranks know of their classes: two numbers a row of each.
func (s *sharder) crossEntropy(n *graph.Node, c *choice) error {
	axes, logits, labels, loss := c.axes("V"), n.Arg("logits"), n.Arg("labels"), n.Arg("loss")
	dims := append(slices.Clone(loss.Dims), plan.Dim{Name: "part", Size: s.degree(axes)}, plan.Dim{Name: "stat", Size: 2})
	mine := s.graph.Add(n.Name+".stats", plan.Activation, logits.DType, dims...)
	rows := s.split(logits)[:len(loss.Dims)]
	mine.Split = append(slices.Clone(rows), axes, nil)
	s.emit(n, kernels.CrossEntropyPart, n.Name+".part", kernels.Attrs{Smoothing: n.Attrs.Smoothing, Classes: s.sizeOf(n, "V")}, graph.Args{
		"logits": graph.Is(logits), "labels": graph.Is(labels), "place": graph.Is(s.graph.Place(axes, 1)), "stats": graph.Is(mine)})
	all, err := s.moveTo(n, mine, append(slices.Clone(rows), nil, nil))
	if err != nil {
		return err
	}
	loss.Split, n.Arg("lse").Split = rows, rows
	s.emit(n, kernels.CrossEntropyJoin, n.Name, kernels.Attrs{IgnoreIndex: n.Attrs.IgnoreIndex, Classes: s.sizeOf(n, "V")}, graph.Args{
		"stats": graph.Is(all), "labels": graph.Is(labels), "loss": graph.Is(loss), "lse": graph.Is(n.Arg("lse"))})
	return nil
}

// emit appends a node beside another.
func (s *sharder) emit(n *graph.Node, op kernels.Op, name string, attrs kernels.Attrs, args graph.Args) {
	e := graph.Emitter{Graph: s.graph, Program: &graph.Program{}, Region: n.Region, Pos: n.Pos, Block: n.Block}
	s.nodes = append(s.nodes, e.Emit(op, name, attrs, args))
}

// cut is how ranks share a weight out.
func (s *sharder) cut(w *graph.Value) plan.Cut {
	for dim, axes := range s.split(w) {
		if len(axes) > 0 {
			return plan.Cut{Dim: dim, Axis: axes[0]}
		}
	}
	return plan.Cut{}
}

// localise makes every dim as long as a rank's part, and tells operations that depend on where they are.
func (s *sharder) localise() {
	type seen struct {
		arg    *graph.Arg
		groups [][]int
	}
	var shapes []seen
	for _, p := range s.graph.Programs {
		for _, n := range p.Nodes {
			for i := range n.Args {
				if a := &n.Args[i]; a.Value != nil && a.Shape != nil {
					shapes = append(shapes, seen{a, groupsOf(*a)})
				}
			}
			s.place(n, p.Length)
		}
	}
	for _, v := range s.graph.Values {
		for i, axes := range s.split(v) {
			v.Dims[i].Size = ceilDiv(v.Dims[i].Size, s.degree(axes)) // what pads the last part is of no account
		}
	}
	for _, x := range shapes {
		shape := make([]int, len(x.groups))
		for i, dims := range x.groups {
			shape[i] = kernels.Elements(lengths(x.arg.Value, dims))
		}
		x.arg.Shape = shape
	}
}

// place tells dropout which part of the logical tensor it works on, in a program for rows of a length, which may be padded. That of the rows is
// told by the scalar origin.
func (s *sharder) place(n *graph.Node, length int) {
	if n.Attrs.Rate == 0 {
		return
	}
	var axes []string
	switch n.Op {
	case kernels.Dropout:
		x := n.Arg("x")
		for i, d := range x.Dims {
			padded := d.Name == "seq" && d.Size != length
			if i == 0 || len(s.split(x)[i]) == 0 && !padded {
				continue
			}
			if n.Attrs.Dim, n.Attrs.Of, axes = i, d.Size, s.split(x)[i]; padded {
				n.Attrs.Of = length
			}
		}
	case kernels.Attention, kernels.AttentionGrad:
		q := n.Arg("q")
		if axes = s.split(q)[2]; len(axes) > 0 {
			n.Attrs.Of = q.Dims[2].Size
		}
		if q.Dims[1].Size != length || len(s.split(q)[1]) > 0 {
			n.Attrs.Length = length
		}
	}
	if len(axes) > 0 {
		set(n, "place", graph.Is(s.graph.Place(axes, 1)))
	}
}

func ceilDiv(n, by int) int { return (n + by - 1) / by }

func same2(a, b [][]string) bool {
	return slices.EqualFunc(a, b, func(x, y []string) bool { return slices.Equal(x, y) })
}
