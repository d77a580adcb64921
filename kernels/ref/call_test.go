package ref

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// array is a dense operand with its values, whatever its type.
type array struct {
	Shape  []int     `json:"shape"`
	Values []float64 `json:"values"`
}

// of makes an array; without values it is one to be written.
func of(shape []int, values ...float64) array { return array{shape, values} }

func dims(n ...int) []int { return n }

func scalarOf(x float64) array { return of(dims(), x) }

type arrays map[string]array

// invoke runs an operation and gives every operand as it is afterwards. An operand that is not named is absent.
func invoke(t *testing.T, op kernels.Op, a kernels.Attrs, operands arrays) map[string][]float64 {
	t.Helper()
	call := kernels.Call{Op: op, Attrs: a}
	reads := map[string]func() []float64{}
	for _, p := range kernels.Contracts[op].Params {
		x, ok := operands[p.Name]
		if !ok {
			call.Args = append(call.Args, kernels.Tensor{})
			continue
		}
		tensor, read := x.tensor(p.Class)
		call.Args, reads[p.Name] = append(call.Args, tensor), read
	}
	for name := range operands {
		if kernels.Contracts[op].Param(name) < 0 {
			t.Fatalf("%v has no operand %s", op, name)
		}
	}
	kernel, err := New().Bind(call)
	if err != nil {
		t.Fatal(err)
	}
	kernel()
	after := map[string][]float64{}
	for name, read := range reads {
		after[name] = read()
	}
	return after
}

// tensor puts the values in memory; read gives what is there later.
func (x array) tensor(class kernels.Class) (t kernels.Tensor, read func() []float64) {
	switch class {
	case kernels.Index:
		return store[int32](kernels.I32, x)
	case kernels.Counter:
		return store[int64](kernels.I64, x)
	}
	return store[float64](kernels.F64, x)
}

func store[T int32 | int64 | float64](d kernels.DType, x array) (kernels.Tensor, func() []float64) {
	data := make([]T, kernels.Elements(x.Shape))
	for i := range x.Values {
		data[i] = T(x.Values[i])
	}
	t := kernels.Tensor{DType: d, Shape: x.Shape, Data: unsafe.Pointer(unsafe.SliceData(data))}
	return t, func() []float64 {
		values := make([]float64, len(data))
		for i := range data {
			values[i] = float64(data[i])
		}
		return values
	}
}

// expect compares the values of an operand.
func expect(t *testing.T, after map[string][]float64, name string, want ...float64) {
	t.Helper()
	near(t, name, after[name], want, 1e-14)
}

// near holds each value to a tolerance relative to the largest.
func near(t *testing.T, name string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return
	}
	largest := 1.0
	for _, w := range want {
		if !math.IsInf(w, 0) {
			largest = max(largest, math.Abs(w))
		}
	}
	for i, w := range want {
		same := got[i] == w || math.IsNaN(got[i]) && math.IsNaN(w)
		if !same && !(math.Abs(got[i]-w) <= tolerance*largest) {
			t.Errorf("%s[%d] = %v, want %v", name, i, got[i], w)
			return
		}
	}
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}
