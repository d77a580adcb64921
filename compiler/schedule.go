package compiler

import (
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// schedule lowers the graph, stage by stage: offsets, buffers, programs, and the calls of each schedule.
func (u *unitOfWork) schedule() error {
	var lowered []*lowerer
	var stages []plan.Stage
	var most int64
	for _, s := range u.stages {
		s.await()
		l := &lowerer{ids: map[*graph.Value]int{}, slotted: s.findSlotted()}
		r := reservation{slotted: l.slotted}
		stage := plan.Stage{Slots: s.slots}
		if len(l.slotted) > 0 {
			r.offsets, stage.SlotBytes = u.place(s, l.slotted)
			r.sizeBytes = stage.SlotBytes * int64(s.slots)
		}
		var size int64
		l.offsets, size = allocate(u.kind.AlignBytes, u.lasting(s), u.flows(s), &r)
		for _, v := range u.lasting(s) {
			l.buffer(v)
		}
		u.programs(l, &stage, s)
		stage.Buffers = l.buffers
		if len(u.stages) > 1 {
			stage.Bytes = size
		}
		lowered, stages, most = append(lowered, l), append(stages, stage), max(most, size)
	}
	u.plan = u.newPlan(lowered, stages, most)
	return nil
}

// programs lowers the programs of a stage, and its schedules.
func (u *unitOfWork) programs(l *lowerer, stage *plan.Stage, s *stage) {
	for i := range s.buckets {
		b := &s.buckets[i]
		u.trainPrograms(l, stage, b)
		stage.Programs = append(stage.Programs, l.program(b.evaluate))
	}
	for _, length := range u.lengths() {
		stage.Schedules = append(stage.Schedules, u.trainSchedules(s, length)...)
		stage.Schedules = append(stage.Schedules, evaluateSchedule(s, length))
	}
	for _, p := range some(s.sum, s.code, s.update, s.keep) {
		stage.Programs = append(stage.Programs, l.program(p))
	}
	for _, p := range u.cached {
		stage.Programs = append(stage.Programs, l.program(p))
		stage.Schedules = append(stage.Schedules, plan.Schedule{Kind: p.Name, Calls: []plan.Call{{Program: p.Name}}})
	}
}

// lengths are those of the buckets.
func (u *unitOfWork) lengths() (list []int) {
	for _, b := range u.buckets {
		list = append(list, b.length)
	}
	return list
}

// trainPrograms lowers what a micro-batch goes through. Programs that add to gradients have two forms.
func (u *unitOfWork) trainPrograms(l *lowerer, stage *plan.Stage, b *bucket) {
	for _, p := range b.programs() {
		stage.Programs = append(stage.Programs, l.program(p))
		if u.settings.microBatches > 1 && (p == b.backward || p == b.weigh) {
			stage.Programs = append(stage.Programs, l.adding(p))
		}
	}
}

// trainSchedules are those of a training step, with and without codes.
func (u *unitOfWork) trainSchedules(s *stage, length int) []plan.Schedule {
	schedule := func(kind string, around []*graph.Program) plan.Schedule {
		calls := u.turnCalls(s, length)
		for _, p := range around {
			calls = append(calls, plan.Call{Program: p.Name})
		}
		return plan.Schedule{Kind: kind, Length: length, Calls: calls}
	}
	list := []plan.Schedule{schedule(plan.Train, s.updates())}
	if u.uncoded > 0 {
		list = append(list, schedule(plan.Uncoded, s.uncodedUpdates()))
	}
	return list
}

// updates are the programs of a step that come once.
func (s *stage) updates() []*graph.Program { return some(s.code, s.update, s.keep) }

// uncodedUpdates are those of a step without codes.
func (s *stage) uncodedUpdates() []*graph.Program { return some(s.sum, s.update) }

// turnCalls are the turns of a stage. What a micro-batch reads of other stages it begins to receive one turn ahead, where that takes no more memory.
func (u *unitOfWork) turnCalls(s *stage, length int) []plan.Call {
	turns := s.turns
	if turns == nil {
		turns = rounds(u.settings.microBatches, 1, 1, 1)
	}
	slots, _ := underWay(turns)
	ahead := early(turns, slots)
	var calls []plan.Call
	for i, t := range turns {
		b := s.bucketOf(t.chunk, length)
		call := plan.Call{Program: b.program(t.kind).Name, MicroBatch: t.micro, Slot: slots[i]}
		if t.micro > 0 && t.kind != goesForward {
			call.Program = addingName(call.Program)
		}
		if t.kind == goesForward {
			at := len(calls)
			if ahead[i] {
				at--
			}
			for _, p := range some(b.receiveBack, b.receive) {
				calls = slices.Insert(calls, at, plan.Call{Program: p.Name, MicroBatch: t.micro, Slot: slots[i]})
			}
		}
		calls = append(calls, call)
	}
	return calls
}

func evaluateSchedule(s *stage, length int) plan.Schedule {
	schedule := plan.Schedule{Kind: plan.Evaluate, Length: length}
	for _, b := range s.buckets {
		if b.length == length {
			schedule.Calls = append(schedule.Calls, plan.Call{Program: b.evaluate.Name})
		}
	}
	return schedule
}

// lasting lists what lives from step to step: scalars, the same in all stages, and the weights and optimizer state of a stage.
func (u *unitOfWork) lasting(s *stage) []*graph.Value {
	var list []*graph.Value
	own := map[*graph.Value]bool{}
	for _, w := range s.weights.list {
		own[w.value] = true
	}
	for _, st := range s.states {
		own[st.value] = true
	}
	for _, class := range []plan.Class{plan.ScalarKind, plan.Weight, plan.Taught, plan.State} {
		for _, v := range u.graph.Values {
			if v.Class == class && v.View == nil && (class == plan.ScalarKind || own[v]) {
				list = append(list, v)
			}
		}
	}
	return list
}

// findSlotted finds what a micro-batch leaves from one program of a chunk to another: where there are stages, other micro-batches come between.
func (s *stage) findSlotted() map[*graph.Value]bool {
	if s.turns == nil {
		return nil
	}
	found := map[*graph.Value]bool{}
	for i := range s.buckets {
		in := map[*graph.Value]*graph.Program{}
		for _, p := range s.buckets[i].programs() {
			p.Uses(func(n *graph.Node, v *graph.Value) {
				v = v.Root()
				if v.Lasting() || v.Class == plan.Gradient {
					return
				}
				if first, known := in[v]; known && first != p || n != nil && n.Open != 0 {
					found[v] = true
				}
				if in[v] == nil {
					in[v] = p
				}
			})
		}
	}
	return found
}

// place gives what is slotted its offsets within a slot: a chunk's own while its micro-batch is under way.
func (u *unitOfWork) place(s *stage, slotted map[*graph.Value]bool) (map[*graph.Value]int64, int64) {
	var list []flow
	for i := range s.buckets {
		list = append(list, flow{programs: s.buckets[i].programs(), only: slotted})
	}
	return allocate(u.kind.AlignBytes, nil, list, nil)
}

// flows are the lines of programs of a stage in which values live.
func (u *unitOfWork) flows(s *stage) []flow {
	var list []flow
	for _, length := range u.lengths() {
		train, evaluate := flow{repeated: u.settings.microBatches > 1}, flow{}
		for i := range s.buckets {
			if b := &s.buckets[i]; b.length == length {
				train.programs = append(train.programs, b.programs()...)
				evaluate.programs = append(evaluate.programs, b.evaluate)
			}
		}
		if u.uncoded > 0 {
			list = append(list, flow{repeated: train.repeated, programs: append(slices.Clone(train.programs), s.uncodedUpdates()...)})
		}
		train.programs = append(train.programs, s.updates()...)
		list = append(list, train, evaluate)
	}
	if len(u.cached) > 0 {
		list = append(list, flow{programs: u.cached})
	}
	return list
}

func (u *unitOfWork) newPlan(l []*lowerer, stages []plan.Stage, arenaBytes int64) *plan.Plan {
	s := u.strategy
	p := &plan.Plan{
		Version: plan.Version, Name: s.Name, Strategy: s.Digest, Device: u.kind.Name,
		Model: plan.Model{Architecture: s.Model.Architecture, Task: s.Model.Task, Vocabulary: s.Model.Vocabulary,
			Context: s.Model.Context, Outputs: s.Model.Outputs, Config: s.Model.Config, From: s.Model.From, Teacher: u.teacher()},
		Training: u.training(), Plugins: u.plugins(), Compressions: u.compressions(), Data: u.data, Mesh: u.mesh(),
		Tensors: u.tensors(l), Stages: stages,
	}
	for _, v := range u.lasting(u.stages[0]) {
		if v.Class == plan.ScalarKind {
			p.Scalars = append(p.Scalars, plan.Scalar{Name: v.Name, Buffer: l[0].buffer(v)})
		}
	}
	p.Arenas = []plan.Arena{{Space: kernels.DeviceMemory, SizeBytes: arenaBytes}}
	return p
}

// mesh is the axes that have more than one place.
func (u *unitOfWork) mesh() []plan.Axis {
	degrees := u.degrees()
	var list []plan.Axis
	for _, name := range plan.Axes {
		if degrees[name] > 1 {
			list = append(list, plan.Axis{Name: name, Degree: degrees[name]})
		}
	}
	return list
}

// tensors lists what checkpoints keep. A weight that several stages use is the first one's.
func (u *unitOfWork) tensors(lowered []*lowerer) []plan.Tensor {
	var list, states []plan.Tensor
	for i, s := range u.stages {
		l := lowered[i]
		for _, w := range s.weights.list {
			if w.of != nil {
				t := &list[slices.IndexFunc(list, func(t plan.Tensor) bool { return t.Name == w.of.value.Name })]
				t.Copies = append(t.Copies, plan.Copy{Stage: i, Buffer: l.buffer(w.value)})
				continue
			}
			t := plan.Tensor{Name: w.value.Name, Class: w.value.Class, Dims: w.dims, Cut: w.cut, DType: w.value.DType, Init: w.init,
				Frozen: treat(u.strategy, w).frozen, Stage: i, Buffer: l.buffer(w.value), Pos: string(w.pos), Stored: w.stored}
			if w.part {
				t.Part = plan.AxisData
			}
			list = append(list, t)
		}
		for _, st := range s.states {
			t := plan.Tensor{Name: st.value.Name, Class: plan.State, Of: st.of.value.Name, Dims: st.value.Dims,
				DType: st.value.DType, Init: st.init, Stage: i, Buffer: l.buffer(st.value)}
			switch {
			case st.whole:
				t.Dims, t.Cut = st.of.dims, st.of.cut
			case st.dims != nil:
				t.Dims, t.Cut = st.dims, st.cut
			}
			if st.part {
				t.Part = plan.AxisData
			}
			if st.terms {
				u.termsOf(&t)
			}
			states = append(states, t)
		}
	}
	return append(list, states...)
}

// degrees are those of the mesh's axes; 0 stands for 1.
func (u *unitOfWork) degrees() map[string]int {
	m := u.strategy.Parallel.Mesh
	return map[string]int{plan.AxisPipeline: m.Pipeline, plan.AxisReplica: m.Replica, plan.AxisData: m.Data, plan.AxisSequence: m.Sequence, plan.AxisTensor: m.Tensor}
}

// plugins are those that the plan's instructions call, those that its data go through, and those that decide about its weights.
func (u *unitOfWork) plugins() []plan.Plugin {
	var list []plan.Plugin
	if p := u.strategy.Objective.Plugin; p != nil {
		list = append(list, p.Plugin)
	}
	for _, t := range u.strategy.Transforms {
		list = append(list, t.Plugin.Plugin)
	}
	if c := u.strategy.Parallel.Codec; c != nil && c.Plugin != nil {
		list = append(list, c.Plugin.Plugin)
	}
	return append(list, u.policies()...)
}

// teacher is the second model, of which the plan pins the folder.
func (u *unitOfWork) teacher() plan.Teacher {
	t := u.strategy.Objective.Teacher
	if t == nil {
		return plan.Teacher{}
	}
	return plan.Teacher{Architecture: t.Model.Architecture, From: t.Model.From, Digest: t.Digest}
}

func (u *unitOfWork) training() plan.Training {
	s := u.strategy
	return plan.Training{Seed: s.Seed, Steps: steps(s, u.data), Sequences: s.Batch.Sequences, MicroBatches: u.settings.microBatches,
		Objective: s.Objective.Loss, Rate: s.Schedule, Evaluation: s.Evaluate, Checkpoint: s.Checkpoint,
		Uncoded:   u.uncoded,
		LossScale: plan.LossScale{Initial: s.Precision.LossScale.Initial, Minimum: s.Precision.LossScale.Minimum}}
}
