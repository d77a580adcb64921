package cpu

import (
	"cmp"
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// crossEntropy is what the loss and its gradient share.
type crossEntropy struct {
	vec       *vectorTable
	logits    []float32
	labels    []int32
	classes   int // of the part
	all       int // of all parts
	place     *int64
	ignore    int
	smoothing float64

	share   rowShare  // of the gradient
	dlogits []float32 // nil: no gradient
}

func newCrossEntropy(d *Device, c kernels.Call, s kernels.Sizes) crossEntropy {
	return crossEntropy{
		vec: d.vector(), logits: floats(c.Args[0]), labels: kernels.Slice[int32](c.Args[1]),
		classes: s["V"], all: cmp.Or(c.Attrs.Classes, s["V"]), ignore: c.Attrs.IgnoreIndex, smoothing: c.Attrs.Smoothing,
	}
}

// row gives a row's logits and label, which counts from the first class of the part; scored is false when the row does not count. What
// pads the last part is left out.
func (e *crossEntropy) row(row int) (logits []float32, label int, scored bool) {
	y, own := int(e.labels[row]), min(e.classes, e.all)
	scored = y != e.ignore && y >= 0 && y < e.all
	if e.place != nil {
		first := int(*e.place) * e.classes
		y, own = y-first, max(0, min(e.classes, e.all-first))
	}
	return e.logits[row*e.classes:][:own], y, scored
}

func bindCrossEntropy(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	e := newCrossEntropy(d, c, s)
	loss, lse := floats(c.Args[2]), floats(c.Args[3])
	e.share, e.dlogits = newRowShare(c.Args[4:7]), floats(c.Args[7])
	return d.overRows(len(e.labels), e.classes, func(row, _ int) {
		z, label, scored := e.row(row)
		l := logSumExp(e.vec, z)
		lse[row], loss[row] = float32(l), 0
		if scored {
			loss[row] = e.loss(z, label, l)
		}
		if e.dlogits != nil { // the row is in cache
			e.slope(row, lse[row])
		}
	}), nil
}

// loss is that of a row whose log Σ e^z is l.
func (e *crossEntropy) loss(z []float32, label int, l float64) float32 {
	value := l - (1-e.smoothing)*float64(z[label])
	if e.smoothing != 0 {
		value -= e.smoothing * e.vec.sum(z) / float64(e.classes)
	}
	return float32(value)
}

// slope writes the gradient of a row.
func (e *crossEntropy) slope(row int, lse float32) {
	z, label, scored := e.row(row)
	dz := e.dlogits[row*e.classes:][:e.classes]
	clear(dz[len(z):])
	dz = dz[:len(z)]
	if !scored {
		clear(dz)
		return
	}
	k := e.share.of(row)
	spread := e.smoothing / float64(e.all)
	own := 0.0
	holds := label >= 0 && label < len(z)
	if holds { // p − 1 of the label loses nothing where p is almost 1
		own = k * (math.Expm1(float64(z[label])-float64(lse)) + e.smoothing - spread)
	}
	e.vec.expScale(dz, z, lse, float32(k), float32(-k*spread))
	if holds {
		dz[label] = float32(own)
	}
}

func bindCrossEntropyPart(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	e := newCrossEntropy(d, c, s)
	e.place = scalar[int64](c.Args[2])
	stats := floats(c.Args[3])
	return d.overRows(len(e.labels), e.classes, func(row, _ int) {
		z, label, _ := e.row(row)
		own := 0.0
		if e.smoothing != 0 {
			own = e.smoothing * e.vec.sum(z) / float64(e.all)
		}
		if label >= 0 && label < len(z) {
			own += (1 - e.smoothing) * float64(z[label])
		}
		stats[2*row], stats[2*row+1] = float32(logSumExp(e.vec, z)), float32(own)
	}), nil
}

func bindCrossEntropyJoin(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	stats, labels, parts := floats(c.Args[0]), kernels.Slice[int32](c.Args[1]), s["R"]
	loss, lse, ignore, classes := floats(c.Args[2]), floats(c.Args[3]), c.Attrs.IgnoreIndex, c.Attrs.Classes
	return d.overRows(len(labels), 2*parts, func(row, _ int) {
		of := stats[row*2*parts:][:2*parts]
		top, total, own := of[0], 0.0, 0.0
		for r := 0; r < len(of); r += 2 {
			top = max(top, of[r])
		}
		for r := 0; r < len(of); r += 2 {
			total += math.Exp(float64(of[r]) - float64(top))
			own += float64(of[r+1])
		}
		l := float64(top) + math.Log(total)
		lse[row], loss[row] = float32(l), 0
		if y := int(labels[row]); y != ignore && y >= 0 && y < classes {
			loss[row] = float32(l - own)
		}
	}), nil
}

// logSumExp is log Σ e^z in one pass: runs that fit the first-level cache, each
// shifted by the largest value so far, their sums in float64.
func logSumExp(vec *vectorTable, z []float32) float64 {
	top, total := float32(-math.MaxFloat32), 0.0
	for len(z) > 0 {
		run := z[:min(sumRun, len(z))]
		z = z[len(run):]
		if m := vec.max(run); m > top {
			total *= math.Exp(float64(top) - float64(m))
			top = m
		}
		total += vec.expSum(run, top)
	}
	return float64(top) + math.Log(total)
}

func bindCrossEntropyGrad(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	e := newCrossEntropy(d, c, s)
	lse := floats(c.Args[2])
	e.share, e.place, e.dlogits = newRowShare(c.Args[3:6]), scalar[int64](c.Args[6]), floats(c.Args[7])
	return d.overRows(len(e.labels), e.classes, func(row, _ int) { e.slope(row, lse[row]) }), nil
}

// rowWeight is the weight of a row, 1 when the operand is absent.
func rowWeight(weights []float32, row int) float64 {
	if weights == nil {
		return 1
	}
	return float64(weights[row])
}

// rowShare is the factor scale·w/weight of a row's gradient.
type rowShare struct {
	weights       []float32
	weight, scale *float64 // scale nil: 1
}

// newRowShare takes the operands row_weights, weight and scale.
func newRowShare(args []kernels.Tensor) rowShare {
	return rowShare{floats(args[0]), scalar[float64](args[1]), scalar[float64](args[2])}
}

func (s *rowShare) of(row int) float64 {
	k := rowWeight(s.weights, row) / *s.weight
	if s.scale != nil {
		k *= *s.scale
	}
	return k
}

// pointwise is a loss that averages over the elements of a row.
type pointwise struct {
	value func(z, t float64) float64
	slope func(z, t float64) float64
}

var (
	binaryCrossEntropy = pointwise{
		value: func(z, t float64) float64 { return max(z, 0) - z*t + math.Log1p(math.Exp(-math.Abs(z))) },
		slope: func(z, t float64) float64 { return 1/(1+math.Exp(-z)) - t },
	}
	squaredError = pointwise{
		value: func(z, t float64) float64 { return (z - t) * (z - t) },
		slope: func(z, t float64) float64 { return 2 * (z - t) },
	}
)

func (p pointwise) bind(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	logits, targets, loss, classes := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2]), s["V"]
	return d.overRows(len(loss), classes, func(row, _ int) {
		t := targets[row*classes:][:classes]
		total := 0.0
		for i, z := range logits[row*classes:][:classes] {
			total += p.value(float64(z), float64(t[i]))
		}
		loss[row] = float32(total / float64(classes))
	}), nil
}

