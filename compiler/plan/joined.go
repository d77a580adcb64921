package plan

import "github.com/gsc-project/gsc/kernels"

// Joins says whether an instruction is one call with the one before it; false where there is none.
func (p *Program) Joins(i int) bool { return i < len(p.Instructions) && p.Instructions[i].Joined }

// joined is rule 23 for what is one call, and rule 19 for its instructions together.
func (v *stageVerifier) joined() {
	for i := range v.stage.Programs {
		p, first := &v.stage.Programs[i], 0
		for j := range p.Instructions {
			if !p.Joins(j) {
				first = j
				continue
			}
			if !v.joins(at{i, j}, p) {
				continue
			}
			for k := first; k < j; k++ {
				v.apartInCall(at{i, j}, &p.Instructions[j], &p.Instructions[k])
			}
		}
	}
}

// joins is rule 23 for one joined instruction.
func (v *stageVerifier) joins(a at, p *Program) (sound bool) {
	in := &p.Instructions[a.instruction]
	if a.instruction == 0 {
		v.failIn(a, "it is one call with the instruction before it, and there is none")
		return false
	}
	switch before := &p.Instructions[a.instruction-1]; {
	case !joinable(in.Op) || before.Op != in.Op || before.Attrs.Axis != in.Attrs.Axis || before.Stream != in.Stream:
		v.failIn(a, "%v along %s on stream %d is not one call with %s, %v along %s on stream %d", in.Op, in.Attrs.Axis, in.Stream,
			before.Name, before.Op, before.Attrs.Axis, before.Stream)
	case len(in.Wait) > 0 || len(in.Await) > 0:
		v.failIn(a, "it waits for events, but is one call with %s, which begins all", before.Name)
	case before.Signal != 0:
		v.failIn(a, "it is one call with %s, which signals event %d before the call has ended", before.Name, before.Signal)
	case before.Open != 0 || in.Open != 0:
		v.failIn(a, "it is one call with %s, and one of both goes on past the end of the program", before.Name)
	default:
		return true
	}
	return false
}

// apartInCall is rule 19 for two instructions that are one call.
func (v *stageVerifier) apartInCall(a at, in, other *Instruction) {
	if v.refused[in] || v.refused[other] {
		return
	}
	for i := range in.Operands {
		for j := range other.Operands {
			x, y := &in.Operands[i], &other.Operands[j]
			if x.Buffer < 0 || y.Buffer < 0 || !role(in, i).Writes() && !role(other, j).Writes() {
				continue
			}
			if v.everOverlap(x, y) {
				v.failIn(a, "operand %s (%s) overlaps operand %s (%s) of %s, which is one call with it",
					operandName(in, i), v.stage.label(x.Buffer), operandName(other, j), v.stage.label(y.Buffer), other.Name)
				return
			}
		}
	}
}

// joinable are the operations of which several can be one call.
func joinable(op kernels.Op) bool {
	return op == kernels.AllReduce || op == kernels.ReduceScatter || op == kernels.AllGather
}
