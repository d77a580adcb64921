package gsc_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/data"
)

// mesh is the setting of so many ranks of data.
func mesh(ranks int) string { return fmt.Sprintf("parallel.mesh.data=%d", ranks) }

// megatron lets the ranks of tensors share out the tokens of the residual stream.
const megatron = `parallel.rules=[{kind: "activation", region: "residual", dim: "seq", axis: "tensor"}]`

// cuts are ways to share a step out.
var cuts = [][]string{
	{mesh(2)}, {mesh(2), "batch.micro_batches=2"}, {mesh(4)}, {mesh(8)},
	{"parallel.mesh.tensor=2"}, {"parallel.mesh.tensor=2", megatron}, {"parallel.mesh.sequence=2"},
	{mesh(2), "parallel.mesh.tensor=2", "parallel.zero=2", "batch.micro_batches=2"},
	{mesh(2), "parallel.mesh.sequence=2", "parallel.zero=3"},
	{"parallel.mesh.replica=2"}, {"parallel.mesh.replica=2", mesh(2), "parallel.zero=3", "parallel.mesh.tensor=2"},
	{mesh(2), "parallel.mesh.tensor=2", megatron, `memory.recompute="full"`},
}

// Ranks that share a step out learn what one rank learns, however it is cut, with the same dropout, scored raggedly too.
func TestRanksLearnTheSame(t *testing.T) {
	for _, c := range []struct{ name, model, data string }{
		{"stream", gpt2, stream}, {"packed", gpt2, packed}, {"padded", llama, padded}, {"tags", bertTokens, tags}, {"rows", bertRows, kinds},
		{"numbers", bertRows, sizes},
	} {
		for _, device := range []string{"cpu", "ref"} {
			t.Run(c.name+"/"+device, func(t *testing.T) {
				one := learn(t, device, c.model, c.data, 10, "batch.sequences=8")
				for _, cut := range cuts {
					one.shared(t, cut...)
				}
			})
		}
	}
}

// Every pair of axes goes with every stage of ZeRO.
func TestEveryPairOfAxes(t *testing.T) {
	one := learn(t, "ref", deep(llama), stream, 3, "batch.sequences=16", "batch.micro_batches=4")
	for i, a := range plan.Axes {
		for _, b := range plan.Axes[i+1:] {
			for zero := range 4 {
				one.shared(t, fmt.Sprintf("parallel={mesh: {%s: 2, %s: 2}, zero: %d}", a, b, zero))
			}
		}
	}
}

// What ranks of tensor do not divide, and can compute whole, they do: an MLP, and the key-value head of multi-query attention.
func TestWhatStaysWhole(t *testing.T) {
	const model = `schema.#Llama & {layers: 2, heads: 4, kv_heads: 1, width: 16, mlp: 21, context: 16, std: 0.3, dropout: attention: 0.1}`
	for _, device := range []string{"cpu", "ref"} {
		one := learn(t, device, model, stream, 5, "batch.sequences=8")
		for _, cut := range [][]string{{"parallel.mesh.tensor=2"}, {"parallel.mesh.tensor=4", megatron}, {mesh(2), "parallel.mesh.tensor=2", "parallel.zero=3"},
			{"parallel.mesh.tensor=2", "parallel.mesh.sequence=2", `parallel.attention="ring"`}, {"parallel.mesh.tensor=2", "parallel.mesh.pipeline=2"}} {
			l := one.shared(t, cut...)
			for _, want := range []string{"mlp stays whole", "kv_heads stays whole"} {
				if !slices.ContainsFunc(l.plan.Choices, func(c plan.Choice) bool { return c.Value == want }) {
					t.Errorf("%v: the plan does not say that %s: %v", cut, want, l.plan.Choices)
				}
			}
		}
	}
}

// All ranks end with the same bits, in every run and with any number of threads.
func TestRanksHoldTheSameBits(t *testing.T) {
	p := planOf(t, write(t, wide, stream), "batch.sequences=6", "batch.micro_batches=2", mesh(3))
	var want string
	for _, threads := range []int{1, 2, 1} {
		l := newLab(t, p, threads)
		l.train(3)
		digest := l.digest()
		if want == "" {
			want = digest
		}
		if digest != want {
			t.Errorf("%d threads: other bits than before", threads)
		}
		l.holdTheSame()
	}
}

// holdTheSame fails where a rank holds other weights than the first.
func (l *lab) holdTheSame() {
	l.t.Helper()
	for rank, m := range l.machines {
		for _, name := range l.weights() {
			values, err := m.Tensor(name)
			l.check(err)
			if !slices.Equal(values, l.tensor(name)) {
				l.t.Errorf("rank %d holds another %s than rank 0", rank, name)
			}
		}
	}
}

