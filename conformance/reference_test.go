package conformance

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// ownCases are the project's cases; sharedCases, of the same form, lie beside a checkout at times.
var (
	ownCases    = filepath.Join("reference", "cases")
	sharedCases = filepath.Join("..", "..", "shared", "reference")
)

// Every reference case holds within the tolerances, on each device and however much is computed again.
func TestReferenceCases(t *testing.T) {
	for _, folders := range []string{ownCases, sharedCases} {
		cases, err := findCases([]string{folders})
		if err != nil {
			t.Run(folders, func(t *testing.T) { t.Skipf("no cases in %s: %v", folders, err) })
		}
		for _, folder := range cases {
			for _, o := range []ReferenceOptions{{Device: "cpu"}, {Device: "ref", Recompute: "selective"}, {Device: "cpu", Recompute: "full"},
				{Device: "ref", LossChunks: 3}, {Device: "cpu", LossChunks: 5}} {
				t.Run(fmt.Sprintf("%s/%s/%s/%d", filepath.Base(folder), o.Device, cmp.Or(o.Recompute, "none"), o.LossChunks), func(t *testing.T) {
					t.Parallel()
					holds(t, folder, o)
				})
			}
		}
	}
}

// meshes are what each of the project's cases is shared out by; GSC_LONG=1 takes all with all, else each takes one.
var meshes = [][]string{
	{"mesh.data=2"},
	{"mesh.sequence=2", "zero=1"},
	{"mesh.pipeline=2", "mesh.data=2", "zero=2"},
	{"mesh.pipeline=3", `pipeline.schedule="zero_bubble"`},
	{"mesh.data=2", "mesh.sequence=2", "zero=3"},
	{"mesh.pipeline=2", "mesh.data=2", `reduce="each"`},
	{"mesh.sequence=3", `attention="ring"`},
}

// Ranks hold together what the cases expect, logits and gradients, too, wherever these are kept.
func TestReferenceCasesOnMeshes(t *testing.T) {
	cases, err := findCases([]string{ownCases})
	if err != nil {
		t.Fatal(err)
	}
	for i, folder := range cases {
		for k, mesh := range meshes {
			if os.Getenv("GSC_LONG") == "" && i%len(meshes) != k {
				continue
			}
			for _, device := range []string{"cpu", "ref"} {
				onMesh(t, folder, device, mesh)
			}
		}
	}
	tensor := []string{"mesh.tensor=2"}
	for name, mesh := range map[string][]string{"gpt2-adam": tensor, "gpt2-accumulate": append(tensor, "mesh.data=2", "zero=2", "mesh.pipeline=2"),
		"gpt2-sgd": append(tensor, `rules=[{kind: "activation", region: "residual", dim: "seq", axis: "tensor"}]`)} {
		onMesh(t, filepath.Join(ownCases, name), "ref", mesh)
	}
}

func onMesh(t *testing.T, folder, device string, mesh []string) {
	t.Run(fmt.Sprintf("%s/%s/%s", filepath.Base(folder), device, strings.Join(mesh, " ")), func(t *testing.T) {
		t.Parallel()
		holds(t, folder, ReferenceOptions{Device: device, Mesh: mesh})
	})
}

// holds has a case pass, with all compared but the logits where these are never whole.
func holds(t *testing.T, folder string, o ReferenceOptions) {
	t.Helper()
	r := Reference(folder, o)
	values := []Value{r.Logits, r.Loss, r.Norm, r.Gradients, r.Weights}
	for i, v := range values {
		if chunks := o.LossChunks > 1 && i == 0; (v == NotCompared) != chunks {
			r.Pass = false
		}
	}
	if !r.Pass {
		t.Errorf("logits, loss, norm, gradients and weights %v; farthest %s; %s%s", values, r.Worst, r.Error, r.Skipped)
	}
}

