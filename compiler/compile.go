// Package compiler turns a strategy into an execution plan. Its passes are
// listed in passes.go, each a step from one form to the next: layers, the tensor
// program (package graph), the plan (package plan). It imports no device: what a kind of device
// needs is data in package kernels.
package compiler

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// Options are what the caller knows beside the strategy.
type Options struct {
	DataBytes int64 // memory that the data layer will hold
	Verify    bool  // check the result of every pass, not of the last alone

	// Declare asks a plugin of the strategy what may happen to a weight. It is needed where the strategy names policies.
	Declare func(p *schema.Plugin, t compress.Tensor) (compress.Declaration, error)

	unproved bool // the plan is not verified: another one may be taken

	// Profile, when set, prices the plan in place of the built-in profile that it is made with.
	Profile *Profile
}

// Compile makes the plan of a strategy. data is the strategy's data section
// after the data were looked at. What the strategy leaves open is chosen, and the plan says why.
func Compile(s *schema.Strategy, data plan.Data, opts Options) (*plan.Plan, error) {
	kind, ok := kernels.Kinds[s.Devices.Kind]
	if !ok {
		return nil, s.Wrong("devices.kind", fmt.Sprintf("unknown device kind %q", s.Devices.Kind), "use cpu, ref or cuda")
	}
	if err := pluginFits(s, data, kind); err != nil {
		return nil, err
	}
	within, err := (&unitOfWork{strategy: s, kind: kind}).roomOf()
	if err != nil {
		return nil, err
	}
	var p *plan.Plan
	if len(s.Parallel.Open) > 0 {
		p, _, err = Search(s, data, opts)
	} else {
		p, err = compile(s, within, data, kind, opts)
	}
	if err != nil {
		return nil, err
	}
	if opts.Profile != nil {
		Reprice(p, opts.Profile, s.Devices.Threads)
	}
	if s.Model.Task == "causal" && p.Ranks() > 1 {
		err = addGeneration(p, within, s, data, kind, opts)
	}
	return p, err
}

// Search settles what a strategy leaves open of how its work is shared out, and gives all candidates, the best first.
func Search(s *schema.Strategy, data plan.Data, opts Options) (*plan.Plan, []Candidate, error) {
	u := &unitOfWork{strategy: s, kind: kernels.Kinds[s.Devices.Kind]}
	within, err := u.roomOf()
	if err != nil {
		return nil, nil, err
	}
	profile, err := u.profile()
	if err != nil {
		return nil, nil, err
	}
	x := &search{strategy: s, data: data, options: opts, kind: u.kind, profile: profile, room: within, ranks: s.Ranks(), costs: map[costKey]*layerCost{}}
	for i := range s.Model.Layers {
		if l := &s.Model.Layers[i]; l.Kind == "repeat" {
			x.layers += l.Count
		}
	}
	if x.layers == 0 {
		return nil, nil, s.Wrong("parallel", "the model has no repeated layers to share out", "say how the work is shared out")
	}
	return x.find()
}

// compile makes the plan of a strategy that leaves nothing open but what choose settles.
func compile(s *schema.Strategy, within room, data plan.Data, kind kernels.Kind, opts Options) (*plan.Plan, error) {
	return choose(s, within, data.Length, func(set settings) (*plan.Plan, error) {
		u := &unitOfWork{strategy: s, data: data, kind: kind, settings: set, declare: opts.Declare}
		if err := u.run(passes, after(opts)); err != nil {
			return nil, err
		}
		if err := u.reserve(opts); err != nil {
			return nil, err
		}
		u.plan.Choices = u.choices
		if opts.unproved {
			return u.plan, nil
		}
		return u.plan, u.plan.Verify()
	})
}

// addGeneration gives a plan of several ranks the programs of the one that generates, unless its device cannot hold the model.
func addGeneration(p *plan.Plan, within room, s *schema.Strategy, data plan.Data, kind kernels.Kind, opts Options) error {
	weights := int64(0)
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Class == plan.Weight {
			weights += int64(kernels.Elements(t.Shape())) * int64(t.DType.Size())
		}
	}
	if kind.Separate && weights > within.bytes {
		p.Choices = append(p.Choices, plan.Choice{What: "generation", Value: "none", Why: fmt.Sprintf("one rank generates, and the weights take %s, more than %s", plan.FormatBytes(weights), within.of)})
		return nil
	}
	made, err := alone(s, data, kind, opts)
	if err != nil {
		return err
	}
	if need := made.PeakBytes(); kind.Separate && need > within.bytes {
		p.Choices = append(p.Choices, plan.Choice{What: "generation", Value: "none", Why: fmt.Sprintf("one rank generates, which takes %s, more than %s", plan.FormatBytes(need), within.of)})
		return nil
	}
	p.Generation = made
	return nil
}

