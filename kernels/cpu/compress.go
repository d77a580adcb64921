package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// The bits of a float32 without its sign are in the order of its size, NaN last.
const sizeBits = 1<<31 - 1

func sizeOf(v float32) uint32 { return math.Float32bits(v) & sizeBits }

func bindPruneMask(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	p := &pruning{d: d, x: floats(c.Args[0]), sparsity: scalar[float64](c.Args[1]), mask: kernels.Slice[int8](c.Args[2]), a: s["A"], k: s["K"], b: s["B"], group: c.Attrs.Group}
	switch c.Attrs.Pattern {
	case "groups":
		return p.groups(), nil
	case "slices":
		p.sums, p.lost = make([]float64, p.k), make([]bool, p.k)
		return p.slices(), nil
	}
	p.counts = make([]int32, 1<<16)
	return p.elements, nil
}

// pruning is a bound PruneMask.
type pruning struct {
	d        *Device
	x        []float32
	sparsity *float64
	mask     []int8
	a, k, b  int
	group    int

	counts []int32   // of elements by half of their bits
	sums   []float64 // of slices
	lost   []bool    // slices that are pruned
}

// elements finds the size below which all is pruned by two halves of its bits, on one thread: it is due once in many steps.
func (p *pruning) elements() {
	count := kernels.Pruned(len(p.x), *p.sparsity)
	high, above := p.rank(count, func(bits uint32) (uint32, bool) { return bits >> 16, true })
	low, rest := p.rank(above, func(bits uint32) (uint32, bool) { return bits & 0xffff, bits>>16 == high })
	limit, equal := high<<16|low, int(p.counts[low])
	keep := equal - rest // of those of the very size, the first
	for i, v := range p.x {
		size := sizeOf(v)
		p.mask[i] = 1
		switch {
		case size > limit:
		case size < limit:
			p.mask[i] = 0
		case keep > 0:
			keep--
		default:
			p.mask[i] = 0
		}
	}
}

// rank counts elements by a key of 16 bits. It finds the key of the one that count others are before, and how many of those have its key.
func (p *pruning) rank(count int, key func(bits uint32) (uint32, bool)) (at uint32, within int) {
	clear(p.counts)
	for _, v := range p.x {
		if k, ok := key(sizeOf(v)); ok {
			p.counts[k]++
		}
	}
	for int(at) < len(p.counts)-1 && count >= int(p.counts[at]) {
		count -= int(p.counts[at])
		at++
	}
	return at, count
}

// groups makes the masks of runs along K.
func (p *pruning) groups() kernels.Kernel {
	runs := len(p.x) / p.group
	return p.d.overPieces(runs, max(1, pieceElements/p.group), func(_, lo, hi int) {
		count := kernels.Pruned(p.group, *p.sparsity)
		for run := lo; run < hi; run++ {
			from := run/p.b*p.group*p.b + run%p.b
			for i := range p.group {
				p.mask[from+i*p.b] = 1
				if p.before(from, i) < count {
					p.mask[from+i*p.b] = 0
				}
			}
		}
	})
}

// before is how many of a group are less than its element i.
func (p *pruning) before(from, i int) (n int) {
	size := sizeOf(p.x[from+i*p.b])
	for j := range p.group {
		if other := sizeOf(p.x[from+j*p.b]); other < size || other == size && j > i {
			n++
		}
	}
	return n
}

// slices sums the squares of each, finds the least, and makes the mask.
func (p *pruning) slices() kernels.Kernel {
	each := max(1, pieceElements/max(1, p.a*p.b))
	sum := p.d.overPieces(p.k, each, func(_, lo, hi int) {
		for k := lo; k < hi; k++ {
			p.sums[k] = p.sumOf(k)
		}
	})
	fill := p.d.overPieces(p.k, each, func(_, lo, hi int) {
		for k := lo; k < hi; k++ {
			p.fill(k)
		}
	})
	return func() {
		sum()
		p.lose(kernels.Pruned(p.k, *p.sparsity))
		fill()
	}
}

func (p *pruning) sumOf(k int) (sum float64) {
	for a := range p.a {
		for _, v := range p.x[(a*p.k+k)*p.b:][:p.b] {
			sum += float64(v) * float64(v)
		}
	}
	if math.IsNaN(sum) {
		return math.Inf(1)
	}
	return sum
}

// lose marks the slices with the least sums.
func (p *pruning) lose(count int) {
	clear(p.lost)
	for range count {
		least := -1
		for k, sum := range p.sums {
			if !p.lost[k] && (least < 0 || sum <= p.sums[least]) {
				least = k
			}
		}
		p.lost[least] = true
	}
}

func (p *pruning) fill(k int) {
	value := int8(1)
	if p.lost[k] {
		value = 0
	}
	for a := range p.a {
		row := p.mask[(a*p.k+k)*p.b:][:p.b]
		for i := range row {
			row[i] = value
		}
	}
}

func bindApplyMask(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, mask, y := floats(c.Args[0]), kernels.Slice[int8](c.Args[1]), floats(c.Args[2])
	return d.overPieces(len(y), pieceElements, func(_, lo, hi int) {
		x, mask, y := x[lo:hi], mask[lo:hi], y[lo:hi]
		for i, v := range x {
			if mask[i] == 0 {
				v = 0
			}
			y[i] = v
		}
	}), nil
}

// columnBlock is how many neighbours along B are rounded together: they share lines of memory.
const columnBlock = 64

