package plugins

import (
	"math"
	"strconv"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/plugins/abi"
)

// bound is a loss with its rows: what the device's type of numbers is, they are float32 to the plugin.
type bound struct {
	plugin         *Plugin
	rows           Rows
	classes        int
	unit, length   int     // of its rows, and of a sequence
	whole          bool    // units are sequences or pairs: their rows stay together
	labels         []int32 // nil: the targets are values
	weighs, slopes bool
	io             matrices
}

// matrices are a device's numbers. Rows are those of the logits, which the targets and gradients are shaped like.
type matrices interface {
	// logits, inputs and targets copy a row to the guest; the first two say whether all of it is finite.
	logits(to []float32, row int) (finite bool)
	input(k int, to []float32, row int) (finite bool)
	targets(to []float32, row int)
	weight(row int) float32
	// loss sets a row's.
	loss(row int, value float64)
	// gradient sets a row's to k times what the guest says, and says whether that is finite; set sets all of it to one number.
	gradient(row int, from []float32, k float64) (finite bool)
	set(row int, value float64)
}

func newBound(l *Loss, r Rows) *bound {
	b := &bound{plugin: l.plugin, rows: r, classes: l.classes, unit: l.unit, length: l.length, whole: l.plugin.Manifest.Unit.Records() > 0, weighs: r.Weights.Data != nil, slopes: r.Gradient.Data != nil}
	if r.Vectors == nil {
		r.Vectors = plain{}
	}
	if l.plugin.Manifest.Targets == abi.Classes {
		b.labels = kernels.Slice[int32](r.Labels)
	}
	if r.Logits.DType == kernels.F64 {
		b.io = newNumbers[float64](r, l.classes)
	} else {
		b.io = newNumbers[float32](r, l.classes)
	}
	return b
}

// gather copies the units that are scored into the guest's memory, and settles the others: a row that is not scored has the loss 0, and of logits that are not finite
// nothing finite follows.
func (b *bound) gather(i *lossInstance, from, to int) {
	i.rows = i.rows[:0]
	for first := from; first < to; first += b.unit {
		switch there := len(i.rows); {
		case !b.present(first):
			b.settle(first, 0)
		case !b.copy(i, first):
			i.rows = i.rows[:there]
			b.settle(first, math.NaN())
		}
	}
}

// present says whether the unit that begins at a row is scored.
func (b *bound) present(first int) bool {
	if b.labels == nil {
		return true
	}
	for at := first; at < first+b.unit; at += b.length {
		if b.last(at) == 0 {
			return false
		}
	}
	return true
}

// last is how many rows of the sequence at a row there are up to the last that is scored.
func (b *bound) last(first int) int {
	for n := b.length; n > 0; n-- {
		if b.scored(b.labels[first+n-1]) {
			return n
		}
	}
	return 0
}

// copy copies a unit, behind those that are there. It says whether all of it is finite.
func (b *bound) copy(i *lossInstance, first int) bool {
	for row := first; row < first+b.unit; row++ {
		k := len(i.rows)
		i.rows = append(i.rows, row)
		if !b.io.logits(i.floats(i.at.Logits, (k+1)*b.classes)[k*b.classes:], row) {
			return false
		}
		for n, at := range i.inputs {
			if !b.io.input(n, i.floats(at, (k+1)*b.classes)[k*b.classes:], row) {
				return false
			}
		}
		b.target(i, k, row)
		if b.weighs {
			i.floats(i.at.Weights, k+1)[k] = b.io.weight(row)
		}
	}
	if b.whole {
		b.lengths(i, first)
	}
	return true
}

// target copies what row k of the call is compared with.
func (b *bound) target(i *lossInstance, k, row int) {
	switch {
	case b.labels == nil:
		b.io.targets(i.floats(i.at.Targets, (k+1)*b.classes)[k*b.classes:], row)
	case b.scored(b.labels[row]):
		i.floats(i.at.Targets, k+1)[k] = math.Float32frombits(uint32(b.labels[row]))
	default:
		i.floats(i.at.Targets, k+1)[k] = math.Float32frombits(math.MaxUint32)
	}
}

// lengths writes those of the sequences of the unit that was copied last.
func (b *bound) lengths(i *lossInstance, first int) {
	n := len(i.rows) / b.length
	list := i.floats(i.at.Lengths, n)
	for k := range b.unit / b.length {
		list[n-b.unit/b.length+k] = math.Float32frombits(uint32(b.last(first + k*b.length)))
	}
}

func (b *bound) scored(label int32) bool {
	return int(label) != b.rows.Ignore && label >= 0 && int(label) < b.classes
}

// settle gives a unit what no plugin says of it.
func (b *bound) settle(first int, value float64) {
	for row := first; row < first+b.unit; row++ {
		b.io.loss(row, value)
		if b.slopes {
			b.io.set(row, value)
		}
	}
}

