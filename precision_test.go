package gsc_test

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// overflowing begins with a scale that no gradient survives, and grows it so soon that it is too large again and again.
const overflowing = `precision={compute: "fp16", loss_scale: {initial: 1e12, growth_interval: 3, growth: 4}}`

// precisions are settings that must learn what f32 does.
var precisions = []struct{ name, set string }{
	{"bf16", `precision.compute="bf16"`},
	{"fp16", `precision.compute="fp16"`},
	{"bf16 master", `precision={compute: "bf16", master: "bf16"}`},
	{"fp16, overflowing", overflowing},
}

// means are those of each ten losses.
func means(losses []float64) []float64 {
	var list []float64
	for ten := range slices.Chunk(losses, 10) {
		total := 0.0
		for _, loss := range ten {
			total += loss
		}
		list = append(list, total/float64(len(ten)))
	}
	return list
}

// A model learns in bf16 and in fp16, and with weights kept in bf16, what it learns in f32: the loss curve is within a hundredth of that of f32.
func TestPrecisionsLearnAlike(t *testing.T) {
	const steps = 500
	path := write(t, gpt2, stream)
	want := means(newLab(t, planOf(t, path), 2).train(steps))
	for _, p := range precisions[:3] {
		got := means(newLab(t, planOf(t, path, p.set), 2).train(steps))
		for i := range want {
			if far := math.Abs(got[i]-want[i]) / want[i]; far > 0.01 {
				t.Errorf("%s: the mean loss of steps %d to %d is %v, %.2g from that of f32, %v", p.name, 10*i+1, 10*i+10, got[i], far, want[i])
			}
		}
		if reflect.DeepEqual(got, want) {
			t.Errorf("%s: nothing was rounded", p.name)
		}
	}
}

// The same plan gives the same bits with any number of threads, whatever the products are computed in.
func TestPrecisionsKeepBitsOverThreads(t *testing.T) {
	path := write(t, gpt2, stream)
	for _, p := range precisions {
		digests := map[string]bool{}
		for _, threads := range []int{1, 2, 5} {
			l := newLab(t, planOf(t, path, p.set), threads)
			for step := range int64(8) {
				l.step(step+1, 0.01)
			}
			digests[l.digest()+fmt.Sprint(l.machine.Scaler())] = true
		}
		if len(digests) != 1 {
			t.Errorf("%s: the number of threads changes the result", p.name)
		}
	}
}

// A step whose scaled gradient is not finite changes no weight and no moment, and halves the scale; one that is finite
// reports the true gradient's norm.
func TestOverflowSkipsTheStep(t *testing.T) {
	path := write(t, gpt2, stream)
	l := newLab(t, planOf(t, path, overflowing), 2)
	exact := newLab(t, planOf(t, path), 2)
	before, scale, skipped := l.digest(), l.machine.Scaler().Scale, int64(0)
	for step := int64(1); ; step++ {
		result := l.step(step, 0.01)
		want := exact.step(step, 0)
		if result.Finite {
			if skipped == 0 || math.Abs(result.Norm-want.Norm) > 0.01*want.Norm || l.digest() == before {
				t.Errorf("after %d skipped steps the norm is %v, want %v", skipped, result.Norm, want.Norm)
			}
			break
		}
		skipped++
		if now := l.machine.Scaler(); now.Scale != scale/2 || now.Updates != 0 || l.digest() != before {
			t.Fatalf("after step %d, which was not finite: %+v, and weights changed: %t", step, now, l.digest() != before)
		}
		scale /= 2
	}
	if now := l.machine.Scaler(); now.Updates != 1 || now.Good != 1 {
		t.Errorf("after the first update: %+v", now)
	}
}

// The optimizer counts updates, not steps: moments that were updated once are unbiased as after the first step, whatever was skipped before.
func TestSkippedStepsDoNotCountInTheOptimizer(t *testing.T) {
	path := write(t, gpt2, stream)
	l := newLab(t, planOf(t, path, overflowing, `optimizer={kind: "adam", epsilon: 0}`), 2)
	before := l.tensor("transformer.ln_f.bias")
	for step := int64(1); l.machine.Scaler().Updates == 0; step++ {
		l.step(step, 0.01)
	}
	for i, after := range l.tensor("transformer.ln_f.bias") {
		if moved := math.Abs(after - before[i]); math.Abs(moved-0.01) > 1e-6 {
			t.Errorf("the first update of Adam moves weight %d by %v, want the rate, 0.01", i, moved)
		}
	}
}

