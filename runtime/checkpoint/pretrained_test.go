package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// modelFolder is a model folder of the given tensors.
func modelFolder(t *testing.T, tensors ...Tensor) string {
	t.Helper()
	dir := t.TempDir()
	w := folderWriter{storage: disk{}, path: dir, limit: shardBytes}
	if err := w.model(&Snapshot{Tensors: tensors}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// weight is a weight of a plan; its first dim is the vocabulary if it has 5 places.
func weight(name string, sizes ...int) plan.Tensor {
	t := plan.Tensor{Name: name, Class: plan.Weight, DType: kernels.F32}
	for i, n := range sizes {
		dim := plan.Dim{Name: "embed", Size: n}
		if i == 0 && n == 5 {
			dim.Name = "vocab"
		}
		t.Dims = append(t.Dims, dim)
	}
	return t
}

func stored(name string, first float32, shape ...int) Tensor {
	return tensor(name, plan.Weight, first, shape...)
}

var gpt = []plan.Tensor{
	weight("transformer.wte.weight", 5, 2),
	weight("transformer.h.0.ln.weight", 2),
	{Name: "transformer.wte.weight.m", Class: plan.State},
}

func TestOpenModelNames(t *testing.T) {
	bare := []plan.Tensor{weight("wte.weight", 5, 2), weight("h.0.ln.weight", 2)}
	headed := append(slices.Clone(gpt[:2]), weight("lm_head.weight", 5, 2))
	old := []plan.Tensor{weight("bert.LayerNorm.weight", 2), weight("bert.LayerNorm.bias", 2)}
	tests := []struct {
		name    string
		weights []plan.Tensor
		stored  []Tensor
	}{
		{"equal", gpt, []Tensor{stored("transformer.wte.weight", 1, 5, 2), stored("transformer.h.0.ln.weight", 2, 2)}},
		{"prefix missing", gpt, []Tensor{stored("wte.weight", 1, 5, 2), stored("h.0.ln.weight", 2, 2)}},
		{"prefix added", bare, []Tensor{stored("transformer.wte.weight", 1, 5, 2), stored("transformer.h.0.ln.weight", 2, 2)}},
		{"prefix missing but on the head", headed, []Tensor{stored("wte.weight", 1, 5, 2), stored("h.0.ln.weight", 2, 2), stored("lm_head.weight", 3, 5, 2)}},
		{"buffers", gpt, []Tensor{stored("wte.weight", 1, 5, 2), stored("h.0.ln.weight", 2, 2), stored("h.0.attn.bias", 0, 1, 1, 2, 2), stored("h.0.attn.masked_bias", 0)}},
		{"tied head", gpt, []Tensor{stored("transformer.wte.weight", 1, 5, 2), stored("transformer.h.0.ln.weight", 2, 2), stored("lm_head.weight", 1, 5, 2)}},
		{"former names", old, []Tensor{stored("bert.LayerNorm.gamma", 1, 2), stored("bert.LayerNorm.beta", 2, 2)}},
	}
	for _, test := range tests {
		p, err := OpenModel(modelFolder(t, test.stored...), test.weights, Buffers)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		defer p.Close()
		for i, w := range test.weights {
			if w.Class != plan.Weight {
				continue
			}
			got := make(memory, test.stored[i].SizeBytes())
			if err := p.Read(&w, whole(&w), got); err != nil || got.floats()[0] != float32(i+1) {
				t.Errorf("%s: %s is %v, %v", test.name, w.Name, got.floats(), err)
			}
		}
	}
}

func TestCheckModelNamesEverything(t *testing.T) {
	dir := modelFolder(t,
		stored("wte.weight", 1, 2, 5),
		stored("lm_head.weight", 9, 2, 5),
		stored("other.weight", 1),
		stored("h.0.attn.bias", 1, 1),
		Tensor{Name: "codes", Class: plan.Weight, DType: kernels.U8, Shape: []int{2}, Data: bytes.NewReader([]byte{1, 2})})
	err := CheckModel(dir, []plan.Tensor{
		weight("transformer.wte.weight", 5, 2), weight("transformer.h.0.ln.weight", 2), weight("transformer.h.1.ln.weight", 2), weight("codes", 2),
	}, []string{"*.attn.bias"})
	var m *Mismatch
	if !errors.As(err, &m) {
		t.Fatal(err)
	}
	want := dir + ` does not fit the model:
    missing: transformer.h.0.ln.weight [2]
    missing: transformer.h.1.ln.weight [2]
    unexpected: lm_head.weight [2 5] (differs from wte.weight, so the two are not tied)
    unexpected: other.weight []
    of another shape: codes: is U8, which cannot be read as a weight
    of another shape: transformer.wte.weight: is [2 5], the model has [5 2]`
	if err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if err := CheckModel(t.TempDir(), gpt, nil); err == nil || !strings.Contains(err.Error(), "holds neither") {
		t.Error(err)
	}
}

func TestReadConvertsToThePlansType(t *testing.T) {
	const n = 70_000 // more than a piece
	halves := make([]byte, 2*n)
	for i := range n {
		binary.LittleEndian.PutUint16(halves[2*i:], uint16(math.Float32bits(float32(i%256))>>16))
	}
	dir := modelFolder(t, Tensor{Name: "w", Class: plan.Weight, Shape: []int{n}, DType: kernels.BF16, Data: bytes.NewReader(halves)})
	w := weight("w", n)
	p, err := OpenModel(dir, []plan.Tensor{w}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	single, double, same := make(memory, 4*n), make(memory, 8*n), make(memory, 2*n)
	for d, dst := range map[kernels.DType]memory{kernels.F32: single, kernels.F64: double, kernels.BF16: same} {
		w.DType = d
		if err := p.Read(&w, whole(&w), dst); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range single.floats() {
		if got := math.Float64frombits(binary.LittleEndian.Uint64(double[8*i:])); v != float32(i%256) || got != float64(i%256) {
			t.Fatalf("element %d: %v and %v, want %d", i, v, got, i%256)
		}
	}
	if !bytes.Equal(same, halves) {
		t.Error("bytes changed")
	}
	w.DType = kernels.F16
	if err := p.Read(&w, whole(&w), same); err == nil || !strings.Contains(err.Error(), `tensor "w": BF16 cannot be read as f16`) {
		t.Error(err)
	}
	w.DType = kernels.F32
	if err := p.Read(&w, whole(&w), make(memory, 100)); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

// What a checkpoint saves is a model folder that a run can start from.
func TestCheckpointIsAModelFolder(t *testing.T) {
	s := store(t, 0, 4)
	weights := []plan.Tensor{weight("wte.weight", 5, 4), weight("h.0.weight", 4, 3), weight("h.0.bias", 3)}
	if err := CheckModel(s.place(4), weights, nil); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(s.place(4), safetensors.ModelFile)); err != nil {
		t.Fatal(err)
	}
	if err := CheckModel(s.place(4), weights, nil); err == nil {
		t.Error("no error without a model")
	}
}

// whole is all elements of a weight.
func whole(w *plan.Tensor) []plan.Run {
	return []plan.Run{{First: 0, N: int64(kernels.Elements(w.Shape()))}}
}
