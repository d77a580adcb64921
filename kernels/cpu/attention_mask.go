package cpu

import (
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// mask says which keys a query sees.
type mask struct {
	t, s                          int
	lengths, qSegments, kSegments []int32 // nil: absent
	offset, firstKey              *int64
	causal                        bool
	window                        int
}

// newMask takes the operands in the order of the contract: lengths, q_segments, k_segments, offset.
func newMask(args []kernels.Tensor, firstKey kernels.Tensor, a kernels.Attrs, s kernels.Sizes) mask {
	return mask{
		t: s["T"], s: s["S"], causal: a.Causal, window: a.Window,
		lengths: kernels.Slice[int32](args[0]), qSegments: kernels.Slice[int32](args[1]), kSegments: kernels.Slice[int32](args[2]),
		offset: scalar[int64](args[3]), firstKey: scalar[int64](firstKey),
	}
}

// span is the run [lo, hi) of keys that lengths, causality and window leave to query i of row b.
func (m *mask) span(b, i int) (lo, hi int) {
	at, first := i, 0
	if m.firstKey != nil {
		first = int(*m.firstKey)
	}
	if at -= first; m.offset != nil {
		at += int(*m.offset)
	}
	hi = m.s
	if m.lengths != nil {
		hi = min(hi, int(m.lengths[b])-first)
	}
	if m.causal {
		hi = min(hi, at+1)
	}
	if m.window > 0 {
		lo = max(lo, at-m.window+1)
		if !m.causal {
			hi = min(hi, at+m.window)
		}
	}
	if hi <= lo {
		return 0, 0
	}
	return lo, hi
}

// tileMask is the mask of one tile of queries.
type tileMask struct {
	lo, hi     [queryTile]int // what each query sees
	from, to   int            // what any of them sees
	segments   [queryTile]int32
	least, top int32 // of the segments
}

// begin looks up what queries [i, i+n) of row b see.
func (x *tileMask) begin(m *mask, b, i, n int) {
	x.from, x.to = m.s, 0
	for r := range n {
		x.lo[r], x.hi[r] = m.span(b, i+r)
		if x.lo[r] < x.hi[r] {
			x.from, x.to = min(x.from, x.lo[r]), max(x.to, x.hi[r])
		}
	}
	if m.kSegments == nil {
		return
	}
	for r := range n {
		x.segments[r] = m.querySegment(b, i+r)
	}
	x.least, x.top = bounds(x.segments[:n])
}

func bounds(segments []int32) (least, top int32) {
	least, top = segments[0], segments[0]
	for _, s := range segments {
		least, top = min(least, s), max(top, s)
	}
	return least, top
}

// sees says whether any query of the tile may see any of keys [j, j+keys) of row b.
func (x *tileMask) sees(m *mask, b, j, keys int) bool {
	if m.kSegments == nil {
		return true
	}
	least, top := bounds(m.keySegments(b, j, keys))
	return least <= x.top && x.least <= top
}

// querySegment is the segment of query i of row b, where there are segments.
func (m *mask) querySegment(b, i int) int32 {
	if m.qSegments == nil {
		return 1
	}
	return m.qSegments[b*m.t+i]
}

func (m *mask) keySegments(b, j, keys int) []int32 {
	return m.kSegments[b*m.s+j:][:keys]
}

// hide sets the scores of keys [j, j+keys) that the first n queries do not see to −Inf.
func (x *tileMask) hide(m *mask, ops *scoreOps, s []float32, b, j, keys, n int) {
	for r := range n {
		for key := j; key < min(x.lo[r], j+keys); key++ {
			s[(key-j)*queryTile+r] = hidden
		}
		for key := max(x.hi[r], j); key < j+keys; key++ {
			s[(key-j)*queryTile+r] = hidden
		}
	}
	if m.kSegments == nil {
		return
	}
	segments := m.keySegments(b, j, keys)
	if least, top := bounds(segments); least < top || x.least < x.top || least != x.top {
		ops.segments(keys, ceilDiv(n, ops.lanes), &s[0], &x.segments[0], unsafe.SliceData(segments))
	}
}
