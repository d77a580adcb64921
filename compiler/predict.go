package compiler

import (
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// Predict gives the seconds that a profile expects each instruction of a schedule to take, by program, the
// calls of the schedule together. The plan must have passed Verify.
func Predict(p *Profile, st *plan.Stage, s *plan.Schedule, threads int) map[string][]float64 {
	c := newCache(max(1, p.CacheBytes), st)
	predicted := map[string][]float64{}
	for _, call := range s.Calls {
		program := st.Program(call.Program)
		predicted[call.Program] = make([]float64, len(program.Instructions))
		for i := range program.Instructions {
			c.touch(&program.Instructions[i]) // leaves the cache as the next step finds it
		}
	}
	for _, call := range s.Calls {
		program := st.Program(call.Program)
		for i := range program.Instructions {
			in := &program.Instructions[i]
			predicted[call.Program][i] += p.instruction(st, in, threads, c.touch(in))
		}
	}
	return predicted
}

// instruction is the time of one instruction; 0 of one that verify refuses, and says where.
func (p *Profile) instruction(st *plan.Stage, in *plan.Instruction, threads int, cold float64) float64 {
	args := st.Tensors(in)
	sizes, err := kernels.Check(in.Op, in.Attrs, args)
	if err != nil {
		return 0
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
	stage := &pl.Stages[0]
	pl.Estimate.Profile = p.Name
	pl.Estimate.StepSeconds = seconds(p, stage, stage.Schedule(plan.Train, pl.Data.Length), pl.RankThreads(threads))
}

// seconds is what a profile expects of a whole schedule.
func seconds(p *Profile, stage *plan.Stage, s *plan.Schedule, threads int) (total float64) {
	predicted := Predict(p, stage, s, threads)
	for i := range stage.Programs { // in their order, so that the sum is the same each time
		for _, seconds := range predicted[stage.Programs[i].Name] {
			total += seconds
		}
	}
	return total
}
