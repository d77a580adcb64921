package plan

import "github.com/gsc-project/gsc/kernels"

// Schedule finds the schedule of a kind for a length bucket; nil when there is none.
func (s *Stage) Schedule(kind string, length int) *Schedule {
	for i := range s.Schedules {
		if sc := &s.Schedules[i]; sc.Kind == kind && (sc.Length == length || sc.Length == 0) {
			return sc
		}
	}
	return nil
}

// Program finds a program by name; nil when there is none.
func (s *Stage) Program(name string) *Program {
	for i := range s.Programs {
		if s.Programs[i].Name == name {
			return &s.Programs[i]
		}
	}
	return nil
}

// Tensors describes an instruction's operands as a device will see them,
// without their memory.
func (s *Stage) Tensors(in *Instruction) []kernels.Tensor {
	list := make([]kernels.Tensor, len(in.Operands))
	for i, o := range in.Operands {
		if o.Buffer >= 0 {
			list[i] = kernels.Tensor{DType: s.Buffers[o.Buffer].DType, Shape: o.Shape, Strides: o.Strides}
		}
	}
	return list
}

// Tensor finds a logical tensor by name; nil when there is none.
func (p *Plan) Tensor(name string) *Tensor {
	for i := range p.Tensors {
		if p.Tensors[i].Name == name {
			return &p.Tensors[i]
		}
	}
	return nil
}

// ProcessBytes is the memory that a process takes at most which holds all ranks: their arenas, and what is reserved, which they share.
func (p *Plan) ProcessBytes() int64 {
	total := p.PeakBytes()
	for _, a := range p.Arenas {
		total -= a.SizeBytes
		for stage := range p.Stages {
			total += int64(p.Ranks()/len(p.Stages)) * p.ArenaBytes(stage, a)
		}
	}
	return total
}

// ArenaBytes is what the ranks of a stage take of an arena.
func (p *Plan) ArenaBytes(stage int, a Arena) int64 {
	if own := p.Stages[stage].Bytes; own > 0 && a.Space == kernels.DeviceMemory {
		return own
	}
	return a.SizeBytes
}

// counts says whether an arena is of the memory that a plan must fit: where devices have memory of their own, theirs.
func (p *Plan) counts(a *Arena) bool {
	return a.Space == kernels.DeviceMemory || !kernels.Kinds[p.Device].Separate
}

// PeakBytes is the memory a rank takes at most, of any stage: its arenas and all that is reserved; where devices have memory of their own, of that.
func (p *Plan) PeakBytes() int64 {
	var total int64
	for _, a := range p.Arenas {
		if !p.counts(&a) {
			continue
		}
		total += a.SizeBytes
		for _, r := range a.Reserved {
			total += r.SizeBytes
		}
	}
	return total
}
