package plugins

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/plugins/abi"
)

// Finding is what one check of a plugin found.
type Finding struct {
	Check string // what was looked at
	Found string // in words
	Err   error  // nil: it is as it should be
}

// shape is the size of a check's batch: units, and the width of their rows.
type shape struct{ units, classes int }

// checkLength is how many rows the sequences of a check have.
const checkLength = 3

// shapes are what a loss is tried on: a single class, few, a width that divides by nothing, and a vocabulary with several calls' worth of rows.
var shapes = []shape{{5, 1}, {7, 3}, {40, 257}, {9, 20011}}

// How much a gradient may differ from finite differences, relative to the largest element of its row: what float32 values leave of them. A loss may have kinks, near which
// differences say less: one logit in kinkShare may be off by more, though by no more than maxKinkError.
const (
	maxGradientError = 1e-3
	maxKinkError     = 0.1
	kinkShare        = 10
)

// Check loads a plugin and holds it to the contract, one thing after another, until one fails that the others need. params are its parameters, JSON, complete.
func (h *Host) Check(ctx context.Context, name string, wasm []byte, l Limits, complete func(abi.Manifest) ([]byte, error)) []Finding {
	var list []Finding
	note := func(check, found string, err error) bool {
		list = append(list, Finding{check, found, err})
		return err == nil
	}
	p, err := h.Load(ctx, name, wasm, l)
	if err != nil {
		note("manifest", "", err)
		return list
	}
	defer p.code.Close(ctx)
	m := p.Manifest
	note("manifest", fmt.Sprintf("%s %s, a %s, sha256 %.12s, %d bytes", m.Name, m.Version, m.Brief(), p.Digest, len(wasm)), nil)
	params, err := complete(m)
	if !note("parameters", string(params), err) {
		return list
	}
	for _, check := range checksOf(&checker{ctx: ctx, plugin: p, params: params, shapes: shapes}) {
		found, err := check.run()
		if !note(check.name, found, err) && (check.name == "allocation" || overran(err)) {
			return list // what others would find of it, or only after as long again
		}
	}
	return list
}

