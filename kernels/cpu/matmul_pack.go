package cpu

import (
	"math"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// source is an operand of a product as it lies in memory: lane i (a row of a,
// a column of b) at step p is data[i*lane + p*step]; one of the strides is 1.
type source struct {
	data       *float32
	lane, step int
}

// at is the source from lane i and step p on.
func (s source) at(i, p int) source {
	s.data = at(s.data, i*s.lane+p*s.step)
	return s
}

// packPanels packs the panels of one piece: those of lanes [lane, lane+n) in steps [p, p+k) of an operand.
func (x *matmul) packPanels(o *operand, to panels, lane, p, n, k, piece int) {
	for q := piece * o.per; q < (piece+1)*o.per && q*o.lanes < n; q++ {
		x.packPanel(o, to.from(q), lane+q*o.lanes, p, min(o.lanes, n-q*o.lanes), k, false)
	}
}

// packPanel packs the panel of n lanes from lane on. near says that they were asked for.
func (x *matmul) packPanel(o *operand, to panels, lane, p, n, k int, near bool) {
	panel := unsafe.Slice(to.data, o.stride*x.t.elements(k))
	x.t.packPanel(panel, o.stride, o.at(lane, p), n, k, near)
	if x.round != nil && x.t.steps == 1 {
		x.round(panel, panel)
	}
}

// packPanel writes one panel, of a source that is near if its lines were asked for before: dst[p*dstStep+i] = src(i, p) for i < lanes and p < k, and
// zeros for the lanes up to dstStep. With pairs of steps, src(i, 2p) and src(i, 2p+1) as bf16 in place of src(i, p).
func (t *tileSet) packPanel(dst []float32, dstStep int, src source, lanes, k int, near bool) {
	if k == 0 {
		return
	}
	dst = dst[:dstStep*t.elements(k)]
	if lanes < dstStep {
		clear(dst)
	}
	if src.step == 1 {
		t.packAcross(dst, dstStep, src, lanes, k, near)
		return
	}
	if strip := t.strips[lanes]; strip != nil {
		whole := k / t.steps // all but a last step without a partner
		strip(whole, &dst[0], dstStep, src.data, src.step)
		t.scatter(dst, dstStep, src, lanes, whole*t.steps, k)
		return
	}
	if t.steps == 1 {
		for p := range k {
			copy(dst[p*dstStep:], unsafe.Slice(at(src.data, p*src.step), lanes))
		}
		return
	}
	t.scatter(dst, dstStep, src, lanes, 0, k)
}

// elements is the number of a panel's elements for each lane that k steps take.
func (t *tileSet) elements(k int) int { return ceilDiv(k, t.steps) }

// packSteps is the number of elements that packAcross transposes at a time: what it writes stays in the first cache
// while the lanes are added to it, eight or four at a time.
const packSteps = 64

// packLine is the number of elements in a line of the cache.
const packLine = lineBytes / 4

// packAcross packs lanes that lie one after another in memory.
func (t *tileSet) packAcross(dst []float32, dstStep int, src source, lanes, k int, near bool) {
	done, whole := 0, 0 // lanes, and steps of them
	if t.transpose4 != nil && k >= 8*t.steps {
		done, whole = lanes&^3, k/t.steps&^7*t.steps
	}
	for p := 0; p < whole; p += packSteps * t.steps {
		n := min(packSteps, (whole-p)/t.steps)
		for i := 0; i < done; {
			to, from := &dst[p/t.steps*dstStep+i], src.at(i, p).data
			if t.transpose8 != nil && i+8 <= done {
				switch {
				case near:
				case i+16 <= done:
					prefetchRows(src.at(i+8, p).data, src.lane, 8, ceilDiv(n, packLine))
				case p+packSteps < whole:
					prefetchRows(src.at(0, p+packSteps).data, src.lane, 8, packSteps/packLine)
				}
				t.transpose8(n, to, dstStep, from, src.lane)
				i += 8
			} else {
				t.transpose4(n, to, dstStep, from, src.lane)
				i += 4
			}
		}
	}
	if whole < k {
		t.scatter(dst, dstStep, src, done, whole, k)
	}
	if done < lanes {
		t.scatter(dst[done:], dstStep, src.at(done, 0), lanes-done, 0, k)
	}
}

// scatter packs steps [from, to) of the lanes one by one. from is even where steps are packed in pairs.
func (t *tileSet) scatter(dst []float32, dstStep int, src source, lanes, from, to int) {
	for i := range lanes {
		lane := src.at(i, 0)
		if t.steps == 1 {
			for p := from; p < to; p++ {
				dst[p*dstStep+i] = *lane.at(0, p).data
			}
			continue
		}
		for p := from; p < to; p += 2 {
			second := float32(0)
			if p+1 < to {
				second = *lane.at(0, p+1).data
			}
			dst[p/2*dstStep+i] = pair(*lane.at(0, p).data, second)
		}
	}
}

// pair holds the bf16 of two floats, the first in the lower half.
func pair(first, second float32) float32 {
	low, high := math.Float32bits(kernels.RoundBF16(first)), math.Float32bits(kernels.RoundBF16(second))
	return math.Float32frombits(low>>16 | high)
}