// The record of each step says its scale and how many steps were skipped so far.
func TestMetricsRecordTheScale(t *testing.T) {
	lines := metrics(t, mustTrain(t, write(t, gpt2, stream), "run", overflowing, "schedule.steps=30"))
	scales, skipped := column(lines, "loss_scale"), column(lines, "skipped")
	if len(lines) != 30 || len(scales) != 30 || scales[0] != 1e12 || scales[1] != 5e11 || skipped[0] != 1 {
		t.Fatalf("scales %v, skipped %v", scales, skipped)
	}
	grown := false
	for i := 1; i < len(scales); i++ {
		grown = grown || scales[i] == 4*scales[i-1]
		if fell := scales[i] < scales[i-1]; fell != (skipped[i-1] > 0 && (i == 1 || skipped[i-1] > skipped[i-2])) {
			t.Errorf("step %d: scales %v, skipped %v", i, scales, skipped)
		}
	}
	if !grown || skipped[29] < 20 {
		t.Errorf("the scale never grew, or few steps were skipped: scales %v, skipped %v", scales, skipped)
	}
}

// A run with loss scaling that is interrupted, wherever it looks whether it is, goes on to the same weights and the same scales.
func TestInterruptedScalingEndsWithTheSameBits(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plan.gsc")
	save(t, path, string(planOf(t, write(t, gpt2, stream), `precision={compute: "fp16", loss_scale: {initial: 1.25e6, growth_interval: 1, growth: 2}}`,
		`evaluate={every: 2, rows: 4}`, "schedule.steps=5").Text()))
	options := gsc.TrainOptions{Out: io.Discard, Run: filepath.Join(dir, "whole")}
	if err := gsc.Train(t.Context(), path, options); err != nil {
		t.Fatal(err)
	}
	want := outcome(t, options.Run)
	if skipped := column(metrics(t, options.Run), "skipped"); skipped[4] == 0 || skipped[4] > 3 {
		t.Fatalf("skipped %v: the case is not what it should be", skipped)
	}
	for looks := 0; ; looks++ {
		options.Run = filepath.Join(dir, fmt.Sprint(looks))
		var said strings.Builder
		options.Out = &said
		if err := gsc.Train(&patient{t.Context(), looks}, path, options); err != nil {
			t.Fatalf("%d looks: %v", looks, err)
		}
		if !strings.Contains(said.String(), "interrupted") {
			return
		}
		if err := gsc.Train(t.Context(), path, options); err != nil {
			t.Fatalf("%d looks: %v", looks, err)
		}
		if got := outcome(t, options.Run); !reflect.DeepEqual(got, want) {
			t.Errorf("%d looks: the run ends otherwise:\n%v\n%v", looks, got.lines, want.lines)
		}
	}
}

// A scale that falls below its minimum stops the run, which keeps the weights and the scale of the step before, and stops again when it goes on.
func TestLeastScaleStopsTheRun(t *testing.T) {
	path := write(t, gpt2, stream)
	set := []string{`precision={compute: "fp16", loss_scale: {initial: 1e12, minimum: 2e11}}`}
	dir, _, err := train(t, path, "run", set...)
	wantError(t, err, "step 3: ", "gradient norm ", "program backward", "the weights of step 2 are kept", "the loss scale fell to 1.25e+11, below precision.loss_scale.minimum")
	if got := checkpoints(t, dir); !slices.Equal(got, []string{"2"}) {
		t.Errorf("kept the checkpoints of steps %v, want 2", got)
	}
	_, _, again := train(t, path, "run", set...)
	if again == nil || again.Error() != err.Error() {
		t.Errorf("resumed, it said %v, first %v", again, err)
	}
}

