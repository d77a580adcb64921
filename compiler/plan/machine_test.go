package plan_test

import (
	"math/rand/v2"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// toy runs a plan on marks instead of numbers: every byte holds a mark, and what an
// instruction writes is the hash of all that it read. It is a second, simple account of what Verify claims: a sound plan gives
// the same marks when every buffer has memory of its own as in its arena, whatever undefined bytes hold,
// and in whatever order its streams run.
type toy struct {
	plan  *plan.Plan
	stage *plan.Stage
	own   bool       // every spot has its own memory
	hasty bool       // outputs are spoilt before inputs are read, and written last to first
	rand  *rand.Rand // chooses among the orders of streams; nil: the order of the list
	noise uint64     // what undefined bytes hold depends on it

	marks  []uint64 // by byte
	base   []int    // of each buffer among them
	result []uint64 // marks of what lasts and of outputs
	now    plan.Call
	stride int // between the own memories of micro-batches
}

func hash(words ...uint64) uint64 {
	h := uint64(1)
	for _, w := range words {
		h = mix(h, w)
	}
	return h
}

// mix is a step of splitmix64 over both.
func mix(h, w uint64) uint64 {
	h = (h ^ w) * 0x9E3779B97F4A7C15
	h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>27) * 0x94D049BB133111EB
	return h ^ h>>31
}

// lay gives every buffer its place: one after another, with all their slots, or as the plan says.
func (t *toy) lay() {
	t.stage = &t.plan.Stages[0]
	end := 0
	for id := range t.stage.Buffers {
		b := &t.stage.Buffers[id]
		if !t.own {
			t.base = append(t.base, int(b.Offset))
			continue
		}
		t.base = append(t.base, end)
		end += int(b.SizeBytes()) + (t.stage.Slots-1)*int(t.stage.SlotBytes)
	}
	t.stride, end = end, end*max(1, t.plan.Training.MicroBatches)
	t.marks = make([]uint64, max(end, int(t.plan.Arenas[0].SizeBytes)+4096)) // room for what a corrupted plan writes behind its arena
}

// run follows every schedule from its start and gives the marks that count.
func (t *toy) run() []uint64 {
	t.lay()
	for i := range t.stage.Schedules {
		s := &t.stage.Schedules[i]
		for at := range t.marks {
			t.marks[at] = t.noise
		}
		for id := range t.stage.Buffers {
			if b := &t.stage.Buffers[id]; b.Lasting || b.Class == plan.Cache && (s.Kind == plan.Prefill || s.Kind == plan.Decode) {
				t.fill(id, hash(1, uint64(id)))
			}
		}
		for n, c := range s.Calls {
			t.call(c, uint64(n))
		}
		for id := range t.stage.Buffers {
			if t.stage.Buffers[id].Lasting {
				t.keep(id)
			}
		}
	}
	return t.result
}

func (t *toy) call(c plan.Call, n uint64) {
	t.now = c
	p := t.stage.Program(c.Program)
	for _, in := range p.Inputs {
		t.fill(in.Buffer, hash(2, n, uint64(in.Buffer)))
	}
	for _, i := range t.order(p) {
		t.instruction(&p.Instructions[i], uint64(i))
	}
	for _, out := range p.Outputs {
		t.keep(out.Buffer)
	}
}

// order is one in which the streams may run a program.
func (t *toy) order(p *plan.Program) []int {
	queues := map[int][]int{}
	var streams, order []int
	for i := range p.Instructions {
		s := p.Instructions[i].Stream
		if queues[s] == nil {
			streams = append(streams, s)
		}
		queues[s] = append(queues[s], i)
	}
	if t.rand == nil || len(streams) < 2 {
		for i := range p.Instructions {
			order = append(order, i)
		}
		return order
	}
	signalled := map[int]bool{}
	for len(order) < len(p.Instructions) {
		s := streams[t.rand.IntN(len(streams))]
		if len(queues[s]) == 0 {
			continue
		}
		in := &p.Instructions[queues[s][0]]
		if slices.ContainsFunc(in.Wait, func(e int) bool { return !signalled[e] }) {
			continue
		}
		signalled[in.Signal] = true
		order, queues[s] = append(order, queues[s][0]), queues[s][1:]
	}
	return order
}

func whole(b *plan.Buffer) plan.Operand { return plan.Operand{Buffer: b.ID, Shape: b.Shape()} }