// The suite takes no private path: training by the strategy that it writes
// gives the bits that it compares.
func TestStrategyOfACaseTrainsToTheSameBits(t *testing.T) {
	for _, name := range []string{"gpt2-accumulate", "llama-muon", "bert-sequence", "gemma2"} {
		t.Run(name, func(t *testing.T) {
			folder, dir := filepath.Join(ownCases, name), t.TempDir()
			if r := Reference(folder, ReferenceOptions{Device: "cpu", WriteStrategy: dir}); !r.Pass {
				t.Fatal(r)
			}
			strategy, run := filepath.Join(dir, name, "strategy.cue"), filepath.Join(dir, "run")
			if err := gsc.Train(t.Context(), strategy, gsc.TrainOptions{Run: run, Out: io.Discard}); err != nil {
				t.Fatal(err)
			}
			trained := finalWeights(t, run)
			for weight, want := range trialWeights(t, folder, strategy) {
				if !slices.Equal(trained[weight], want) {
					t.Errorf("%s: gsc train ends with other bits than the suite", weight)
				}
			}
		})
	}
}

// trialWeights are the weights that the suite ends with.
func trialWeights(t *testing.T, folder, strategy string) map[string][]float64 {
	t.Helper()
	c, err := readCase(folder)
	if err != nil {
		t.Fatal(err)
	}
	p, err := gsc.Plan(strategy, gsc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	expected, err := safetensors.Open(filepath.Join(folder, "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer expected.Close()
	trial, err := newTrial(p, expected, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer trial.close()
	if err := new(ReferenceResult).steps(trial, c); err != nil {
		t.Fatal(err)
	}
	weights, err := trial.weights()
	if err != nil {
		t.Fatal(err)
	}
	return weights
}

// finalWeights are those of a run's last checkpoint.
func finalWeights(t *testing.T, run string) map[string][]float64 {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(run, runtime.CheckpointsDir, "step-*"))
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	model, err := safetensors.OpenModel(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	weights := map[string][]float64{}
	for _, info := range model.Tensors() {
		weights[info.Name] = make([]float64, kernels.Elements(info.Shape))
		if err := model.ReadFloat64(info.Name, weights[info.Name]); err != nil {
			t.Fatal(err)
		}
	}
	return weights
}

// A case whose expected values are others fails, by the kind that is wrong; one that cannot be read says why.
func TestWrongCasesFail(t *testing.T) {
	for _, c := range []struct{ name, old, new, worst, err string }{
		{name: "momentum", old: `"momentum": 0.9`, new: `"momentum": 0.8`, worst: "final."},
		{name: "smoothing", old: `"ignore_index": -100`, new: `"ignore_index": -100, "label_smoothing": 0.1`, worst: "grad"},
		{name: "rates", old: `"steps": 6`, new: `"steps": 7`, err: "7 steps of 1 micro-batches with 6 rates"},
		{name: "optimizer", old: `"kind": "sgd"`, new: `"kind": "sdg"`, err: "optimizer.kind"},
		{name: "json", old: `{`, new: `[`, err: "case.json"},
		{name: "rows", old: `"batch": 2`, new: `"batch": 3`, err: "rows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.CopyFS(folder, os.DirFS(filepath.Join(ownCases, "gpt2-sgd"))); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(folder, "case.json")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), c.old) {
				t.Fatalf("%s holds no %s", file, c.old)
			}
			if err := os.WriteFile(file, []byte(strings.Replace(string(text), c.old, c.new, 1)), 0o666); err != nil {
				t.Fatal(err)
			}
			for _, mesh := range [][]string{nil, {"mesh.data=2", "mesh.pipeline=2"}} {
				r := Reference(folder, ReferenceOptions{Device: "cpu", Mesh: mesh})
				if r.Pass || !strings.Contains(r.Worst, c.worst) || !strings.Contains(r.Error, c.err) || c.err == "" && r.Error != "" {
					t.Errorf("%v: want a failure at %q with the error %q, got %+v", mesh, c.worst, c.err, r)
				}
			}
		})
	}
}
