package gsc_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/runtime/data"
)

// Small models of each architecture, with dropout wherever it has it. Weights
// are large, so that every operation counts in the loss.
const (
	gpt2 = `schema.#GPT2 & {layers: 2, heads: 2, width: 12, context: 16, std: 0.3, epsilon: 1e-3
		dropout: {embedding: 0.1, attention: 0.1, residual: 0.1}}`
	llama = `schema.#Llama & {layers: 2, heads: 4, kv_heads: 2, width: 16, mlp: 20, context: 16, std: 0.3, dropout: attention: 0.1}`
	qwen2 = `schema.#Qwen2 & {layers: 2, heads: 4, kv_heads: 1, width: 16, mlp: 12, context: 16, std: 0.3, tie: true, dropout: attention: 0.1}`
	neox  = `schema.#GPTNeoX & {layers: 2, heads: 2, width: 16, context: 16, rotary_share: 0.5, std: 0.3, dropout: {hidden: 0.1, attention: 0.1}}`
	gemma = `schema.#Gemma2 & {layers: 2, heads: 2, kv_heads: 1, width: 16, head: 8, mlp: 20, context: 16, window: 5, std: 0.3
		dropout: attention: 0.1}`
	bertTokens = `schema.#BERT & {task: "tokens", layers: 2, heads: 2, width: 12, context: 64, std: 0.3, epsilon: 1e-3
		dropout: {hidden: 0.1, attention: 0.1}}`
	bertRows = `schema.#BERT & {task: "sequence", layers: 2, heads: 2, width: 12, context: 64, std: 0.3, epsilon: 1e-3
		dropout: {hidden: 0.1, attention: 0.1}}`
)

// Data of each kind of rows: all of them but the stream's leave positions unscored, here more and there less.
const (
	stream = `{train: files: ["plays.txt"], split: {by: "bytes", validation: 0.1, test: 0.1}, order: "random"}`
	packed = `{format: "jsonl", train: files: ["lines.jsonl"], rows: "packed"}`
	padded = `{format: "jsonl", train: files: ["lines.jsonl"], rows: "padded"}`
	tags   = `{format: "conll", train: files: ["tags.conll"], validation: files: ["tags.conll"]}`
	kinds  = `{format: "jsonl", label: "kind", train: files: ["lines.jsonl"], rows: "padded"}`
	sizes  = `{format: "jsonl", label: "size", train: files: ["lines.jsonl"], rows: "padded"}`
)

// architectures are all of gsc's own, each on data of its task.
var architectures = []struct{ name, model, data string }{
	{"gpt2", gpt2, stream},
	{"llama", llama, stream},
	{"qwen2", qwen2, stream},
	{"gpt-neox", neox, stream},
	{"gemma2", gemma, stream},
	{"bert-tokens", bertTokens, tags},
	{"bert-sequence", bertRows, kinds},
}

// write makes a folder with a strategy of the given model and data, and the
// files that the data name, and gives the strategy's path.
func write(t testing.TB, model, data string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("cmd", "gsc", "testdata", "common"))); err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(dir, "lines.jsonl"), lines(t))
	path := filepath.Join(dir, "strategy.cue")
	save(t, path, fmt.Sprintf(`package strategy

import "github.com/gsc-project/gsc/schema"

schema.#Strategy & {
	name:  "test"
	model: %s
	data:  %s
	batch: sequences: 4
	schedule: {kind: "constant", peak: 0.01, steps: 8}
	evaluate: every: 0
	checkpoint: every: 0
}
`, model, data))
	return path
}

// lines are the plays' lines as JSON, with a label that is a name and one that is a number.
func lines(t testing.TB) string {
	var out strings.Builder
	text, err := os.ReadFile(filepath.Join("cmd", "gsc", "testdata", "common", "plays.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			kind := map[bool]string{true: "name", false: "speech"}[strings.HasSuffix(line, ":")]
			fmt.Fprintf(&out, "{\"text\": %q, \"kind\": %q, \"size\": %d}\n", line, kind, len(line))
		}
	}
	return out.String()
}

