package compiler

import (
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/kernels"
)

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
	names := p.Letters()
	if p.Swap == "trans_a" && n.Attrs.TransA || p.Swap == "trans_b" && n.Attrs.TransB {
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
