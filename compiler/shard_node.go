package compiler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

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
	at := len(s.nodes)
	s.nodes = append(s.nodes, n)
	for i := range n.Args {
		if n.Args[i].Value != nil && n.Contract().RoleOf(i, n.Attrs).Writes() {
			if err := s.output(n, i, c, bias); err != nil {
				return fmt.Errorf("%s: %w", n.Contract().Params[i].Name, err)
			}
		}
	}
	if len(c.axes("S")) > 0 {
		s.nodes = slices.Replace(s.nodes, at, at+1, s.ring(n, c)...)
	}
	return nil
}

// choose settles how a node shares out each letter: as its weights are, whose layout no node changes; else as the rules say of its first
// output; else as its inputs are.
func (s *sharder) choose(n *graph.Node) *choice {
	c := &choice{op: n.Op, shared: map[string][]shared{}}
	for i, a := range n.Args {
		if a.Value != nil && fixed(a.Value) {
			s.take(n, i, c, s.split(a.Value))
		}
	}
	main := mainOutput(n)
	out := n.Args[main].Value
	whole := out.DType == kernels.I32 // numbers of things, which follow from inputs
	if !whole && !fixed(out) {
		want := s.wanted(out, n)
		for _, l := range letters(n, main) {
			c.take(l.name, sharedOf(out, want, l.dims))
		}
	}
	for i, a := range n.Args {
		if a.Value != nil && !fixed(a.Value) && n.Contract().RoleOf(i, n.Attrs) == kernels.In {
			s.takeMost(n, i, c)
		}
	}
	if whole {
		s.take(n, main, c, s.layoutIn(out, n))
	}
	if n.Op == kernels.Attention || n.Op == kernels.AttentionGrad {
		s.attendAcross(n, c, main)
	}
	return c
}

// fixed says whether a value is a weight or a gradient of one.
func fixed(v *graph.Value) bool {
	root := v.Root()
	return isWeight(root) || root.Class == plan.Gradient
}

// isWeight says whether a value is a weight, be it a teacher's.
func isWeight(v *graph.Value) bool {
	return v.Class == plan.Weight || v.Class == plan.Taught
}

// take settles the letters of an operand that a layout shares out.
func (s *sharder) take(n *graph.Node, i int, c *choice, split [][]string) {
	for _, l := range letters(n, i) {
		if list := sharedOf(n.Args[i].Value, split, l.dims); list != nil {
			c.take(l.name, list)
		}
	}
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
func mainOutput(n *graph.Node) int {
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
	if i == mainOutput(n) && v.DType != kernels.I32 || v.Split != nil || v.View != nil || v.Of != nil {
		want = s.wanted(v, n)
	}
	if len(terms) == 0 && sameSplit(split, want) && bias.Value == nil {
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
	part := s.graph.Add(v.Name+".part", plan.Workspace, v.DType, v.Dims...)
	part.Split, part.Partial = split, terms
	n.Args[i].Value = part
	if bias.Value == nil {
		return s.moveInto(n, part, v)
	}
	sum := s.graph.Add(v.Name+".sum", plan.Workspace, v.DType, v.Dims...)
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
	if !sameSplit(s.split(v), want) {
		return fmt.Errorf("%s is laid out otherwise than what it is a part of", v.Name)
	}
	return nil
}

// sum notes what a gradient or the loss is a term of. All who add to it must agree.
func (s *sharder) sum(v *graph.Value, split [][]string, terms []string) error {
	root := v.Root()
	if !sameSplit(split, s.split(v)) {
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
