package plan

import (
	"cmp"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// separation is rules 18 and 19.
func (v *stageVerifier) separation() {
	v.apart(v.spots(nil), func(b *Buffer) bool { return b.Lasting }, "overlaps %s, which lasts")
	used := map[int]bool{}
	programs := v.stage.byName()
	for i := range v.stage.Schedules {
		if !generates(&v.stage.Schedules[i]) {
			continue
		}
		for _, c := range v.stage.Schedules[i].Calls {
			programs[c.Program].uses(used)
		}
	}
	v.apart(v.spots(used), func(b *Buffer) bool { return b.Class == Cache }, "overlaps the cache %s, which generation keeps")
	v.each(v.sharing)
	v.joined()
}

// uses notes the buffers that a program touches.
func (p *Program) uses(used map[int]bool) {
	for _, list := range [][]Port{p.Inputs, p.Outputs} {
		for _, port := range list {
			used[port.Buffer] = true
		}
	}
	for i := range p.Instructions {
		for _, o := range p.Instructions[i].Operands {
			used[o.Buffer] = true
		}
	}
}

// spots lists the given buffers in all their slots, by place; nil is all buffers.
func (v *stageVerifier) spots(used map[int]bool) []spot {
	var list []spot
	for id := range v.stage.Buffers {
		if used != nil && !used[id] {
			continue
		}
		slots := 1
		if v.stage.Buffers[id].Slotted {
			slots = v.stage.Slots
		}
		for slot := range slots {
			list = append(list, spot{id, slot})
		}
	}
	slices.SortFunc(list, func(a, b spot) int {
		x, y := v.stage.span(a), v.stage.span(b)
		return cmp.Or(cmp.Compare(x.space, y.space), cmp.Compare(x.from, y.from), cmp.Compare(a.buffer, b.buffer))
	})
	return list
}

// apart reports spots that overlap one whose bytes must be its own. The spots are sorted: it is enough to hold each against the one that
// reaches furthest of those before it, and of those among them that are fixed.
func (v *stageVerifier) apart(list []spot, fixed func(*Buffer) bool, format string) {
	var reach, fence *spot
	for i := range list {
		x, b := &list[i], &v.stage.Buffers[list[i].buffer]
		where := v.stage.span(*x)
		switch {
		case fence != nil && v.stage.span(*fence).meets(where):
			v.fail("buffer %d %s "+format, x.buffer, b.Name, v.stage.label(fence.buffer))
		case fixed(b) && reach != nil && v.stage.span(*reach).meets(where):
			v.fail("buffer %d %s "+format, reach.buffer, v.stage.Buffers[reach.buffer].Name, v.stage.label(x.buffer))
		}
		reach = v.further(reach, x)
		if fixed(b) {
			fence = v.further(fence, x)
		}
	}
}

// further gives the one of two spots that reaches further; the second lies no earlier than the first.
func (v *stageVerifier) further(a, b *spot) *spot {
	if a == nil {
		return b
	}
	if x, y := v.stage.span(*a), v.stage.span(*b); x.space == y.space && x.to > y.to {
		return a
	}
	return b
}

// sharing is rule 19 for one instruction.
func (v *stageVerifier) sharing(a at, in *Instruction) {
	if v.refused[in] {
		return
	}
	for i := range in.Operands {
		if in.Operands[i].Buffer < 0 || !role(in, i).Writes() {
			continue
		}
		for j := range in.Operands {
			if i == j || in.Operands[j].Buffer < 0 || j < i && role(in, j).Writes() {
				continue
			}
			v.pair(a, in, i, j)
		}
	}
}

// pair holds output i against another operand, in every slot.
func (v *stageVerifier) pair(a at, in *Instruction, i, j int) {
	x, y := &in.Operands[i], &in.Operands[j]
	if v.gathersInPlace(in) {
		return
	}
	if v.mayShare(in, i, j) && v.first(x, 0) == v.first(y, 0) && sameView(x, y) && v.sameSlots(x, y) {
		return
	}
	if v.everOverlap(x, y) {
		v.failIn(a, "operand %s (%s) overlaps operand %s (%s), which %v does not allow",
			operandName(in, i), v.stage.label(x.Buffer), operandName(in, j), v.stage.label(y.Buffer), in.Op)
	}
}

// everOverlap says whether two operands may share a byte in some slot.
func (v *stageVerifier) everOverlap(x, y *Operand) bool {
	slots := 1
	if !v.sameSlots(x, y) {
		slots = v.stage.Slots
	}
	for slot := range slots {
		if v.overlap(x, y, slot) {
			return true
		}
	}
	return false
}

func (v *stageVerifier) mayShare(in *Instruction, i, j int) bool {
	x, y := &v.stage.Buffers[in.Operands[i].Buffer], &v.stage.Buffers[in.Operands[j].Buffer]
	return x.DType == y.DType && !role(in, j).Writes() && kernels.Contracts[in.Op].MayShare(i, j)
}

// byteOf is a byte of a space.
type byteOf struct {
	space kernels.Space
	at    int64
}

// first is the first byte of an operand during a call in a slot.
func (v *stageVerifier) first(o *Operand, slot int) byteOf {
	b := &v.stage.Buffers[o.Buffer]
	where := v.stage.span(v.stage.spot(o.Buffer, slot))
	return byteOf{where.space, where.from + int64(o.Offset)*int64(b.DType.Size())}
}

func (v *stageVerifier) sameSlots(x, y *Operand) bool {
	return v.stage.Buffers[x.Buffer].Slotted == v.stage.Buffers[y.Buffer].Slotted
}

// overlap says whether two operands may share a byte. Strided parts of one buffer are told apart; else a view is taken for all bytes
// from its first to its last.
func (v *stageVerifier) overlap(x, y *Operand, slot int) bool {
	if !v.extentOf(x, slot).meets(v.extentOf(y, slot)) {
		return false
	}
	if x.Buffer != y.Buffer {
		return true
	}
	size := kernels.Elements(v.stage.Buffers[x.Buffer].Shape())
	rx, okX := regionOf(x, size)
	ry, okY := regionOf(y, size)
	return !okX || !okY || rx.meets(ry)
}

// extentOf is the bytes from an operand's first to its last.
func (v *stageVerifier) extentOf(o *Operand, slot int) span {
	first := v.first(o, slot)
	return span{first.space, first.at, first.at + int64(kernels.Extent(o.Shape, o.Strides))*int64(v.stage.Buffers[o.Buffer].DType.Size())}
}
