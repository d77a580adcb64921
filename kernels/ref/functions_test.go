package ref

import (
	"fmt"
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// Operations and their gradients agree with PyTorch in float64; testdata/functions.py made the values.
func TestFunctionsAgreeWithPyTorch(t *testing.T) {
	var entries []struct {
		Op        kernels.Op
		Attrs     kernels.Attrs
		Tolerance float64
		Operands  arrays
	}
	readJSON(t, "functions.json", &entries)
	for i, e := range entries {
		t.Run(fmt.Sprintf("%d_%v", i, e.Op), func(t *testing.T) {
			inputs := arrays{}
			for name, x := range e.Operands {
				inputs[name] = x
				if p := kernels.Contracts[e.Op].Param(name); p >= 0 && !kernels.Contracts[e.Op].RoleOf(p, e.Attrs).Reads() {
					inputs[name] = of(x.Shape)
				}
			}
			after := invoke(t, e.Op, e.Attrs, inputs)
			for name, want := range e.Operands {
				near(t, name, after[name], want.Values, e.Tolerance)
			}
		})
	}
}