// The stages of ZeRO, and what is one call, change no bit of losses, weights and state, with weights that divide among the ranks and others that do not,
// whatever the optimizer.
func TestZeroChangesNoBit(t *testing.T) {
	for _, optimizer := range []string{"adamw", "adam", "sgd", "lion", "lamb", "adafactor", "muon"} {
		for _, ranks := range []string{"{data: 2}", "{data: 8}", "{replica: 2, data: 2}"} {
			t.Run(optimizer+"/"+ranks, func(t *testing.T) {
				path := write(t, gpt2, stream)
				var want []float64
				var bits string
				for zero := range 4 {
					l := newLab(t, planOf(t, path, "batch.sequences=16", "batch.micro_batches=2", "parallel.mesh="+ranks, `parallel.reduce="each"`,
						fmt.Sprintf("parallel.zero=%d", zero), fmt.Sprintf("parallel.bucket=%d", zero%2*2048), fmt.Sprintf("optimizer={kind: %q, clip_norm: 1}", optimizer)), 1)
					got := l.train(4)
					if zero == 0 {
						want, bits = got, l.digest()
					} else if !slices.Equal(got, want) || l.digest() != bits {
						t.Errorf("zero %d: losses %v, without %v; the same weights and state: %t", zero, got, want, l.digest() == bits)
					}
				}
			})
		}
	}
}

// With ZeRO 1 a rank keeps its part of the optimizer's state, and nothing more is in its arena.
func TestZeroSharesOutTheState(t *testing.T) {
	path := write(t, wide, stream)
	whole, shared := planOf(t, path, "batch.sequences=8", mesh(4)), planOf(t, path, "batch.sequences=8", mesh(4), "parallel.zero=1")
	state := func(p *plan.Plan) (bytes int64) {
		for _, b := range p.Stages[0].Buffers {
			if b.Class == plan.State {
				bytes += b.SizeBytes()
			}
		}
		return bytes
	}
	if state(whole) != 4*state(shared) {
		t.Errorf("%d bytes of state, %d shared out among 4", state(whole), state(shared))
	}
	again, err := plan.ParseText(shared.Text())
	if err != nil || again.Digest() != shared.Digest() || again.Verify() != nil {
		t.Errorf("read again: %v", err)
	}
	if saved := whole.Arenas[0].SizeBytes - shared.Arenas[0].SizeBytes; saved < state(whole)*7/10 {
		t.Errorf("the arena is %d bytes smaller, of %d of state", saved, state(whole))
	}
}

// A step of several ranks allocates nothing.
func TestRanksAllocateNothing(t *testing.T) {
	l := newLab(t, planOf(t, write(t, gpt2, stream), mesh(2)), 1)
	l.step(1, 0.01)
	l.allocatesNothing(20)
}

// A loss that is not finite on one rank skips the update on all.
func TestRanksSkipTogether(t *testing.T) {
	l := newLab(t, planOf(t, write(t, bertRows, sizes), append(objective(sizes), mesh(2))...), 1)
	l.check(l.set.Fill(l.plan.Training.Seed, 1, l.batch))
	l.batch.Values[0] = float32(math.Inf(1)) // a row of rank 0
	before := l.digest()
	result, err := l.ranks.Train(l.batch, 1, 0.01)
	l.check(err)
	if result.Finite || l.digest() != before {
		t.Errorf("%+v, and weights changed: %t", result, l.digest() != before)
	}
	l.holdTheSame()
	where, err := l.ranks.Locate(l.batch, 1)
	l.check(err)
	if !strings.HasPrefix(where, "rank 0: program forward") {
		t.Errorf("it is said to come from %q", where)
	}
}

