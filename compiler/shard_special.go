package compiler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// attendAcross settles what attention does where ranks share its tokens out: a head needs all of them. Either heads are shared out along those axes instead
// (Jacobs et al., DeepSpeed Ulysses, arXiv:2309.14509, section 3.1); or each rank works on its own queries, and keys and values are gathered, or
// pass round (ring).
func (s *sharder) attendAcross(n *graph.Node, c *choice, main int) {
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
	switch s.algorithm(n, c, tokens[0].axes) {
	case byExchange:
		for _, name := range []string{"H", "G"} {
			c.shared[name] = []shared{{s.sizeOf(n, name), append(c.axes(name), tokens[0].axes...)}}
		}
	case byRing:
		c.shared["S"] = tokens
		fallthrough
	default:
		c.shared["T"] = tokens
	}
}

// algorithm is what leads attention through tokens that are shared out along axes: what the strategy says; else an exchange, where the heads divide.
func (s *sharder) algorithm(n *graph.Node, c *choice, axes []string) string {
	indivisible := ""
	for _, name := range []string{"G", "H"} {
		if size, ways := s.sizeOf(n, name), s.degree(append(c.axes(name), axes...)); size%ways != 0 && indivisible == "" {
			indivisible = fmt.Sprintf("%d ranks do not divide %d %s", ways, size, map[string]string{"G": "key-value heads", "H": "heads"}[name])
		}
	}
	switch {
	case s.attention == byExchange && indivisible != "":
		s.refuse("parallel.attention", indivisible+", so that these cannot be exchanged for tokens", `use "ring" or "gather"`)
	case s.attention == byRing && len(axes) > 1:
		s.refuse("parallel.attention", fmt.Sprintf("tokens are shared out along %s, and a ring goes along one axis", strings.Join(axes, " and ")),
			`use "gather", or share them out along sequence alone`)
	case s.attention == "" && indivisible != "":
		s.note("parallel.attention", byGather, indivisible)
		return byGather
	case s.attention == "":
		s.note("parallel.attention", byExchange, "the heads divide among the ranks that share tokens out")
		return byExchange
	}
	return s.attention
}

// ownQueries tells attention which of the tokens its queries are.
func (s *sharder) ownQueries(n *graph.Node, c *choice) {
	axes := c.axes("T")
	if n.Op != kernels.Attention && n.Op != kernels.AttentionGrad || len(axes) == 0 {
		return
	}
	set(n, "offset", graph.Is(s.graph.Place(axes, s.sizeOf(n, "T")/s.degree(axes))))
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
		y := s.graph.Add(ids.Name+".shift", plan.Activation, kernels.I32, ids.Dims...)
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
