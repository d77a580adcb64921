package cpu

import "github.com/gsc-project/gsc/kernels"

// tile is the number of elements that a gated or differentiated activation works
// on at a time, in a part of the worker's scratch that stays in the first-level cache.
const tile = 1024

// activator applies one activation, and its derivative, to runs of elements.
type activator struct {
	value   func(y, x []float32)
	both    func(y, dy, x []float32)
	vec     *vectorTable
	cap     float32     // of soft_cap: f(x) = cap·tanh(x/cap); else 0
	scratch [][]float32 // of each worker
}

func (d *Device) newActivator(a kernels.Attrs) *activator {
	vec, kind := d.vector(), activationNames[a.Kind]
	return &activator{value: vec.value[kind], both: vec.both[kind], vec: vec, cap: float32(a.Cap), scratch: d.scratch.worker}
}

// apply sets y = f(x).
func (a *activator) apply(y, x []float32) {
	if a.cap == 0 {
		a.value(y, x)
		return
	}
	a.vec.scale(y, x, 1/a.cap)
	a.value(y, y)
	a.vec.scale(y, y, a.cap)
}

// differentiate gives f(x) and f′(x) in the worker's scratch. (cap·tanh(x/cap))′ = tanh′(x/cap).
func (a *activator) differentiate(x []float32, worker int) (y, dy []float32) {
	n, s := len(x), a.scratch[worker]
	y, dy = s[:n], s[tile:][:n]
	if a.cap == 0 {
		a.both(y, dy, x)
		return y, dy
	}
	capped := s[2*tile:][:n]
	a.vec.scale(capped, x, 1/a.cap)
	a.both(y, dy, capped)
	a.vec.scale(y, y, a.cap)
	return y, dy
}

func bindActivate(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, y, act := floats(c.Args[0]), floats(c.Args[1]), d.newActivator(c.Attrs)
	return d.overSpans(c.Args, func(_, n int, at offsets) {
		act.apply(y[at[1]:][:n], x[at[0]:][:n])
	}), nil
}

func bindActivateGrad(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	dy, x, dx, act := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2]), d.newActivator(c.Attrs)
	return d.overSpans(c.Args, func(worker, n int, at offsets) {
		for i := 0; i < n; i += tile {
			k := min(tile, n-i)
			_, df := act.differentiate(x[at[1]+i:][:k], worker)
			act.vec.mul(dx[at[2]+i:][:k], df, dy[at[0]+i:][:k])
		}
	}), nil
}

func bindGate(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	gate, up, y, act := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2]), d.newActivator(c.Attrs)
	return d.overSpans(c.Args, func(worker, n int, at offsets) {
		for i := 0; i < n; i += tile {
			k := min(tile, n-i)
			f := act.scratch[worker][:k]
			act.apply(f, gate[at[0]+i:][:k])
			act.vec.mul(y[at[2]+i:][:k], f, up[at[1]+i:][:k])
		}
	}), nil
}

// bindGateGrad reads a tile of every operand before it writes either output, since either may be dy.
func bindGateGrad(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	dy, gate, up := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2])
	dgate, dup, act := floats(c.Args[3]), floats(c.Args[4]), d.newActivator(c.Attrs)
	return d.overSpans(c.Args, func(worker, n int, at offsets) {
		for i := 0; i < n; i += tile {
			k := min(tile, n-i)
			f, df := act.differentiate(gate[at[1]+i:][:k], worker)
			grad := dy[at[0]+i:][:k]
			act.vec.mul(df, df, up[at[2]+i:][:k])
			act.vec.mul(df, df, grad)
			act.vec.mul(dup[at[4]+i:][:k], f, grad)
			copy(dgate[at[3]+i:][:k], df)
		}
	}), nil
}