// What ranks send is what the plan says, byte by byte.
func TestTrafficIsAsPlanned(t *testing.T) {
	list := slices.Concat(cuts, rings, [][]string{{mesh(4), "parallel.zero=3", "batch.micro_batches=2"},
		{mesh(4), topK}, {mesh(4), "parallel.zero=1", oneBit}, {mesh(4), "parallel.zero=3", "batch.micro_batches=2", oneBit}, {"parallel.mesh.replica=2", mesh(2), warm(topK, 3)},
		{mesh(2), "parallel.mesh.pipeline=2", "batch.micro_batches=4", oneBit},
		{"parallel.mesh.pipeline=2", "batch.micro_batches=4", "parallel.mesh.tensor=2"},
		{"parallel.mesh.pipeline=2", "batch.micro_batches=4", mesh(2), "parallel.zero=2", "parallel.pipeline.chunks=2"}})
	for _, cut := range list {
		p := planOf(t, write(t, deep(llama), stream), append(cut, "batch.sequences=16", "data.length=16")...)
		type kind struct {
			axis string
			op   string
		}
		var mu sync.Mutex
		sent, calls := map[kind]int64{}, map[kind]int{}
		world := local.NewWorld(p.Ranks(), local.Options{})
		l := joinLab(t, p, 1, world, func(axis string, ranks []int, rank int) (collectives.Group, error) {
			g, err := world.Group(axis, ranks, rank)
			axis, _, _ = strings.Cut(axis, " ") // what joins two stages names these, too
			return counted{g, func(one []collectives.Call, n int) {
				if one[0].Op == collectives.Receive {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				k := kind{axis, one[0].Op.String()}
				calls[k]++
				for _, c := range one {
					sent[k] += c.Traffic(n)
				}
			}}, err
		})
		for _, step := range slices.Compact([]int64{1, p.Training.Uncoded + 1}) { // each kind of step
			clear(sent)
			clear(calls)
			l.step(step, 0.01)
			bytes, times := map[kind]int64{}, map[kind]int{}
			for stage := range p.Stages {
				for _, planned := range p.Traffic(stage, p.Training.Schedule(step)) {
					k, ranks := kind{planned.Axis, planned.Op.String()}, p.Ranks()/len(p.Stages)
					bytes[k], times[k] = bytes[k]+planned.SentBytes*int64(ranks), times[k]+planned.Calls*ranks
				}
			}
			if !maps.Equal(bytes, sent) || !maps.Equal(times, calls) || len(sent) == 0 {
				t.Errorf("%v, step %d: %v bytes in %v calls were planned, %v in %v sent", cut, step, bytes, times, sent, calls)
			}
		}
	}
}

// counted is a group that tells of its calls.
type counted struct {
	collectives.Group
	tell func(one []collectives.Call, ranks int)
}

func (g counted) Bind(one ...collectives.Call) (collectives.Collective, error) {
	b, err := g.Group.Bind(one...)
	return countedCall{b, func() { g.tell(one, g.Size()) }}, err
}

type countedCall struct {
	collectives.Collective
	tell func()
}

func (c countedCall) Run() error {
	c.tell()
	return c.Collective.Run()
}

func (c countedCall) Start() {
	c.tell()
	c.Collective.Start()
}

// A rank that cannot go on ends the step on all, and the error names it.
func TestRankFails(t *testing.T) {
	p := planOf(t, write(t, gpt2, stream), mesh(2))
	world := local.NewWorld(2, local.Options{})
	l := joinLab(t, p, 1, world, func(axis string, ranks []int, rank int) (collectives.Group, error) {
		g, err := world.Group(axis, ranks, rank)
		if rank == 1 {
			g = broken{g}
		}
		return g, err
	})
	l.check(l.set.Fill(p.Training.Seed, 1, l.batch))
	_, err := l.ranks.Train(l.batch, 1, 0.01)
	if err == nil || !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "step 1: rank 1: reduce.") || !strings.Contains(err.Error(), "all_reduce") {
		t.Errorf("the error is %v", err)
	}
}

