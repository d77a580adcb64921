package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// extent is how large calls may be.
type extent int

const (
	full  extent = iota // as devices are tested
	small               // as finite differences can afford
)

// generator makes random calls of one operation.
type generator struct {
	*rand.Rand
	extent extent
	recipe recipe
	sample *sample
	sizes  kernels.Sizes // the sample's
}

// generate makes a random call: sizes for the letters of the contract's shape
// patterns, then attributes, then which optional operands there are, then shapes and
// strides, then what shares storage, then values.
func generate(op kernels.Op, random *rand.Rand, e extent) (*sample, error) {
	g := &generator{Rand: random, extent: e, recipe: recipes[op], sample: &sample{op: op}}
	g.drawSizes()
	if err := g.drawAttrs(); err != nil {
		return nil, err
	}
	g.drawOperands()
	if e == full {
		g.drawStrides()
		g.drawSharing()
	}
	if err := g.drawValues(); err != nil {
		return nil, err
	}
	return g.sample, nil
}

// pools are the lengths that each letter may have: around the widths of
// vectors and tiles, and odd ones.
var pools = map[string][]int{
	"A": {1, 2, 3, 17, 100},
	"B": {1, 2, 3},
	"T": {1, 2, 3, 5, 7, 8, 16, 17, 31, 33, 64, 65},
	"S": {1, 3, 4, 7, 16, 17, 33, 64, 65, 100, 129},
	"C": {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100, 127, 128, 129, 255, 257, 384},
	"H": {1, 2, 3, 4, 6},
	"G": {1, 2, 3},
	"D": {1, 2, 3, 4, 7, 8, 16, 17, 32, 33, 64, 65, 128},
	"V": {1, 2, 3, 7, 10, 17, 33, 64, 65, 100, 129, 257, 1000},
	"R": {1, 2, 3, 4, 6, 8, 16, 17, 32, 33, 64, 65, 127, 257},
	"E": {1},
	"M": {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 127, 129, 200, 257},
	"K": {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 256, 300, 513},
	"N": {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 49, 63, 64, 65, 96, 127, 129, 200, 300},
}

// smallest are the lengths for finite differences.
var smallest = []int{1, 2, 3, 4, 5, 7}

// manyElements is the length of a long dim: it crosses a piece of SumSquares.
const manyElements = kernels.SquaresPiece + 4465

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

func (g *generator) coin() bool { return g.IntN(2) == 0 }

// oneIn is true once in n times.
func (g *generator) oneIn(n int) bool { return g.IntN(n) == 0 }

func (g *generator) between(low, high float64) float64 { return low + (high-low)*g.Float64() }

func (g *generator) drawSizes() {
	g.sizes = kernels.Sizes{}
	g.sample.sizes = g.sizes
	letters := 0
	dots := false
	for _, p := range kernels.Contracts[g.sample.op].Params {
		for _, letter := range strings.Fields(p.Shape) {
			_, err := strconv.Atoi(letter)
			switch {
			case letter == "...":
				dots = true
			case err == nil || letter == "*" || g.sizes[letter] > 0:
			default:
				letters++
				g.sizes[letter] = g.length(letter)
			}
		}
	}
	if dots {
		g.sample.leading = g.drawLeading(letters == 0)
		g.sizes["..."] = kernels.Elements(g.sample.leading)
	}
	if g.recipe.sizes != nil {
		g.recipe.sizes(g, g.sizes)
	}
}

func (g *generator) length(letter string) int {
	if g.extent == small {
		return pick(g, smallest...)
	}
	return pick(g, pools[letter]...)
}

// drawLeading makes up to three dims for "..."; alone says that there are no dims behind them.
func (g *generator) drawLeading(alone bool) []int {
	limit := 300
	pool := []int{1, 2, 3, 5, 7, 17, 33, 65, 129, 200}
	switch {
	case g.extent == small:
		limit, pool = 12, []int{1, 2, 3, 5, 7}
	case alone && g.oneIn(8):
		return []int{manyElements}
	case alone:
		limit, pool = 3000, append(pool, 64, 1000)
	}
	dims := []int{}
	for range g.IntN(4) {
		if n := pick(g, pool...); n*kernels.Elements(dims) <= limit {
			dims = append(dims, n)
		}
	}
	return dims
}

func (g *generator) drawAttrs() error {
	for _, name := range strings.Fields(kernels.Contracts[g.sample.op].Attrs) {
		draw := attributes[name]
		if draw == nil {
			return fmt.Errorf("the suite does not know attribute %s", name)
		}
		draw(g, &g.sample.attrs)
	}
	if g.recipe.attrs != nil {
		g.recipe.attrs(g, &g.sample.attrs)
	}
	return nil
}

