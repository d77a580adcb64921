package gsc_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// corruption is a way to corrupt a plan at random. It says what it did; "": there is nothing to corrupt.
type corruption struct {
	name    string
	harmful bool // by construction: a rank would wait for ever, or compute with what is not what it should be
	alone   bool // only so where one rank is corrupted, and not all of its stage
	apply   func(*corrupter) string
}

var corruptions = []corruption{
	// What ranks do together.
	{"swap two collectives of a group", true, true, (*corrupter).swapCollectives},
	{"drop a collective", true, true, func(c *corrupter) string {
		p, i := c.pick(joint)
		return c.done(p, i, func() { p.Instructions = slices.Delete(p.Instructions, i, i+1) })
	}},
	{"do a collective again", true, true, func(c *corrupter) string {
		p, i := c.pick(joint)
		return c.done(p, i, func() {
			again := p.Instructions[i]
			again.Signal, again.Wait, again.Open = 0, nil, 0
			p.Instructions = slices.Insert(p.Instructions, i+1, again)
		})
	}},
	{"shrink what a collective moves", true, true, (*corrupter).shrinkCollective},
	{"make one call two, or two one", true, true, func(c *corrupter) string {
		p, i := c.pick(func(p *plan.Program, in *plan.Instruction) bool { return joint(p, in) && in != &p.Instructions[0] })
		return c.done(p, i, func() { p.Instructions[i].Joined = !p.Instructions[i].Joined })
	}},
	{"be one call with what makes it", true, false, func(c *corrupter) string {
		p, i := c.pick(func(p *plan.Program, in *plan.Instruction) bool {
			return in != &p.Instructions[0] && computes(p, in)
		})
		return c.done(p, i, func() { p.Instructions[i].Joined = true })
	}},
	{"go along another axis", true, true, (*corrupter).otherAxis},
	{"work on another buffer with others", true, true, func(c *corrupter) string { return c.otherBuffer(within) }},
	{"send to another, or receive from one", true, false, (*corrupter).otherPeer},
	{"use another lane", true, false, func(c *corrupter) string {
		p, i := c.pick(carries)
		return c.done(p, i, func() { p.Instructions[i].Attrs.Lane += 1 + c.IntN(3) })
	}},
	{"send in place of receiving, or receive", true, false, func(c *corrupter) string {
		p, i := c.pick(carries)
		return c.done(p, i, func() { p.Instructions[i].Op = kernels.Send + kernels.Receive - p.Instructions[i].Op })
	}},
	{"receive before sending, where the other does", true, false, (*corrupter).receiveFirst},

	// Order.
	{"drop a wait that alone orders", true, false, (*corrupter).dropNeededWait},
	{"wait for what nobody signals", true, false, func(c *corrupter) string {
		p, i := c.pick(waits)
		return c.done(p, i, func() { p.Instructions[i].Wait[c.IntN(len(p.Instructions[i].Wait))] = 1000 + c.IntN(1000) })
	}},
	{"go before what is waited for", true, false, (*corrupter).goBefore},
	{"read on a stream of its own", true, false, (*corrupter).readAside},
	{"drop an await that alone orders", true, false, (*corrupter).dropNeededAwait},
	{"open as what nobody awaits", true, false, func(c *corrupter) string {
		p, i := c.pick(func(_ *plan.Program, in *plan.Instruction) bool { return in.Open != 0 })
		return c.done(p, i, func() { p.Instructions[i].Open = 1000 + c.IntN(1000) })
	}},
	{"swap a reader with the only writer before it", true, false, (*corrupter).swapDependent},

	// What is computed.
	{"leave something out", true, true, func(c *corrupter) string {
		p, i := c.pick(computes)
		return c.done(p, i, func() { p.Instructions = slices.Delete(slices.Clone(p.Instructions), i, i+1) })
	}},
	{"compute with another buffer", true, true, func(c *corrupter) string { return c.otherBuffer(computes) }},

	// Places and sizes.
	{"shift the view of a whole buffer", true, false, func(c *corrupter) string {
		p, i, o := c.wholeView()
		return c.done(p, i, func() { o.Offset += 1 - 2*c.IntN(2) })
	}},
	{"lengthen the view of a whole buffer", true, false, func(c *corrupter) string {
		p, i, o := c.wholeView()
		return c.done(p, i, func() { o.Shape = slices.Clone(o.Shape); o.Shape[c.IntN(len(o.Shape))] += 1 + c.IntN(2) })
	}},
	{"shrink a buffer", true, false, func(c *corrupter) string {
		p, i, o := c.wholeView()
		return c.done(p, i, func() {
			b := &c.stage.Buffers[o.Buffer]
			b.Dims = slices.Clone(b.Dims)
			d := c.IntN(len(b.Dims))
			b.Dims[d].Size--
		})
	}},
	{"see the part of another rank", true, true, (*corrupter).otherPart},
	{"move a buffer onto one that lasts", true, false, (*corrupter).ontoLasting},

	// Schedules.
	{"drop a call", true, false, func(c *corrupter) string {
		s := c.train()
		i := c.IntN(len(s.Calls))
		what := fmt.Sprintf("call %d %+v", i, s.Calls[i])
		s.Calls = slices.Delete(slices.Clone(s.Calls), i, i+1)
		return what
	}},
	{"call again", true, true, func(c *corrupter) string {
		s := c.train()
		i := c.IntN(len(s.Calls))
		if !slices.ContainsFunc(c.stage.Program(s.Calls[i].Program).Instructions, func(in plan.Instruction) bool { return joint(nil, &in) || carries(nil, &in) }) {
			return ""
		}
		s.Calls = slices.Insert(slices.Clone(s.Calls), i, s.Calls[i])
		return fmt.Sprintf("call %d %+v", i, s.Calls[i])
	}},
	{"go backward before forward", true, false, (*corrupter).backwardFirst},
	{"take another micro-batch", true, false, func(c *corrupter) string {
		s := c.train()
		i, n := c.IntN(len(s.Calls)), c.plan.Training.MicroBatches
		if s.Calls[i].Program == "update" {
			return ""
		}
		s.Calls = slices.Clone(s.Calls)
		was := s.Calls[i]
		s.Calls[i].MicroBatch = (was.MicroBatch + 1 + c.IntN(n-1)) % n
		return fmt.Sprintf("call %d %+v for %d", i, was, s.Calls[i].MicroBatch)
	}},
	{"go forward in another slot", true, false, func(c *corrupter) string {
		s := c.train()
		i := c.IntN(len(s.Calls))
		if c.stage.Slots < 2 || !strings.HasPrefix(s.Calls[i].Program, "forward") {
			return ""
		}
		s.Calls = slices.Clone(s.Calls)
		was := s.Calls[i]
		s.Calls[i].Slot = (was.Slot + 1 + c.IntN(c.stage.Slots-1)) % c.stage.Slots
		return fmt.Sprintf("call %d %+v in %d", i, was, s.Calls[i].Slot)
	}},

	// What may do no harm. Those of all ranks of a stage leave alone what is computed, in the order of the lists.
	{"swap neighbours", false, true, func(c *corrupter) string {
		p, i := c.pick(func(p *plan.Program, in *plan.Instruction) bool { return in != &p.Instructions[0] })
		return c.done(p, i, func() { list := p.Instructions; list[i-1], list[i] = list[i], list[i-1] })
	}},
	{"swap two calls", false, true, func(c *corrupter) string {
		s := c.train()
		i := 1 + c.IntN(len(s.Calls)-1)
		j := max(0, i-1-c.IntN(3))
		s.Calls = slices.Clone(s.Calls)
		s.Calls[i], s.Calls[j] = s.Calls[j], s.Calls[i]
		return fmt.Sprintf("calls %d %+v and %d %+v", j, s.Calls[j], i, s.Calls[i])
	}},
	{"drop a wait", false, false, func(c *corrupter) string {
		p, i := c.pick(waits)
		return c.done(p, i, func() {
			in := &p.Instructions[i]
			k := c.IntN(len(in.Wait))
			in.Wait = slices.Delete(slices.Clone(in.Wait), k, k+1)
		})
	}},
	{"wait for another event", false, false, func(c *corrupter) string {
		p, i := c.pick(waits)
		by := []int{-2, -1, 1, 2}[c.IntN(4)]
		if p == nil || p.Instructions[i].Wait[0]+by < 1 {
			return ""
		}
		return c.done(p, i, func() { p.Instructions[i].Wait[0] += by })
	}},
	{"run on another stream", false, false, func(c *corrupter) string {
		p, i := c.pick(func(*plan.Program, *plan.Instruction) bool { return true })
		return c.done(p, i, func() { p.Instructions[i].Stream = (p.Instructions[i].Stream + 1 + c.IntN(5)) % 6 })
	}},
	{"swap the places of two buffers", false, false, func(c *corrupter) string {
		list := c.stage.Buffers
		i, j := c.IntN(len(list)), c.IntN(len(list))
		if list[i].Offset == list[j].Offset {
			return ""
		}
		list = slices.Clone(list)
		list[i].Offset, list[j].Offset = list[j].Offset, list[i].Offset
		c.stage.Buffers = list
		return fmt.Sprintf("%%%d and %%%d", min(i, j), max(i, j))
	}},
	{"take another slot for a micro-batch", false, false, (*corrupter).otherSlot},
	{"send, and wait for the receiver", false, false, func(c *corrupter) string {
		p, i := c.pick(func(_ *plan.Program, in *plan.Instruction) bool { return in.Open != 0 })
		return c.done(p, i, func() { p.Instructions[i].Open, p.Instructions[i].Stream = 0, 0 })
	}},
}

