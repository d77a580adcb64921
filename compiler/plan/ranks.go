package plan

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// VerifyRanks proves an expanded plan sound: stages are what each rank runs, by its number, as [Plan.Expand] gives them. [Plan.Verify], which must have
// admitted the plan, proves that of its own expansion, since the ranks of a stage do the same; here each rank stands for itself.
//
//   - A rank whose stage is not the plan's own is held to all rules for it, and sees its own parts of buffers (rule 28).
//   - Rules 26 and 27 are held for all ranks and all axes, groups that share ranks and streams included.
func (p *Plan) VerifyRanks(stages []*Stage) error {
	v := &verifier{plan: p, kind: kernels.Kinds[p.Device], seen: map[Problem]bool{}}
	if len(stages) != p.Ranks() {
		v.fail("%d ranks, but the mesh has %d", len(stages), p.Ranks())
		return v.result()
	}
	for rank, stage := range stages {
		if own := p.Expand(p.StageOf(rank), rank); own != stage && !reflect.DeepEqual(own, stage) {
			v.alone(rank, own, stage)
		}
	}
	if len(v.problems) == 0 {
		v.together(stages)
	}
	return v.result()
}

// alone holds what a rank runs to the rules for one stage.
func (v *verifier) alone(rank int, own, stage *Stage) {
	p, s := *v.plan, v.plan.StageOf(rank)
	p.Stages = slices.Clone(p.Stages)
	p.Stages[s] = *stage
	one := &verifier{plan: &p, kind: v.kind, seen: map[Problem]bool{}}
	for _, rule := range structureRules {
		rule(one)
	}
	if len(one.problems) == 0 && one.parts(s) {
		one.rank(s, rank)
		one.views(s, own)
	}
	for _, problem := range one.problems {
		problem.Message = fmt.Sprintf("rank %d: %s", rank, problem.Message)
		v.add(problem)
	}
}

// same is what tells an instruction from the others of its stage, whatever order they stand in.
type same struct {
	program, name string
	op            kernels.Op
	number        int // among those of the program with that name
}

// views is rule 28: an instruction of the plan's sees, of a buffer, what the plan says that it sees at the rank's place.
func (v *verifier) views(s int, own *Stage) {
	planned := map[same]*Instruction{}
	own.named(func(a at, k same, in *Instruction) { planned[k] = in })
	sv := &stageVerifier{verifier: v, index: s, stage: &v.plan.Stages[s]}
	sv.stage.named(func(a at, k same, in *Instruction) {
		want := planned[k]
		if want == nil || len(want.Operands) != len(in.Operands) {
			return
		}
		for i := range in.Operands {
			if x, y := &in.Operands[i], &want.Operands[i]; x.Buffer == y.Buffer && x.Offset != y.Offset {
				sv.failIn(a, "operand %s: it sees %s from element %d on, but at the rank's place the plan has it see element %d and on", operandName(in, i),
					sv.stage.label(x.Buffer), x.Offset, y.Offset)
			}
		}
	})
}

// named calls f for every instruction of the stage with what tells it from others.
func (s *Stage) named(f func(a at, k same, in *Instruction)) {
	for i := range s.Programs {
		seen := map[same]int{}
		for j := range s.Programs[i].Instructions {
			in := &s.Programs[i].Instructions[j]
			k := same{program: s.Programs[i].Name, name: in.Name, op: in.Op}
			seen[k]++
			k.number = seen[k]
			f(at{i, j}, k, in)
		}
	}
}

// together is rules 26 and 27 for all ranks.
func (v *verifier) together(stages []*Stage) {
	m := meeting{verifier: v, follows: func(string) bool { return true }}
	for rank, stage := range stages {
		m.parties = append(m.parties, &party{rank: rank, name: fmt.Sprintf("rank %d", rank), stage: stage})
	}
	m.schedules()
}
