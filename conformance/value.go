package conformance

import (
	"encoding/json"
	"fmt"
	"math"
)

// Value is a figure of a case: mostly an error, which may be NaN.
type Value float64

// NotCompared stands for an error that was not taken: it is less than any.
const NotCompared Value = -1

// String is the value in a table, "·" for what was not compared.
func (v Value) String() string {
	if v == NotCompared {
		return "·"
	}
	return fmt.Sprintf("%.2g", float64(v))
}

// MarshalJSON gives null for what was not compared, and a word for what JSON has no number for.
func (v Value) MarshalJSON() ([]byte, error) {
	switch x := float64(v); {
	case v == NotCompared:
		return []byte("null"), nil
	case math.IsNaN(x) || math.IsInf(x, 0):
		return json.Marshal(fmt.Sprint(x))
	default:
		return json.Marshal(x)
	}
}