// overran says whether a call was ended since it took too long, or nobody waits for it any more.
func overran(err error) bool {
	return errors.As(err, new(TimeError)) || errors.As(err, new(FuelError)) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Accepts says whether a plugin takes parameters, by making an instance for a while.
func (p *Plugin) Accepts(ctx context.Context, params []byte) error {
	i, err := p.instance(ctx)
	if err != nil {
		return err
	}
	return errors.Join(i.init(params), i.close())
}

// Try is the short form of a check, for a plugin that is loaded and about to be used: on small batches, without what takes long. Its error is that of the first thing
// that is wrong.
func (p *Plugin) Try(ctx context.Context, params []byte) error {
	p.host.hush(true)
	defer p.host.hush(false)
	for _, check := range checksOf(&checker{ctx: ctx, plugin: p, params: params, shapes: shapes[:3]}) {
		if slices.Contains(slow, check.name) {
			continue
		}
		if _, err := check.run(); err != nil {
			return p.wrong("", check.name, err)
		}
	}
	return nil
}

// slow are what the short form leaves out.
var slow = []string{"huge", "time"}

// check is one thing that is looked at.
type check struct {
	name string
	run  func() (string, error)
}

// checksOf are those of a plugin's kind, in order. Without the first the others make no sense.
func checksOf(c *checker) []check {
	switch m := &c.plugin.Manifest; {
	case m.Kind == abi.TransformKind && m.On == abi.OnRecords:
		return (&recordsChecker{checker: c}).checks()
	case m.Kind == abi.TransformKind:
		return (&rowsChecker{checker: c}).checks()
	case m.Codec != nil:
		return (&codecChecker{ctx: c.ctx, plugin: c.plugin, params: c.params}).checks()
	case m.Kind == abi.PolicyKind:
		return (&policyChecker{ctx: c.ctx, plugin: c.plugin, params: c.params}).checks()
	}
	return []check{{"allocation", c.allocation}, {"values", c.values}, {"gradient", c.gradient}, {"rows", c.rows}, {"repeated", c.repeated}, {"instances", c.instances}, {"time", c.time}}
}

// checker tries a plugin; its own methods try a loss.
type checker struct {
	ctx    context.Context
	plugin *Plugin
	params []byte
	shapes []shape
}

// trial is rows with their results.
type trial struct {
	shape
	unit, length                    int // rows of a unit, and of a sequence
	rows                            int
	logits, targets, loss, gradient []float32
	inputs                          [][]float32
	labels                          []int32
}

// trialOf draws logits as models make them, and targets for them. In the sequences that units are made of a row is not scored here and there.
func (c *checker) trialOf(s shape, seed uint64) *trial {
	t := &trial{shape: s, unit: 1, length: 1}
	if n := c.plugin.Manifest.Unit.Records(); n > 0 {
		t.unit, t.length = n*checkLength, checkLength
	}
	t.rows = s.units * t.unit
	r := rand.New(rand.NewPCG(seed, 7))
	t.logits, t.targets, t.gradient = make([]float32, t.rows*s.classes), make([]float32, t.rows*s.classes), make([]float32, t.rows*s.classes)
	t.labels, t.loss = make([]int32, t.rows), make([]float32, t.rows)
	for i := range t.logits {
		t.logits[i], t.targets[i] = float32(2*r.NormFloat64()), float32(r.IntN(2))
	}
	for i := range t.labels {
		if t.labels[i] = int32(r.IntN(s.classes)); t.unit > 1 && i%t.length == (i/t.length)%t.length {
			t.labels[i] = abi.NotScored
		}
	}
	for range c.plugin.Manifest.Inputs {
		input := make([]float32, t.rows*s.classes)
		for i := range input {
			input[i] = float32(2 * r.NormFloat64())
		}
		t.inputs = append(t.inputs, input)
	}
	return t
}

// one is a unit of a trial by itself.
func (t *trial) one(unit int) *trial {
	of := func(list []float32, width int) []float32 { return list[unit*t.unit*width:][:t.unit*width] }
	made := &trial{shape: shape{1, t.classes}, unit: t.unit, length: t.length, rows: t.unit, logits: of(t.logits, t.classes), targets: of(t.targets, t.classes),
		labels: t.labels[unit*t.unit:][:t.unit], loss: make([]float32, t.unit), gradient: make([]float32, t.unit*t.classes)}
	for _, input := range t.inputs {
		made.inputs = append(made.inputs, of(input, t.classes))
	}
	return made
}

func view[T any](data []T, d kernels.DType, shape ...int) kernels.Tensor {
	return kernels.Tensor{Data: unsafe.Pointer(unsafe.SliceData(data)), DType: d, Shape: shape}
}

// run computes a trial's losses by some instance.
func (t *trial) run(l *Loss, gradient bool) error {
	r := Rows{Logits: view(t.logits, kernels.F32, t.rows, t.classes), Ignore: abi.NotScored, Loss: view(t.loss, kernels.F32, t.rows)}
	if l.plugin.Manifest.Targets == abi.Classes {
		r.Labels = view(t.labels, kernels.I32, t.rows)
	} else {
		r.Targets = view(t.targets, kernels.F32, t.rows, t.classes)
	}
	for _, input := range t.inputs {
		r.Inputs = append(r.Inputs, view(input, kernels.F32, t.rows, t.classes))
	}
	if gradient {
		r.Gradient = view(t.gradient, kernels.F32, t.rows, t.classes)
	}
	return l.Bind(r, func(pieces int, job func(piece, worker int)) {
		for p := range pieces {
			job(p, 0)
		}
	})()
}

// with makes a loss for a while.
func (c *checker) with(classes int, do func(*Loss) error) error {
	l, err := c.plugin.NewLoss(c.ctx, c.params, classes, checkLength, 1)
	if err != nil {
		return err
	}
	return errors.Join(do(l), l.Close())
}

// allocation: room for the largest batch.
func (c *checker) allocation() (string, error) {
	largest := c.shapes[len(c.shapes)-1].classes
	size := uint32(0)
	err := c.with(largest, func(l *Loss) error {
		size = l.instances[0].module.Memory().Size()
		return nil
	})
	return fmt.Sprintf("calls of %d classes take %d KiB of memory, of at most %d KiB", largest, size>>10, c.plugin.limits.MemoryBytes>>10), err
}

// values: with and without gradients the losses are the same.
func (c *checker) values() (string, error) {
	rows := 0
	for _, s := range c.shapes {
		err := c.with(s.classes, func(l *Loss) error {
			t := c.trialOf(s, 1)
			if err := t.run(l, true); err != nil {
				return err
			}
			with := slices.Clone(t.loss)
			if err := t.run(l, false); err != nil {
				return err
			}
			rows += t.rows
			if row, ok := differ(with, t.loss); ok {
				return fmt.Errorf("of %d classes, row %d: the loss is %g where gradients are asked for, and %g where they are not", s.classes, row, with[row], t.loss[row])
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d rows of 1 to %d classes: finite, and the same without gradients", rows, c.shapes[len(c.shapes)-1].classes), nil
}

// differ finds the first place where the bits of two lists do.
func differ(a, b []float32) (int, bool) {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return i, true
		}
	}
	return 0, false
}

// gradient: against central differences of the values, for some logits of each row.
func (c *checker) gradient() (string, error) {
	worst, where, off, all := 0.0, "", 0, 0
	for _, s := range shapes[:3] {
		err := c.with(s.classes, func(l *Loss) error {
			t := c.trialOf(s, 2)
			if err := t.run(l, true); err != nil {
				return err
			}
			return t.differences(l, func(row, class int, want, got, scale float64) {
				e := math.Abs(got-want) / scale
				if all++; !(e <= maxGradientError) {
					off++
				}
				if e > worst || math.IsNaN(e) {
					worst, where = e, fmt.Sprintf("of %d classes, row %d, logit %d: it says %.5g, differences say %.5g", s.classes, row, class, got, want)
				}
			})
		})
		if err != nil {
			return "", err
		}
	}
	if off*kinkShare > all || !(worst <= maxKinkError) {
		return "", fmt.Errorf("the gradient is not that of the loss: %d of %d logits are off by more than %.0e of their row's largest, at most by %.2g: %s", off, all, float64(maxGradientError), worst, where)
	}
	near := ""
	if off > 0 {
		near = fmt.Sprintf(", near kinks at %d of %d logits", off, all)
	}
	return fmt.Sprintf("against finite differences: relative error %.1e at most%s", worst, near), nil
}

// differences compares the gradients of a trial with central differences, one row of all units and one class of it at a time.
func (t *trial) differences(l *Loss, tell func(row, class int, want, got, scale float64)) error {
	const h = 1.0 / 16 // values are float32: a smaller step leaves too few of their digits
	moved := *t
	moved.logits, moved.loss = slices.Clone(t.logits), make([]float32, t.rows)
	scale := make([]float64, t.units)
	for unit := range scale {
		scale[unit] = 1e-3
		for _, g := range t.gradient[unit*t.unit*t.classes:][:t.unit*t.classes] {
			scale[unit] = max(scale[unit], math.Abs(float64(g)))
		}
	}
	at := func(place, class int, by float32) ([]float32, error) {
		for row := place; row < t.rows; row += t.unit {
			moved.logits[row*t.classes+t.class(row, class)] = t.logits[row*t.classes+t.class(row, class)] + by
		}
		err := moved.run(l, false)
		copy(moved.logits, t.logits)
		return slices.Clone(moved.loss), err
	}
	for step := range t.unit * min(t.classes, 8) {
		place, class := step%t.unit, step/t.unit
		var f [4][]float32
		for i, by := range []float32{-2 * h, -h, h, 2 * h} {
			var err error
			if f[i], err = at(place, class, by); err != nil {
				return err
			}
		}
		for unit := range t.units { // of fourth order
			first, row := unit*t.unit, unit*t.unit+place
			want := (float64(f[0][first]) - 8*float64(f[1][first]) + 8*float64(f[2][first]) - float64(f[3][first])) / (12 * h)
			tell(row, t.class(row, class), want, float64(t.gradient[row*t.classes+t.class(row, class)]), scale[unit])
		}
	}
	return nil
}

// class is the i-th of those that are moved in a row: the first is its label.
func (t *trial) class(row, i int) int {
	return (max(0, int(t.labels[row])) + i*(1+t.classes/9)) % t.classes
}

// rows: one alone has the loss that it has among others; so has a sequence, and a pair.
func (c *checker) rows() (string, error) {
	s := shapes[2]
	err := c.with(s.classes, func(l *Loss) error {
		t := c.trialOf(s, 3)
		if err := t.run(l, true); err != nil {
			return err
		}
		for unit := range t.units {
			one, first := t.one(unit), unit*t.unit
			if err := one.run(l, true); err != nil {
				return err
			}
			if t.loss[first] != one.loss[0] {
				return fmt.Errorf("%s has the loss %g among others, and %g alone", t.unitText(unit), t.loss[first], one.loss[0])
			}
			if i, other := differ(one.gradient, t.gradient[first*t.classes:][:t.unit*t.classes]); other {
				return fmt.Errorf("%s, logit %d has the gradient %g among others, and %g alone", t.unitText(unit), i, t.gradient[first*t.classes+i], one.gradient[i])
			}
		}
		return nil
	})
	return "each alone gives the same bits as among others", err
}

func (t *trial) unitText(unit int) string {
	if t.unit == 1 {
		return fmt.Sprintf("row %d", unit)
	}
	return fmt.Sprintf("the unit of rows %d to %d", unit*t.unit, (unit+1)*t.unit-1)
}

// repeated: the same call gives the same bits in one instance.
func (c *checker) repeated() (string, error) {
	s := shapes[2]
	err := c.with(s.classes, func(l *Loss) error {
		a, b := c.trialOf(s, 4), c.trialOf(s, 4)
		return errors.Join(a.run(l, true), b.run(l, true), a.same(b))
	})
	return "the same bits the second time", err
}

// instances: and in another, which has seen nothing before.
func (c *checker) instances() (string, error) {
	s := shapes[2]
	a, b := c.trialOf(s, 4), c.trialOf(s, 4)
	err := c.with(s.classes, func(l *Loss) error { return errors.Join(c.trialOf(s, 5).run(l, true), a.run(l, true)) })
	if err == nil {
		err = c.with(s.classes, func(l *Loss) error { return b.run(l, true) })
	}
	return "the same bits in another instance", errors.Join(err, a.same(b))
}

func (t *trial) same(other *trial) error {
	if i, ok := differ(t.loss, other.loss); ok {
		return fmt.Errorf("row %d: the loss is %g once, and %g again", i, t.loss[i], other.loss[i])
	}
	if i, ok := differ(t.gradient, other.gradient); ok {
		return fmt.Errorf("row %d, logit %d: the gradient is %g once, and %g again", i/t.classes, i%t.classes, t.gradient[i], other.gradient[i])
	}
	return nil
}

// time: of the largest batch, the least of several.
func (c *checker) time() (string, error) {
	s := shapes[len(shapes)-1]
	least, t := time.Duration(math.MaxInt64), c.trialOf(s, 6)
	err := c.with(s.classes, func(l *Loss) error {
		for range 5 {
			start := time.Now()
			if err := t.run(l, true); err != nil {
				return err
			}
			least = min(least, time.Since(start))
		}
		return nil
	})
	return fmt.Sprintf("%.2f ns a logit on one thread, copies and bounds included", float64(least.Nanoseconds())/float64(t.rows*s.classes)), err
}