// alone is the generation of a plan of several ranks: that of the strategy's model on one.
func alone(s *schema.Strategy, data plan.Data, kind kernels.Kind, opts Options) (*plan.Plan, error) {
	one := *s
	one.Parallel, one.Memory, one.Batch = schema.Parallel{}, schema.Memory{}, schema.Batch{Sequences: 1, MicroBatches: 1}
	one.Objective.Teacher = nil
	u := &unitOfWork{strategy: &one, data: data, kind: kind, settings: settings{microBatches: 1}, declare: opts.Declare}
	if err := u.run(generationPasses, nil); err != nil {
		return nil, err
	}
	if err := u.reserve(opts); err != nil {
		return nil, err
	}
	u.plan.Estimate.Parameters, _ = parameters(u.plan)
	return generationOf(u.plan, WeightsTrained, opts.Profile, s.Devices.Threads)
}

func after(opts Options) func(string, *unitOfWork) error {
	if !opts.Verify {
		return nil
	}
	return func(_ string, u *unitOfWork) error {
		if u.plan != nil {
			return u.plan.Verify()
		}
		return u.graph.Verify()
	}
}

const reservedForData = "data"

// reserve writes down what lies outside the arena of the device: what the
// process, its kernels and its data take, and the buffer of checkpoints on their way to disk.
func (u *unitOfWork) reserve(opts Options) error {
	p, err := u.profile()
	if err != nil {
		return err
	}
	process := []plan.Reserve{
		{For: "process", SizeBytes: p.ProcessBytes},
		{For: "kernel scratch", SizeBytes: p.ScratchBytes + p.ThreadBytes*int64(u.plan.RankThreads(u.strategy.Devices.Threads))},
		{For: reservedForData, SizeBytes: opts.DataBytes},
	}
	for _, p := range u.plan.Plugins {
		process = append(process, plan.Reserve{For: "plugin " + p.Name, SizeBytes: p.MemoryBytes * int64(u.instances(&p))})
	}
	if !u.kind.Separate {
		u.plan.Arenas[0].Reserved = process
	} else {
		u.plan.Arenas[0].Reserved = append(slices.Clone(p.Reserved), plan.Reserve{For: "communication", SizeBytes: p.GroupBytes * int64(len(u.plan.Mesh))})
		u.plan.Arenas = append(u.plan.Arenas, plan.Arena{Space: kernels.HostMemory, Reserved: process})
	}
	if u.savesInBackground() {
		u.reserveTransfer()
	}
	return nil
}

// savesInBackground says whether a checkpoint may be on its way to disk while
// the run goes on. The last one is written from the arena itself.
func (u *unitOfWork) savesInBackground() bool {
	t := u.plan.Training
	return t.Checkpoint.Every > 0 && t.Checkpoint.Every < t.Steps || t.Evaluation.Every > 0 && t.Evaluation.Every < t.Steps
}

// reserveTransfer adds a buffer in host memory for a copy of all tensors that checkpoints hold; where devices have memory of their own, of those that the rank keeps.
func (u *unitOfWork) reserveTransfer() {
	var size int64
	for i := range u.plan.Tensors {
		t := &u.plan.Tensors[i]
		if t.Class == plan.Taught {
			continue
		}
		n := kernels.Elements(t.Shape())
		if u.kind.Separate {
			n = u.plan.PartLen(t)
		}
		size += int64(n) * int64(t.DType.Size())
	}
	stage := &u.plan.Stages[0]
	stage.Buffers = append(stage.Buffers, plan.Buffer{ID: len(stage.Buffers), Name: "checkpoint", Class: plan.Transfer, Space: kernels.HostMemory,
		DType: kernels.U8, Dims: []plan.Dim{{Name: "byte", Size: int(size)}}})
	if u.kind.Separate {
		u.plan.Arenas[1].SizeBytes = size
		return
	}
	u.plan.Arenas = append(u.plan.Arenas, plan.Arena{Space: kernels.HostMemory, SizeBytes: size})
}