// Kinds of instructions.

func carries(_ *plan.Program, in *plan.Instruction) bool {
	return in.Op == kernels.Send || in.Op == kernels.Receive
}

func joint(p *plan.Program, in *plan.Instruction) bool {
	return kernels.Contracts[in.Op].Collective && !carries(p, in)
}

// within is a collective of a stage's ranks.
func within(p *plan.Program, in *plan.Instruction) bool {
	return joint(p, in) && in.Attrs.Axis != plan.AxisPipeline
}

func computes(p *plan.Program, in *plan.Instruction) bool { return !joint(p, in) && !carries(p, in) }

func waits(_ *plan.Program, in *plan.Instruction) bool { return len(in.Wait) > 0 }

// pick is an instruction of a kind, of any program of the stage; nil where there is none.
func (c *corrupter) pick(kind func(*plan.Program, *plan.Instruction) bool) (*plan.Program, int) {
	type place struct{ program, instruction int }
	var list []place
	for i := range c.stage.Programs {
		p := &c.stage.Programs[i]
		for j := range p.Instructions {
			if kind(p, &p.Instructions[j]) {
				list = append(list, place{i, j})
			}
		}
	}
	if len(list) == 0 {
		return nil, 0
	}
	at := list[c.IntN(len(list))]
	return &c.stage.Programs[at.program], at.instruction
}

