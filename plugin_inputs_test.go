package gsc_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
	"github.com/gsc-project/gsc/runtime/data"
)

// taught is a strategy's folder with the examples' modules and, in "teacher", a model folder that another architecture was trained to.
func taught(t *testing.T, teacher, model, rows string) (path string) {
	t.Helper()
	path = withPlugins(t, write(t, model, rows))
	folder := checkpointOf(t, mustTrain(t, write(t, teacher, rows), "run", "schedule.steps=3"))
	if err := os.CopyFS(filepath.Join(filepath.Dir(path), "teacher"), os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return path
}

// by is an objective that is a plugin, with a teacher.
func by(file, params string) string {
	return fmt.Sprintf(`objective={loss: {plugin: %q, params: {%s}}, teacher: from: "teacher"}`, file, params)
}

// trainsAlike trains by a plugin: any number of threads gives the same bits, and every way to share the work out the same losses, to 1e-5.
func trainsAlike(t *testing.T, path, objective string, ways ...[]string) []float64 {
	t.Helper()
	const steps = 4
	one := boundLab(t, planOf(t, path, objective), 1)
	want := one.train(steps)
	for _, threads := range []int{2, 4} {
		l := boundLab(t, planOf(t, path, objective), threads)
		if got := l.train(steps); !slices.Equal(got, want) || l.digest() != one.digest() {
			t.Errorf("%d threads: losses %v, with one %v", threads, got, want)
		}
	}
	for _, way := range ways {
		got := boundLab(t, planOf(t, path, append(way, objective)...), 2).train(steps)
		if far := farthest(got, want); !(far <= 1e-5) {
			t.Errorf("%v: losses %v, of one rank %v: apart by %.2g", way, got, want, far)
		}
	}
	return want
}

// A teacher's logits go to the loss whatever way the work is shared out. Of a loss that makes nothing of them nothing changes.
func TestDistillation(t *testing.T) {
	path := taught(t, llama, gpt2, stream)
	ways := [][]string{{"memory.loss_chunks=3"}, {"compile.fuse=false"}, {`memory.recompute="full"`}, {mesh(2)}, {mesh(2), "parallel.zero=2", "batch.micro_batches=2"}, {mesh(2), "parallel.zero=3"},
		{"parallel.mesh.sequence=2"}, {"parallel.mesh.tensor=2"}, {`devices.kind="ref"`}, {"parallel.mesh.pipeline=2", "batch.micro_batches=2"}, {"parallel.mesh.pipeline=4", "batch.micro_batches=4", `parallel.pipeline.schedule="zero_bubble"`},
		{"parallel.mesh.pipeline=2", "parallel.pipeline.chunks=2", "batch.micro_batches=2"}, {"parallel.mesh.pipeline=2", mesh(2), "parallel.zero=3", "batch.micro_batches=2", `parallel.pipeline.schedule="gpipe"`}, {"parallel.mesh.pipeline=2", "parallel.mesh.tensor=2", "batch.micro_batches=2"}}
	trainsAlike(t, path, by("distill.wasm", ""), ways...)
	got := trainsAlike(t, path, by("distill.wasm", "alpha: 0"), ways...)
	if want := boundLab(t, planOf(t, path), 1).train(len(got)); !(farthest(got, want) <= 1e-5) {
		t.Errorf("without a share of the teacher the losses are %v, those of the cross entropy %v", got, want)
	}
}

// Of several stages the one that has the loss has the teacher, and so much less of the student; the plan says what memory each takes.
func TestTeacherStandsWithTheLoss(t *testing.T) {
	path := taught(t, llama, strings.Replace(gpt2, "layers: 2", "layers: 6", 1), stream)
	cut := []string{"parallel.mesh.pipeline=2", "batch.micro_batches=2"}
	alone, with := planOf(t, path, cut...), planOf(t, path, append(cut, by("distill.wasm", ""))...)
	onLast := func(p *plan.Plan, class plan.Class) (n int) {
		for _, t := range p.Tensors {
			if _, last := t.In(1); last && t.Class == class {
				n++
			}
		}
		return n
	}
	if teacher := onLast(with, plan.Taught); teacher == 0 || onLast(alone, plan.Weight) <= onLast(with, plan.Weight) {
		t.Errorf("with the loss are %d weights of the teacher, and %d of the student's, of which there are %d without a teacher", teacher, onLast(with, plan.Weight), onLast(alone, plan.Weight))
	}
	for _, tensor := range with.Tensors {
		if tensor.Class == plan.Taught && (tensor.Stage != 1 || len(tensor.Copies) > 0) {
			t.Errorf("%s is on stage %d, with copies %v", tensor.Name, tensor.Stage, tensor.Copies)
		}
	}
	for _, b := range with.Stages[0].Buffers {
		if strings.Contains(b.Name, plan.TeacherPrefix) {
			t.Errorf("the first stage keeps %s", b.Name)
		}
	}
}

// What is as the teacher is has nothing to learn from it: no divergence, and no preference that it does not have.
func TestStudentThatIsTheTeacher(t *testing.T) {
	for _, c := range []struct {
		name, rows, objective string
		want                  float64
	}{
		{"distill", stream, by("distill.wasm", "alpha: 1, temperature: 3"), 0},
		{"dpo", padded, by("dpo.wasm", ""), math.Ln2},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := taught(t, gpt2, `{from: "teacher"}`, c.rows)
			l := boundLab(t, planOf(t, path, c.objective), 2)
			if got := l.evaluate(data.Train); !(math.Abs(got-c.want) <= 1e-5) {
				t.Errorf("the loss is %g, want %g", got, c.want)
			}
		})
	}
}