func save(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func planOf(t testing.TB, path string, set ...string) *plan.Plan {
	t.Helper()
	p, err := gsc.Plan(path, gsc.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// lab is the ranks of a plan on devices, with its data.
type lab struct {
	t        testing.TB
	plan     *plan.Plan
	machines []*runtime.Machine
	ranks    *runtime.Ranks
	machine  *runtime.Machine // of the first rank
	stepper  *runtime.Stepper
	set      *data.Set
	batch    *data.Batch
}

// newLab binds each rank of a plan to so many threads and gives its tensors their starting values.
func newLab(t testing.TB, p *plan.Plan, threads int) *lab {
	t.Helper()
	world := local.NewWorld(p.Ranks(), local.Options{})
	return joinLab(t, p, threads, world, world.Group)
}

// expand is what each rank of a plan runs.
func expand(p *plan.Plan) (stages []*plan.Stage) {
	for rank := range p.Ranks() {
		stages = append(stages, p.Expand(p.StageOf(rank), rank))
	}
	return stages
}

// joinLab is newLab with ranks that are joined in another way.
func joinLab(t testing.TB, p *plan.Plan, threads int, world *local.World, join func(axis string, ranks []int, rank int) (collectives.Group, error)) *lab {
	t.Helper()
	return stagedLab(t, p, expand(p), threads, world, join)
}

// stagedLab is joinLab with what each rank runs, on other devices where these are given.
func stagedLab(t testing.TB, p *plan.Plan, stages []*plan.Stage, threads int, world *local.World, join func(axis string, ranks []int, rank int) (collectives.Group, error),
	on ...func(kernels.Device) kernels.Device) *lab {
	t.Helper()
	return hostedLab(t, p, stages, threads, world, join, func(int) runtime.Host { return nil }, on...)
}

// hostedLab is stagedLab with what does the plugins' work for each rank.
func hostedLab(t testing.TB, p *plan.Plan, stages []*plan.Stage, threads int, world *local.World, join func(axis string, ranks []int, rank int) (collectives.Group, error),
	host func(rank int) runtime.Host, on ...func(kernels.Device) kernels.Device) *lab {
	t.Helper()
	l := &lab{t: t, plan: p}
	for rank, stage := range stages {
		device, err := gsc.NewDevice(p.Device, threads)
		l.check(err)
		t.Cleanup(func() { device.Close() })
		for _, other := range on {
			device = other(device)
		}
		m, err := runtime.BindStage(p, stage, device, runtime.Rank{Number: rank, Join: join, Host: host(rank)})
		l.check(err)
		t.Cleanup(func() { m.Close() })
		l.machines = append(l.machines, m)
	}
	var err error
	l.ranks, err = runtime.NewRanks(l.machines, world.Fail)
	l.check(err)
	t.Cleanup(l.ranks.Close)
	l.machine = l.machines[0]
	l.set, err = data.Open(p.Data)
	l.check(err)
	l.stepper = l.ranks.Stepper()
	l.batch = data.NewBatch(p.Data, p.Training.Sequences)
	l.check(l.ranks.Start())
	return l
}

func (l *lab) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// step runs a training step on its batch.
func (l *lab) step(n int64, rate float64) runtime.Result {
	l.t.Helper()
	l.check(l.set.Fill(l.plan.Training.Seed, n, l.batch))
	result, err := l.ranks.Train(l.batch, n, rate)
	l.check(err)
	return result
}

// allocatesNothing fails where a second step, run so many times, allocates. The lab must have gone a first, which warms up.
func (l *lab) allocatesNothing(runs int) {
	l.t.Helper()
	if n := testing.AllocsPerRun(runs, func() {
		if _, err := l.ranks.Train(l.batch, 2, 0.01); err != nil {
			l.t.Error(err)
		}
	}); n >= 1 {
		l.t.Errorf("%v allocations a step", n)
	}
}

// train runs steps from the first and gives their losses.
func (l *lab) train(steps int) []float64 {
	l.t.Helper()
	var losses []float64
	for n := range int64(steps) {
		result := l.step(n+1, l.plan.Training.Rate.Peak)
		if !result.Finite {
			l.t.Fatalf("step %d: %+v", n+1, result)
		}
		losses = append(losses, result.Loss)
	}
	return losses
}

func (l *lab) tensor(name string) []float64 {
	l.t.Helper()
	values, err := l.ranks.Tensor(name)
	l.check(err)
	return values
}

// setTensor replaces a tensor's values.
func (l *lab) setTensor(name string, values []float64) {
	l.t.Helper()
	b := &l.plan.Stages[0].Buffers[l.plan.Tensor(name).Buffer]
	raw := make([]byte, 0, len(values)*b.DType.Size())
	for _, v := range values {
		if b.DType == kernels.F64 {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
		} else {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(v)))
		}
	}
	l.check(l.machine.Write(b, raw))
}

// weights are the names of the plan's weights.
func (l *lab) weights() []string {
	var names []string
	for _, t := range l.plan.Tensors {
		if t.Class == plan.Weight {
			names = append(names, t.Name)
		}
	}
	return names
}

// digest is of the bits of all weights and of the optimizer's state.
func (l *lab) digest() string {
	l.t.Helper()
	hash := sha256.New()
	for _, t := range l.plan.Tensors {
		if err := binary.Write(hash, binary.LittleEndian, l.tensor(t.Name)); err != nil {
			l.t.Fatal(err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// evaluate gives the loss of a split.
func (l *lab) evaluate(split data.Split) float64 {
	l.t.Helper()
	scores, err := runtime.Evaluate(l.t.Context(), l.ranks, l.set, split)
	l.check(err)
	loss, _ := scores.Get("loss")
	return loss
}

// logits runs the evaluation program on the batch as it stands.
func (l *lab) logits() []float64 {
	l.t.Helper()
	_, err := l.ranks.Evaluate(l.batch, 0)
	l.check(err)
	program := l.plan.Stages[0].Schedule(plan.Evaluate, l.batch.Length).Calls[0].Program
	return l.machine.Values(l.machine.Buffer(program, "logits"))
}

// lesson is what one rank learns in some steps, that others are held to.
type lesson struct {
	path      string
	set       []string
	one       *lab
	losses    []float64
	tolerance float64
}

// learn trains a model on one rank. Where a gradient is 0 but for rounding, AdamW makes much of it: float32 is not asked to.
func learn(t *testing.T, device, model, rows string, steps int, set ...string) *lesson {
	t.Helper()
	l := &lesson{path: write(t, model, rows), tolerance: 1e-6}
	l.set = slices.Concat(objective(rows), []string{"data.length=16", fmt.Sprintf("devices.kind=%q", device), `optimizer={kind: "sgd", momentum: 0.9, clip_norm: 1}`}, set)
	if device == "ref" {
		l.tolerance, l.set = 1e-9, append(l.set, "optimizer={epsilon: 1e-6, clip_norm: 1}")
	}
	l.one = newLab(t, planOf(t, l.path, l.set...), 1)
	l.losses = l.one.train(steps)
	return l
}

// shared trains with the step cut in some way, and holds losses and weights to those of one rank.
func (l *lesson) shared(t *testing.T, cut ...string) *lab {
	t.Helper()
	other := newLab(t, planOf(t, l.path, append(l.set[:len(l.set):len(l.set)], cut...)...), 1)
	got := other.train(len(l.losses))
	if far := farthest(got, l.losses); !(far <= l.tolerance) {
		t.Errorf("%v: losses %v, of one rank %v: apart by %.2g", cut, got, l.losses, far)
	}
	for _, name := range other.weights() {
		if far := distance(other.tensor(name), l.one.tensor(name)); !(far <= l.tolerance) {
			t.Errorf("%v: %s is apart by %.2g", cut, name, far)
		}
	}
	return other
}

// distance is the largest difference, of numbers around 1. Where a gradient is 0 but for rounding, as that of a key's bias, so is the weight.
func distance(a, b []float64) float64 {
	far := 0.0
	for i, v := range a {
		far = max(far, math.Abs(v-b[i]))
	}
	return far
}

// farthest is the largest difference of two lists, relative to the largest value.
func farthest(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	far, large := 0.0, 0.0
	for i := range a {
		if !(math.Abs(a[i]-b[i]) <= far) {
			far = math.Abs(a[i] - b[i])
		}
		large = math.Max(large, math.Abs(b[i]))
	}
	return far / math.Max(large, math.SmallestNonzeroFloat64)
}

// tensorsOf are the tensors of a run's newest checkpoint as the ranks of a plan load them.
func tensorsOf(t *testing.T, p *plan.Plan, run string) map[string][]float64 {
	t.Helper()
	ranks, closer, err := gsc.Bind(p, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	saved, _, err := checkpoint.Newest(filepath.Join(run, runtime.CheckpointsDir))
	if err != nil || saved == nil {
		t.Fatal(saved, err)
	}
	defer saved.Close()
	if err := ranks.Load(saved); err != nil {
		t.Fatal(err)
	}
	values := map[string][]float64{}
	for _, tensor := range p.Tensors {
		if values[tensor.Name], err = ranks.Tensor(tensor.Name); err != nil {
			t.Fatal(err)
		}
	}
	return values
}