func (p pointwise) bindGrad(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	logits, targets, share := floats(c.Args[0]), floats(c.Args[1]), newRowShare(c.Args[2:5])
	dlogits, classes := floats(c.Args[5]), s["V"]
	return d.overRows(s["..."], classes, func(row, _ int) {
		k := share.of(row) / float64(classes)
		t, dz := targets[row*classes:][:classes], dlogits[row*classes:][:classes]
		for i, z := range logits[row*classes:][:classes] {
			dz[i] = float32(k * p.slope(float64(z), float64(t[i])))
		}
	}), nil
}

func bindLossSum(_ *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	loss, rowWeights, total := floats(c.Args[0]), floats(c.Args[1]), scalar[float64](c.Args[2])
	return func() {
		sum := 0.0
		if c.Attrs.Accumulate {
			sum = *total
		}
		for row, l := range loss {
			sum += rowWeight(rowWeights, row) * float64(l)
		}
		*total = sum
	}, nil
}

func bindArgMax(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	x, y, classes, vec := floats(c.Args[0]), kernels.Slice[int32](c.Args[1]), s["V"], d.vector()
	return d.overRows(len(y), classes, func(row, _ int) {
		y[row] = int32(argMax(vec, x[row*classes:][:classes]))
	}), nil
}

// argMax looks for the run that holds the largest value, and then within it.
func argMax(vec *vectorTable, x []float32) int {
	top, at := float32(math.Inf(-1)), 0
	for lo := 0; lo < len(x); lo += argMaxRun {
		if m := vec.max(x[lo:min(len(x), lo+argMaxRun)]); m > top {
			top, at = m, lo
		}
	}
	for i := at; i < len(x); i++ {
		if x[i] == top {
			return i
		}
	}
	return 0 // nothing but NaN
}

const argMaxRun = 512
