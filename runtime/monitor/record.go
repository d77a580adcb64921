package monitor

import (
	"encoding/json"
	"math"
	"strconv"
)

// Record is what is known after a step. Quantities that were not measured are NaN.
type Record struct {
	Step            int64   // updates done, this one counted; 0 for an evaluation before the first
	Loss            float64 // of the step: Σwℓ / Σw over the global batch
	Rate            float64 // learning rate
	GradNorm        float64 // before clipping
	Tokens          int64   // seen since the run began, this step's counted
	TokensPerSecond float64 // of this step
	LossScale       float64 // that the step's gradients were computed with; 0: there is no loss scaling
	Skipped         int64   // steps so far, this one counted, whose gradient was not finite and that changed no weight
	Pruning         bool    // weights are pruned while they are trained
	Sparsity        float64 // share of the elements that are pruned behind this step, of those that may be
	Validation      []Value // where the step was evaluated
}

// Value is a named measure of an evaluation: "loss", "accuracy", …
type Value struct {
	Name  string
	Value float64
}

// appendJSON appends the record as one line. Numbers are written with all their
// digits; what is not finite, which JSON cannot say, is null. It allocates
// nothing that b has room for.
func (r *Record) appendJSON(b []byte) []byte {
	b = append(b, `{"step":`...)
	b = strconv.AppendInt(b, r.Step, 10)
	b = appendNumber(append(b, `,"loss":`...), r.Loss)
	b = appendNumber(append(b, `,"lr":`...), r.Rate)
	b = appendNumber(append(b, `,"grad_norm":`...), r.GradNorm)
	b = append(b, `,"tokens":`...)
	b = strconv.AppendInt(b, r.Tokens, 10)
	b = appendNumber(append(b, `,"tokens_per_second":`...), r.TokensPerSecond)
	if r.LossScale > 0 {
		b = appendNumber(append(b, `,"loss_scale":`...), r.LossScale)
		b = strconv.AppendInt(append(b, `,"skipped":`...), r.Skipped, 10)
	}
	if r.Pruning {
		b = appendNumber(append(b, `,"sparsity":`...), r.Sparsity)
	}
	for _, v := range r.Validation {
		b = append(b, `,"validation_`...)
		b = append(b, v.Name...)
		b = appendNumber(append(b, `":`...), v.Value)
	}
	return append(b, "}\n"...)
}

func appendNumber(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// plain is a record without its methods.
type plain Record

// shadowed is a record whose loss and norm, which a skipped step may have none of, can be null.
type shadowed struct {
	*plain
	Loss, GradNorm *float64
}

// MarshalJSON keeps a record whose loss or norm is not finite.
func (r *Record) MarshalJSON() ([]byte, error) {
	return json.Marshal(shadowed{(*plain)(r), orNull(r.Loss), orNull(r.GradNorm)})
}

// UnmarshalJSON reads what MarshalJSON wrote, NaN for null.
func (r *Record) UnmarshalJSON(text []byte) error {
	s := shadowed{plain: (*plain)(r)}
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	r.Loss, r.GradNorm = orNaN(s.Loss), orNaN(s.GradNorm)
	return nil
}

func orNull(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func orNaN(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}
