package cpu

import (
	"math"
	"unsafe"
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

// pack packs the panels of one piece: those of lanes [lane, lane+n) in steps [p, p+k).
func (o *operand) pack(t *tileSet, to panels, lane, p, n, k, piece int) {
	for q := piece * o.per; q < (piece+1)*o.per && q*o.lanes < n; q++ {
		t.packPanel(unsafe.Slice(to.from(q).data, o.stride*t.elements(k)), o.stride, o.at(lane+q*o.lanes, p), min(o.lanes, n-q*o.lanes), k)
	}
}

// packPanel writes one panel: dst[p*dstStep+i] = src(i, p) for i < lanes and p < k, and
// zeros for the lanes up to dstStep. With pairs of steps, src(i, 2p) and src(i, 2p+1) as bf16 in place of src(i, p).
func (t *tileSet) packPanel(dst []float32, dstStep int, src source, lanes, k int) {
	if k == 0 {
		return
	}
	dst = dst[:dstStep*t.elements(k)]
	if lanes < dstStep {
		clear(dst)
	}
	if src.step == 1 {
		t.packAcross(dst, dstStep, src, lanes, k)
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
// while the lanes are added to it four by four.
const packSteps = 64

// packAcross packs lanes that lie one after another in memory.
func (t *tileSet) packAcross(dst []float32, dstStep int, src source, lanes, k int) {
	done := 0 // lanes
	if t.transpose4 != nil && k >= 8*t.steps {
		done = lanes &^ 3
	}
	for p := 0; p < k; p += packSteps * t.steps {
		n := min(packSteps, (k-p)/t.steps)
		for i := 0; i < done; i += 4 {
			t.transpose4(n, &dst[p/t.steps*dstStep+i], dstStep, src.at(i, p).data, src.lane)
			t.scatter(dst[i:], dstStep, src.at(i, 0), 4, p+n&^7*t.steps, min(k, p+packSteps*t.steps))
		}
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
	return math.Float32frombits(uint32(bf16(first)) | uint32(bf16(second))<<16)
}

// bf16 rounds to nearest even.
func bf16(x float32) uint16 {
	bits := math.Float32bits(x)
	if x != x {
		return uint16(bits>>16) | 0x40 // a NaN stays one
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