// done does something to an instruction, where there is one, and says to which and what it was and is.
func (c *corrupter) done(p *plan.Program, i int, do func()) string {
	if p == nil {
		return ""
	}
	was := p.Instructions[i]
	was.Operands, was.Wait = slices.Clone(was.Operands), slices.Clone(was.Wait)
	do()
	now := ""
	if i < len(p.Instructions) {
		in := p.Instructions[i]
		now = fmt.Sprint(in.Name, in.Op, in.Operands, in.Attrs.Peer, in.Attrs.Lane, in.Attrs.Axis, in.Stream, in.Wait, in.Joined, in.Open, in.Await)
	}
	return fmt.Sprintf("program %s, instruction %d %s (%v, %v): now %s", p.Name, i, was.Name, was.Op, was.Wait, now)
}

func (c *corrupter) train() *plan.Schedule { return c.stage.Schedule(plan.Train, c.plan.Data.Length) }

// whole says whether an operand is all of its buffer.
func (c *corrupter) whole(o *plan.Operand) bool {
	return o.Buffer >= 0 && o.Part == "" && o.Strides == nil && o.Offset == 0 && len(o.Shape) > 0 && kernels.Elements(o.Shape) == kernels.Elements(c.stage.Buffers[o.Buffer].Shape())
}

