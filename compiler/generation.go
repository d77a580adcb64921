package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// The weights that a plan of generation may keep.
const (
	WeightsTrained = "trained" // as the run has them
	WeightsInt8    = "int8"    // matrices as int8, with a scale for each of their outputs
)

var weightKinds = []string{WeightsTrained, WeightsInt8}

// Generation makes, of a plan that trains, one that only generates: its programs to prefill a cache and to decode, without
// gradients or optimizer state. With [WeightsInt8] every matrix that activations are multiplied with is quantised once, when it is
// loaded, by programs of a schedule of its own: the memory that it is loaded into serves the cache and activations afterwards. One
// rank generates, whatever the mesh: by the plan's own generation, where it has one. The profile prices it; nil stands for the built-in one of its device kind.
func Generation(p *plan.Plan, weights string, profile *Profile, threads int) (*plan.Plan, error) {
	from := cmp.Or(p.Generation, p)
	switch {
	case !slices.Contains(weightKinds, weights):
		return nil, fmt.Errorf("weights %q: use %s", weights, strings.Join(weightKinds, " or "))
	case !p.Trains():
		return nil, fmt.Errorf("the plan %s only generates: what its weights are is settled", p.Name)
	case p.Ranks() > 1 && p.Generation == nil && p.Model.Task == "causal":
		return nil, fmt.Errorf("the plan %s has no generation: one device cannot hold the model", p.Name)
	case from.Stages[0].Schedule(plan.Decode, 0) == nil:
		return nil, fmt.Errorf("a %s model for the task %q does not generate", p.Model.Architecture, p.Model.Task)
	}
	return generationOf(from, weights, profile, threads)
}

// generationOf takes the programs that generate over from a plan of one rank.
func generationOf(from *plan.Plan, weights string, profile *Profile, threads int) (*plan.Plan, error) {
	g := &generation{from: from, old: &from.Stages[0], ids: map[int]int{}, masters: map[int]int{}, quantised: map[int]quantised{}}
	if weights == WeightsInt8 {
		if g.chooseMatrices(); len(g.quantised) == 0 {
			return nil, fmt.Errorf("weights int8: no product of the plan %s has a weight that can be quantised", from.Name)
		}
	}
	for _, kind := range generationKinds {
		for _, c := range g.old.Schedule(kind, 0).Calls {
			g.stage.Programs = append(g.stage.Programs, g.program(g.old.Program(c.Program)))
		}
		if kind == plan.Decode {
			g.likeliest(&g.stage.Programs[len(g.stage.Programs)-1])
		}
		g.stage.Schedules = append(g.stage.Schedules, *g.old.Schedule(kind, 0))
	}
	made := g.plan()
	g.estimate(made, profile, threads)
	return made, made.Verify()
}

var generationKinds = []string{plan.Prefill, plan.Decode}

// generation takes the programs that generate over into another plan.
type generation struct {
	from      *plan.Plan
	old       *plan.Stage
	stage     plan.Stage
	ids       map[int]int       // of buffers, from the old plan's to the new one's
	masters   map[int]int       // the weight stored in bf16 that an old buffer is a wide copy of
	quantised map[int]quantised // by the old buffer of the matrix
	loads     []plan.Program
	tensors   []plan.Tensor // that are made when weights are loaded
}

// quantised is a matrix that is kept as int8.
type quantised struct {
	swapped bool // it is stored [K, N]
	n, k    int
	q       int // buffers of the new plan
	scale   int
}

// chooseMatrices finds the weights that are the right side of a product in every way that int8 products know.
func (g *generation) chooseMatrices() {
	g.eachOld(func(in *plan.Instruction) {
		if in.Op == kernels.Widen {
			g.masters[operandOf(in, "y").Buffer] = operandOf(in, "x").Buffer
		} else if id, m, ok := g.matrix(in); ok {
			g.quantised[id] = m
		}
	})
}

func (g *generation) eachOld(f func(*plan.Instruction)) {
	for _, kind := range generationKinds {
		for _, c := range g.old.Schedule(kind, 0).Calls {
			p := g.old.Program(c.Program)
			for i := range p.Instructions {
				f(&p.Instructions[i])
			}
		}
	}
}

// matrix says whether an instruction is a product with a whole weight on its right side.
func (g *generation) matrix(in *plan.Instruction) (id int, m quantised, ok bool) {
	if in.Op != kernels.MatMul || in.Attrs.TransA || in.Attrs.Accumulate {
		return 0, m, false
	}
	b := operandOf(in, "b")
	m = quantised{swapped: !in.Attrs.TransB, n: b.Shape[0], k: b.Shape[1], q: -1}
	if m.swapped {
		m.n, m.k = m.k, m.n
	}
	id = g.stored(b.Buffer)
	return id, m, unbroken(b) && g.old.Buffers[id].Class == plan.Weight && m.k <= kernels.MaxInt8Sum
}