// A loss of sequences sees them whole. Where all are equally long the mean over sequences is that over positions.
func TestLossOfSequences(t *testing.T) {
	ways := [][]string{{"memory.loss_chunks=3"}, {mesh(2)}, {mesh(2), "batch.micro_batches=2"}, {"parallel.mesh.tensor=2"}, {"parallel.mesh.pipeline=2", "batch.micro_batches=2"}}
	path := withPlugins(t, write(t, gpt2, stream))
	got := trainsAlike(t, path, plugged("sequence_mean.wasm", ""), ways...)
	if want := boundLab(t, planOf(t, path), 1).train(len(got)); !(farthest(got, want) <= 1e-5) {
		t.Errorf("over sequences of one length the losses are %v, over positions %v", got, want)
	}
	trainsAlike(t, withPlugins(t, write(t, llama, padded)), plugged("sequence_mean.wasm", ""), ways...)
}

// A loss of pairs sees neighbours of the batch, whatever shares the work out, and training on it makes the chosen ones likelier.
func TestLossOfPairs(t *testing.T) {
	path := taught(t, llama, gpt2, padded)
	losses := trainsAlike(t, path, by("dpo.wasm", "beta: 1"), [][]string{{"memory.loss_chunks=2"}, {mesh(2)}, {"batch.micro_batches=2"}, {"parallel.mesh.tensor=2"}, {"parallel.mesh.pipeline=2", "batch.micro_batches=2"}}...)
	l := boundLab(t, planOf(t, path, by("dpo.wasm", "beta: 1"), `data.order="sequential"`), 2)
	before := l.evaluate(data.Train)
	l.train(40)
	if after := l.evaluate(data.Train); after >= before {
		t.Errorf("it learns nothing: %g, then %g; losses %v", before, after, losses)
	}
}

// Batches may hold what a loss takes besides.
func TestInputsOfTheBatches(t *testing.T) {
	path := withPlugins(t, write(t, gpt2, `{format: "safetensors", train: files: ["batches.safetensors"]}`))
	const steps, rows, length, classes = 4, 4, 8, 16
	ids, logits := make([]float64, steps*rows*length), make([]float64, steps*rows*length*classes)
	for i := range ids {
		ids[i] = float64(i * 7 % classes)
	}
	for i := range logits {
		logits[i] = math.Sin(float64(i))
	}
	batches := map[string]tensor{"input_ids": {[]int{steps, 1, rows, length}, ids}, "labels": {[]int{steps, 1, rows, length}, ids},
		"teacher_logits": {[]int{steps, 1, rows, length, classes}, logits}}
	file := filepath.Join(filepath.Dir(path), "batches.safetensors")
	writeTensors(t, file, batches, "input_ids", "labels")
	loss := plugged("distill.wasm", "alpha: 1")
	set := []string{loss, "schedule.steps=4", "model.vocabulary=16"}
	want := boundLab(t, planOf(t, path, set...), 1).train(steps)
	for _, way := range [][]string{{mesh(2)}, {"parallel.mesh.tensor=2"}, {"parallel.mesh.sequence=2"}, {"memory.loss_chunks=2"}, {`devices.kind="ref"`}} {
		if got := boundLab(t, planOf(t, path, append(way, set...)...), 2).train(steps); !(farthest(got, want) <= 1e-5) {
			t.Errorf("%v: losses %v, of one rank %v", way, got, want)
		}
	}
	refused := func(set []string, parts ...string) {
		t.Helper()
		_, err := gsc.Plan(path, gsc.Options{Set: set})
		wantError(t, err, parts...)
	}
	refused([]string{loss, "schedule.steps=4", "model.vocabulary=20"}, "teacher_logits has 16 numbers for a position, and the model gives 20 logits")
	refused([]string{"schedule.steps=4", "model.vocabulary=16"}, `unknown tensor "teacher_logits"`)
	delete(batches, "teacher_logits")
	writeTensors(t, file, batches, "input_ids", "labels")
	refused(set, "the loss takes teacher_logits, which the batches do not hold")
	batches["teacher_logits"] = tensor{[]int{steps, 1, rows, length - 1, classes}, logits[:steps*rows*(length-1)*classes]}
	writeTensors(t, file, batches, "input_ids", "labels")
	refused(set, "teacher_logits is of shape [4 1 4 7 16], not [4 1 4 8] with the width of the logits behind it")
}

