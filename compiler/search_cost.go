package compiler

import (
	"path/filepath"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// costKey is what the cost of a layer depends on.
type costKey struct {
	tensor, sequence, rows int
	recompute              string
}

// layerCost is what a layer of a rank takes for a micro-batch, and what the rest of the model does: the difference of two plans of few layers,
// and what is left of the first.
type layerCost struct {
	layer, rest share
	boundary    float64 // bytes of what stages hand on

	refused error // not nil: such ranks do not go with the strategy
}

// share is a part of a step.
type share struct {
	forward, backward, update float64 // seconds
	compress                  float64 // of the update: what each rank does for whole weights
	computed                  float64 // of forward and backward
	weights, gradients, state float64 // bytes
	dense, masks              float64 // and of what compressed weights are made of, and with
	saved                     float64 // and of activations, from forward to backward
	widest                    float64 // and of what one instruction uses besides
}

func (a share) minus(b share, times float64) share {
	return share{a.forward - times*b.forward, a.backward - times*b.backward, a.update - times*b.update, a.compress - times*b.compress, a.computed - times*b.computed,
		a.weights - times*b.weights, a.gradients - times*b.gradients, a.state - times*b.state, a.dense - times*b.dense, a.masks - times*b.masks,
		a.saved - times*b.saved, a.widest - times*b.widest}
}

func (a share) over(n float64) share { return share{}.minus(a, -1/n) }

// cost is memoised.
func (x *search) cost(k costKey) (*layerCost, error) {
	if c, known := x.costs[k]; known {
		return c, nil
	}
	period := x.period()
	one, err := x.few(k, period)
	if schema.ErrorsOf(err) != nil { // another candidate may do
		x.costs[k] = &layerCost{refused: err}
		return x.costs[k], nil
	}
	if err != nil {
		return nil, err
	}
	two, err := x.few(k, 2*period)
	if err != nil {
		return nil, err
	}
	layer := two.minus(*one, 1).over(float64(period))
	c := &layerCost{layer: layer, rest: one.minus(layer, float64(period))}
	c.boundary = float64(k.rows) * float64(x.data.Length) / float64(k.sequence) * float64(x.strategy.Model.Width) * float64(x.elementBytes())
	if len(x.rules(schema.Mesh{Tensor: k.tensor})) > 0 {
		c.boundary /= float64(k.tensor)
	}
	x.costs[k] = c
	return c, nil
}

func (x *search) elementBytes() int {
	return (&unitOfWork{strategy: x.strategy, kind: x.kind}).floatBytes()
}

// period is after how many layers an architecture repeats itself.
func (x *search) period() int {
	for i := range x.strategy.Model.Layers {
		if l := &x.strategy.Model.Layers[i]; l.Kind == "repeat" {
			return len(l.Branches)
		}
	}
	return 1
}

// few prices a model of few layers on the ranks of one stage that share a row out.
func (x *search) few(k costKey, layers int) (*share, error) {
	s := *x.strategy
	s.Model.Layers = nil
	for _, l := range x.strategy.Model.Layers {
		if l.Kind == "repeat" {
			l.Count = layers
		}
		s.Model.Layers = append(s.Model.Layers, l)
	}
	m := schema.Mesh{Data: 1, Sequence: k.sequence, Tensor: k.tensor, Pipeline: 1}
	s.Batch = schema.Batch{Sequences: k.rows, MicroBatches: 1}
	s.Parallel.Open, s.Parallel.Mesh, s.Parallel.Zero, s.Parallel.Pipeline, s.Parallel.Rules = nil, m, 0, schema.Pipeline{}, x.rules(m)
	s.Memory.Recompute = k.recompute
	u := &unitOfWork{strategy: &s, data: x.data, kind: x.kind, declare: x.options.Declare, short: true,
		settings: settings{microBatches: 1, recompute: k.recompute, chunkBytes: largeChunk}}
	if err := u.run(passes, nil); err != nil {
		return nil, err
	}
	st := &u.plan.Stages[0]
	run := &stageRun{stage: st, pricer: newPricer(x.profile, u.plan, st, max(1, s.Devices.Threads/x.ranks)), programs: map[string]*programTime{}}
	calls := st.Schedule(plan.Train, x.data.Length).Calls
	forward, backward, update := run.time(calls[0].Program), run.time(calls[1].Program), run.time(calls[2].Program)
	c := &share{forward: forward.took, backward: backward.took, update: update.took, computed: forward.computed + backward.computed}
	for i := range st.Buffers {
		b := &st.Buffers[i]
		switch size := float64(b.SizeBytes()); b.Class {
		case plan.Weight, plan.Taught:
			c.weights += size
		case plan.Gradient:
			c.gradients += size
		case plan.State:
			*c.ofState(b.Name) += size
		}
	}
	for i, list := 0, st.Program(calls[2].Program).Instructions; i < len(list); i++ {
		if slices.Contains(compressing, list[i].Op) {
			c.compress += x.profile.instruction(u.plan, st, &list[i], run.pricer.threads, 1)
		}
	}
	c.update -= c.compress
	c.saved, c.widest = kept(st, calls[0].Program, calls[1].Program)
	return c, nil
}

// compressing are the operations that make weights of their dense copies.
var compressing = []kernels.Op{kernels.PruneMask, kernels.ApplyMask, kernels.FakeQuantize}

// ofState is where a state is counted: ranks of ZeRO share the optimizer's out, what a weight is made of from stage 3 on, and masks and scales never.
func (a *share) ofState(name string) *float64 {
	switch filepath.Ext(name) {
	case plan.SuffixDense:
		return &a.dense
	case plan.SuffixMask, plan.SuffixScale, plan.SuffixZero:
		return &a.masks
	}
	return &a.state
}

// kept is what one program makes and another reads, and what the widest instruction of either uses besides that.
func kept(st *plan.Stage, forward, backward string) (bytes, widest float64) {
	made, both := map[int]bool{}, map[int]bool{}
	for k, name := range []string{forward, backward} {
		program := st.Program(name)
		for i := range program.Instructions {
			in := &program.Instructions[i]
			for j, o := range in.Operands {
				if o.Buffer < 0 || st.Buffers[o.Buffer].Lasting || st.Buffers[o.Buffer].Class == plan.Gradient {
					continue
				}
				if role := kernels.Contracts[in.Op].RoleOf(j, in.Attrs); k == 0 && role.Writes() {
					made[o.Buffer] = true
				} else if k == 1 && role.Reads() && made[o.Buffer] {
					both[o.Buffer] = true
				}
			}
		}
	}
	for id := range both {
		bytes += float64(st.Buffers[id].SizeBytes())
	}
	for _, name := range []string{forward, backward} {
		program := st.Program(name)
		for i := range program.Instructions {
			used := 0.0
			for _, o := range program.Instructions[i].Operands {
				if o.Buffer >= 0 && !st.Buffers[o.Buffer].Lasting && !both[o.Buffer] && st.Buffers[o.Buffer].Class != plan.Gradient {
					used += float64(st.Buffers[o.Buffer].SizeBytes())
				}
			}
			widest = max(widest, used)
		}
	}
	return bytes, widest
}

// zeroBubbleShare is what plans of transformers show of zero-bubble's idle time beside 1f1b's; a third, were going forward, back and weighing alike.
const zeroBubbleShare = 0.45

// price expects of a candidate what its layers take, one after another: a stage as long as the longest goes through all micro-batches, after those before it
// were filled; gradients and weights go over the links of data, beside what is computed where they go with each micro-batch.
func (x *search) price(c *Candidate, cost *layerCost) {
	m, p := c.Parallel.Mesh, c.Parallel.Pipeline
	stages, micro, chunks := float64(m.Pipeline), float64(c.MicroBatches), float64(max(1, p.Chunks))
	layers := float64((x.layers + m.Pipeline - 1) / m.Pipeline)
	l, r := cost.layer, cost.rest
	turn := max(layers*(l.forward+l.backward), (float64(x.layers)*(l.forward+l.backward)+r.forward+r.backward)/stages)
	if x.strategy.Objective.Teacher != nil { // which one stage has, with the head
		turn = max(turn, r.forward+r.backward)
	}
	computed := max(layers*l.computed, (float64(x.layers)*l.computed+r.computed)/stages)
	weights, gradients, state := layers*l.weights+r.weights, layers*l.gradients+r.gradients, layers*l.state+r.state
	ways := [3]float64{1, 1, 1} // of state, gradients, weights
	for i := range c.Parallel.Zero {
		ways[i] = float64(m.Data)
	}

	world := x.world(m)
	handing := 0.0
	if m.Pipeline > 1 {
		handing = 2 * x.profile.hand(world, cost.boundary) * chunks // forward, and back
	}
	once, each := x.reducing(c, world, weights, gradients)
	each = max(each*chunks/layers*x.first(l.weights), each-0.8*turn) // the most of it runs beside what is computed
	idle := (stages - 1) / chunks * turn
	if p.Schedule == "zero_bubble" {
		idle *= zeroBubbleShare
	}
	update := (layers*l.update+r.update)/ways[0] + layers*l.compress + r.compress
	c.Computed = micro*computed + update
	c.Exposed = micro*(turn-computed+handing+each) + once
	c.Waiting = idle
	c.StepSeconds = c.Computed + c.Exposed + c.Waiting

	under := x.underWay(c)
	held := under*(layers/chunks*l.saved+2*cost.boundary) + r.saved
	if p.Schedule == "zero_bubble" && m.Pipeline > 1 { // what goes back waits to be weighed
		held *= 1.5
	}
	if m.Pipeline == 1 && c.MicroBatches == 1 { // gradients come as activations go
		held = max(0, held-gradients/ways[1])
	}
	memory := (weights+layers*l.dense+r.dense)/ways[2] + layers*l.masks + r.masks + gradients/ways[1] + state/ways[0] + held + 1.5*r.widest
	if c.Parallel.Zero == 3 { // of the block at hand and the next one
		memory += 3 * l.weights
	}
	if c.Parallel.Zero >= 2 {
		memory += 2 * l.gradients
	}
	c.PeakBytes = int64(memory) + x.reserved(world)
	c.ByLayer = c.Price
}

// firstShare is what of a layer's weights its first product has; those of transformers' matrices are a quarter to a third.
const firstShare = 0.3

// first is what of a layer of so many bytes is gathered, or added up, in one call: while a chunk waits for that of its first layer, or its last, it computes nothing.
func (x *search) first(bytes float64) float64 {
	return min(1, max(firstShare, float64(x.strategy.Parallel.BucketBytes)/bytes))
}

// underWay is how many micro-batches a chunk of the first stage holds at a time.
func (x *search) underWay(c *Candidate) float64 {
	stages, chunks := c.Parallel.Mesh.Pipeline, max(1, c.Parallel.Pipeline.Chunks)
	if stages > 1 && c.Parallel.Pipeline.Schedule == "gpipe" {
		return float64(c.MicroBatches)
	}
	return float64(min(forwardFirst(stages, chunks, 0), c.MicroBatches*chunks))
}

// world is a plan that has nothing but a mesh.
func (x *search) world(m schema.Mesh) *plan.Plan {
	u := unitOfWork{strategy: &schema.Strategy{Parallel: schema.Parallel{Mesh: m}}}
	return &plan.Plan{Mesh: u.mesh(), Device: x.kind.Name}
}

// reducing is the time that gradients and weights take along data: once a step, and with each micro-batch.
func (x *search) reducing(c *Candidate, world *plan.Plan, weights, gradients float64) (once, each float64) {
	move := func(op kernels.Op, axis string, bytes float64) float64 {
		return x.profile.moving(world, op, axis, bytes)
	}
	scatter, gather := move(kernels.ReduceScatter, plan.AxisData, gradients), move(kernels.AllGather, plan.AxisData, weights)
	if c.Parallel.Zero > 0 {
		gradients /= float64(c.Parallel.Mesh.DataRanks())
	}
	across := 2 * move(kernels.ReduceScatter, plan.AxisReplica, gradients)
	switch {
	case c.Parallel.Zero == 0:
		return 2*scatter + across, 0
	case c.Parallel.Zero == 1:
		return scatter + gather + across, 0
	case c.Parallel.Zero == 2:
		return gather + across, scatter
	}
	return across, scatter + 2*gather
}

// moving is the time of scattering sums, or gathering, of so many bytes along an axis.
func (p *Profile) moving(world *plan.Plan, op kernels.Op, axis string, bytes float64) float64 {
	ranks := float64(world.Degree(axis))
	if ranks < 2 {
		return 0
	}
	if p.PerNode == 0 {
		return bytes * (ranks + 1) / p.BytesPerSecond
	}
	neighbours, nodes := world.Reach(axis, p.PerNode)
	return p.steps(op, neighbours, nodes) + p.sending(op, bytes*(ranks-1)/ranks, neighbours, nodes)
}

// reserved is what is taken beside the arena.
func (x *search) reserved(world *plan.Plan) (total int64) {
	for _, r := range x.profile.Reserved {
		total += r.SizeBytes
	}
	if x.kind.Separate {
		return total + x.profile.GroupBytes*int64(len(world.Mesh))
	}
	return total + x.profile.ProcessBytes
}