// stored is the buffer of the weight that an operand is read from, or of its wide copy.
func (g *generation) stored(buffer int) int {
	if master, ok := g.masters[buffer]; ok {
		return master
	}
	return buffer
}

func unbroken(o plan.Operand) bool { return o.Offset == 0 && o.Strides == nil }

// operandOf finds an operand by its name in the contract.
func operandOf(in *plan.Instruction, name string) plan.Operand {
	i := kernels.Contracts[in.Op].Param(name)
	if i < 0 || i >= len(in.Operands) {
		return plan.Absent
	}
	return in.Operands[i]
}

// program takes a program over, with its products by quantised matrices replaced.
func (g *generation) program(p *plan.Program) plan.Program {
	made := plan.Program{Name: p.Name, Length: p.Length, Inputs: g.ports(p.Inputs)}
	needless := g.needless(p)
	for i := range p.Instructions {
		if in := &p.Instructions[i]; in.Op != kernels.Widen || !needless[operandOf(in, "y").Buffer] {
			made.Instructions = append(made.Instructions, g.instruction(*in))
		}
	}
	made.Outputs = g.ports(p.Outputs)
	return made
}

// needless are the wide copies of weights whose one reader reads int8 in their place.
func (g *generation) needless(p *plan.Program) map[int]bool {
	list := map[int]bool{}
	for i := range p.Instructions {
		in := &p.Instructions[i]
		if op, weight := g.replacement(in); op != kernels.NoOp {
			list[operandOf(in, weight).Buffer] = true
		}
	}
	return list
}

// likeliest adds to the program that decodes the choice of the token with the largest logit, so that the others need not leave the device.
func (g *generation) likeliest(p *plan.Program) {
	i := slices.IndexFunc(p.Outputs, func(o plan.Port) bool { return o.Name == plan.OutputLogits })
	if i < 0 || slices.ContainsFunc(p.Outputs, func(o plan.Port) bool { return o.Name == plan.OutputLikeliest }) {
		return
	}
	logits := &g.stage.Buffers[p.Outputs[i].Buffer]
	rows := logits.Dims[:len(logits.Dims)-1]
	x := plan.Operand{Buffer: logits.ID, Shape: logits.Shape()}
	y := plan.Operand{Shape: x.Shape[:len(rows)]}
	y.Buffer = g.add(plan.Buffer{Name: plan.OutputLikeliest, Class: plan.Activation, DType: kernels.I32, Dims: rows})
	p.Instructions = append(p.Instructions, plan.Instruction{Op: kernels.ArgMax, Name: plan.OutputLikeliest, Operands: []plan.Operand{x, y}})
	p.Outputs = append(p.Outputs, plan.Port{Name: plan.OutputLikeliest, Buffer: y.Buffer})
}

func (g *generation) ports(list []plan.Port) []plan.Port {
	var made []plan.Port
	for _, p := range list {
		made = append(made, plan.Port{Name: p.Name, Buffer: g.buffer(p.Buffer)})
	}
	return made
}

func (g *generation) instruction(in plan.Instruction) plan.Instruction {
	old := in
	if op, weight := g.replacement(&old); op != kernels.NoOp {
		m := g.matrixOf(g.stored(operandOf(&old, weight).Buffer))
		in.Op, in.Attrs.TransB, in.Attrs.Compute, in.Operands = op, false, "", nil // digits of int8 are exact: nothing is rounded
		for _, p := range kernels.Contracts[op].Params {
			switch p.Name {
			case weight:
				in.Operands = append(in.Operands, plan.Operand{Buffer: m.q, Shape: []int{m.n, m.k}})
			case "scale":
				in.Operands = append(in.Operands, plan.Operand{Buffer: m.scale, Shape: []int{m.n}})
			default:
				in.Operands = append(in.Operands, g.operand(operandOf(&old, p.Name)))
			}
		}
	} else {
		in.Operands = make([]plan.Operand, len(old.Operands))
		for i, o := range old.Operands {
			in.Operands[i] = g.operand(o)
		}
	}
	if in.Predicate > 0 {
		in.Predicate = g.buffer(in.Predicate-1) + 1
	}
	return in
}

// replacement is the operation on int8 weights that takes an instruction's place, and the name of its operand that is quantised.
func (g *generation) replacement(in *plan.Instruction) (op kernels.Op, weight string) {
	if id, _, ok := g.matrix(in); ok && g.known(id) {
		return kernels.MatMulInt8, "b"
	}
	table := operandOf(in, "table")
	if id := g.stored(table.Buffer); in.Op == kernels.Embedding && g.known(id) && !g.quantised[id].swapped && unbroken(table) {
		return kernels.EmbeddingInt8, "table"
	}
	return kernels.NoOp, ""
}