// A rank that hangs ends the step on all, and the error names it, and what it is at.
func TestRankHangs(t *testing.T) {
	for hung := range 2 {
		ranks, took, err := trainOdd(t, func(rank int) func(kernels.Kernel) kernels.Kernel { return hangs(rank == hung) })
		want := fmt.Sprintf("step 1: rank %d: at h.1.ln_2 (layer_norm, gsc/gpt2.cue:", hung)
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "has done nothing for") || !ranks.Stuck() {
			t.Errorf("the error is %v", err)
		}
		if took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

// A rank whose instruction takes longer than the deadline is waited for as long as its device gets on.
func TestSlowRankIsWaitedFor(t *testing.T) {
	var slept atomic.Int64
	_, _, err := trainOdd(t, func(rank int) func(kernels.Kernel) kernels.Kernel {
		return func(run kernels.Kernel) kernels.Kernel {
			return func() {
				for range 20 * rank {
					time.Sleep(50 * time.Millisecond)
					slept.Add(1)
				}
				run()
			}
		}
	}, &slept)
	if err != nil || slept.Load() != 20 {
		t.Errorf("%v after %d pauses", err, slept.Load())
	}
}

// trainOdd trains a step on two ranks, whose deadline is 200 ms, with another kernel in place of the fourth norm, that of the second block's MLP. slept is added to what the device tells of
// its progress.
func trainOdd(t *testing.T, in func(rank int) func(kernels.Kernel) kernels.Kernel, slept ...*atomic.Int64) (ranks *runtime.Ranks, took time.Duration, err error) {
	p := planOf(t, write(t, gpt2, stream), mesh(2))
	machines := make([]*runtime.Machine, 0, 2)
	world := local.NewWorld(2, local.Options{Deadline: 200 * time.Millisecond, Look: func(rank int) (int64, string) { return machines[rank].Look() }})
	for rank := range 2 {
		device, err := gsc.NewDevice(p.Device, 1)
		if err != nil {
			t.Fatal(err)
		}
		m, err := runtime.Bind(p, newOdd(device, in(rank), slept...), runtime.Rank{Number: rank, Join: world.Group})
		if err != nil {
			t.Fatal(err)
		}
		machines = append(machines, m)
	}
	ranks, err = runtime.NewRanks(machines, world.Fail)
	if err != nil {
		t.Fatal(err)
	}
	set, err := data.Open(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	b := data.NewBatch(p.Data, p.Training.Sequences)
	if err := errors.Join(ranks.Start(), set.Fill(p.Training.Seed, 1, b)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = ranks.Train(b, 1, 0.01)
	return ranks, time.Since(begin), err
}

// odd is a device with another kernel for one norm.
type odd struct {
	kernels.Progressive
	in    func(run kernels.Kernel) kernels.Kernel
	norms *int
	slept []*atomic.Int64
}

func newOdd(d kernels.Device, in func(kernels.Kernel) kernels.Kernel, slept ...*atomic.Int64) odd {
	return odd{d.(kernels.Progressive), in, new(int), slept}
}

// hangs gives a kernel that never ends, or the kernel.
func hangs(ever bool) func(kernels.Kernel) kernels.Kernel {
	return func(run kernels.Kernel) kernels.Kernel {
		if ever {
			return func() { select {} }
		}
		return run
	}
}

func (d odd) Bind(c kernels.Call) (kernels.Kernel, error) {
	run, err := d.Progressive.Bind(c)
	if c.Op == kernels.LayerNorm {
		if *d.norms++; *d.norms == 4 {
			return d.in(run), err
		}
	}
	return run, err
}

func (d odd) Progress() int64 {
	n := d.Progressive.Progress()
	for _, s := range d.slept {
		n += s.Load()
	}
	return n
}

var errBroken = errors.New("the cable is broken")

// broken is a group whose calls fail.
type broken struct{ collectives.Group }

func (b broken) Bind(...collectives.Call) (collectives.Collective, error) { return brokenCall{}, nil }

type brokenCall struct{}

func (brokenCall) Run() error  { return errBroken }
func (brokenCall) Start()      {}
func (brokenCall) Wait() error { return errBroken }

// A plan's ranks stand in their groups as the mesh says.
func TestMeshPlaces(t *testing.T) {
	p := &plan.Plan{Mesh: []plan.Axis{{Name: "pipeline", Degree: 2}, {Name: "data", Degree: 3}, {Name: "tensor", Degree: 2}}}
	if p.Ranks() != 12 || p.Degree("data") != 3 || p.Degree("expert") != 1 {
		t.Errorf("%d ranks, %d of data", p.Ranks(), p.Degree("data"))
	}
	for rank := range p.Ranks() {
		at := []int{rank / 6, rank / 2 % 3, rank % 2}
		for i, axis := range []string{"pipeline", "data", "tensor"} {
			group := p.Group(rank, axis)
			if p.Place(rank, axis) != at[i] || len(group) != p.Degree(axis) || group[at[i]] != rank {
				t.Errorf("rank %d: place %d of %v along %s", rank, p.Place(rank, axis), group, axis)
			}
			for place, other := range group {
				if p.Place(other, axis) != place {
					t.Errorf("rank %d stands at %d of %s, not %d", other, p.Place(other, axis), axis, place)
				}
			}
		}
	}
}

// With ZeRO 3 a rank keeps its parts of weights, gradients and state, and the whole of one block's and the next one's weights at a time.
func TestZeroSharesOutTheWeights(t *testing.T) {
	path := write(t, strings.Replace(wide, "layers: 2", "layers: 6", 1), stream)
	whole, shared := planOf(t, path, "batch.sequences=8", mesh(4)), planOf(t, path, "batch.sequences=8", mesh(4), "parallel.zero=3")
	lasting := func(p *plan.Plan, class plan.Class) (bytes int64) {
		for _, b := range p.Stages[0].Buffers {
			if b.Class == class {
				bytes += b.SizeBytes()
			}
		}
		return bytes
	}
	for _, class := range []plan.Class{plan.Weight, plan.State, plan.Gradient} {
		if lasting(whole, class) != 4*lasting(shared, class) {
			t.Errorf("%d bytes of %s, %d shared out among 4", lasting(whole, class), class, lasting(shared, class))
		}
	}
	begun := 0
	for _, in := range shared.Stages[0].Program("forward").Instructions {
		if in.Op == kernels.AllGather && in.Stream != 0 {
			begun++
		}
	}
	if begun == 0 {
		t.Error("nothing is gathered beside what is computed")
	}
	l := newLab(t, shared, 1)
	l.train(2)
	l.allocatesNothing(10)
}

// What one mesh saved any other goes on from, with the same bits of every weight and of all state, and back again.
func TestCheckpointsFitEveryMesh(t *testing.T) {
	path := write(t, llama, stream)
	set := func(mesh ...string) gsc.Options {
		return gsc.Options{Set: append([]string{"batch.sequences=8", "data.length=16", "schedule.steps=40", "checkpoint.every=1"}, mesh...)}
	}
	meshes := [][]string{
		{}, {mesh(2), "parallel.mesh.tensor=2", "parallel.zero=3"}, {mesh(4), "parallel.zero=2", "batch.micro_batches=2"},
		{"parallel.mesh.tensor=2", megatron}, {"parallel.mesh.sequence=2", "parallel.mesh.data=2", "parallel.zero=1"},
		{"parallel.mesh.pipeline=2", "batch.micro_batches=4", "parallel.mesh.tensor=2"}, {"parallel.mesh.pipeline=2", mesh(2), "parallel.zero=3", "batch.micro_batches=2"},
		{"parallel.mesh.replica=2", mesh(2), "parallel.zero=3", "batch.micro_batches=2"}, {},
	}
	run := filepath.Join(t.TempDir(), "run")
	tensors := func(o gsc.Options) map[string][]float64 {
		p, err := gsc.Plan(path, o)
		if err != nil {
			t.Fatal(err)
		}
		return tensorsOf(t, p, run)
	}
	for i, m := range meshes {
		var said strings.Builder
		o := gsc.TrainOptions{Options: set(m...), Run: run, Out: &said, Reshard: i > 0}
		if err := gsc.Train(&patient{t.Context(), 3}, path, o); err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		if i > 0 && !strings.Contains(said.String(), "resumed from") {
			t.Errorf("%v: it began anew: %s", m, said.String())
		}
		want := tensors(set(m...))
		for _, other := range meshes {
			for name, values := range tensors(set(other...)) {
				if !slices.Equal(values, want[name]) {
					t.Errorf("saved by %v, loaded by %v: %s has other bits", m, other, name)
				}
			}
		}
	}
	o := gsc.TrainOptions{Options: set("optimizer.weight_decay=0.5"), Run: run, Out: io.Discard, Reshard: true}
	if err := gsc.Train(t.Context(), path, o); err == nil || !strings.Contains(err.Error(), "cannot go on as another run") {
		t.Errorf("another optimizer: %v", err)
	}
}

// Evaluations give the same scores however rows and tokens are shared out and padded.
func TestRanksScoreTheSame(t *testing.T) {
	for _, c := range []struct{ name, model, data, metrics string }{
		{"tags", bertTokens, tags, `["accuracy", "f1", "entity_f1"]`}, {"rows", bertRows, kinds, `["accuracy", "f1"]`}, {"stream", llama, stream, `["accuracy"]`},
	} {
		path := write(t, c.model, c.data)
		set := append(objective(c.data), "batch.sequences=5", "data.length=13", "evaluate.metrics="+c.metrics)
		if c.data == kinds {
			set = append(set, `data.validation={files: ["lines.jsonl"]}`)
		}
		var want runtime.Scores
		for _, cut := range [][]string{{}, {mesh(3)}, {"parallel.mesh.sequence=3"}, {mesh(2), "parallel.mesh.tensor=2", "parallel.zero=3"}} {
			l := newLab(t, planOf(t, path, append(set, cut...)...), 1)
			l.train(2)
			got, err := runtime.Evaluate(t.Context(), l.ranks, l.set, data.Train)
			l.check(err)
			if want == nil {
				want = got
			}
			for i, v := range got {
				if v.Name != want[i].Name || math.Abs(v.Value-want[i].Value) > 1e-5 {
					t.Errorf("%s, %v: %v, of one rank %v", c.name, cut, got, want)
				}
			}
		}
	}
}
