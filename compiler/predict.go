package compiler

import (
	"slices"
	"time"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/timeline"
)

// Predict gives the seconds that a profile expects each instruction of a schedule to take, by program, the
// calls of the schedule together. The plan must have passed Verify.
func Predict(p *Profile, pl *plan.Plan, s *plan.Schedule, threads int) map[string][]float64 {
	predicted, _ := predict(p, pl, s, threads, nil)
	return predicted
}

// Timeline is what a profile expects of the first rank of each stage in a training step of the longest rows, with codes where gradients are coded: all ranks of a stage do the same.
func Timeline(p *Profile, pl *plan.Plan, threads int) []timeline.Event {
	var list []timeline.Event
	tell := func(stage int, c plan.Call, in *plan.Instruction, start, seconds float64) {
		e := timeline.Event{Name: in.Name, Op: in.Op.String(), Program: c.Program, Pos: in.Pos, MicroBatch: c.MicroBatch, Stream: in.Stream,
			Rank: pl.FirstOf(stage), Start: inTime(start), Length: inTime(seconds)}
		if kernels.Contracts[in.Op].Collective {
			e.Axis, e.SentBytes = in.Attrs.Axis, pl.SentBytes(&pl.Stages[stage], in)
		}
		list = append(list, e)
	}
	threads = pl.RankThreads(threads)
	if len(pl.Stages) > 1 {
		followStages(p, pl, plan.Train, threads, tell)
		return list
	}
	predict(p, pl, pl.Stages[0].Schedule(plan.Train, pl.Data.Length), threads, func(c plan.Call, in *plan.Instruction, start, seconds float64) {
		tell(0, c, in, start, seconds)
	})
	return list
}