// With a master of bf16 the matrices, and they alone, are kept in half the memory, in the arena and in the checkpoint, and
// a run that goes on from one ends with the bits of a run that was never stopped.
func TestMasterInHalfTheMemory(t *testing.T) {
	path := write(t, gpt2, stream)
	set := []string{precisions[2].set, `checkpoint={every: 5, keep: 0}`}
	whole := mustTrain(t, path, "whole", append(set, "schedule.steps=10")...)
	p := planOf(t, path, set...)
	for _, tensor := range p.Tensors {
		want := kernels.F32
		if tensor.Class == plan.Weight && len(tensor.StoredShape()) > 1 {
			want = kernels.BF16
		}
		if b := p.Stages[0].Buffers[tensor.Buffer]; tensor.DType != want || b.DType != want {
			t.Errorf("%s is kept in %v, its buffer in %v, want %v", tensor.Name, tensor.DType, b.DType, want)
		}
	}
	saved := readTensors(t, filepath.Join(whole, runtime.CheckpointsDir, "step-00000010", safetensors.ModelFile))
	for _, v := range saved["transformer.wte.weight"].values {
		if kernels.BF16.Round(v) != v {
			t.Fatalf("%v in the checkpoint is no bf16", v)
		}
	}
	parts := filepath.Join(filepath.Dir(path), "parts")
	if err := os.CopyFS(parts, os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(parts, runtime.CheckpointsDir, "step-00000010")); err != nil {
		t.Fatal(err)
	}
	if _, said, err := train(t, path, "parts", append(set, "schedule.steps=10")...); err != nil || !strings.Contains(said, "step-00000005") {
		t.Fatalf("%v: %s", err, said)
	}
	for name, tensor := range readTensors(t, filepath.Join(parts, runtime.CheckpointsDir, "step-00000010", safetensors.ModelFile)) {
		if !slices.Equal(tensor.values, saved[name].values) {
			t.Errorf("%s of the run that went on is another", name)
		}
	}
}

// An update far below the distance of two bf16 values is lost when it is rounded to nearest, and kept in the mean when it is rounded by chance.
func TestStochasticRoundingKeepsSmallUpdates(t *testing.T) {
	path := write(t, gpt2, stream)
	const rate, steps = 1e-5, int64(20)
	moved := func(master string) float64 {
		l := newLab(t, planOf(t, path, "precision="+master, `optimizer={kind: "lion", betas: [0, 0]}`), 2)
		name := "transformer.h.0.mlp.c_fc.weight"
		before := l.tensor(name)
		for step := range steps {
			l.step(step+1, rate)
		}
		exact := newLab(t, planOf(t, path, `optimizer={kind: "lion", betas: [0, 0]}`), 2)
		start := exact.tensor(name)
		for step := range steps {
			exact.step(step+1, rate)
		}
		after, sum, size := l.tensor(name), 0.0, 0.0 // how far the weights went along the way of those in f32
		for i, end := range exact.tensor(name) {
			way := end - start[i]
			sum, size = sum+way*(after[i]-before[i]), size+way*way
		}
		return sum / size
	}
	if got := moved(`{master: "bf16", rounding: "nearest"}`); math.Abs(got) > 0.1 {
		t.Errorf("rounded to nearest, the weights went %.2f of the way: the case is not what it should be", got)
	}
	if got := moved(`{master: "bf16"}`); got < 0.6 || got > 1.4 {
		t.Errorf("rounded by chance, the weights went %.2f of the way, want about 1", got)
	}
}

// Every optimizer and every architecture trains in every precision, on cpu and on ref.
func TestPrecisionsGoWithEverything(t *testing.T) {
	const both = `precision={compute: "fp16", master: "bf16"}`
	for _, optimizer := range []string{"adamw", "adam", "sgd", "lion", "lamb", "adafactor", "muon"} {
		path := write(t, gpt2, stream)
		set := []string{both, fmt.Sprintf("optimizer={kind: %q, clip_norm: 1}", optimizer)}
		cpu, exact := newLab(t, planOf(t, path, set...), 2), newLab(t, planOf(t, path, append(set, `devices.kind="ref"`)...), 1)
		got, want := cpu.train(4), exact.train(4)
		if far := farthest(got, want); far > 0.01 {
			t.Errorf("%s: losses %v on cpu, %v on ref", optimizer, got, want)
		}
	}
	for _, a := range architectures {
		newLab(t, planOf(t, write(t, a.model, a.data), both, "batch.micro_batches=2", `memory.recompute="full"`), 2).train(2)
	}
}

// A model folder in f32 starts a run with a master of bf16 at its values, rounded.
func TestMasterStartsFromAFolder(t *testing.T) {
	path := write(t, gpt2, stream)
	folder := filepath.Join(mustTrain(t, path, "run"), runtime.CheckpointsDir, "step-00000008")
	l := newLab(t, planOf(t, write(t, fmt.Sprintf("{from: %q}", folder), stream), precisions[2].set), 1)
	saved := readTensors(t, filepath.Join(folder, safetensors.ModelFile))
	for i, v := range l.tensor("transformer.wte.weight") {
		if want := kernels.BF16.Round(saved["transformer.wte.weight"].values[i]); v != want {
			t.Fatalf("weight %d is %v, want %v", i, v, want)
		}
	}
}