// quantising is a bound FakeQuantize.
type quantising struct {
	x, y        []float32
	mask        []int8 // nil: all are kept
	on          *int64 // nil: it always is
	scale, zero []float32
	k, b        int
	groups      int // along K
	width       int // of a group
	blocks      int // along B
	symmetric   bool
	levels      float64 // L
	set         int8Set
}

func bindFakeQuantize(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	q := &quantising{x: floats(c.Args[0]), y: floats(c.Args[3]), on: (*int64)(c.Args[2].Data), k: s["K"], b: s["B"], groups: kernels.Groups(s["K"], c.Attrs),
		symmetric: c.Attrs.Symmetric, levels: float64(int(1) << (c.Attrs.Bits - 1)), set: int8Sets(d.level)}
	q.width, q.blocks = q.k/q.groups, ceilDiv(q.b, columnBlock)
	if !c.Args[1].Absent() {
		q.mask = kernels.Slice[int8](c.Args[1])
	}
	if !c.Args[4].Absent() {
		q.scale = floats(c.Args[4])
	}
	if !c.Args[5].Absent() {
		q.zero = floats(c.Args[5])
	}
	tasks, each := s["A"]*q.groups*q.blocks, max(1, pieceElements/(q.width*min(q.b, columnBlock)))
	return d.spread(ceilDiv(tasks, each), len(q.x), func(piece, _ int) {
		for task := piece * each; task < min(tasks, (piece+1)*each); task++ {
			q.block(task)
		}
	}), nil
}

// block rounds the runs of one group that lie side by side, or one that lies alone.
func (q *quantising) block(task int) {
	run, from := task/q.blocks, task%q.blocks*columnBlock // run counts (a, group)
	at := (run/q.groups*q.k+run%q.groups*q.width)*q.b + from
	if q.b == 1 { // its elements are neighbours
		q.keep(at, q.width)
		y := q.y[at:][:q.width]
		q.round(y, q.stepOf(run, q.extremesOf(y)))
		return
	}
	n := min(columnBlock, q.b-from)
	var seen [columnBlock]extremes
	for row := range q.width {
		q.keep(at+row*q.b, n)
		for column, v := range q.y[at+row*q.b:][:n] {
			seen[column].take(v)
		}
	}
	var steps [columnBlock]quantum
	for column := range n {
		steps[column] = q.stepOf(run*q.b+from+column, seen[column])
	}
	if steps[0].off {
		return
	}
	for row := range q.width {
		y := q.y[at+row*q.b:][:n]
		for column, v := range y {
			s := &steps[column]
			if rounded := math.RoundToEven(float64(v) * s.inverse); q.symmetric {
				y[column] = float32(rounded) * s.scale
			} else {
				y[column] = float32(q.clip(rounded+s.zero)-s.zero) * s.scale
			}
		}
	}
}

// keep copies n elements from a place on, 0 where they are pruned.
func (q *quantising) keep(at, n int) {
	x, y := q.x[at:][:n], q.y[at:][:n]
	if q.mask == nil {
		copy(y, x)
		return
	}
	for i, kept := range q.mask[at:][:n] {
		v := x[i]
		if kept == 0 {
			v = 0
		}
		y[i] = v
	}
}

// extremes are the least and the largest of some elements and 0, NaN where one is.
type extremes struct{ lo, hi float32 }

func (e *extremes) take(v float32) {
	if v < e.lo || v != v {
		e.lo = v
	}
	if v > e.hi || v != v {
		e.hi = v
	}
}

// extremesOf neighbours; where zero is in the middle the largest size is all that is asked.
func (q *quantising) extremesOf(y []float32) (e extremes) {
	if q.symmetric {
		return extremes{hi: math.Float32frombits(q.set.largestOf(y))}
	}
	for _, v := range y {
		e.take(v)
	}
	return e
}

// quantum is the size of a step, its inverse, and the place of 0.
type quantum struct {
	scale         float32
	inverse, zero float64
	off           bool
}

// stepOf finds the quantum of a run, and notes it.
func (q *quantising) stepOf(run int, e extremes) quantum {
	made := quantum{off: q.on != nil && *q.on == 0}
	if !made.off {
		made = q.quantum(float64(e.lo), float64(e.hi))
	}
	if q.scale != nil {
		q.scale[run] = made.scale
	}
	if q.zero != nil {
		q.zero[run] = float32(made.zero)
	}
	return made
}

func (q *quantising) quantum(lo, hi float64) quantum {
	step := (hi - lo) / (2*q.levels - 1)
	if q.symmetric {
		step = max(-lo, hi) / (q.levels - 1)
	}
	switch {
	case math.IsNaN(hi-lo) || math.IsInf(hi-lo, 0):
		return quantum{scale: float32(math.NaN())}
	case step == 0:
		return quantum{}
	case q.symmetric:
		return quantum{scale: float32(step), inverse: 1 / step}
	}
	return quantum{scale: float32(step), inverse: 1 / step, zero: q.clip(math.RoundToEven(-q.levels - lo*(1/step)))}
}

// round rounds elements of one run. Where zero is in the middle none lies beyond the bounds.
func (q *quantising) round(y []float32, s quantum) {
	switch {
	case s.off:
	case q.symmetric:
		for i, v := range y {
			y[i] = float32(math.RoundToEven(float64(v)*s.inverse)) * s.scale
		}
	default:
		for i, v := range y {
			y[i] = float32(q.clip(math.RoundToEven(float64(v)*s.inverse)+s.zero)-s.zero) * s.scale
		}
	}
}

func (q *quantising) clip(v float64) float64 { return min(max(v, -q.levels), q.levels-1) }
