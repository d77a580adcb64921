package compiler

import (
	"slices"
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// layouts are all in which axes a and b each share out none of three dims or one, in both orders where it is the same.
func layouts() (list [][][]string) {
	for a := -1; a < 3; a++ {
		for b := -1; b < 3; b++ {
			for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
				split := make([][]string, 3)
				for _, axis := range order {
					if dim := map[string]int{"a": a, "b": b}[axis]; dim >= 0 {
						split[dim] = append(split[dim], axis)
					}
				}
				if !slices.ContainsFunc(list, func(l [][]string) bool { return sameSplit(l, split) }) {
					list = append(list, split)
				}
			}
		}
	}
	return list
}

// From every layout a way leads to every other, in few hops, each of which sums, moves or gathers what is there.
func TestHops(t *testing.T) {
	for _, from := range layouts() {
		for _, to := range layouts() {
			for _, terms := range [][]string{nil, {"a"}, {"b"}, {"a", "b"}} {
				if slices.ContainsFunc(from, func(axes []string) bool {
					return slices.ContainsFunc(axes, func(axis string) bool { return slices.Contains(terms, axis) })
				}) {
					continue // what is a term along an axis is not shared out along it
				}
				list, err := hops(from, terms, to)
				if err != nil || len(list) > 4 {
					t.Errorf("%v, terms of %v, to %v: %v, %v", from, terms, to, list, err)
					continue
				}
				now := slices.Clone(from)
				for i := range now {
					now[i] = slices.Clone(now[i])
				}
				left := slices.Clone(terms)
				for _, h := range list {
					left = slices.DeleteFunc(left, func(axis string) bool { return axis == h.axis })
					if h.op == kernels.AllGather || h.op == kernels.AllToAll {
						if last := len(now[h.dim]) - 1; last < 0 || now[h.dim][last] != h.axis {
							t.Fatalf("%v to %v: %v of dim %d, which %v share out", from, to, h.op, h.dim, now[h.dim])
						}
					}
					h.move(now)
				}
				if !sameSplit(now, to) || len(left) > 0 {
					t.Errorf("%v, terms of %v, to %v: it ends with %v, terms of %v", from, terms, to, now, left)
				}
			}
		}
	}
	if _, err := hops([][]string{nil}, []string{"a"}, [][]string{{"a", "a"}}); err == nil {
		t.Error("an axis shares a dim out twice")
	}
}
