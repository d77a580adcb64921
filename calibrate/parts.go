package calibrate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/kernels"
)

// part is one table to be measured.
type part struct {
	op   kernels.Op
	axes []compiler.Axis
	make func(at []float64) *request
	most float64 // floating-point operations of a point that is measured; of greater ones the time follows from it
	form string

	table  *compiler.Table // nil before the first round
	out    bool            // it is left out
	points []point
}

// point is what was measured for sizes: nothing, where they are too large.
type point struct{ warm, cold []float64 }

func (p *part) name() string { return strings.TrimSpace(p.op.String() + " " + p.form) }

func axis(name string, power float64, at ...float64) compiler.Axis {
	return compiler.Axis{Name: name, Power: power, At: at}
}

// The grids. Sizes of matrix products are multiples of 96 as models' are, not powers of two, whose rows crowd into a few sets of a cache.
var (
	productAxes = []compiler.Axis{axis("m", 1, 2, 8, 32, 96, 192, 384, 768, 1536), axis("n", 1, 1, 8, 32, 96, 192, 384, 768, 1536), axis("k", 1, 1, 8, 32, 96, 192, 384, 768, 1536)}
	narrowAxes  = []compiler.Axis{axis("m", 1, 1, 32, 192, 768, 1536), axis("n", 1, 1, 32, 192, 768, 1536), axis("k", 1, 1, 32, 192, 768, 1536)}
	oneAxes     = []compiler.Axis{axis("m", 1, 1), axis("n", 1, 96, 768, 3072, 12288), axis("k", 1, 96, 768, 3072)}
	fewAxes     = []compiler.Axis{axis("m", 1, 1, 8), axis("n", 1, 96, 768, 3072, 12288), axis("k", 1, 96, 768, 3072)} // rows of one token
	coarseAxes  = []compiler.Axis{axis("m", 1, 1, 32, 192, 768), axis("n", 1, 1, 32, 192, 768), axis("k", 1, 1, 32, 192, 768)}
	squareAxes  = []compiler.Axis{axis("heads", 1, 1, 8, 48), axis("length", 2, 16, 64, 256, 1024), axis("width", 1, 16, 32, 64, 128)}
	rowAxes     = []compiler.Axis{axis("heads", 1, 1, 12, 48), axis("length", 1, 16, 128, 1024), axis("width", 1, 32, 64, 128)}
	flatAxes    = []compiler.Axis{axis("rows", 1, 16, 1024, 8192, 16384, 65536, 262144, 1<<20, 1<<23), axis("width", 1, 1)}
	wideAxes    = []compiler.Axis{axis("rows", 1, 1, 16, 128, 1024, 8192, 65536), axis("width", 1, 16, 64, 256, 1024, 8192)}
	iterAxes    = []compiler.Axis{axis("rows", 1, 16, 64, 256, 1024), axis("width", 1, 16, 64, 256, 1024)}
)

const (
	mostElements = 1 << 23 // of an operand
	mostProduct  = 1e10    // floating-point operations
	mostScores   = 3e9
)

// special have parts of their own, or none: they are of a few scalars, or of codes and groups, whose number is not that of rows.
var special = []kernels.Op{kernels.MatMul, kernels.MatMulInt8, kernels.Attention, kernels.AttentionGrad, kernels.ClipFactor, kernels.LossScale, kernels.CrossEntropyJoin, kernels.Encode, kernels.Decode, kernels.FakeQuantize}

