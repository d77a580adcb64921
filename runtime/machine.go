package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/kernels"
)

// Machine is a rank of a plan, bound to a device: every operand has its
// address, every instruction its kernel. Running allocates nothing.
type Machine struct {
	Plan     *plan.Plan
	rank     Rank
	groups   map[string]collectives.Group // by axis, or by the two stages that it joins
	failed   error                        // of a collective or a plugin: the rank goes no further
	stage    *plan.Stage
	device   kernels.Device
	memories map[kernels.Space]kernels.Memory
	programs map[instance]*program
	open     map[opening][]*named // what goes on past the end of its program
	beside   []*named             // all that goes on while the rank does, in the order of the plan
	scalars  map[string]*plan.Buffer
	word     [8]byte
	first    int // row of the global batch that the rank's rows of the micro-batch at hand begin with

	trace *tracer // nil: none

	// What others may look at while the machine runs.
	done atomic.Int64 // instructions begun
	at   atomic.Pointer[plan.Instruction]
}

// Look tells how far the machine is, as a number that changes with all it does, and what it is at. It may be called while it runs.
func (m *Machine) Look() (progress int64, at string) {
	if in := m.at.Load(); in != nil {
		at = place(in)
	}
	progress = m.done.Load()
	if d, ok := m.device.(kernels.Progressive); ok {
		progress += d.Progress()
	}
	if m.rank.Host != nil {
		progress += m.rank.Host.Progress()
	}
	return progress, at
}

// place names an instruction, and where it comes from.
func place(in *plan.Instruction) string {
	if in.Pos == "" {
		return fmt.Sprintf("%s (%v)", in.Name, in.Op)
	}
	return fmt.Sprintf("%s (%v, %s)", in.Name, in.Op, in.Pos)
}

// begin notes what the machine is at.
func (m *Machine) begin(in *plan.Instruction) {
	m.at.Store(in)
	m.done.Add(1)
}

// Rank is a rank's number in the plan's mesh, and what joins it with others.
type Rank struct {
	Number int
	// Host runs what plugins do; nil: nothing here does.
	Host Host
	// Join gives its part in the group of these ranks along an axis. nil: the rank is alone, and can do all that takes no other ranks.
	Join func(axis string, ranks []int, rank int) (collectives.Group, error)
}

// Host binds what is done on the host: call is an instruction of plugin p. What it gives may be called any number of times, while no kernel of the device runs.
type Host interface {
	// place says which row of the batch a row of the call is.
	Bind(p *plan.Plugin, call kernels.Call, device kernels.Device, place func(row int) string) (func() error, error)
	// Policy is the plugin as it decides how weights are compressed, in a run of so many steps. Each rank has one of its own.
	Policy(p *plan.Plugin, steps int64) (compress.Policy, error)
	// Progress is a number that changes at least every second while what it bound runs. It may be asked for at any time.
	Progress() int64
}

// instance is a program in an activation slot.
type instance struct {
	program string
	slot    int
}

// opening is an event of the stage in an activation slot.
type opening struct{ event, slot int }

// program is a bound program.
type program struct {
	plan  *plan.Program
	steps []step
	last  []collectives.Collective // waited for at its end
}

// step is a bound instruction. guard is nil, or the scalar that must not be 0; counts says that it is the one of steps that count. What is computed is done when it
// returns; a collective of another stream goes on, until the steps that wait for it.
type step struct {
	run    kernels.Kernel
	guard  *plan.Buffer
	counts bool
	wait   []collectives.Collective
	await  []*named // of other programs, where they were begun
}

// Bind allocates a rank's arenas on a device and binds its instructions. The
// plan must have passed Verify.
func Bind(p *plan.Plan, device kernels.Device, rank Rank) (*Machine, error) {
	return BindStage(p, p.Expand(p.StageOf(rank.Number), rank.Number), device, rank)
}