// An error names the record of the global batch and the position in it, in whatever rank, micro-batch and chunk they are.
func TestPlaceOfAnError(t *testing.T) {
	path := write(t, strings.Replace(gpt2, "std", "vocabulary: 16, std", 1), `{format: "safetensors", train: files: ["batches.safetensors"]}`)
	const rows, length, record, position = 8, 8, 5, 6
	labels := make([]float64, rows*length)
	labels[record*length+position] = 9
	shape := []int{1, 1, rows, length}
	writeTensors(t, filepath.Join(filepath.Dir(path), "batches.safetensors"), map[string]tensor{"input_ids": {shape, make([]float64, rows*length)}, "labels": {shape, labels}}, "input_ids", "labels")
	bad, err := os.ReadFile(filepath.Join("plugins", "testdata", "hostile", "label-nine.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(filepath.Dir(path), "bad.wasm"), string(bad))
	for _, way := range [][]string{nil, {"memory.loss_chunks=3"}, {"batch.micro_batches=2"}, {mesh(4)}, {mesh(2), "batch.micro_batches=2", "memory.loss_chunks=2"}, {"parallel.mesh.sequence=2"},
		{"parallel.mesh.tensor=2"}, {"parallel.mesh.pipeline=2", "batch.micro_batches=4"}, {"compile.fuse=false"}} {
		l := boundLab(t, planOf(t, path, append(way, plugged("bad.wasm", ""), "batch.sequences=8", "schedule.steps=1")...), 2)
		l.check(l.set.Fill(l.plan.Training.Seed, 1, l.batch))
		_, err := l.ranks.Train(l.batch, 1, 0.01)
		wantError(t, err, "step 1: ", "plugin bad.wasm (hostile 1): gsc_loss: record 5 of the batch, position 6: the loss is NaN")
	}
}

// A run goes on with the teacher that it began with: checkpoints hold none of it, and another one is refused by its digest.
func TestTeacherIsPinned(t *testing.T) {
	path := taught(t, llama, gpt2, stream)
	objective, each := by("distill.wasm", ""), "checkpoint.every=2"
	whole := mustTrain(t, path, "whole", objective, each, "schedule.steps=4")
	if found := readTensors(t, filepath.Join(checkpointOf(t, whole), safetensors.ModelFile)); len(found) == 0 || slices.ContainsFunc(slices.Collect(maps.Keys(found)), func(name string) bool {
		return strings.HasPrefix(name, "teacher.")
	}) {
		t.Errorf("the checkpoint holds the teacher, or nothing: %d tensors", len(found))
	}
	again := mustTrain(t, path, "whole", objective, each, "schedule.steps=4")
	if again != whole {
		t.Errorf("the run is in %s, then in %s", whole, again)
	}
	editModel(t, filepath.Join(filepath.Dir(path), "teacher"), func(tensors map[string]tensor) {
		for _, x := range tensors {
			x.values[0]++
			return
		}
	})
	_, _, err := train(t, path, "whole", objective, each, "schedule.steps=4")
	wantError(t, err, "the teacher: the weights in ", "are not those that the plan was made with: their sha256 is ")
}