func (c *corrupter) wholeView() (*plan.Program, int, *plan.Operand) {
	has := func(o plan.Operand) bool { return c.whole(&o) && len(c.stage.Buffers[o.Buffer].Dims) > 0 }
	p, i := c.pick(func(_ *plan.Program, in *plan.Instruction) bool { return slices.ContainsFunc(in.Operands, has) })
	if p == nil {
		return nil, 0, nil
	}
	p.Instructions[i].Operands = slices.Clone(p.Instructions[i].Operands)
	list := p.Instructions[i].Operands
	for {
		if o := &list[c.IntN(len(list))]; has(*o) {
			return p, i, o
		}
	}
}

// uses says whether an instruction reads or writes a buffer, all of it.
func (c *corrupter) uses(in *plan.Instruction, buffer int) (reads, writes bool) {
	for i := range in.Operands {
		if o := &in.Operands[i]; o.Buffer == buffer && c.whole(o) {
			role := kernels.Contracts[in.Op].RoleOf(i, in.Attrs)
			reads, writes = reads || role.Reads(), writes || role.Writes()
		}
	}
	return reads, writes
}

// conflict is a buffer that two instructions use, one of them writing; −1: none.
func (c *corrupter) conflict(a, b *plan.Instruction) int {
	for _, o := range a.Operands {
		if o.Buffer < 0 {
			continue
		}
		ra, wa := c.uses(a, o.Buffer)
		rb, wb := c.uses(b, o.Buffer)
		if wa && (rb || wb) || ra && wb {
			return o.Buffer
		}
	}
	return -1
}

func (c *corrupter) swapCollectives() string {
	p, i := c.pick(joint)
	if p == nil {
		return ""
	}
	a := &p.Instructions[i]
	for j := i + 1; j < len(p.Instructions); j++ {
		b := &p.Instructions[j]
		if joint(p, b) && b.Attrs.Axis == a.Attrs.Axis {
			if a.Op == b.Op && a.Operands[0].Buffer == b.Operands[0].Buffer {
				return ""
			}
			return c.done(p, i, func() { *a, *b = *b, *a })
		}
	}
	return ""
}

func (c *corrupter) shrinkCollective() string {
	p, i := c.pick(func(p *plan.Program, in *plan.Instruction) bool {
		return joint(p, in) && slices.ContainsFunc(in.Operands[0].Shape, func(n int) bool { return n > 1 })
	})
	return c.done(p, i, func() {
		in := &p.Instructions[i]
		in.Operands = slices.Clone(in.Operands)
		for k := range in.Operands {
			o := &in.Operands[k]
			o.Shape = slices.Clone(o.Shape)
			o.Shape[slices.IndexFunc(o.Shape, func(n int) bool { return n > 1 })]--
		}
	})
}

func (c *corrupter) otherAxis() string {
	if len(c.plan.Mesh) < 2 {
		return ""
	}
	p, i := c.pick(joint)
	return c.done(p, i, func() {
		axis := &p.Instructions[i].Attrs.Axis
		for was := *axis; *axis == was; {
			*axis = c.plan.Mesh[c.IntN(len(c.plan.Mesh))].Name
		}
	})
}

// otherBuffer has an instruction of a kind work on another buffer of the same shape, type and class.
func (c *corrupter) otherBuffer(kind func(*plan.Program, *plan.Instruction) bool) string {
	p, i := c.pick(kind)
	if p == nil {
		return ""
	}
	in := &p.Instructions[i]
	x := in.Operands[c.IntN(len(in.Operands))].Buffer
	if x < 0 {
		return ""
	}
	var like []int
	for id := range c.stage.Buffers {
		a, b := &c.stage.Buffers[id], &c.stage.Buffers[x]
		if id != x && a.DType == b.DType && a.Class == b.Class && slices.Equal(a.Shape(), b.Shape()) {
			like = append(like, id)
		}
	}
	if len(like) == 0 {
		return ""
	}
	return c.done(p, i, func() {
		other := like[c.IntN(len(like))]
		in.Operands = slices.Clone(in.Operands)
		for k := range in.Operands {
			if in.Operands[k].Buffer == x {
				in.Operands[k].Buffer = other
			}
		}
	})
}