// parts lists what is measured. With less than all threads the grids are coarse: those tables serve to see how time
// falls with threads.
func (b *bench) parts(full bool) []*part {
	var list []*part
	for _, a := range []kernels.Attrs{{}, {TransB: true}, {TransA: true}, {TransA: true, TransB: true}} {
		shape := productAxes
		if a.TransA && a.TransB {
			shape = coarseAxes // no layer makes such a product
		}
		list = append(list, &part{op: kernels.MatMul, axes: shape, most: mostProduct, make: func(at []float64) *request { return b.product(kernels.MatMul, a, at) }})
		if !a.TransA {
			list = append(list, &part{op: kernels.MatMul, axes: oneAxes, most: mostProduct, make: func(at []float64) *request { return b.product(kernels.MatMul, a, at) }})
		}
	}
	if slices.Contains(b.kind.Narrow, kernels.MatMul) {
		for _, a := range []kernels.Attrs{{Compute: "bf16"}, {Compute: "bf16", TransB: true}, {Compute: "bf16", TransA: true}} {
			list = append(list, &part{op: kernels.MatMul, axes: narrowAxes, most: mostProduct, make: func(at []float64) *request { return b.product(kernels.MatMul, a, at) }})
		}
	}
	list = append(list, &part{op: kernels.MatMulInt8, axes: fewAxes, most: mostProduct,
		make: func(at []float64) *request { return b.product(kernels.MatMulInt8, kernels.Attrs{}, at) }})
	for _, op := range []kernels.Op{kernels.Attention, kernels.AttentionGrad} {
		for _, rate := range []float64{0, 0.1} {
			for _, causal := range []bool{true, false} {
				a := kernels.Attrs{Causal: causal, Rate: rate}
				list = append(list, &part{op: op, axes: squareAxes, most: mostScores, make: func(at []float64) *request { return b.attention(op, a, false, at) }})
			}
		}
	}
	list = append(list, &part{op: kernels.Attention, axes: rowAxes, most: mostScores,
		make: func(at []float64) *request { return b.attention(kernels.Attention, kernels.Attrs{}, true, at) }})
	for _, op := range kernels.Ops() {
		if !slices.Contains(special, op) {
			list = append(list, b.others(op)...)
		}
	}
	for _, p := range list {
		p.axes = slices.Clone(p.axes)
		for i := range p.axes {
			at := &p.axes[i].At
			if !full {
				*at = coarse(*at)
			}
			if b.options.Quick {
				*at = (*at)[:min(2, len(*at))]
			}
		}
	}
	return list
}

// coarse is every second size, the last among them.
func coarse(at []float64) (list []float64) {
	for i := (len(at) - 1) % 2; i < len(at); i += 2 {
		list = append(list, at[i])
	}
	return list
}

// others are the tables of an operation by rows and width, one for each of its forms.
func (b *bench) others(op kernels.Op) (list []*part) {
	c := &kernels.Contracts[op]
	axes := flatAxes
	if slices.ContainsFunc(c.Params, func(p kernels.Param) bool { return len(strings.Fields(p.Shape)) > 1 }) {
		axes = wideAxes
	}
	if op == kernels.NewtonSchulz {
		axes = iterAxes
	}
	forms := []kernels.Attrs{attrs(op)}
	if c.Takes("kind") {
		forms = nil
		for _, kind := range kernels.Activations {
			a := attrs(op)
			if a.Kind = kind; kind != "soft_cap" {
				a.Cap = 0
			}
			forms = append(forms, a)
		}
	}
	if op == kernels.EmbeddingGrad {
		forms = append(forms, kernels.Attrs{Accumulate: true})
	}
	for _, a := range forms {
		list = append(list, &part{op: op, axes: axes, make: func(at []float64) *request { return b.request(op, a, int(at[0]), int(at[1])) }})
	}
	return list
}

// measure goes once through the points of a part. The part is left out, and said to be, when the device does not run the operation, or when its
// contract asks for more than a call made by rows and width has.
func (b *bench) measure(p *part) error {
	if p.out {
		return nil
	}
	if err := b.fill(); err != nil {
		return err
	}
	isNew, i := p.table == nil, 0
	if isNew {
		p.table = &compiler.Table{Op: p.op, Axes: p.axes, Threads: b.threads}
	}
	for at := range places(p.axes) {
		r := p.make(at)
		measured := !isNew && p.points[i].warm != nil
		if isNew {
			known, reason := b.known(p, r, at)
			if reason != "" {
				b.leaveOut(p, reason)
				return nil
			}
			measured, p.points = known, append(p.points, point{})
		}
		if measured {
			if err := b.time(&p.points[i], r); err != nil {
				if !isNew {
					return err
				}
				b.leaveOut(p, err.Error())
				return nil
			}
		}
		i++
	}
	return nil
}

func (b *bench) leaveOut(p *part, reason string) {
	b.options.Note("%s is left out: %s", p.name(), reason)
	p.out = true
}

// known says whether a call is to be measured, or why none of its part can be.
func (b *bench) known(p *part, r *request, at []float64) (measured bool, reason string) {
	sizes, err := kernels.Check(r.op, r.attrs, r.args)
	if err != nil {
		return false, err.Error()
	}
	k := compiler.KeyOf(r.op, r.attrs, r.args, sizes)
	p.table.Form, p.table.DType, p.form = k.Form, k.DType, k.Form
	if !slices.Equal(k.At, at) {
		return false, fmt.Sprintf("a call for %v stands at %v", at, k.At)
	}
	return !b.tooLarge(p, r, sizes), ""
}

// time measures a point once more.
func (b *bench) time(p *point, r *request) error {
	warm, err := b.warm(r)
	if err != nil {
		return err
	}
	cold, err := b.cold(r)
	p.warm, p.cold = append(p.warm, warm...), append(p.cold, cold...)
	return err
}

// tooLarge says whether a point is left to extrapolation.
func (b *bench) tooLarge(p *part, r *request, s kernels.Sizes) bool {
	largest, other := 0, int64(0)
	for _, t := range r.args {
		largest = max(largest, t.Extent())
		if !t.Absent() && b.apart(t) {
			other += room(t)
		}
	}
	return p.most > 0 && kernels.FlopsOf(r.op, s, r.attrs) > p.most || p.most == 0 && largest > mostElements || b.sizeBytes(r) > arenaBytes-flushBytes || other > otherBytes
}

// places goes through the points of a grid, the last axis fastest.
func places(axes []compiler.Axis) func(yield func([]float64) bool) {
	return func(yield func([]float64) bool) {
		n := 1
		for _, a := range axes {
			n *= len(a.At)
		}
		for i := range n {
			at, rest := make([]float64, len(axes)), i
			for j := len(axes) - 1; j >= 0; j-- {
				at[j] = axes[j].At[rest%len(axes[j].At)]
				rest /= len(axes[j].At)
			}
			if !yield(at) {
				return
			}
		}
	}
}

// follow is the time of a point by those of its lesser neighbours.
func follow(axes []compiler.Axis, times []float64, point int) float64 {
	sum, count, stride, rest := 0.0, 0.0, 1, point
	for j := len(axes) - 1; j >= 0; j-- {
		a := axes[j]
		if i := rest % len(a.At); i > 0 {
			sum += math.Log(times[point-stride]) + a.Power*math.Log(a.At[i]/a.At[i-1])
			count++
		}
		rest /= len(a.At)
		stride *= len(a.At)
	}
	return math.Exp(sum / count)
}

// settle makes the table. It takes out what times owe to chance, and fills in what is too large: less work takes no more time, nor do operands that a cache
// holds. Chance only adds time, so it is the lesser that is believed.
func (p *part) settle() *compiler.Table {
	t := p.table
	t.Warm, t.Cold = make([]float64, len(p.points)), make([]float64, len(p.points))
	for i := len(p.points) - 1; i >= 0; i-- {
		if p.points[i].warm == nil {
			continue
		}
		t.Warm[i], t.Cold[i] = quartile(p.points[i].warm), quartile(p.points[i].cold)
		stride, rest := 1, i
		for j := len(t.Axes) - 1; j >= 0; j-- {
			n := len(t.Axes[j].At)
			if rest%n < n-1 && p.points[i+stride].warm != nil {
				t.Warm[i], t.Cold[i] = min(t.Warm[i], t.Warm[i+stride]), min(t.Cold[i], t.Cold[i+stride])
			}
			rest /= n
			stride *= n
		}
		t.Warm[i] = min(t.Warm[i], t.Cold[i])
	}
	for i, point := range p.points {
		if point.warm == nil {
			t.Warm[i], t.Cold[i] = follow(t.Axes, t.Warm, i), follow(t.Axes, t.Cold, i)
		}
		t.Warm[i], t.Cold[i] = round(t.Warm[i]), round(t.Cold[i])
	}
	return t
}
