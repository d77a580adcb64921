package runtime

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// placeOf says which record of the global batch, and which position in it, a row of an instruction's logits is: whatever rank, micro-batch and chunk it is in.
func (m *Machine) placeOf(of *plan.Program, in *plan.Instruction) func(row int) string {
	chunk := 0 // of the rows of the micro-batch, the first that the instruction is about
	if i := kernels.Contracts[in.Op].Param("loss"); i >= 0 && in.Operands[i].Buffer >= 0 {
		chunk = in.Operands[i].Offset
	}
	if m.Plan.Model.Task == "sequence" {
		return func(row int) string { return fmt.Sprintf("record %d of the batch", m.first+chunk+row) }
	}
	ranks := m.Plan.Degree(plan.AxisSequence)
	length := (of.Length + ranks - 1) / ranks
	from := m.Plan.Place(m.rank.Number, plan.AxisSequence) * length
	return func(row int) string {
		row += chunk
		return fmt.Sprintf("record %d of the batch, position %d", m.first+row/length, from+row%length)
	}
}