func (g *generation) known(old int) bool {
	_, ok := g.quantised[old]
	return ok
}

func (g *generation) operand(o plan.Operand) plan.Operand {
	if o.Buffer < 0 {
		return o
	}
	o.Buffer = g.buffer(o.Buffer)
	if o.Bound > 0 {
		o.Bound = g.buffer(o.Bound-1) + 1
	}
	return o
}

// buffer takes a buffer over when it is first used.
func (g *generation) buffer(old int) int {
	id, ok := g.ids[old]
	if !ok {
		id = g.add(g.old.Buffers[old])
		g.ids[old] = id
	}
	return id
}

func (g *generation) add(b plan.Buffer) int {
	b.ID, b.Lasting = len(g.stage.Buffers), b.Class == plan.Weight || b.Class == plan.ScalarKind
	g.stage.Buffers = append(g.stage.Buffers, b)
	return b.ID
}

// matrixOf is a quantised matrix with its buffers, and the program that fills them, made when it is first used.
func (g *generation) matrixOf(old int) quantised {
	m := g.quantised[old]
	if m.q >= 0 {
		return m
	}
	t := g.tensor(old)
	rows, columns := split(t.Dims, m.n)
	if m.swapped {
		columns, rows = split(t.Dims, m.k)
	}
	m.q = g.derived(t, ".int8", kernels.I8, slices.Concat(rows, columns))
	m.scale = g.derived(t, ".scale", kernels.Kinds[g.from.Device].Compute, rows)
	g.loads = append(g.loads, g.load(t, m))
	g.quantised[old] = m
	return m
}

// split cuts dims in two where the first have n elements together.
func split(dims []plan.Dim, n int) (first, last []plan.Dim) {
	i, product := 0, 1
	for i < len(dims) && product < n {
		product *= dims[i].Size
		i++
	}
	return dims[:i:i], dims[i:]
}

func (g *generation) tensor(old int) *plan.Tensor {
	i := slices.IndexFunc(g.from.Tensors, func(t plan.Tensor) bool { return t.Buffer == old })
	return &g.from.Tensors[i] // Verify found one for every weight's buffer
}

// derived adds a tensor that is computed of another.
func (g *generation) derived(of *plan.Tensor, suffix string, dtype kernels.DType, dims []plan.Dim) int {
	t := plan.Tensor{Name: of.Name + suffix, Class: plan.Weight, Of: of.Name, Dims: dims, DType: dtype, Init: of.Init, Pos: of.Pos}
	if dtype == kernels.I8 {
		t.Stored = of.Stored
	}
	t.Buffer = g.add(plan.Buffer{Name: t.Name, Class: plan.Weight, DType: dtype, Dims: dims})
	g.tensors = append(g.tensors, t)
	return t.Buffer
}

// load is the program that quantises a matrix.
func (g *generation) load(t *plan.Tensor, m quantised) plan.Program {
	x := g.add(plan.Buffer{Name: t.Name, Class: plan.Input, DType: t.DType, Dims: t.Dims})
	p := plan.Program{Name: plan.Load + "/" + t.Name, Inputs: []plan.Port{{Name: t.Name, Buffer: x}}}
	shape := []int{m.n, m.k}
	if m.swapped {
		shape = []int{m.k, m.n}
	}
	if compute := kernels.Kinds[g.from.Device].Compute; t.DType != compute {
		wide := g.add(plan.Buffer{Name: t.Name + ".wide", Class: plan.Workspace, DType: compute, Dims: t.Dims})
		p.Instructions = append(p.Instructions, plan.Instruction{Op: kernels.Widen, Name: t.Name + ".widen", Pos: t.Pos,
			Operands: []plan.Operand{{Buffer: x, Shape: shape}, {Buffer: wide, Shape: shape}}})
		x = wide
	}
	p.Instructions = append(p.Instructions, plan.Instruction{Op: kernels.QuantizeRows, Name: t.Name, Attrs: kernels.Attrs{TransA: m.swapped}, Pos: t.Pos,
		Operands: []plan.Operand{{Buffer: x, Shape: shape}, {Buffer: m.q, Shape: []int{m.n, m.k}}, {Buffer: m.scale, Shape: []int{m.n}}}})
	return p
}

