package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// VerifyRanks proves an expanded plan sound: stages are what each rank runs, by its number, as [Plan.Expand] gives them. [Plan.Verify], which must have
// admitted the plan, proves that of its own expansion, since the ranks of a stage do the same; here each rank stands for itself.
//
//   - A rank whose stage is not the plan's own is held to all rules for one stage.
//   - Rules 26 and 27 are held for all ranks and all axes, groups that share ranks and streams included.
//   - What such a rank computes is what the plan has it compute (rule 28), in another order, on other streams, in other places or slots at most.
func (p *Plan) VerifyRanks(stages []*Stage) error {
	v := &verifier{plan: p, kind: kernels.Kinds[p.Device], seen: map[Problem]bool{}}
	if len(stages) != p.Ranks() {
		v.fail("%d ranks, but the mesh has %d", len(stages), p.Ranks())
		return v.result()
	}
	others := map[int]*Stage{} // the plan's, of the ranks that do otherwise
	for rank, stage := range stages {
		if own := p.Expand(p.StageOf(rank), rank); own != stage && !reflect.DeepEqual(own, stage) {
			others[rank] = own
			v.alone(rank, stage)
		}
	}
	if len(v.problems) == 0 {
		v.together(stages)
	}
	if len(v.problems) == 0 {
		for _, rank := range slices.Sorted(maps.Keys(others)) {
			v.refines(rank, others[rank], stages[rank])
		}
	}
	return v.result()
}

// alone holds what a rank runs to the rules for one stage.
func (v *verifier) alone(rank int, stage *Stage) {
	p, s := *v.plan, v.plan.StageOf(rank)
	p.Stages = slices.Clone(p.Stages)
	p.Stages[s] = *stage
	one := &verifier{plan: &p, kind: v.kind, seen: map[Problem]bool{}}
	for _, rule := range structureRules {
		rule(one)
	}
	if len(one.problems) == 0 && one.parts(s) {
		one.rank(s, rank)
	}
	for _, problem := range one.problems {
		problem.Message = fmt.Sprintf("rank %d: %s", rank, problem.Message)
		v.add(problem)
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
