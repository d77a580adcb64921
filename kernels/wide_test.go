package kernels

import (
	"strings"
	"testing"
)

// Where floats are halves, what a contract calls wide is F32; else it is of their type.
func TestWideOperands(t *testing.T) {
	norm := func(x, statistics DType) []Tensor {
		row, rows := []int{4, 8}, []int{4}
		return []Tensor{{DType: x, Shape: row}, {}, {}, {DType: x, Shape: row}, {DType: statistics, Shape: rows}, {DType: statistics, Shape: rows}}
	}
	adam := func(weight, grad DType) []Tensor {
		all, one := []int{8}, []int{}
		return []Tensor{{DType: weight, Shape: all}, {DType: grad, Shape: all}, {DType: weight, Shape: all}, {DType: weight, Shape: all},
			{DType: F64, Shape: one}, {DType: I64, Shape: one}, {DType: F64, Shape: one}}
	}
	sum := func(d DType) []Tensor { return []Tensor{{DType: d, Shape: []int{8}}, {DType: d, Shape: []int{8}}} }
	round := func(y DType) []Tensor {
		return []Tensor{{DType: F32, Shape: []int{8}}, {}, {}, {DType: y, Shape: []int{8}}}
	}
	for _, c := range []struct {
		name  string
		op    Op
		args  []Tensor
		wrong string // empty: admitted
	}{
		{"f32", LayerNorm, norm(F32, F32), ""},
		{"f64", LayerNorm, norm(F64, F64), ""},
		{"bf16", LayerNorm, norm(BF16, F32), ""},
		{"f16", LayerNorm, norm(F16, F32), ""},
		{"statistics in bf16", LayerNorm, norm(BF16, BF16), "operand mean: type bf16 is not a type it takes"},
		{"statistics of another type", LayerNorm, norm(F64, F32), "operand mean: type f32, but an operand before it has f64"},
		{"statistics wider than f32", LayerNorm, norm(BF16, F64), "operand mean: type f64, but an operand before it has f32"},
		{"a master and a gradient of halves", AdamW, adam(F32, BF16), ""},
		{"a master of halves", AdamW, adam(BF16, BF16), "operand weight: type bf16 is not a type it takes"},
		{"a gradient wider than the master", AdamW, adam(F32, F64), "operand grad: type f64, but an operand before it has f32"},
		{"halves are added up", AllReduce, sum(BF16), ""},
		{"bytes are not", AllReduce, sum(U8), "type u8 is not a type it takes"},
		{"rounded to f16", Round, round(F16), ""},
		{"rounded to f32", Round, round(F32), "operand y: type f32 is not a type it takes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := Attrs{Epsilon: 1e-5}
			if c.op == AllReduce || c.op == Round {
				a = Attrs{}
			}
			if c.op == AllReduce {
				a.Axis = "data"
			}
			_, err := Check(c.op, a, c.args)
			if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
				t.Errorf("Check gives %v, want %q", err, c.wrong)
			}
		})
	}
}
