package gsc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// train trains in a folder beside the strategy, and gives the folder and what was said.
func train(t *testing.T, path, run string, set ...string) (dir, said string, err error) {
	t.Helper()
	var out bytes.Buffer
	dir = filepath.Join(filepath.Dir(path), run)
	err = gsc.Train(t.Context(), path, gsc.TrainOptions{Options: gsc.Options{Set: set}, Run: dir, Out: &out})
	return dir, out.String(), err
}

func mustTrain(t *testing.T, path, run string, set ...string) (dir string) {
	t.Helper()
	dir, said, err := train(t, path, run, set...)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return dir
}

// metrics are the lines of a run's metrics.jsonl.
func metrics(t *testing.T, dir string) []map[string]float64 {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, runtime.MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []map[string]float64
	for d := json.NewDecoder(f); ; {
		line := map[string]float64{}
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			return lines
		} else if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
}

func column(lines []map[string]float64, key string) []float64 {
	var values []float64
	for _, line := range lines {
		if v, ok := line[key]; ok {
			values = append(values, v)
		}
	}
	return values
}

// checkpoints are the steps that a run keeps.
func checkpoints(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(dir, runtime.CheckpointsDir))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, strings.TrimLeft(strings.TrimPrefix(e.Name(), "step-"), "0"))
	}
	return names
}

// A step whose loss or gradient is NaN or Inf stops the run with the step and
// the first operation that gave it. The update was not made, and the last good weights are kept.
func TestNaNStopsTheRunBeforeTheUpdate(t *testing.T) {
	path := write(t, gpt2, stream)
	set := []string{`schedule={kind: "table", rates: [1e-3, 1e-3, 1e30, 1e-3, 1e-3]}`, `optimizer={kind: "sgd"}`}
	dir, _, err := train(t, path, "run", set...)
	wantError(t, err, "step 4: loss NaN", "NaN or Inf first appears in program forward, instruction ", "the weights of step 3 are kept")
	if got := checkpoints(t, dir); !slices.Equal(got, []string{"3"}) {
		t.Errorf("kept the checkpoints of steps %v, want 3", got)
	}
	if lines := metrics(t, dir); len(lines) != 3 {
		t.Errorf("told %d steps, want 3", len(lines))
	}
	l := newLab(t, planOf(t, path, set...), 1)
	for step, rate := range []float64{1e-3, 1e-3, 1e30} {
		l.step(int64(step+1), rate)
	}
	compareCheckpoint(t, l, filepath.Join(dir, runtime.CheckpointsDir, "step-00000003"))

	_, said, again := train(t, path, "run", set...)
	if !strings.Contains(said, "resumed from") || again == nil || again.Error() != err.Error() {
		t.Errorf("resumed, it said %q and %v", said, again)
	}
}

// compareCheckpoint holds the weights of a model folder against a machine's.
func compareCheckpoint(t *testing.T, l *lab, folder string) {
	t.Helper()
	saved := readTensors(t, filepath.Join(folder, safetensors.ModelFile))
	for _, name := range l.weights() {
		if !slices.Equal(saved[name].values, l.tensor(name)) {
			t.Errorf("%s: %s is not that of the step", folder, name)
		}
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("want an error with %q, got none", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("want %q in the error, got %v", part, err)
		}
	}
}

// A weight that is Inf in the file that a run starts from is found in the first step.
func TestInfInTheStartingWeightsIsNamed(t *testing.T) {
	path := write(t, gpt2, stream)
	dir := mustTrain(t, path, "run", "schedule.steps=1")
	folder := filepath.Join(dir, runtime.CheckpointsDir, "step-00000001")
	editModel(t, folder, func(tensors map[string]tensor) {
		tensors["transformer.h.1.mlp.c_fc.bias"].values[3] = math.Inf(1)
	})
	_, _, err := train(t, path, "next", fmt.Sprintf("model.from=%q", folder))
	wantError(t, err, "step 1: loss NaN", "first appears in program forward, instruction ", "matmul h.1.mlp.c_fc+act, output c", "gpt2.cue:", "the weights of step 0 are kept")
}