// scatter takes the results of a call. The loss of a unit stands at its first row, and its others have none.
func (b *bound) scatter(i *lossInstance) error {
	values := i.floats(i.at.Values, len(i.rows)/b.unit)
	var slopes []float32
	if b.slopes {
		slopes = i.floats(i.at.Gradients, len(i.rows)*b.classes)
	}
	for k, row := range i.rows {
		v := float32(0)
		if k%b.unit == 0 {
			v = values[k/b.unit]
		}
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return b.plugin.wrong(abi.Loss, b.span(i.rows[k:k+b.unit]), notFinite("the loss", v))
		}
		b.io.loss(row, float64(v))
		if !b.slopes {
			continue
		}
		slope := slopes[k*b.classes:][:b.classes]
		if !b.io.gradient(row, slope, b.share(row)) {
			return b.plugin.wrong(abi.Loss, b.span(i.rows[k:k+1]), culprit(slope))
		}
	}
	return nil
}

// culprit is the first number of a gradient that is not finite.
func culprit(slope []float32) error {
	for c, v := range slope {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return notFinite("the gradient of logit "+strconv.Itoa(c), v)
		}
	}
	return nil
}

// share is the factor scale·w/weight of a row's gradient.
func (b *bound) share(row int) float64 {
	k := 1.0
	if b.weighs {
		k = float64(b.io.weight(row))
	}
	if b.rows.Total != nil {
		k /= *b.rows.Total
	}
	if b.rows.Scale != nil {
		k *= *b.rows.Scale
	}
	return k
}

// numbers are matrices of one type.
type numbers[T float32 | float64] struct {
	classes                            int
	z, target, weights, losses, slopes []T
	further                            [][]T
	vectors                            kernels.Vectors
	far                                bool // gradients are too many to stay in a cache until they are read
}

// farBytes of gradients and more are not held to be in any cache when they are read.
const farBytes = 8 << 20

func newNumbers[T float32 | float64](r Rows, classes int) *numbers[T] {
	slice := func(t kernels.Tensor) []T {
		if t.Data == nil {
			return nil
		}
		return unsafe.Slice((*T)(t.Data), kernels.Elements(t.Shape))
	}
	n := &numbers[T]{classes: classes, vectors: r.Vectors, z: slice(r.Logits), target: slice(r.Targets), weights: slice(r.Weights), losses: slice(r.Loss), slopes: slice(r.Gradient)}
	n.far = len(n.slopes)*4 >= farBytes
	for _, t := range r.Inputs {
		n.further = append(n.further, slice(t))
	}
	return n
}

func (n *numbers[T]) logits(to []float32, row int) bool { return n.copy(to, n.z, row) }

func (n *numbers[T]) input(k int, to []float32, row int) bool { return n.copy(to, n.further[k], row) }

// copy copies a row of a matrix.
func (n *numbers[T]) copy(to []float32, of []T, row int) bool {
	from := of[row*n.classes:][:n.classes]
	if same, ok := any(from).([]float32); ok {
		return n.vectors.Carry(to, same, 1, false)
	}
	for c, v := range from {
		to[c] = float32(v)
	}
	return n.vectors.Carry(to, to, 1, false)
}

func (n *numbers[T]) targets(to []float32, row int) {
	for c, v := range n.target[row*n.classes:][:n.classes] {
		to[c] = float32(v)
	}
}

func (n *numbers[T]) weight(row int) float32 { return float32(n.weights[row]) }

func (n *numbers[T]) loss(row int, value float64) {
	if n.losses != nil {
		n.losses[row] = T(value)
	}
}

func (n *numbers[T]) gradient(row int, from []float32, k float64) bool {
	to := n.slopes[row*n.classes:][:n.classes]
	if same, ok := any(to).([]float32); ok {
		return n.vectors.Carry(same, from, float32(k), n.far)
	}
	for c, v := range from {
		to[c] = T(k * float64(v))
	}
	return n.vectors.Carry(from, from, 1, false)
}

func (n *numbers[T]) set(row int, value float64) {
	to := n.slopes[row*n.classes:][:n.classes]
	for c := range to {
		to[c] = T(value)
	}
}

// finite says whether no number is NaN or infinite.
func finite(x []float32) bool { return plain{}.Carry(x, x, 1, false) }

// plain are the loops where no device lends its own.
type plain struct{}

// Carry multiplies and adds up four at a time.
func (plain) Carry(y, x []float32, alpha float32, _ bool) bool {
	var a, b, c, d float64
	y = y[:len(x)]
	for len(x) >= 4 {
		f, t := x[:4:4], y[:4:4]
		a, b, c, d = a+float64(f[0]), b+float64(f[1]), c+float64(f[2]), d+float64(f[3])
		t[0], t[1], t[2], t[3] = alpha*f[0], alpha*f[1], alpha*f[2], alpha*f[3]
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		a += float64(v)
		y[i] = alpha * v
	}
	return !math.IsNaN(a+b+c+d) && !math.IsInf(a+b+c+d, 0)
}
