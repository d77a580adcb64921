package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/checkpoint"
)

// termsOf is how many terms a checkpoint has of a tensor, where the plan has another number of them; 0 elsewhere.
func termsOf(saved *checkpoint.Saved, t *plan.Tensor) int {
	if !t.Terms {
		return 0
	}
	if n := saved.Terms(t.Name); n != t.Dims[0].Size {
		return n
	}
	return 0
}

// loadTerms gives the rank an equal part of the sum of all terms that a checkpoint of another mesh has. Each rank goes on with as much to catch up on as any other; one
// that were given all of it would take as many steps to send it as there were ranks.
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

// termsNote says what became of terms that a checkpoint has another number of; "" where there are none.
func termsNote(saved *checkpoint.Saved, p *plan.Plan) string {
	tensors, from, to := 0, 0, 0
	for i := range p.Tensors {
		if n := termsOf(saved, &p.Tensors[i]); n > 0 {
			tensors, from, to = tensors+1, n, p.Tensors[i].Dims[0].Size
		}
	}
	if tensors == 0 {
		return ""
	}
	return fmt.Sprintf("residuals of %d gradients: %d ranks kept one each; their sum is shared out evenly among the %d there are now", tensors, from, to)
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