// The squares of large errors overflow though their gradients do not: the update is not made all the same.
func TestInfiniteLossStopsTheRunBeforeTheUpdate(t *testing.T) {
	path := write(t, bertRows, sizes)
	save(t, filepath.Join(filepath.Dir(path), "lines.jsonl"), `{"text": "a", "size": 1e25}`+"\n"+`{"text": "b", "size": 1}`+"\n")
	set := []string{`objective.loss="squared_error"`, "batch.sequences=2"}
	dir, _, err := train(t, path, "run", set...)
	wantError(t, err, "step 1: loss +Inf", "squared_error loss, output loss", "the weights of step 0 are kept")
	compareCheckpoint(t, newLab(t, planOf(t, path, set...), 1), filepath.Join(dir, runtime.CheckpointsDir, "step-00000000"))
}

// The best checkpoint is kept beside the newest, and evaluated on request.
func TestBestCheckpointIsKept(t *testing.T) {
	path := write(t, gpt2, stream)
	dir := mustTrain(t, path, "run", `schedule={kind: "table", rates: [0.01, 0.01, 0.01, 0.01, 2, 2, 2]}`, "evaluate.every=1", "checkpoint.keep=1")
	if got := checkpoints(t, dir); !slices.Equal(got, []string{"4", "7"}) {
		t.Errorf("kept the checkpoints of steps %v, want 4, the best, and 7, the newest", got)
	}
	losses := column(metrics(t, dir), "validation_loss")
	for best, want := range map[bool]float64{true: slices.Min(losses), false: losses[6]} {
		scores, err := gsc.Evaluate(t.Context(), dir, gsc.EvalOptions{Split: "validation", Best: best})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := scores.Get("loss"); got != want {
			t.Errorf("best %v: loss %v, when it was trained %v", best, got, want)
		}
	}
}

// still is a rate that moves no weight, so that no evaluation is better than the first.
const still = "peak: 1e-30, steps: 20"

// Early stopping ends a run after so many evaluations that were not better, and it stays ended.
func TestEarlyStopping(t *testing.T) {
	path := write(t, gpt2, stream)
	set := []string{`schedule={kind: "constant", ` + still + `}`, "evaluate.every=2", "evaluate.patience=3", "optimizer.weight_decay=0"}
	dir, said, err := train(t, path, "run", set...)
	if err != nil || !strings.Contains(said, "stopped          after step 8 of 20: the validation score did not improve in 3 evaluations") {
		t.Errorf("said %q, %v", said, err)
	}
	if got := len(metrics(t, dir)); got != 8 {
		t.Errorf("%d steps, want 8: one evaluation and 3 that were not better, every 2 steps", got)
	}
	if _, again, err := train(t, path, "run", set...); err != nil || !strings.Contains(again, "after step 8 of 20") {
		t.Errorf("again it said %q, %v", again, err)
	}
}

// A plateau lowers the rate each time the validation loss was not lower in so
// many evaluations, down to its floor; stopped and resumed, it goes on as it would have.
func TestPlateau(t *testing.T) {
	path := write(t, gpt2, stream)
	set := []string{`schedule={kind: "plateau", ` + still + `, factor: 0.5, patience: 2, floor: 2e-31}`, "evaluate.every=2",
		"optimizer.weight_decay=0", "checkpoint.every=3"}
	// Steps 2, 4 and 6 are evaluated, and 6 is the second that is not better: the seventh step is the first with half the rate.
	want := slices.Concat(repeat(1e-30, 6), repeat(5e-31, 4), repeat(2.5e-31, 4), repeat(2e-31, 6))
	if got := column(metrics(t, mustTrain(t, path, "run", set...)), "lr"); farthest(got, want) > 1e-15 {
		t.Errorf("rates %v, want %v", got, want)
	}
}

func repeat(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }
