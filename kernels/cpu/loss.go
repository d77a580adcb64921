package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// crossEntropy is what the loss and its gradient share.
type crossEntropy struct {
	vec       *vectorTable
	logits    []float32
	labels    []int32
	classes   int
	ignore    int
	smoothing float64

	rowWeights []float32 // of the gradient
	weight     *float64
	dlogits    []float32 // nil: no gradient
}

func newCrossEntropy(d *Device, c kernels.Call, s kernels.Sizes) crossEntropy {
	return crossEntropy{
		vec: d.vector(), logits: floats(c.Args[0]), labels: kernels.Slice[int32](c.Args[1]),
		classes: s["V"], ignore: c.Attrs.IgnoreIndex, smoothing: c.Attrs.Smoothing,
	}
}

// row gives a row's logits and label; scored is false when the row does not count.
func (e *crossEntropy) row(row int) (logits []float32, label int, scored bool) {
	y := int(e.labels[row])
	return e.logits[row*e.classes:][:e.classes], y, y != e.ignore && y >= 0 && y < e.classes
}

func bindCrossEntropy(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	e := newCrossEntropy(d, c, s)
	loss, lse := floats(c.Args[2]), floats(c.Args[3])
	e.rowWeights, e.weight, e.dlogits = floats(c.Args[4]), scalar[float64](c.Args[5]), floats(c.Args[6])
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
	if !scored {
		clear(dz)
		return
	}
	k := rowWeight(e.rowWeights, row) / *e.weight
	spread := e.smoothing / float64(e.classes)
	// p − 1 of the label loses nothing where p is almost 1.
	own := k * (math.Expm1(float64(z[label])-float64(lse)) + e.smoothing - spread)
	e.vec.expScale(dz, z, lse, float32(k), float32(-k*spread))
	dz[label] = float32(own)
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
	e.rowWeights, e.weight, e.dlogits = floats(c.Args[3]), scalar[float64](c.Args[4]), floats(c.Args[5])
	return d.overRows(len(e.labels), e.classes, func(row, _ int) { e.slope(row, lse[row]) }), nil
}

// rowWeight is the weight of a row, 1 when the operand is absent.
func rowWeight(weights []float32, row int) float64 {
	if weights == nil {
		return 1
	}
	return float64(weights[row])
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
	logits, targets, rowWeights := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2])
	weight, dlogits, classes := scalar[float64](c.Args[3]), floats(c.Args[4]), s["V"]
	return d.overRows(s["..."], classes, func(row, _ int) {
		k := rowWeight(rowWeights, row) / *weight / float64(classes)
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