func (c *corrupter) otherPeer() string {
	p, i := c.pick(carries)
	places := c.plan.Degree(plan.AxisPipeline)
	return c.done(p, i, func() {
		peer := &p.Instructions[i].Attrs.Peer
		*peer = (*peer + 1 + c.IntN(places-1)) % places
	})
}

// receiveFirst swaps a sending and a receiving that both wait for the same peer, which does the one that belongs to the first of them first.
func (c *corrupter) receiveFirst() string {
	blocks := func(p *plan.Program, in *plan.Instruction) bool { return carries(p, in) && in.Stream == 0 }
	p, i := c.pick(blocks)
	if p == nil {
		return ""
	}
	a := &p.Instructions[i]
	for j := i + 1; j < len(p.Instructions); j++ {
		if b := &p.Instructions[j]; blocks(p, b) && b.Op != a.Op && b.Attrs.Peer == a.Attrs.Peer {
			return c.done(p, i, func() { *a, *b = *b, *a })
		}
	}
	return ""
}

// dropNeededWait drops a wait for an instruction with which it conflicts, where nothing else is behind that.
func (c *corrupter) dropNeededWait() string {
	p, i := c.pick(waits)
	if p == nil {
		return ""
	}
	in := &p.Instructions[i]
	k := c.IntN(len(in.Wait))
	signals := map[int]int{}
	for j := range i {
		if e := p.Instructions[j].Signal; e > 0 {
			signals[e] = j
		}
	}
	from := signals[in.Wait[k]]
	stream := p.Instructions[from].Stream
	if stream == in.Stream || c.conflict(&p.Instructions[from], in) < 0 {
		return ""
	}
	for j := from + 1; j <= i; j++ {
		for n, e := range p.Instructions[j].Wait {
			if at, ok := signals[e]; ok && at >= from && p.Instructions[at].Stream == stream && (j < i || n != k) {
				return ""
			}
		}
	}
	return c.done(p, i, func() { in.Wait = slices.Delete(slices.Clone(in.Wait), k, k+1) })
}

// goBefore moves an instruction to before the one that signals what it waits for.
func (c *corrupter) goBefore() string {
	p, i := c.pick(waits)
	if p == nil {
		return ""
	}
	in := p.Instructions[i]
	j := slices.IndexFunc(p.Instructions, func(x plan.Instruction) bool { return x.Signal == in.Wait[0] })
	return c.done(p, i, func() {
		p.Instructions = slices.Insert(slices.Delete(slices.Clone(p.Instructions), i, i+1), j, in)
	})
}

// readAside moves an instruction to a stream of its own that uses what the one before it writes.
func (c *corrupter) readAside() string {
	p, i := c.pick(func(p *plan.Program, in *plan.Instruction) bool {
		return in.Stream == 0 && len(in.Wait) == 0 && !carries(p, in)
	})
	if p == nil || i == 0 || p.Instructions[i-1].Stream != 0 || c.conflict(&p.Instructions[i-1], &p.Instructions[i]) < 0 {
		return ""
	}
	return c.done(p, i, func() { p.Instructions[i].Stream = 10 + c.IntN(10) })
}

// dropNeededAwait drops what an instruction awaits that works on what is received.
func (c *corrupter) dropNeededAwait() string {
	p, i := c.pick(func(_ *plan.Program, in *plan.Instruction) bool { return len(in.Await) > 0 })
	if p == nil {
		return ""
	}
	in := &p.Instructions[i]
	k := c.IntN(len(in.Await))
	for n := range c.stage.Programs {
		for j := range c.stage.Programs[n].Instructions {
			opener := &c.stage.Programs[n].Instructions[j]
			if opener.Open == in.Await[k] && c.conflict(opener, in) >= 0 {
				return c.done(p, i, func() { in.Await = slices.Delete(slices.Clone(in.Await), k, k+1) })
			}
		}
	}
	return ""
}