// plan puts together what was taken over.
func (g *generation) plan() *plan.Plan {
	s := &g.stage
	s.Slots = 1
	if len(g.loads) > 0 {
		schedule := plan.Schedule{Kind: plan.Load}
		for _, p := range g.loads {
			schedule.Calls = append(schedule.Calls, plan.Call{Program: p.Name})
		}
		s.Programs, s.Schedules = append(g.loads, s.Programs...), append([]plan.Schedule{schedule}, s.Schedules...)
	}
	made := *g.from
	made.Training = plan.Training{Seed: g.from.Training.Seed}
	made.Plugins, made.Data.Transforms = nil, nil // what a loss and data need
	made.Tensors, made.Scalars, made.Choices, made.Mesh, made.Compressions = g.tensorList(), nil, nil, nil, nil
	for _, sc := range g.from.Scalars {
		if id, ok := g.ids[sc.Buffer]; ok {
			made.Scalars = append(made.Scalars, plan.Scalar{Name: sc.Name, Buffer: id})
		}
	}
	made.Arenas = g.arena()
	made.Stages = []plan.Stage{*s}
	return &made
}

// tensorList is the weights that are kept as they are, and those that are computed.
func (g *generation) tensorList() []plan.Tensor {
	var list []plan.Tensor
	for _, t := range g.from.Tensors {
		if id, ok := g.ids[t.Buffer]; ok {
			t.Buffer = id
			list = append(list, t)
		}
	}
	return append(list, g.tensors...)
}

// arena gives every buffer its offset. Each matrix is loaded alone.
func (g *generation) arena() []plan.Arena {
	values := make([]*graph.Value, len(g.stage.Buffers))
	var lasting []*graph.Value
	for i := range g.stage.Buffers {
		b := &g.stage.Buffers[i]
		values[i] = &graph.Value{ID: i, Name: b.Name, Class: b.Class, DType: b.DType, Dims: b.Dims}
		if b.Lasting {
			lasting = append(lasting, values[i])
		}
	}
	var loads []flow
	cached := flow{}
	for i := range g.stage.Programs {
		p := lift(&g.stage.Programs[i], values)
		if i < len(g.loads) {
			loads = append(loads, flow{programs: []*graph.Program{p}})
		} else {
			cached.programs = append(cached.programs, p)
		}
	}
	offsets, size := allocate(kernels.Kinds[g.from.Device].AlignBytes, lasting, append(loads, cached), nil)
	for i, v := range values {
		g.stage.Buffers[i].Offset = offsets[v]
	}
	return []plan.Arena{{Space: kernels.DeviceMemory, SizeBytes: size, Reserved: g.reserved()}}
}

// reserved is what lies outside the arena: all that training takes but its data.
func (g *generation) reserved() []plan.Reserve {
	for _, a := range g.from.Arenas {
		if a.Space == kernels.DeviceMemory {
			return slices.DeleteFunc(slices.Clone(a.Reserved), func(r plan.Reserve) bool { return r.For == reservedForData })
		}
	}
	return nil
}

// lift turns a program of a plan into one of a graph, as far as liveness needs it: a part of a buffer is a view of its value.
func lift(p *plan.Program, values []*graph.Value) *graph.Program {
	ports := func(list []plan.Port) []graph.Port {
		var made []graph.Port
		for _, port := range list {
			made = append(made, graph.Port{Name: port.Name, Value: values[port.Buffer]})
		}
		return made
	}
	made := &graph.Program{Name: p.Name, Inputs: ports(p.Inputs), Outputs: ports(p.Outputs)}
	for i := range p.Instructions {
		in := &p.Instructions[i]
		n := &graph.Node{Op: in.Op, Name: in.Name, Attrs: in.Attrs, Args: make([]graph.Arg, len(in.Operands))}
		for j, o := range in.Operands {
			switch {
			case o.Buffer < 0:
			case o.Offset != 0 || o.Strides != nil:
				n.Args[j].Value = &graph.Value{Class: values[o.Buffer].Class, View: &graph.View{Of: values[o.Buffer]}}
			default:
				n.Args[j].Value = values[o.Buffer]
			}
		}
		made.Nodes = append(made.Nodes, n)
	}
	return made
}

// estimate prices a token.
func (g *generation) estimate(p *plan.Plan, profile *Profile, threads int) {
	if profile == nil {
		profile = BuiltIn(p.Device, g.from.Estimate.Profile)
	}
	e := plan.Estimate{Profile: profile.Name, Parameters: g.from.Estimate.Parameters, TokensPerStep: 1}
	stage := &p.Stages[0]
	schedule := stage.Schedule(plan.Decode, 0)
	for _, c := range schedule.Calls {
		e.FlopsPerStep += flops(stage, stage.Program(c.Program))
	}
	e.StepSeconds, _ = seconds(profile, p, schedule, threads)
	e.FlopsPerToken = e.FlopsPerStep
	p.Estimate = e
}
