package gsc_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// A run's checkpoint is a model folder: a strategy that starts from it needs to
// say nothing of the model, and gives the same logits.
func TestModelFromACheckpointGivesTheSameLogits(t *testing.T) {
	for _, a := range architectures {
		t.Run(a.name, func(t *testing.T) {
			path := write(t, a.model, a.data)
			folder := checkpointOf(t, mustTrain(t, path, "run", "schedule.steps=2"))
			trained := newLab(t, planOf(t, path), 2)
			trained.step(1, 0.01)
			trained.step(2, 0.01)
			began := newLab(t, planOf(t, write(t, fmt.Sprintf("{from: %q}", folder), a.data)), 2)
			for _, l := range []*lab{trained, began} {
				l.check(l.set.Fill(1, 5, l.batch))
			}
			if !slices.Equal(began.logits(), trained.logits()) {
				t.Error("the logits differ")
			}
		})
	}
}

// checkpointOf is the folder of a run's newest checkpoint.
func checkpointOf(t *testing.T, run string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(run, runtime.CheckpointsDir, "step-*"))
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	return found[len(found)-1]
}

// Every tensor of a model folder that is missing, unexpected or misshapen is named at once.
func TestModelFolderThatDoesNotFitIsNamed(t *testing.T) {
	path := write(t, gpt2, stream)
	folder := checkpointOf(t, mustTrain(t, path, "run", "schedule.steps=1"))
	editModel(t, folder, func(tensors map[string]tensor) {
		delete(tensors, "transformer.ln_f.bias")
		delete(tensors, "transformer.h.0.ln_1.weight")
		tensors["transformer.h.7.ln_1.weight"] = tensor{[]int{2}, []float64{1, 2}}
		tensors["transformer.h.1.mlp.c_fc.bias"] = tensor{[]int{3, 16}, make([]float64, 48)}
	})
	_, err := gsc.Plan(path, gsc.Options{Set: []string{fmt.Sprintf("model.from=%q", folder)}})
	wantError(t, err, "model.from: ", folder, "transformer.ln_f.bias", "transformer.h.0.ln_1.weight", "transformer.h.7.ln_1.weight",
		"transformer.h.1.mlp.c_fc.bias", "[3 16]", "[48]")
}

// Frozen weights get no gradient and no moments, and do not change; rate and decay act on the weights that match.
func TestParameterRules(t *testing.T) {
	path := write(t, gpt2, stream)
	set := []string{`parameters=[{match: "*.wte.*", train: false}, {match: "*.h.0.*", train: false}, {match: "*.h.0.ln_1.*", train: true},
		{match: "*.h.1.ln_1.weight", rate: 0}, {match: "*.h.1.mlp.*", decay: 0}]`, `optimizer={kind: "adamw", weight_decay: 1e3, decay_on: "all"}`}
	p := planOf(t, path, set...)
	l := newLab(t, p, 1)
	before := map[string][]float64{}
	for _, name := range l.weights() {
		before[name] = l.tensor(name)
	}
	l.train(2)
	for _, name := range l.weights() {
		frozen := strings.Contains(name, ".wte.") || strings.Contains(name, ".h.0.") && !strings.Contains(name, ".ln_1.")
		still := frozen || name == "transformer.h.1.ln_1.weight"
		if w := p.Tensor(name); w.Frozen != frozen {
			t.Errorf("%s: frozen is %v", name, w.Frozen)
		}
		if moments := p.Tensor(name + ".m"); (moments == nil) != frozen {
			t.Errorf("%s: moments %v", name, moments)
		}
		if gradient := hasGradient(p, name); gradient == frozen {
			t.Errorf("%s: has a gradient: %v", name, gradient)
		}
		if same := slices.Equal(l.tensor(name), before[name]); same != still {
			t.Errorf("%s: unchanged is %v", name, same)
		}
	}
	decayed, kept := largest(l.tensor("transformer.h.1.attn.c_attn.weight")), largest(l.tensor("transformer.h.1.mlp.c_fc.weight"))
	if decayed < 10 || kept > 2 { // two steps with decay·rate = 10 multiply by −9 each
		t.Errorf("the largest decayed weight is %g, the largest that is not %g", decayed, kept)
	}
}

// A rate is a factor on the learning rate: gradient descent goes half as far with half of it.
func TestRateOfAParameterScalesItsUpdate(t *testing.T) {
	const name = "transformer.h.0.attn.c_attn.weight"
	path := write(t, gpt2, stream)
	moved := func(rule string) []float64 {
		l := newLab(t, planOf(t, path, `optimizer={kind: "sgd"}`, `devices.kind="ref"`, "parameters=["+rule+"]"), 1)
		values := l.tensor(name)
		l.step(1, 0.5)
		for i, after := range l.tensor(name) {
			values[i] = after - values[i]
		}
		return values
	}
	whole, half := moved(""), moved(`{match: "*", rate: 3}, {match: "*.attn.*", rate: 0.5}`)
	for i := range half {
		half[i] *= 2
	}
	if far := farthest(half, whole); !(far < 1e-12) {
		t.Errorf("twice the update at half the rate differs from the update by %.2g", far)
	}
}

func hasGradient(p *plan.Plan, weight string) bool {
	return slices.ContainsFunc(p.Stages[0].Buffers, func(b plan.Buffer) bool { return b.Class == plan.Gradient && b.Name == "grad."+weight })
}

func largest(values []float64) float64 { return max(slices.Max(values), -slices.Min(values)) }

// tensor is a tensor of a model folder, in memory.
type tensor struct {
	shape  []int
	values []float64
}

// editModel rewrites the tensors of a model folder.
func editModel(t *testing.T, folder string, edit func(map[string]tensor)) {
	t.Helper()
	file := filepath.Join(folder, safetensors.ModelFile)
	tensors := readTensors(t, file)
	edit(tensors)
	writeTensors(t, file, tensors)
}

// writeTensors writes a file of float32, but for those that are whole numbers.
func writeTensors(t *testing.T, file string, tensors map[string]tensor, whole ...string) {
	t.Helper()
	var list []safetensors.Info
	for name, x := range tensors {
		list = append(list, safetensors.Info{Name: name, DType: safetensors.F32, Shape: x.shape})
		if slices.Contains(whole, name) {
			list[len(list)-1].DType = "I32"
		}
	}
	var out bytes.Buffer
	if err := safetensors.Write(&out, nil, list, func(info safetensors.Info, w io.Writer) error {
		for _, v := range tensors[info.Name].values {
			var number any = float32(v)
			if info.DType == "I32" {
				number = int32(v)
			}
			if err := binary.Write(w, binary.LittleEndian, number); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

func readTensors(t *testing.T, file string) map[string]tensor {
	t.Helper()
	f, err := safetensors.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tensors := map[string]tensor{}
	for _, info := range f.Tensors() {
		values := make([]float64, kernels.Elements(info.Shape))
		if err := f.ReadFloat64(info.Name, values); err != nil {
			t.Fatal(err)
		}
		tensors[info.Name] = tensor{info.Shape, values}
	}
	return tensors
}