// swapDependent swaps an instruction that reads what the one before it writes with that, where nothing else of the stage writes it and it does not last.
func (c *corrupter) swapDependent() string {
	p, i := c.pick(func(*plan.Program, *plan.Instruction) bool { return true })
	if i == 0 {
		return ""
	}
	a, b := &p.Instructions[i-1], &p.Instructions[i]
	for _, o := range a.Operands {
		if o.Buffer < 0 || c.stage.Buffers[o.Buffer].Lasting || c.stage.Buffers[o.Buffer].Class == plan.Cache || c.writers(o.Buffer) != 1 {
			continue
		}
		ra, wa := c.uses(a, o.Buffer)
		if rb, _ := c.uses(b, o.Buffer); wa && !ra && rb {
			return c.done(p, i-1, func() { *a, *b = *b, *a })
		}
	}
	return ""
}

// writers is how many instructions of the stage write to a buffer.
func (c *corrupter) writers(buffer int) (n int) {
	for i := range c.stage.Programs {
		for j := range c.stage.Programs[i].Instructions {
			in := &c.stage.Programs[i].Instructions[j]
			for k := range in.Operands {
				if in.Operands[k].Buffer == buffer && kernels.Contracts[in.Op].RoleOf(k, in.Attrs).Writes() {
					n++
				}
			}
		}
	}
	return n
}

// otherPart has a rank see what is another one's part of a buffer.
func (c *corrupter) otherPart() string {
	stage := c.plan.StageOf(c.rank)
	type place struct{ program, instruction, operand int }
	var list []place
	for i := range c.plan.Stages[stage].Programs {
		for j, in := range c.plan.Stages[stage].Programs[i].Instructions {
			for k, o := range in.Operands {
				if o.Part != "" {
					list = append(list, place{i, j, k})
				}
			}
		}
	}
	if len(list) == 0 {
		return ""
	}
	at := list[c.IntN(len(list))]
	part := &c.plan.Stages[stage].Programs[at.program].Instructions[at.instruction].Operands[at.operand]
	step := part.Step
	if step == 0 {
		step = kernels.Elements(part.Shape)
	}
	p := &c.stage.Programs[at.program]
	return c.done(p, at.instruction, func() {
		place := c.plan.Place(c.rank, part.Part)
		p.Instructions[at.instruction].Operands[at.operand].Offset += ((place+1)%c.plan.Degree(part.Part) - place) * step
	})
}

// ontoLasting moves a buffer that something is computed in onto one that lasts.
func (c *corrupter) ontoLasting() string {
	list := c.stage.Buffers
	i, j := c.IntN(len(list)), c.IntN(len(list))
	if a, b := &list[i], &list[j]; a.Lasting || !b.Lasting || a.Space != b.Space || a.Slotted || c.writers(i) == 0 {
		return ""
	}
	list = slices.Clone(list)
	list[i].Offset = list[j].Offset
	c.stage.Buffers = list
	return fmt.Sprintf("%%%d onto %%%d", i, j)
}

// backwardFirst swaps the calls that go forward and backward on a micro-batch.
func (c *corrupter) backwardFirst() string {
	s := c.train()
	i := c.IntN(len(s.Calls))
	chunk, forward := strings.CutPrefix(s.Calls[i].Program, "forward")
	if !forward {
		return ""
	}
	for j := i + 1; j < len(s.Calls); j++ {
		if b := s.Calls[j]; b.MicroBatch == s.Calls[i].MicroBatch && strings.TrimSuffix(b.Program, ".add") == "backward"+chunk {
			s.Calls = slices.Clone(s.Calls)
			s.Calls[i], s.Calls[j] = s.Calls[j], s.Calls[i]
			return fmt.Sprintf("calls %d %+v and %d %+v", j, s.Calls[j], i, s.Calls[i])
		}
	}
	return ""
}

// otherSlot has all calls for a micro-batch in one slot use another.
func (c *corrupter) otherSlot() string {
	if c.stage.Slots < 2 {
		return ""
	}
	s := c.train()
	s.Calls = slices.Clone(s.Calls)
	of := s.Calls[c.IntN(len(s.Calls))]
	slot := (of.Slot + 1 + c.IntN(c.stage.Slots-1)) % c.stage.Slots
	for i := range s.Calls {
		if s.Calls[i].MicroBatch == of.MicroBatch && s.Calls[i].Slot == of.Slot && s.Calls[i].Program != "update" {
			s.Calls[i].Slot = slot
		}
	}
	return fmt.Sprintf("micro-batch %d in slot %d, in place of %d", of.MicroBatch, slot, of.Slot)
}
