package compiler

import (
	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// schedule lowers the graph: offsets, buffers, programs, and the calls of each schedule.
func (u *unitOfWork) schedule() error {
	offsets, arenaBytes := allocate(u.kind.AlignBytes, u.lasting(), u.flows())
	l := &lowerer{offsets: offsets, ids: map[*graph.Value]int{}}
	for _, v := range u.lasting() {
		l.buffer(v)
	}
	stage := plan.Stage{Slots: 1}
	for _, b := range u.buckets {
		u.trainSchedule(l, &stage, b)
		stage.Programs = append(stage.Programs, l.program(b.evaluate))
		stage.Schedules = append(stage.Schedules, single(plan.Evaluate, b.length, b.evaluate.Name))
	}
	if u.update != nil {
		stage.Programs = append(stage.Programs, l.program(u.update))
	}
	for _, p := range u.cached {
		stage.Programs = append(stage.Programs, l.program(p))
		stage.Schedules = append(stage.Schedules, single(p.Name, 0, p.Name))
	}
	stage.Buffers = l.buffers
	u.plan = u.newPlan(l, stage, arenaBytes)
	return nil
}

func single(kind string, length int, program string) plan.Schedule {
	return plan.Schedule{Kind: kind, Length: length, Calls: []plan.Call{{Program: program}}}
}

func (u *unitOfWork) trainSchedule(l *lowerer, stage *plan.Stage, b bucket) {
	stage.Programs = append(stage.Programs, l.program(b.forward), l.program(b.backward))
	if u.settings.microBatches > 1 {
		stage.Programs = append(stage.Programs, l.adding(b.backward))
	}
	s := plan.Schedule{Kind: plan.Train, Length: b.length}
	for m := range u.settings.microBatches {
		backward := b.backward.Name
		if m > 0 {
			backward = addingName(backward)
		}
		s.Calls = append(s.Calls, plan.Call{Program: b.forward.Name, MicroBatch: m}, plan.Call{Program: backward, MicroBatch: m})
	}
	s.Calls = append(s.Calls, plan.Call{Program: u.update.Name})
	stage.Schedules = append(stage.Schedules, s)
}

// lasting lists what lives from step to step: scalars, weights, optimizer state.
func (u *unitOfWork) lasting() []*graph.Value {
	var list []*graph.Value
	for _, class := range []plan.Class{plan.ScalarKind, plan.Weight, plan.State} {
		for _, v := range u.graph.Values {
			if v.Class == class && v.View == nil {
				list = append(list, v)
			}
		}
	}
	return list
}

func (u *unitOfWork) flows() []flow {
	var list []flow
	for _, b := range u.buckets {
		list = append(list,
			flow{programs: []*graph.Program{b.forward, b.backward, u.update}, repeated: u.settings.microBatches > 1},
			flow{programs: []*graph.Program{b.evaluate}})
	}
	if len(u.cached) > 0 {
		list = append(list, flow{programs: u.cached})
	}
	return list
}

func (u *unitOfWork) newPlan(l *lowerer, stage plan.Stage, arenaBytes int64) *plan.Plan {
	s := u.strategy
	p := &plan.Plan{
		Version: plan.Version, Name: s.Name, Strategy: s.Digest, Device: u.kind.Name,
		Model: plan.Model{Architecture: s.Model.Architecture, Task: s.Model.Task, Vocabulary: s.Model.Vocabulary,
			Context: s.Model.Context, Outputs: s.Model.Outputs, Config: s.Model.Config, From: s.Model.From},
		Training: u.training(), Data: u.data, Mesh: u.mesh(),
		Tensors: u.tensors(l), Stages: []plan.Stage{stage},
	}
	for _, v := range u.lasting() {
		if v.Class == plan.ScalarKind {
			p.Scalars = append(p.Scalars, plan.Scalar{Name: v.Name, Buffer: l.buffer(v)})
		}
	}
	p.Arenas = []plan.Arena{{Space: kernels.DeviceMemory, SizeBytes: arenaBytes}}
	return p
}

// mesh is the axes that have more than one place.
func (u *unitOfWork) mesh() []plan.Axis {
	m := u.strategy.Parallel.Mesh
	degrees := map[string]int{plan.AxisData: m.Data, plan.AxisSequence: m.Sequence, plan.AxisTensor: m.Tensor}
	var list []plan.Axis
	for _, name := range plan.Axes {
		if degrees[name] > 1 {
			list = append(list, plan.Axis{Name: name, Degree: degrees[name]})
		}
	}
	return list
}

func (u *unitOfWork) tensors(l *lowerer) []plan.Tensor {
	var list []plan.Tensor
	for _, w := range u.weights.list {
		t := plan.Tensor{Name: w.value.Name, Class: plan.Weight, Dims: w.dims, Cut: w.cut, DType: w.value.DType, Init: w.init,
			Frozen: treat(u.strategy, w).frozen, Buffer: l.buffer(w.value), Pos: string(w.pos), Stored: w.stored}
		if w.part {
			t.Part = plan.AxisData
		}
		list = append(list, t)
	}
	for _, st := range u.states {
		t := plan.Tensor{Name: st.value.Name, Class: plan.State, Of: st.of.value.Name, Dims: st.value.Dims,
			DType: st.value.DType, Init: st.init, Buffer: l.buffer(st.value)}
		if st.whole {
			t.Dims, t.Cut = st.of.dims, st.of.cut
		}
		if st.part {
			t.Part = plan.AxisData
		}
		list = append(list, t)
	}
	return list
}

func (u *unitOfWork) training() plan.Training {
	s := u.strategy
	return plan.Training{Seed: s.Seed, Steps: steps(s, u.data), Sequences: s.Batch.Sequences, MicroBatches: u.settings.microBatches,
		Objective: s.Objective.Loss, Rate: s.Schedule, Evaluation: s.Evaluate, Checkpoint: s.Checkpoint,
		LossScale: plan.LossScale{Initial: s.Precision.LossScale.Initial, Minimum: s.Precision.LossScale.Minimum}}
}