func inTime(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// predict also gives the time that collectives add to what is computed: those that all else waits for, and of those that run beside it what
// is not done when it is waited for. tell, which may be nil, is told when each instruction begins, in seconds, and how long it takes.
func predict(p *Profile, pl *plan.Plan, s *plan.Schedule, threads int,
	tell func(c plan.Call, in *plan.Instruction, start, seconds float64)) (predicted map[string][]float64, exposed float64) {
	st := &pl.Stages[0]
	c := newPricer(p, pl, st, threads)
	predicted = map[string][]float64{}
	for _, call := range s.Calls {
		program := st.Program(call.Program)
		predicted[call.Program] = make([]float64, len(program.Instructions))
		c.pass(program) // leaves the cache as the next step finds it
	}
	_, exposed = Play(st, s, func(call plan.Call) func(i int) float64 {
		prices := c.prices(st.Program(call.Program))
		return func(i int) float64 {
			seconds := prices(i)
			predicted[call.Program][i] += seconds
			return seconds
		}
	}, tell)
	return predicted, exposed
}

// Play follows a schedule of the only stage of a plan, whose instructions take what seconds says, asked in their order call by call. It gives how long all takes, and what of that is
// collectives that nothing is computed beside. tell is as in predict.
func Play(st *plan.Stage, s *plan.Schedule, seconds func(call plan.Call) func(i int) float64,
	tell func(c plan.Call, in *plan.Instruction, start, seconds float64)) (total, exposed float64) {
	for _, call := range s.Calls {
		program, prices := st.Program(call.Program), seconds(call)
		r := race{ends: map[int]float64{}}
		for i := range program.Instructions {
			in, price := &program.Instructions[i], prices(i)
			if start := r.instruction(in, price); tell != nil {
				tell(call, in, total+start, price)
			}
		}
		took := slices.Max(r.now[:])
		total, exposed = total+took, exposed+took-r.computed
	}
	return total, exposed
}

// pricer prices the instructions of programs. Where a profile has tables a price depends on what a cache holds, and each call has its own; else a
// program is priced once, however many micro-batches call it.
type pricer struct {
	profile *Profile
	plan    *plan.Plan
	stage   *plan.Stage
	threads int
	cache   *cache // nil: prices do not depend on one
	known   map[string][]float64
}

func newPricer(p *Profile, pl *plan.Plan, st *plan.Stage, threads int) *pricer {
	c := &pricer{profile: p, plan: pl, stage: st, threads: threads, known: map[string][]float64{}}
	if len(p.Tables) > 0 {
		c.cache = newCache(max(1, p.CacheBytes), st)
	}
	return c
}

// pass is a call that nobody asks the price of.
func (c *pricer) pass(program *plan.Program) {
	for i := range program.Instructions {
		if c.cache != nil {
			c.cache.touch(&program.Instructions[i])
		}
	}
}

// prices gives the seconds of the instructions of a call, which are asked for in their order.
func (c *pricer) prices(program *plan.Program) func(i int) float64 {
	if c.cache != nil {
		return func(i int) float64 {
			in := &program.Instructions[i]
			return c.profile.instruction(c.plan, c.stage, in, c.threads, c.cache.touch(in))
		}
	}
	list := c.known[program.Name]
	if list == nil {
		list = make([]float64, len(program.Instructions))
		for i := range list {
			list[i] = c.profile.instruction(c.plan, c.stage, &program.Instructions[i], c.threads, 1)
		}
		c.known[program.Name] = list
	}
	return func(i int) float64 { return list[i] }
}

// race follows the streams of a program.
type race struct {
	now      [plan.MaxStreams]float64 // when each is done with what it was given
	ends     map[int]float64          // events
	computed float64
}

func (r *race) instruction(in *plan.Instruction, seconds float64) (start float64) {
	now := &r.now[in.Stream]
	for _, event := range in.Wait {
		*now = max(*now, r.ends[event])
	}
	start = *now
	*now += seconds
	if in.Signal > 0 {
		r.ends[in.Signal] = *now
	}
	if !kernels.Contracts[in.Op].Collective {
		r.computed += seconds
	}
	return start
}

// instruction is the time of one instruction; 0 of one that verify refuses, and says where.
func (p *Profile) instruction(pl *plan.Plan, st *plan.Stage, in *plan.Instruction, threads int, cold float64) float64 {
	args := st.Tensors(in)
	if kernels.Contracts[in.Op].Collective {
		return p.collective(pl, st, in)
	}
	sizes, err := kernels.Check(in.Op, in.Attrs, args)
	if err != nil {
		return 0
	}
	if kernels.Contracts[in.Op].Host {
		return p.plugin(in.Op, threads, sizes, plan.CopiedBytes(st, in))
	}
	return p.Seconds(threads, Call{Op: in.Op, Attrs: in.Attrs, Args: args, Sizes: sizes, Cold: cold})
}

// cache follows what a processor's last cache holds: what was touched within so many bytes of traffic. It knows
// memory in blocks, for which it keeps when they were last touched; time is counted in bytes.
type cache struct {
	stage   *plan.Stage
	bytes   float64
	clock   float64
	touched map[kernels.Space][]float64
}

// cacheBlock is the grain in which the cache is followed.
const cacheBlock = 256 << 10

func newCache(bytes int64, st *plan.Stage) *cache {
	c := &cache{stage: st, bytes: float64(bytes), touched: map[kernels.Space][]float64{}}
	ends := map[kernels.Space]int64{}
	for i := range st.Buffers {
		b := &st.Buffers[i]
		ends[b.Space] = max(ends[b.Space], b.Offset+b.SizeBytes())
	}
	for space, end := range ends {
		c.touched[space] = make([]float64, end/cacheBlock+1)
		for i := range c.touched[space] {
			c.touched[space][i] = -1e30
		}
	}
	return c
}

// touch is the share of an instruction's bytes that the cache does not hold.
func (c *cache) touch(in *plan.Instruction) float64 {
	total, cold := 0.0, 0.0
	for i, arg := range c.stage.Tensors(in) {
		p := kernels.Contracts[in.Op].Params[i]
		if arg.Absent() || arg.Len() == 0 || p.Class == kernels.Bytes || !whole(in.Op, p.Name, in.Attrs) {
			continue
		}
		b, size := &c.stage.Buffers[in.Operands[i].Buffer], int64(arg.DType.Size())
		used := float64(arg.Len()) * float64(size)
		total += used
		cold += used * c.span(b.Space, b.Offset+int64(in.Operands[i].Offset)*size, int64(arg.Extent())*size, used)
	}
	if total == 0 {
		return 0
	}
	return cold / total
}

// span touches bytes [from, from+n), of which some are used, and gives the share of them that was cold.
func (c *cache) span(space kernels.Space, from, n int64, used float64) float64 {
	blocks := c.touched[space][from/cacheBlock : (from+n-1)/cacheBlock+1]
	cold := 0.0
	for i, last := range blocks {
		cold += min(1, max(0, (c.clock-last)/c.bytes-0.5))
		c.clock += used / float64(len(blocks))
		blocks[i] = c.clock
	}
	return cold / float64(len(blocks))
}

// Reprice puts what another profile expects into a plan's estimate, the threads being those of all ranks together. Nothing else of the plan changes.
func Reprice(pl *plan.Plan, p *Profile, threads int) {
	e := &pl.Estimate
	e.Profile, e.PeakFlops, e.MemoryBytes = p.Name, p.peak(pl), p.MemoryBytes
	e.RanksPerNode, e.NodeLink, e.NetworkLink = p.PerNode, p.Node.Name, p.Network.Name
	step := func(kind string) (total, exposed, bubble float64) {
		if len(pl.Stages) > 1 {
			return followStages(p, pl, kind, pl.RankThreads(threads), nil)
		}
		total, exposed = seconds(p, pl, pl.Stages[0].Schedule(kind, pl.Data.Length), pl.RankThreads(threads))
		return total, exposed, 0
	}
	e.StepSeconds, e.ExposedSeconds, e.BubbleSeconds = step(plan.Train)
	if pl.Training.Uncoded > 0 {
		e.UncodedSeconds, _, _ = step(plan.Uncoded)
	}
}

// seconds is what a profile expects of a whole schedule, and how much of that is exposed communication.
func seconds(p *Profile, pl *plan.Plan, s *plan.Schedule, threads int) (total, exposed float64) {
	predicted, exposed := predict(p, pl, s, threads, nil)
	stage := &pl.Stages[0]
	for i := range stage.Programs { // in their order, so that the sum is the same each time
		program := &stage.Programs[i]
		for k, seconds := range predicted[program.Name] {
			if !kernels.Contracts[program.Instructions[k].Op].Collective {
				total += seconds
			}
		}
	}
	return total + exposed, exposed
}