func (t *toy) fill(id int, mark uint64) {
	o := whole(&t.stage.Buffers[id])
	for i, a := range t.bytes(&o) {
		t.marks[a] = hash(mark, uint64(i))
	}
}

func (t *toy) keep(id int) {
	o := whole(&t.stage.Buffers[id])
	t.result = append(t.result, t.read(&o))
}

// read is the hash of the marks of a view.
func (t *toy) read(o *plan.Operand) uint64 {
	h := uint64(1)
	for _, a := range t.bytes(o) {
		h = mix(h, t.marks[a])
	}
	return h
}

// bytes lists the indices in marks of a view's bytes, in the order of its elements.
func (t *toy) bytes(o *plan.Operand) []int {
	b := &t.stage.Buffers[o.Buffer]
	size, base := b.DType.Size(), t.base[o.Buffer]
	if b.Slotted {
		base += t.now.Slot * int(t.stage.SlotBytes)
	}
	if t.own && !b.Lasting && b.Class != plan.Gradient && b.Class != plan.Cache {
		base += t.now.MicroBatch * t.stride
	}
	list := make([]int, 0, kernels.Elements(o.Shape)*size)
	tensor := kernels.Tensor{Shape: o.Shape, Strides: o.Strides}
	index := make([]int, len(o.Shape))
	for range kernels.Elements(o.Shape) {
		at := o.Offset
		for i, x := range index {
			at += x * tensor.Stride(i)
		}
		for k := range size {
			list = append(list, base+at*size+k)
		}
		for i := len(index) - 1; i >= 0; i-- {
			if index[i]++; index[i] < o.Shape[i] {
				break
			}
			index[i] = 0
		}
	}
	return list
}

func (t *toy) instruction(in *plan.Instruction, n uint64) {
	c := &kernels.Contracts[in.Op]
	if in.Predicate > 0 {
		if o := whole(&t.stage.Buffers[in.Predicate-1]); t.read(&o)%2 == 0 {
			return
		}
	}
	if t.hasty {
		t.spoil(in)
	}
	words := []uint64{uint64(in.Op), n}
	for i := range in.Operands {
		if o := &in.Operands[i]; o.Buffer >= 0 && c.RoleOf(i, in.Attrs).Reads() {
			words = append(words, uint64(i), t.read(o))
		}
	}
	sum := hash(words...)
	outputs := writes(in)
	if t.hasty {
		slices.Reverse(outputs)
	}
	for _, i := range outputs {
		for k, a := range t.bytes(&in.Operands[i]) {
			t.marks[a] = hash(sum, uint64(i), uint64(k))
		}
	}
}

// writes lists the operands that an instruction writes.
func writes(in *plan.Instruction) []int {
	var list []int
	for i := range in.Operands {
		if in.Operands[i].Buffer >= 0 && kernels.Contracts[in.Op].RoleOf(i, in.Attrs).Writes() {
			list = append(list, i)
		}
	}
	return list
}

// spoil overwrites the outputs, as a kernel may that writes one element while it
// reads another, but for those that are exactly an input they may share.
func (t *toy) spoil(in *plan.Instruction) {
	c := &kernels.Contracts[in.Op]
	for _, i := range writes(in) {
		shared := c.RoleOf(i, in.Attrs).Reads()
		for j := range in.Operands {
			if in.Operands[j].Buffer >= 0 && c.MayShare(i, j) && slices.Equal(t.bytes(&in.Operands[i]), t.bytes(&in.Operands[j])) {
				shared = true
			}
		}
		if shared {
			continue
		}
		for k, a := range t.bytes(&in.Operands[i]) {
			t.marks[a] = hash(3, uint64(i), uint64(k))
		}
	}
}

// harm says how a plan goes wrong when it is run; it is empty where no way was found.
func harm(p *plan.Plan, seed uint64) string {
	want := (&toy{plan: p, own: true, noise: 1}).run()
	switch {
	case !slices.Equal(want, (&toy{plan: p, own: true, noise: 2}).run()):
		return "it reads what was not written"
	case !slices.Equal(want, (&toy{plan: p, noise: 3}).run()):
		return "buffers disturb each other"
	case !slices.Equal(want, (&toy{plan: p, noise: 4, hasty: true}).run()):
		return "operands disturb each other"
	}
	for i := range uint64(4) {
		if !slices.Equal(want, (&toy{plan: p, noise: 5, rand: rand.New(rand.NewPCG(seed, i))}).run()) {
			return "streams disturb each other"
		}
	}
	return ""
}
