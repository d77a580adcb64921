package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/checkpoint"
)

// loadTerms gives the rank an equal part of the sum of all terms that a checkpoint of another mesh has. Each rank goes on with as much to catch up on as any other; one
// that were given all of it would take as many steps to send it as there were ranks. Of none the sum is 0.
func (m *Machine) loadTerms(saved *checkpoint.Saved, t *plan.Tensor, terms int) error {
	n := m.Plan.PartLen(t)
	sum, row := make([]float64, n), make(byteSlice, n*t.DType.Size())
	for i := range terms {
		if err := saved.ReadRuns(t.Name, m.Plan.RunsOfTerm(t, m.rank.Number, i), row); err != nil {
			return err
		}
		for k := range sum {
			sum[k] += row.float(t.DType, k)
		}
	}
	for k := range sum {
		row.setFloat(t.DType, k, sum[k]/float64(t.Dims[0].Size))
	}
	_, err := m.place(t).WriteAt(row, 0)
	return err
}

// termsNote says what became of terms that a checkpoint has another number of, or of others than the plan; "" where there are none.
func termsNote(saved *checkpoint.Saved, p *plan.Plan) string {
	shared, from, to, begun, left := 0, 0, 0, 0, 0
	for i := range p.Tensors {
		switch t := &p.Tensors[i]; {
		case !t.Terms:
			if p.Tensor(t.Name+plan.Residual) == nil && saved.Terms(t.Name+plan.Residual) > 0 {
				left++
			}
		case saved.Terms(t.Name) == 0:
			begun++
		case saved.Terms(t.Name) != t.Dims[0].Size:
			shared, from, to = shared+1, saved.Terms(t.Name), t.Dims[0].Size
		}
	}
	var notes []string
	if shared > 0 {
		notes = append(notes, fmt.Sprintf("residuals of %d gradients: %d ranks kept one each; their sum is shared out evenly among the %d there are now", shared, from, to))
	}
	if begun > 0 {
		notes = append(notes, fmt.Sprintf("newly coded on this mesh: %d of the gradients, whose residuals begin at 0", begun))
	}
	if left > 0 {
		notes = append(notes, fmt.Sprintf("no more coded on this mesh: %d of the gradients; what their codes left out is dropped", left))
	}
	return strings.Join(notes, "; ")
}

// byteSlice are bytes that are written to, and seen as floats.
type byteSlice []byte

// WriteAt copies.
func (b byteSlice) WriteAt(p []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(p)) > int64(len(b)) {
		return 0, errors.New("written beyond its end")
	}
	return copy(b[at:], p), nil
}

func (b byteSlice) float(d kernels.DType, i int) float64 {
	if d == kernels.F64 {
		return math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
}

func (b byteSlice) setFloat(d kernels.DType, i int, v float64) {
	if d == kernels.F64 {
		binary.LittleEndian.PutUint64(b[8*i:], math.Float64bits(v))
		return
	}
	binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(float32(v)))
}