func (g *generator) drawOperands() {
	contract := g.sample.contract()
	has := map[string]bool{}
	for _, p := range contract.Params {
		has[p.Name] = !p.Optional || p.Class != kernels.Bytes && g.coin()
	}
	if g.recipe.presence != nil {
		g.recipe.presence(g, has)
	}
	held := kernels.Float // what operands of any type hold
	if g.coin() {
		held = []kernels.Class{kernels.Index, kernels.Quantised}[g.IntN(2)]
	}
	for i, p := range contract.Params {
		o := operand{absent: !has[p.Name], class: p.Class, share: i}
		if p.Class == kernels.Bytes { // its size is the device's affair
			o.absent = true
		} else if !o.absent {
			o.shape = g.sample.shape(p)
			if p.Shape == "1" && g.coin() {
				o.shape = []int{}
			}
		}
		if p.Class == kernels.Any {
			o.class = held
		}
		g.sample.operands = append(g.sample.operands, o)
	}
}

// drawStrides turns some operands that may be strided into views: the dims before the
// last in any order, with gaps, not at the start of their region.
func (g *generator) drawStrides() {
	for i, p := range g.sample.contract().Params {
		o := &g.sample.operands[i]
		if !p.Strided || o.absent || g.oneIn(3) {
			continue
		}
		o.start = g.IntN(9)
		if len(o.shape) == 0 || g.oneIn(4) {
			continue
		}
		o.strides = g.strides(o.shape, p.Swap != "" || p.Name == "c")
	}
}

// strides lays the dims out from the last one outwards, which is dense; a matrix keeps its order.
func (g *generator) strides(shape []int, ordered bool) []int {
	last := len(shape) - 1
	order := g.Perm(last)
	if ordered || g.coin() {
		slices.Sort(order)
	}
	slices.Reverse(order)
	strides := make([]int, len(shape))
	strides[last] = 1
	next := shape[last]
	for _, d := range order {
		strides[d] = next + g.IntN(5)*g.IntN(8)
		next = strides[d] * shape[d]
	}
	return strides
}

// drawSharing puts some outputs in place of inputs.
func (g *generator) drawSharing() {
	s := g.sample
	taken := map[int]bool{}
	for _, pair := range s.contract().InPlace {
		out, in := s.contract().Param(pair[0]), s.contract().Param(pair[1])
		o, from := &s.operands[out], &s.operands[in]
		if o.absent || from.absent || taken[in] || taken[out] || !g.oneIn(3) {
			continue
		}
		taken[in], taken[out] = true, true
		if !s.contract().Params[out].Strided || !s.contract().Params[in].Strided {
			from.strides, from.start = nil, 0
		}
		o.share, o.shape, o.strides, o.start = in, from.shape, from.strides, from.start
	}
}

// drawValues fills every operand that the call reads.
func (g *generator) drawValues() error {
	s := g.sample
	for i, p := range s.contract().Params {
		o := &s.operands[i]
		if o.absent || !s.contract().RoleOf(i, s.attrs).Reads() {
			continue
		}
		if err := g.fill(p, o); err != nil {
			return err
		}
	}
	if g.recipe.values != nil {
		g.recipe.values(g, s)
	}
	if g.extent == full {
		s.round()
	}
	if g.recipe.derive != nil {
		if err := g.recipe.derive(s); err != nil {
			return err
		}
	}
	if g.extent == full {
		s.round()
	}
	return nil
}

// fill gives an operand values by its name, or normal ones.
func (g *generator) fill(p kernels.Param, o *operand) error {
	n := kernels.Elements(o.shape)
	switch {
	case o.class == kernels.Float || o.class == kernels.Real || o.class == kernels.Half:
		draw := floatsByName[p.Name]
		if p.Class == kernels.Real {
			draw = scalarsByName[p.Name]
		}
		if draw == nil {
			draw = (*generator).normal
		}
		o.floats = make([]float64, n)
		for i := range o.floats {
			o.floats[i] = draw(g)
		}
	default:
		draw := integersByName[p.Name]
		if o.class == kernels.Quantised {
			draw = (*generator).quantised
		}
		if draw == nil {
			return fmt.Errorf("the suite does not know what %s holds", p.Name)
		}
		o.ints = make([]int64, n)
		for i := range o.ints {
			o.ints[i] = draw(g)
		}
	}
	return nil
}

func (g *generator) normal() float64 { return g.NormFloat64() }
