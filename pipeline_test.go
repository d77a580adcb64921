package gsc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/data"
)

// staged are ways to cut four layers into stages that each learn what one rank learns.
var staged = [][]string{
	{"parallel.mesh.pipeline=2", "batch.micro_batches=1"},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=4"},
	{"parallel.mesh.pipeline=4", "batch.micro_batches=8"},
	{"parallel.mesh.pipeline=3", "batch.micro_batches=4"},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=4", `parallel.pipeline.schedule="gpipe"`},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=4", `parallel.pipeline.chunks=2`},
	{"parallel.mesh.pipeline=4", "batch.micro_batches=8", `parallel.pipeline.schedule="zero_bubble"`},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=4", `memory.recompute="full"`, `parallel.pipeline.chunks=2`},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=4", `memory.recompute="selective"`, `parallel.pipeline.schedule="zero_bubble"`},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=4", "memory.loss_chunks=3"},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=4", mesh(2), "parallel.zero=1"},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=4", mesh(2), "parallel.zero=2", `parallel.pipeline.schedule="zero_bubble"`},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=4", mesh(2), "parallel.zero=3", `parallel.pipeline.chunks=2`},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=2", "parallel.mesh.tensor=2"},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=2", "parallel.mesh.tensor=2", megatron, mesh(2), "parallel.zero=2"},
	{"parallel.mesh.pipeline=2", "batch.micro_batches=2", "parallel.mesh.sequence=2", "parallel.zero=3", mesh(2)},
}

// deep gives a model four layers.
func deep(model string) string {
	return strings.Replace(model, "layers: 2", "layers: 4", 1)
}

// Stages learn what one rank learns, whatever their turns, tied weights or not. The first model goes through all cuts, the others through some each.
func TestStagesLearnTheSame(t *testing.T) {
	for k, c := range []struct{ name, model, data string }{
		{"gpt2", gpt2, stream}, {"packed", gpt2, packed}, {"padded", llama, padded}, {"gemma", strings.Replace(gemma, "kv_heads: 1", "kv_heads: 2", 1), stream}, {"tags", bertTokens, tags}, {"rows", bertRows, kinds},
	} {
		for _, device := range []string{"cpu", "ref"} {
			t.Run(c.name+"/"+device, func(t *testing.T) {
				one := learn(t, device, deep(c.model), c.data, 6, "batch.sequences=8")
				score := one.one.evaluate(data.Train)
				for i, cut := range staged {
					if k > 0 && i%4 != k%4 || k > 0 && device == "cpu" {
						continue
					}
					l := one.shared(t, cut...)
					if far := farthest([]float64{l.evaluate(data.Train)}, []float64{score}); !(far <= one.tolerance) {
						t.Errorf("%v: evaluated to %v, of one rank to %v", cut, l.evaluate(data.Train), score)
					}
				}
			})
		}
	}
}

// Stages give the same bits in every run, at every stage of ZeRO, and a step of theirs allocates nothing.
func TestStagesHoldTheSameBits(t *testing.T) {
	path := write(t, deep(gpt2), stream)
	var want string
	for zero := range 4 {
		for range 2 {
			l := newLab(t, planOf(t, path, "batch.sequences=8", "batch.micro_batches=4", "parallel.mesh.pipeline=2", mesh(2), `parallel.reduce="each"`, fmt.Sprintf("parallel.zero=%d", zero)), 1)
			l.train(3)
			if want == "" {
				want = l.digest()
			}
			if got := l.digest(); got != want {
				t.Errorf("zero %d: other bits", zero)
			}
			if n := testing.AllocsPerRun(5, func() {
				if _, err := l.ranks.Train(l.batch, 4, 0.01); err != nil {
					t.Error(err)
				}
			}); n >= 1 {
				t.Errorf("zero %d: %v allocations a step", zero, n)
			}
		}
	}
}