// BindStage is [Bind] with what the rank runs, as [plan.Plan.Expand] gives it, which must have passed VerifyRanks.
func BindStage(p *plan.Plan, stage *plan.Stage, device kernels.Device, rank Rank) (*Machine, error) {
	if p.Device != device.Kind() {
		return nil, fmt.Errorf("the plan is for device kind %s, not %s: plan again for it", p.Device, device.Kind())
	}
	m := &Machine{Plan: p, stage: stage, rank: rank, groups: map[string]collectives.Group{}, device: device, memories: map[kernels.Space]kernels.Memory{},
		programs: map[instance]*program{}, open: map[opening][]*named{}, scalars: map[string]*plan.Buffer{}}
	for _, a := range p.Arenas {
		memory, err := device.Alloc(a.Space, p.ArenaBytes(p.StageOf(rank.Number), a))
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.memories[a.Space] = memory
	}
	for _, s := range p.Scalars {
		m.scalars[s.Name] = &m.stage.Buffers[s.Buffer]
		if place, ok := p.PlaceOf(s.Name, rank.Number); ok {
			m.SetCounter(s.Name, int64(place))
		}
	}
	if err := m.bindAll(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// bindAll binds every program in every slot that it is called in.
func (m *Machine) bindAll() error {
	for i := range m.stage.Programs {
		p := &m.stage.Programs[i]
		for _, slot := range m.stage.SlotsOf(p.Name) {
			if err := m.bind(p, slot); err != nil {
				return err
			}
		}
	}
	for b, p := range m.programs {
		for i := range p.steps {
			for _, event := range p.plan.Instructions[i].Await {
				p.steps[i].await = append(p.steps[i].await, m.open[opening{event, b.slot}]...)
			}
		}
	}
	return nil
}

// Close leaves the groups and frees the arenas.
func (m *Machine) Close() error {
	var errs []error
	for _, g := range m.groups {
		errs = append(errs, g.Close())
	}
	for _, memory := range m.memories {
		errs = append(errs, memory.Close())
	}
	return errors.Join(errs...)
}

func (m *Machine) bind(p *plan.Program, slot int) error {
	bound := &program{plan: p, steps: make([]step, len(p.Instructions))}
	signals, streams := map[int]collectives.Collective{}, map[int][]collectives.Collective{}
	var calls []joining // that are one with the instruction at hand
	for i := range p.Instructions {
		in := &p.Instructions[i]
		args := m.stage.Tensors(in)
		for j, o := range in.Operands {
			if o.Buffer >= 0 {
				args[j].Data = m.address(&m.stage.Buffers[o.Buffer], slot, o.Offset)
			}
		}
		var run kernels.Kernel
		var err error
		for _, event := range in.Wait {
			if c := signals[event]; c != nil {
				bound.steps[i].wait = append(bound.steps[i].wait, c)
			}
		}
		if kernels.Contracts[in.Op].Collective {
			calls = append(calls, joining{in, args})
			if p.Joins(i + 1) { // the last one begins all
				bound.steps[i].run = func() {}
				continue
			}
			var n *named
			run, n, err = m.collective(calls)
			calls = nil
			if n != nil && in.Stream != 0 {
				m.beside = append(m.beside, n)
			}
			if n != nil && in.Open != 0 {
				m.open[opening{in.Open, slot}] = append(m.open[opening{in.Open, slot}], n)
			} else if n != nil && in.Stream != 0 {
				signals[in.Signal], streams[in.Stream] = n, append(streams[in.Stream], n)
				bound.last = append(bound.last, n)
			}
		} else {
			bound.steps[i].wait = append(bound.steps[i].wait, streams[in.Stream]...) // a stream runs in order
			call := kernels.Call{Op: in.Op, Attrs: in.Attrs, Args: args, Stream: in.Stream}
			if kernels.Contracts[in.Op].Host {
				run, err = m.plugin(p, in, call)
			} else {
				run, err = m.device.Bind(call)
			}
		}
		if err != nil {
			return fmt.Errorf("program %s, instruction %d (%s, %s): %w", p.Name, i, in.Name, in.Pos, err)
		}
		bound.steps[i].run = run
		if in.Predicate > 0 {
			guard := &m.stage.Buffers[in.Predicate-1]
			bound.steps[i].guard, bound.steps[i].counts = guard, guard == m.scalars[plan.ScalarFinite]
		}
	}
	m.programs[instance{p.Name, slot}] = bound
	return nil
}

// plugin binds what a plugin does. Once it failed the rank goes no further.
func (m *Machine) plugin(of *plan.Program, in *plan.Instruction, call kernels.Call) (kernels.Kernel, error) {
	p := m.Plan.Plugin(in.Attrs.Plugin)
	if m.rank.Host == nil {
		return nil, fmt.Errorf("nothing here runs the plugin %s", p.Name)
	}
	run, err := m.rank.Host.Bind(p, call, m.device, m.placeOf(of, in))
	if err != nil {
		return nil, err
	}
	return func() {
		if m.failed != nil {
			return
		}
		if err := run(); err != nil {
			m.failed = fmt.Errorf("%s: %w", place(in), err)
		}
	}, nil
}

// collectiveOps are the collectives that operations become.
var collectiveOps = map[kernels.Op]collectives.Op{kernels.AllReduce: collectives.AllReduce, kernels.ReduceScatter: collectives.ReduceScatter,
	kernels.AllGather: collectives.AllGather, kernels.AllToAll: collectives.AllToAll, kernels.Send: collectives.Send, kernels.Receive: collectives.Receive,
	kernels.RingShift: collectives.RingShift}

// collectiveCall is an instruction as its group of so many ranks takes it, in which the rank has a place.
func collectiveCall(in *plan.Instruction, args []kernels.Tensor, ranks, place int) (collectives.Call, error) {
	x, y := args[0], args[len(args)-1]
	e, err := kernels.ExchangeOf(in.Op, in.Attrs, x.Shape, y.Shape, ranks)
	c := collectives.Call{Op: collectiveOps[in.Op], DType: x.DType, Count: e.Count, Rows: e.Rows, Mid: e.Mid, Swap: e.Swap,
		In: x.Data, Out: y.Data, Add: in.Attrs.Accumulate}
	if in.Op == kernels.Send || in.Op == kernels.Receive {
		c.Peer = 1 - place // of two
	}
	return c, err
}

// joining is a collective with its memory.
type joining struct {
	in   *plan.Instruction
	args []kernels.Tensor
}

// collective binds what the rank does with others, in one call: run takes part at once, or, on another stream, begins to. A rank that is alone fails
// when it comes to it.
func (m *Machine) collective(list []joining) (run kernels.Kernel, n *named, err error) {
	in := list[len(list)-1].in
	if m.rank.Join == nil {
		return func() { m.failed = fmt.Errorf("%s (%v): this rank is alone", in.Name, in.Op) }, nil, nil
	}
	g, err := m.groupOf(in)
	if err != nil {
		return nil, nil, err
	}
	calls := make([]collectives.Call, len(list))
	for i, j := range list {
		if calls[i], err = collectiveCall(j.in, j.args, g.Size(), g.Rank()); err != nil {
			return nil, nil, err
		}
	}
	c, err := g.Bind(calls...)
	if err != nil {
		return nil, nil, err
	}
	n = &named{Collective: c, in: in, machine: m}
	if in.Stream != 0 {
		return func() {
			if m.failed == nil {
				n.Start()
			}
		}, n, nil
	}
	return func() {
		if m.failed == nil {
			m.failed = n.Run()
		}
	}, n, nil
}

// named is a collective whose errors name its instruction.
type named struct {
	collectives.Collective
	in      *plan.Instruction
	machine *Machine
	begun   time.Time // of one that goes on; zero when it is done, or nobody asks
	flying  bool      // it was begun and not waited for
}

// Start is the collective's.
func (n *named) Start() {
	n.begun, n.flying = n.machine.trace.now(), true
	n.Collective.Start()
}

// Run is the collective's.
func (n *named) Run() error { return n.name(n.Collective.Run()) }

// Wait is the collective's.
func (n *named) Wait() error {
	err := n.Collective.Wait()
	n.flying = false
	if t := n.machine.trace; t != nil && !n.begun.IsZero() {
		end := time.Now()
		if c, ok := n.Collective.(interface{ Ended() time.Time }); ok { // while others computed
			end = c.Ended()
		}
		t.add(n.in, n.begun, end)
		n.begun = time.Time{}
	}
	return n.name(err)
}

func (n *named) name(err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", place(n.in), err)
	}
	return err
}

// before waits for what a step waits for.
func (m *Machine) before(s *step) {
	m.await(s.wait)
	for _, n := range s.await {
		if n.flying && m.failed == nil {
			m.failed = n.Wait()
		}
	}
}

// await waits for collectives that were begun. Once one has failed none is begun.
func (m *Machine) await(list []collectives.Collective) {
	for _, c := range list {
		if m.failed == nil {
			m.failed = c.Wait()
		}
	}
}

// settle waits for what was begun and that nothing awaited.
func (m *Machine) settle() error {
	for _, n := range m.beside {
		if n.flying && m.failed == nil {
			m.failed = n.Wait()
		}
	}
	return m.failed
}

// drain waits, once all ranks have failed, until nothing that the rank began works on anybody's memory. What went wrong is known.
func (m *Machine) drain() {
	for _, n := range m.beside {
		if n.flying {
			_ = n.Wait()
		}
	}
}

// groupOf is the rank's part in the group that an instruction is for: the ranks along its axis, or, for what is sent, the two at the ends
// of a lane, the sender first.
func (m *Machine) groupOf(in *plan.Instruction) (collectives.Group, error) {
	name, ranks := in.Attrs.Axis, m.Plan.Group(m.rank.Number, in.Attrs.Axis)
	if in.Op == kernels.Send || in.Op == kernels.Receive {
		from, to := m.Plan.Place(m.rank.Number, in.Attrs.Axis), in.Attrs.Peer
		if in.Op == kernels.Receive {
			from, to = to, from
		}
		name, ranks = fmt.Sprintf("%s %d to %d, lane %d", name, from, to, in.Attrs.Lane), []int{ranks[from], ranks[to]}
	}
	if g := m.groups[name]; g != nil {
		return g, nil
	}
	g, err := m.rank.Join(name, ranks, m.rank.Number)
	if err == nil {
		m.groups[name] = g
	}
	return g, err
}

func (m *Machine) address(b *plan.Buffer, slot, element int) unsafe.Pointer {
	return m.memories[b.Space].Pointer(m.offset(b, slot) + int64(element)*int64(b.DType.Size()))
}

// offset is where a buffer begins during a call in a slot.
func (m *Machine) offset(b *plan.Buffer, slot int) int64 {
	if b.Slotted {
		return b.Offset + int64(slot)*m.stage.SlotBytes
	}
	return b.Offset
}

// skips says whether an instruction is left out. A loss that is not finite, as squares of large errors are not though their gradients are, skips the update as a norm that
// is not finite does: it may become known in the program itself, as a sum over ranks. What depends on another scalar, as the making of a mask does, is done in such a step, too.
func (m *Machine) skips(s *step) bool {
	return s.guard != nil && (m.counter(s.guard) == 0 || s.counts && bad(m.Real(plan.ScalarLoss)))
}

// Run runs one program in a slot. A rank whose collective failed begins no other, and says what failed.
func (m *Machine) Run(name string, slot int) error {
	p := m.programs[instance{name, slot}]
	for i := range p.steps {
		s := &p.steps[i]
		in := &p.plan.Instructions[i]
		m.begin(in)
		m.before(s)
		if m.skips(s) {
			continue
		}
		start := m.trace.now()
		if s.run(); in.Stream == 0 {
			m.trace.add(in, start, m.trace.now())
		}
	}
	m.await(p.last)
	return m.failed
}

// Buffer finds what a program knows by a name: one of its inputs or outputs; nil when it has none.
func (m *Machine) Buffer(program, port string) *plan.Buffer {
	p := m.stage.Program(program)
	for _, list := range [][]plan.Port{p.Inputs, p.Outputs} {
		for _, q := range list {
			if q.Name == port {
				return &m.stage.Buffers[q.Buffer]
			}
		}
	}
	return nil
}

// Write copies bytes into a buffer, from its start.
func (m *Machine) Write(b *plan.Buffer, data []byte) error { return m.writeIn(b, 0, data) }

// writeIn is Write for a call in a slot.
func (m *Machine) writeIn(b *plan.Buffer, slot int, data []byte) error {
	if int64(len(data)) > b.SizeBytes() {
		return fmt.Errorf("%d bytes do not fit into %s, which has %d", len(data), b.Name, b.SizeBytes())
	}
	_, err := m.memories[b.Space].WriteAt(data, m.offset(b, slot))
	return err
}

// Read copies a buffer's first bytes.
func (m *Machine) Read(b *plan.Buffer, data []byte) error {
	_, err := m.memories[b.Space].ReadAt(data, b.Offset)
	return err
}

// SetCounter and SetReal write a scalar; a plan without it needs none.
func (m *Machine) SetCounter(name string, value int64) {
	m.setWord(name, uint64(value))
}

// SetReal writes a scalar of type F64.
func (m *Machine) SetReal(name string, value float64) {
	m.setWord(name, math.Float64bits(value))
}

func (m *Machine) setWord(name string, word uint64) {
	b := m.scalars[name]
	if b == nil {
		return
	}
	binary.LittleEndian.PutUint64(m.word[:], word)
	if err := m.Write(b, m.word[:]); err != nil {
		panic(err) // an arena that verify admitted holds all its buffers
	}
}

// Real reads a scalar of type F64.
func (m *Machine) Real(name string) float64 { return math.Float64frombits(m.loadWord(m.scalars[name])) }

// Counter reads a scalar of type I64.
func (m *Machine) Counter(name string) int64 { return m.counter(m.scalars[name]) }

func (m *Machine) counter(b *plan.Buffer) int64 { return int64(m.loadWord(b)) }

func (m *Machine) loadWord(b *plan.Buffer) uint64 {
	if err := m.Read(b, m.word[:]); err != nil {
		panic(err)
	}
	return binary.LittleEndian.Uint64(m.word[:])
}
