package ref

import (
	"math"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

func pruneMask(c *call) {
	x, mask := c.floats("x"), c.quantised("mask")
	for i := range mask.len() {
		*mask.flat(i) = 1
	}
	a, k, b := c.sizes["A"], c.sizes["K"], c.sizes["B"]
	switch sparsity := c.scalar("sparsity"); c.Pattern {
	case "elements":
		for _, i := range least(x.len(), kernels.Pruned(x.len(), sparsity), func(i int) float64 { return *x.flat(i) }) {
			*mask.flat(i) = 0
		}
	case "groups":
		for at := range a * b * k / c.Group {
			i, from, j := at/b/(k/c.Group), at/b%(k/c.Group)*c.Group, at%b
			for _, p := range least(c.Group, kernels.Pruned(c.Group, sparsity), func(p int) float64 { return *x.at(i, from+p, j) }) {
				*mask.at(i, from+p, j) = 0
			}
		}
	case "slices":
		for _, p := range least(k, kernels.Pruned(k, sparsity), func(p int) (sum float64) {
			for i := range a * b {
				sum += *x.at(i/b, p, i%b) * *x.at(i/b, p, i%b)
			}
			return sum
		}) {
			for i := range a * b {
				*mask.at(i/b, p, i%b) = 0
			}
		}
	}
}

// least are the indices of those of n values that have the least size; of equals the later index is the lesser.
func least(n, count int, value func(i int) float64) []int {
	sizes, order := make([]float64, n), make([]int, n)
	for i := range sizes {
		if sizes[i], order[i] = math.Abs(value(i)), n-1-i; math.IsNaN(sizes[i]) {
			sizes[i] = math.Inf(1)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case sizes[i] < sizes[j]:
			return -1
		case sizes[i] > sizes[j]:
			return 1
		}
		return 0
	})
	return order[:count]
}

func applyMask(c *call) {
	x, mask, y := c.floats("x"), c.quantised("mask"), c.floats("y")
	for i := range y.len() {
		*y.flat(i) = kept(x, mask, i)
	}
}

// kept is element i of x, 0 where it is pruned.
func kept(x view[float64], mask view[int8], i int) float64 {
	if mask.or(i, 1) == 0 {
		return 0
	}
	return *x.flat(i)
}

func fakeQuantize(c *call) {
	x, mask, y, scale, zero := c.floats("x"), c.quantised("mask"), c.floats("y"), c.floats("scale"), c.floats("zero")
	k, b := c.sizes["K"], c.sizes["B"]
	groups := kernels.Groups(k, c.Attrs)
	width := k / groups
	off := c.has("on") && c.counter("on") == 0
	for at := range c.sizes["A"] * groups * b {
		run := make([]float64, width)
		index := func(p int) int { return ((at/b/groups)*k+at/b%groups*width+p)*b + at%b }
		for p := range run {
			run[p] = kept(x, mask, index(p))
		}
		s, z := 0.0, 0.0
		if !off {
			s, z = c.quantum(run)
		}
		for p, v := range run {
			if !off {
				v = c.onGrid(v, s, z)
			}
			*y.flat(index(p)) = v
		}
		if !scale.absent() {
			*scale.flat(at) = s
		}
		if !zero.absent() {
			*zero.flat(at) = z
		}
	}
}

// quantum is the size of a step and the place of 0 for a run.
func (c *call) quantum(run []float64) (s, z float64) {
	lo, hi := 0.0, 0.0
	for _, v := range run {
		lo, hi = min(lo, v), max(hi, v) // NaN stays
	}
	l := float64(int(1) << (c.Bits - 1))
	switch {
	case math.IsNaN(hi-lo) || math.IsInf(hi-lo, 0):
		return math.NaN(), 0
	case c.Symmetric:
		return max(-lo, hi) / (l - 1), 0
	case hi == lo:
		return 0, 0
	}
	s = (hi - lo) / (2*l - 1)
	return s, c.clip(math.RoundToEven(-l - lo*(1/s)))
}

func (c *call) clip(q float64) float64 {
	l := float64(int(1) << (c.Bits - 1))
	return min(max(q, -l), l-1)
}

// onGrid is the number that v is rounded to.
func (c *call) onGrid(v, s, z float64) float64 {
	if s == 0 || math.IsNaN(s) {
		return s
	}
	return (c.clip(math.RoundToEven(v*(1/s))+z) - z) * s
}