// Schedules keep as many micro-batches under way as their papers say.
func TestMicroBatchesUnderWay(t *testing.T) {
	path := write(t, deep(gpt2), stream)
	for _, c := range []struct {
		set   []string
		slots []int
	}{
		{nil, []int{4, 3, 2, 1}},
		{[]string{`parallel.pipeline.schedule="gpipe"`}, []int{8, 8, 8, 8}},
		{[]string{`parallel.pipeline.schedule="zero_bubble"`}, []int{4, 4, 3, 1}},
		{[]string{"parallel.mesh.pipeline=2", "parallel.pipeline.chunks=2"}, []int{5, 3}},
	} {
		p := planOf(t, path, append([]string{"batch.sequences=8", "batch.micro_batches=8", "parallel.mesh.pipeline=4"}, c.set...)...)
		var slots []int
		for i := range p.Stages {
			slots = append(slots, p.Stages[i].Slots)
		}
		if !slices.Equal(slots, c.slots) {
			t.Errorf("%v: %v micro-batches under way, want %v", c.set, slots, c.slots)
		}
	}
}

// Stages that are each sound do not go together as soon as one sends what the other does not receive, or both wait for each other.
func TestStagesAreHeldTogether(t *testing.T) {
	text := planOf(t, write(t, deep(qwen2), stream), "parallel.mesh.pipeline=2", "batch.sequences=8", "batch.micro_batches=4").Text()
	find := func(s *plan.Stage, program string, op kernels.Op) *plan.Instruction {
		list := s.Program(program).Instructions
		return &list[slices.IndexFunc(list, func(in plan.Instruction) bool { return in.Op == op })]
	}
	for _, c := range []struct {
		name   string
		change func(stages []plan.Stage)
		want   string
	}{
		{"another lane", func(stages []plan.Stage) { find(&stages[0], "forward", kernels.Send).Attrs.Lane = 9 },
			"stage 0 sends stage 1 2 times on lane 9 in schedule train for length 16, which receives 0 times"},
		{"less", func(stages []plan.Stage) { find(&stages[0], "forward", kernels.Send).Operands[0].Shape[0]-- },
			"it receives 512 f32, but stage 0 sends 256 f32, in schedule train"},
		{"micro-batches in another order", func(stages []plan.Stage) {
			calls := stages[1].Schedule(plan.Train, 16).Calls
			for i := range calls {
				if calls[i].MicroBatch < 2 && calls[i].Program != "update" {
					calls[i].MicroBatch = 1 - calls[i].MicroBatch
				}
			}
		}, "it receives for micro-batch 1 what stage 0 sends for micro-batch 0, in schedule train"},
		{"both receive first", func(stages []plan.Stage) {
			send, receive := find(&stages[1], "update", kernels.Send), find(&stages[1], "update", kernels.Receive)
			*send, *receive = *receive, *send
		}, "it waits for ever, in schedule train for length 16: for stage 0 to send number 1 of what stage 1 receives from it on lane 2"},
		{"one does not come", func(stages []plan.Stage) {
			p := stages[1].Program("update")
			p.Instructions = slices.DeleteFunc(p.Instructions, func(in plan.Instruction) bool {
				return in.Op == kernels.AllReduce && in.Attrs.Axis == plan.AxisPipeline
			})
		}, "for stage 1 to come to reduce.loss, number 1 of what they do along pipeline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := readPlan(t, text)
			c.change(p.Stages)
			if err := p.Verify(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// What evaluations predict comes to the first rank.
func TestStagesScoreTheSame(t *testing.T) {
	path := write(t, deep(bertTokens), tags)
	set := append(objective(tags), "batch.sequences=5", `evaluate.metrics=["accuracy", "f1", "entity_f1"]`)
	var want runtime.Scores
	for _, cut := range [][]string{{}, {"parallel.mesh.pipeline=2"}, {"parallel.mesh.pipeline=2", "parallel.pipeline.chunks=2", "batch.sequences=6", "batch.micro_batches=2", mesh(2)}} {
		l := newLab(t, planOf(t, path, append(set, cut...)...), 1)
		got, err := runtime.Evaluate(t.Context(), l.ranks, l.set, data.Train)
		l.check(err)
		if want == nil {
			want = got
		}
		for i, v := range got {
			if far := farthest([]float64{v.Value}, []float64{want[i].Value}); v.Name != want[i].Name || far > 1e-5 {
				t.Errorf("%v: %v, of one rank %v", cut, got, want)
			}
		}
	}
}
