package cpu

import "unsafe"

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
		t.packPanel(unsafe.Slice(to.from(q).data, o.stride*k), o.stride, o.at(lane+q*o.lanes, p), min(o.lanes, n-q*o.lanes), k)
	}
}

// packPanel writes one panel: dst[p*dstStep+i] = src(i, p) for i < lanes and p < k, and
// zeros for the lanes up to dstStep.
func (t *tileSet) packPanel(dst []float32, dstStep int, src source, lanes, k int) {
	if k == 0 {
		return
	}
	dst = dst[:dstStep*k]
	if lanes < dstStep {
		clear(dst)
	}
	if src.step == 1 {
		t.packAcross(dst, dstStep, src, lanes, k)
		return
	}
	if strip := t.strips[lanes]; strip != nil {
		strip(k, &dst[0], dstStep, src.data, src.step)
		return
	}
	for p := range k {
		copy(dst[p*dstStep:], unsafe.Slice(at(src.data, p*src.step), lanes))
	}
}

// packSteps is the number of steps that packAcross transposes at a time: what it writes stays in the first cache
// while the lanes are added to it four by four.
const packSteps = 64

// packAcross packs lanes that lie one after another in memory.
func (t *tileSet) packAcross(dst []float32, dstStep int, src source, lanes, k int) {
	done := 0 // lanes
	if t.transpose4 != nil && k >= 8 {
		done = lanes &^ 3
	}
	for p := 0; p < k; p += packSteps {
		n := min(packSteps, k-p)
		for i := 0; i < done; i += 4 {
			t.transpose4(n, &dst[p*dstStep+i], dstStep, src.at(i, p).data, src.lane)
			scatter(dst[i:], dstStep, src.at(i, 0), 4, p+n&^7, p+n)
		}
	}
	if done < lanes {
		scatter(dst[done:], dstStep, src.at(done, 0), lanes-done, 0, k)
	}
}

// scatter packs steps [from, to) of the lanes one by one.
func scatter(dst []float32, dstStep int, src source, lanes, from, to int) {
	for i := range lanes {
		row := unsafe.Slice(at(src.data, i*src.lane), to)
		for p := from; p < to; p++ {
			dst[p*dstStep+i] = row[p]
		}
	}
}
