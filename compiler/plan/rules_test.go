package plan_test

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// small reads testdata/small.plan, one step of a one-layer model, after replacements in its text (old, new, old, new, …).
func small(t testing.TB, replace ...string) *plan.Plan {
	t.Helper()
	raw, err := os.ReadFile("testdata/small.plan")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("testdata/small.plan does not hold %q", replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	p, err := plan.ParseText([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestVerifyAdmitsSmall(t *testing.T) {
	if err := small(t).Verify(); err != nil {
		t.Error(err)
	}
}

// broken is a way to break one rule of Verify.
type broken struct {
	rule    int
	replace []string         // in the text of testdata/small.plan
	change  func(*plan.Plan) // what text cannot say
	want    string           // in the problem
}

// two makes it a plan of two ranks.
func two(p *plan.Plan) {
	p.Mesh, p.Training.Sequences = []plan.Axis{{Name: "data", Degree: 2}}, 2*p.Training.Sequences
}

// four gives a plan two axes of two ranks.
func four(p *plan.Plan) {
	two(p)
	p.Mesh = append(p.Mesh, plan.Axis{Name: "tensor", Degree: 2})
}

func edit(pairs ...string) []string { return pairs }

// program finds a program of the only stage.
func program(p *plan.Plan, name string) *plan.Program { return p.Stages[0].Program(name) }

// instruction finds an instruction by its name.
func instruction(p *plan.Plan, inProgram, name string) *plan.Instruction {
	list := program(p, inProgram).Instructions
	return &list[slices.IndexFunc(list, func(in plan.Instruction) bool { return in.Name == name })]
}

const (
	embedLine  = "  embedding embed ids=%16 table=%8 y=%18 from small.cue:2:3\n"
	lossLine   = "  cross_entropy loss logits=%22 labels=%17 loss=%23 lse=%24 {ignore_index=-100} from small.cue:6:3\n"
	trainCalls = "schedule train length 4\n  call forward\n  call backward\n  call forward micro_batch 1\n  call backward.add micro_batch 1\n  call update\n"
	updateW    = "  adamw w weight=%9 grad=%15 m=%12 v=%13 rate=%5 step=%6 factor=%3 {epsilon=1e-08 beta1=0.9 beta2=0.95 rate_scale=1} if %4 from small.cue:7:3\n"
)

var brokenForm = []broken{
	{1, nil, func(p *plan.Plan) { p.Version = 9 }, "version 9, but this gsc reads version 1"},
	{1, edit(`gsc plan 1 "small"`, `gsc plan 1 ""`), nil, "no name"},
	{1, edit("device cpu", "device gpu"), nil, `unknown device kind "gpu": use one of cpu`},
	{1, nil, func(p *plan.Plan) { p.Stages = nil }, "0 stages"},
	{1, nil, func(p *plan.Plan) { p.Stages = append(p.Stages, p.Stages[0]) }, "2 stages"},

	{2, edit("if %4 from small.cue:7:3", "from small.cue:7:3", "beta1=0.9", "beta1=NaN"), nil, "instructions[3].attrs.beta1 is NaN"},
	{2, nil, func(p *plan.Plan) { p.Training.Rate.Peak = math.Inf(1) }, "training.rate.peak is +Inf"},
	{2, nil, func(p *plan.Plan) { p.Data.Files[0].Path = "a\xff" }, `data.files[0].path = "a\xff" is not UTF-8`},
	{2, nil, func(p *plan.Plan) { p.Model.Config = []byte("{") }, "model.config is not JSON"},

	{3, edit("strategy 0123456789abcdef", "mesh [data 2, data 2]"), nil, `axis "data" stands twice`},
	{3, edit("strategy 0123456789abcdef", "mesh [data 0]"), nil, `axis "data" has degree 0`},
	{3, edit("strategy 0123456789abcdef", "mesh [data 1]"), nil, `axis "data" has degree 1`},
	{3, edit("strategy 0123456789abcdef", "mesh [time 2]"), nil, `unknown axis "time"`},

	{4, edit("  device 2816\n", "  device 2816\n  device 2816\n"), nil, "two arenas in space device"},
	{4, edit("  device 2816\n", "  device -1\n"), nil, "size -1 is outside"},
	{4, edit("reserve 41943040", "reserve -5"), nil, "-5 bytes reserved for process"},
	{4, nil, func(p *plan.Plan) { p.Arenas[0].SizeBytes = math.MaxInt64 }, "is outside"},

	{5, edit("  %18 x", "  %99 x"), nil, "buffer 18 x: ID 99 is not its index"},
	{5, edit("%18 x activation", "%18 x activated"), nil, `unknown class "activated"`},
	{5, nil, func(p *plan.Plan) { p.Stages[0].Buffers[18].DType = kernels.Invalid }, "unknown type invalid"},
	{5, nil, func(p *plan.Plan) { p.Stages[0].Buffers[18].Space = 77 }, "unknown space"},
	{5, edit("%8 table weight f32 [vocab 8, embed 4] device @0x200 lasting", "%8 table weight f32 [vocab 8, embed 4] device @0x200"), nil, "lasting = false does not go with class weight"},
	{5, edit("[batch 1, seq 4, embed 4] device @0x780", "[batch 1, seq 4, embed 4] device @0x780 lasting"), nil, "lasting = true does not go with class activation"},
	{5, edit("device @0x200 lasting", "device @0x200 lasting slotted"), nil, "what lasts has no slots"},
	{5, edit("[batch 1, seq 4, embed 4] device @0x780", "[batch 1, seq 0, embed 4] device @0x780"), nil, "must be at most 16, positive"},
	{5, edit("[batch 1, seq 4, embed 4] device @0x780", "[batch 4611686018427387904, seq 4, embed 4] device @0x780"), nil, "must be at most 16, positive"},

	{6, edit("stage slots 1", "stage slots 0"), nil, "0 slots"},
	{6, edit("stage slots 1", "stage slots 2 bytes 63"), nil, "2 slots of 63 bytes"},
	{6, edit("device 2816", "device 2815", "device @0xac0", "device @0xb00"), nil, "28 attn.grad.workspace: 16 bytes at offset 0xb00 do not fit into the arena of 2815 bytes"},
	{6, edit("%18 x activation f32 [batch 1, seq 4, embed 4] device @0x780", "%18 x activation f32 [batch 1, seq 4, embed 4] device @0x784"), nil, "offset 0x784 is not a multiple of 64"},
	{6, edit("%18 x activation f32 [batch 1, seq 4, embed 4] device", "%18 x activation f32 [batch 1, seq 4, embed 4] pinned"), nil, "no arena in space pinned"},
	{6, nil, func(p *plan.Plan) { p.Stages[0].Buffers[18].Offset = math.MaxInt64 - 63 }, "do not fit"},
	{6, nil, func(p *plan.Plan) { p.Stages[0].Buffers[18].Offset = -64 }, "offset -0x40"},
}

var brokenReferences = []broken{
	{7, edit("weight w %9", "weight table %9"), nil, `tensor "table" stands twice`},
	{7, edit("of table init zeros", "of table init zeros terms"), nil, "tensor table.m: its terms [8 4] are not one for each of the 1 ranks that take rows"},
	{7, edit("optimizer w.v %13", "optimizer w.v %12"), nil, "tensors w.m and w.v share buffer %12"},
	{7, edit("optimizer w.v %13", "optimizer w.v %12"), nil, "buffer 13 w.v: class optimizer, but no tensor is kept in it"},
	{7, edit("weight w %9", "activation w %9"), nil, `class "activation" is neither weight nor optimizer`},
	{7, edit("weight w %9", "weight w %99"), nil, "there is no buffer %99"},
	{7, edit("weight w %9 f32", "weight w %9 f64"), nil, "does not go with buffer %9"},
	{7, edit("weight table %8 f32 [vocab 8, embed 4]", "weight table %8 f32 [vocab 8, embed 5]"), nil, "does not go with buffer %8"},
	{7, edit("stored [4,12]", "stored [4,13]"), nil, "[4 13] in a model folder is not a shape of [4 3 1 4]"},
	{7, edit("of w init zeros", "of x init zeros"), nil, `state of "x", which is no weight`},
	{7, edit("init normal std=0.02 from small.cue:2:3", "init gaussian std=0.02 from small.cue:2:3"), nil, "use one of zeros, ones"},

	{8, edit("  norm %2", "  loss %2"), nil, `scalar "loss" stands twice`},
	{8, edit("  norm %2", "  norm %0"), nil, "scalar norm shares buffer %0"},
	{8, edit("  norm %2", "  norm %0"), nil, "buffer 2 norm: class scalar, but no scalar is kept in it"},
	{8, edit("  norm %2", "  norm %99"), nil, "scalar norm: there is no buffer %99"},
	{8, edit("  norm %2", "  norm %8"), nil, "want a scalar of one element"},
	{8, edit("%0 loss scalar f64", "%0 loss scalar i64"), nil, "type i64, want f64"},
	{8, edit("%3 factor scalar f64", "%3 factor scalar f32"), nil, "type f32, want f64"},

	{9, edit("program backward.add", "program backward"), nil, `program "backward" stands twice`},
	{9, nil, func(p *plan.Plan) { program(p, "forward").Inputs[0].Buffer = 99 }, "port tokens: there is no buffer %99"},
	{9, edit("  input labels %17", "  input tokens %17"), nil, `port "tokens" (%17) stands twice`},
	{9, edit("  input labels %17", "  input labels %18"), nil, "%18 x has class activation, want input"},
	{9, edit("program update", "program update length -1"), nil, "length -1 is negative"},

	{10, edit(`objective: "cross_entropy"`, `objective: "hinge"`), nil, `unknown objective "hinge"`},
	{10, edit(`rate.kind: "cosine"`, `rate.kind: "cosin"`), nil, `unknown kind "cosin"`},
	{10, edit(`rate.kind: "cosine"`, `rate.kind: "table"`), nil, "a table without rates"},
	{10, edit("steps: 10", "steps: -10"), nil, "must not be negative"},
	{10, edit("sequences: 2", "sequences: 3"), nil, "3 sequences do not divide into 2 micro-batches"},
	{10, edit("micro_batches: 2", "micro_batches: 0"), nil, "do not divide into 0 micro-batches"},
	{10, edit("\ntensors\n", "\nplugins\n  loss mine 1.0 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef colours memory 65536 time 1000 file mine.wasm {}\n\ntensors\n"), nil, `unknown targets "colours"`},
	{10, edit("\ntensors\n", "\nplugins\n  codec mine 1.0 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef classes memory 65536 time 1000 file mine.wasm {}\n\ntensors\n"), nil, "a codec has no targets"},
	{10, edit("\ntensors\n", "\nplugins\n  loss mine 1.0 0123 classes memory 65536 time 1000 file mine.wasm {}\n\ntensors\n"), nil, `its digest "0123" is no sha256`},
	{10, edit("\ntensors\n", "\nplugins\n  loss mine 1.0 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef classes memory 0 time 1000 file mine.wasm {}\n\ntensors\n"), nil, "it has no file, memory or time"},
	{10, edit("\ntensors\n", "\nplugins\n  sieve mine 1.0 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef classes memory 65536 time 1000 file mine.wasm {}\n\ntensors\n"), nil, `unknown kind "sieve"`},
	{10, edit(`  rows: "stream"`, "  transforms: [{\"plugin\":\"mine\",\"on\":\"rows\",\"splits\":[\"train\"]}]\n  rows: \"stream\""), nil, `data: the plan has no plugin "mine" that transforms`},
	{10, edit("\ntensors\n", "\nplugins\n  transform mine 1.0 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef \"\" memory 65536 time 1000 file mine.wasm {}\n\ntensors\n"), nil, "plugin mine: no data go through it"},
	{10, edit("\ntensors\n", "\ncompressions\n  {\"tensor\":\"v\",\"kind\":\"linear\",\"in\":4,\"out\":12,\"bits\":8,\"quantize_from\":1}\n\ntensors\n"), nil, `compression of "v": it is no weight`},
	{10, edit("\ntensors\n", "\ncompressions\n  {\"tensor\":\"w\",\"kind\":\"linear\",\"in\":4,\"out\":13,\"bits\":8,\"quantize_from\":1}\n\ntensors\n"), nil, `13 × 4 are not its elements`},
	{10, edit("\ntensors\n", "\ncompressions\n  {\"tensor\":\"w\",\"kind\":\"linear\",\"in\":4,\"out\":12,\"bits\":8,\"quantize_from\":1}\n\ntensors\n"), nil, `there is no tensor w.dense`},
	{10, edit("\ntensors\n", "\ncompressions\n  {\"tensor\":\"w\",\"kind\":\"linear\",\"in\":4,\"out\":12,\"bits\":7,\"quantize_from\":1}\n\ntensors\n"), nil, `7 bits and groups of 0 do not go with 4 elements`},
	{10, edit("\ntensors\n", "\ncompressions\n  {\"tensor\":\"w\",\"kind\":\"linear\",\"in\":4,\"out\":12,\"bits\":8,\"group\":3,\"quantize_from\":1}\n\ntensors\n"), nil, `8 bits and groups of 3 do not go with 4 elements`},
	{10, edit("\ntensors\n", "\ncompressions\n  {\"tensor\":\"w\",\"kind\":\"linear\",\"in\":4,\"out\":12,\"pattern\":\"diagonal\",\"sparsity\":0.5,\"begin\":1,\"end\":1,\"every\":1}\n\ntensors\n"), nil, `the pattern "diagonal" does not go with`},
	{10, edit("\ntensors\n", "\ncompressions\n  {\"tensor\":\"w\",\"kind\":\"linear\",\"in\":4,\"out\":12,\"pattern\":\"neighbours\",\"sparsity\":0.5,\"begin\":1,\"end\":1,\"every\":1}\n\ntensors\n"), nil, `the pattern "neighbours" does not go with`},
	{10, edit("\ntensors\n", "\ncompressions\n  {\"tensor\":\"w\",\"kind\":\"linear\",\"in\":4,\"out\":12,\"pattern\":\"heads\",\"sparsity\":0.5,\"begin\":1,\"end\":1,\"every\":1}\n\ntensors\n"), nil, `0 heads, and runs of 0`},
	{10, edit("\ntensors\n", "\ncompressions\n  {\"tensor\":\"w\",\"kind\":\"linear\",\"in\":4,\"out\":12,\"pattern\":\"rows\",\"sparsity\":0.5,\"begin\":1,\"end\":1}\n\ntensors\n"), nil, `its steps or its sparsity make no sense`},
	{10, edit("\ntensors\n", "\ncompressions\n  {\"tensor\":\"w\",\"kind\":\"linear\",\"in\":4,\"out\":12,\"plugin\":\"mine\",\"pattern\":\"rows\",\"sparsity\":0.5}\n\ntensors\n"), nil, `the plan has no policy "mine"`},

	{11, edit("  length: 4\n", "  length: 4\n  buckets: [4,2]\n"), nil, "length buckets [4 2]"},
	{11, edit("  length: 4\n", "  length: 4\n  buckets: [2,4]\n"), nil, "has no schedule train for rows of 2 tokens"},
	{11, edit("schedule decode", "schedule dekode"), nil, "schedule dekode: unknown kind"},
	{11, edit("schedule decode", "schedule evaluate"), nil, "another one of its kind is for the same length"},
	{11, edit("  call decode", "  call decoder"), nil, `there is no program "decoder"`},
	{11, edit("  call decode", "  call decoder"), nil, "program decode: no schedule calls it"},
	{11, edit("program evaluate length 4", "program evaluate length 8"), nil, "program evaluate is for length 8"},
	{11, edit("  call update", "  call update slot 1"), nil, "call of update: slot 1 of 1"},
	{11, edit("  call backward.add micro_batch 1", "  call backward.add micro_batch 2"), nil, "micro-batch 2 of 2"},
	{11, edit("micro_batch 1", "micro_batch 0"), nil, "no call takes micro-batch 1 of 2"},
	{11, edit("  call decode", ""), nil, "schedule decode: it calls nothing"},
	{11, edit("micro_batches: 2\n", "micro_batches: 2\n  uncoded: 3\n"), nil, "stage 0 has no schedule uncoded for rows of 4 tokens"},
	{11, edit(trainCalls, trainCalls+strings.Replace(trainCalls, "train", "uncoded", 1)), nil, "stage 0 has a schedule uncoded, but no step runs it"},
	{11, edit("micro_batches: 2\n", "micro_batches: 2\n  uncoded: 3\n", trainCalls, trainCalls+"schedule uncoded length 4\n  call forward\n  call backward\n  call update\n"), nil,
		"schedule uncoded for length 4: no call takes micro-batch 1 of 2"},
	{10, edit("micro_batches: 2\n", "micro_batches: 2\n  uncoded: -1\n"), nil, "-1 steps without codes must not be negative"},

	{12, edit("%16 tokens input i32 [batch 1, seq 4]", "%16 tokens input i32 [batch 2, seq 2]"), nil, "input tokens has shape [2 2], but a rank takes 1 rows of a micro-batch"},
	{12, edit("%16 tokens input i32 [batch 1, seq 4]", "%16 tokens input i32 [batch 1, seq 2, half 2]"), nil, "input tokens has shape [1 2 2], want [1 4]"},
}

var brokenOperands = []broken{
	{13, nil, func(p *plan.Plan) { instruction(p, "forward", "qkv").Operands[0].Buffer = 99 }, "operand a: there is no buffer %99"},
	{13, nil, func(p *plan.Plan) { instruction(p, "forward", "qkv").Operands[0].Buffer = -2 }, "operand a: there is no buffer %-2"},
	{13, nil, func(p *plan.Plan) { instruction(p, "forward", "qkv").Operands[2].Shape = []int{4} }, "operand bias is absent, but has"},
	{13, edit("if %4", "if %3"), nil, "predicate: %3 factor is of class scalar and type f64, want an i64 scalar"},
	{13, nil, func(p *plan.Plan) { instruction(p, "update", "w").Predicate = 1000 }, "predicate: there is no buffer %999"},
	{13, edit("ids=%16 table", "ids=%16<%18 table"), nil, "operand ids: bound: %18 x is of class activation"},

	{14, edit("k=%19+4[", "k=%19+44["), nil, "operand k: 40 elements from element 44 do not lie within %19 qkv, which has 48"},
	{14, edit("a=%18[4,4] b=%9[4,12] c=%19[4,12]", "a=%18[4,5] b=%9[5,12] c=%19[4,12]"), nil, "operand a: 20 elements from element 0 do not lie within %18 x"},
	{14, edit("a=%18[4,4] b=%9[4,12] c=%19[4,12]", "a=%18[0,4] b=%9[4,12] c=%19[0,12]"), nil, "shape [0 4]"},
	{14, edit("q=%19[1,4,1,4]/[48,12,4,1]", "q=%19[1,4,1,4]/[48,4611686018427387904,4,1]"), nil, "is no view"},
	{14, edit("q=%19[1,4,1,4]/[48,12,4,1]", "q=%19[1,4,1,4]/[48,12]"), nil, "is no view"},

	{15, edit("a=%18[4,4] b=%9[4,12] c=%19[4,12]", "a=%18[2,8] b=%9[4,12] c=%19[4,12]"), nil, "K = 4, but an operand before it has K = 8"},
	{15, edit("embedding embed ids=%16 table=%8", "embedding embed ids=%16"), nil, "operand table: missing"},
	{15, edit("ids=%16 table=%8 y=%18 from", "ids=%18 table=%8 y=%18 from"), nil, "operand ids: type f32, want i32"},
	{15, edit("program update\n", "program update\n  all_reduce r x=%14 y=%14 {axis=data}\n"), nil, `axis "data": the mesh has no such axis`},
	{15, edit("program update\n", "program update\n  all_reduce r x=%14 y=%14\n"), nil, "a collective needs an axis"},
	{15, edit("program update\n", "program update\n  reduce_scatter r x=%14[32] y=%15[48] {axis=data}\n"), two, "reduce_scatter of x [32] among 2 ranks does not give y [48]"},
	{15, edit("program update\n", "program update\n  all_gather g x=%14[3] y=%14[3] {axis=data}\n"), two, "all_gather of x [3] among 2 ranks does not give y [3]"},
	{15, edit("program update\n", "program update\n  ring_shift r x=%14[32] y=%15[48] {axis=data}\n"), two, "ring_shift of x [32] among 2 ranks does not give y [48]"},
	{19, edit("program update\n", "program update\n  ring_shift r x=%14 y=%14 {axis=data}\n"), two, "operand y (%14 grad.table) overlaps operand x (%14 grad.table), which ring_shift does not allow"},
	{13, edit("x=%14 total=%30", "x=%14@data[16] total=%30"), nil, `it is a part along "data", and the mesh has no such axis`},
	{14, edit("x=%14 total=%30", "x=%14@data[32] total=%30"), two, "32 elements from element 32 do not lie within"},
	{15, edit("program update\n", "program update\n  all_reduce r x=%14 y=%14 {axis=data} if %4\n"),
		two, "a collective with a predicate"},
	{15, edit(lossLine, "  plugin_loss loss logits=%22 labels=%17 loss=%23 {plugin=mine ignore_index=-100} from small.cue:6:3\n"), nil, `the plan has no plugin "mine"`},
	{15, edit(lossLine, "  plugin_loss loss logits=%22 labels=%17 loss=%23 {plugin=mine ignore_index=-100} from small.cue:6:3\n", "\ntensors\n", "\nplugins\n  codec mine 1.0 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef \"\" memory 65536 time 1000 file mine.wasm {}\n\ntensors\n"), nil, "plugin mine is a codec, not a loss"},
	{15, edit(lossLine, "  plugin_loss loss logits=%22 labels=%17 loss=%23 {plugin=mine ignore_index=-100} from small.cue:6:3\n", "\ntensors\n", "\nplugins\n  loss mine 1.0 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef values memory 65536 time 1000 file mine.wasm {}\n\ntensors\n"), nil, "plugin mine compares with values"},
	{15, edit("{ignore_index=-100}", "{ignore_index=-100 alpha=2}"), nil, "takes no attribute alpha"},
	{15, nil, func(p *plan.Plan) { instruction(p, "forward", "qkv").Op = 250 }, "unknown operation 250"},
	{15, nil, func(p *plan.Plan) {
		in := instruction(p, "forward", "qkv")
		in.Operands = in.Operands[:3]
	}, "matmul has 7 operands, not 3"},

	{16, edit("device cpu", "device ref"), nil, "type f32, but device kind ref computes in f64"},
	{16, edit("  device 2816\n", "  device 2816\n  pinned 2816\n", "[batch 1, seq 4, embed 4] device @0x780", "[batch 1, seq 4, embed 4] pinned @0x780"), nil, "%18 x lies in pinned memory, where only a copy works"},
	{16, edit("workspace=%28 ", ""), nil, "operand workspace has 0 bytes, but device kind cpu needs 16"},
	{16, edit("[byte 16]", "[byte 15]"), nil, "operand workspace has 15 bytes, but device kind cpu needs 16"},

	{17, edit("optimizer table.m", "weight moved %10 f32 [vocab 8, embed 4] init zeros frozen\n  optimizer table.m",
		"  optimizer table.m %10 f32 [vocab 8, embed 4] of table init zeros\n", "", "%10 table.m optimizer", "%10 moved weight"), nil, "operand m: it writes %10 moved, which is frozen"},
	{17, edit(updateW, updateW+strings.Replace(updateW, "adamw w ", "adamw w.again ", 1)), nil, "operand weight: it writes %9 w, which w (program update, instruction 4) writes already"},
}

var brokenMemory = []broken{
	{18, edit("[batch 1, seq 4, embed 4] device @0x780", "[batch 1, seq 4, embed 4] device @0x540"), nil, "buffer 18 x overlaps %13 w.v, which lasts"},
	{18, edit("%13 w.v optimizer f32 [embed 4, part 3, heads 1, head 4] device @0x500", "%13 w.v optimizer f32 [embed 4, part 3, heads 1, head 4] device @0x540"), nil, "buffer 14 grad.table overlaps %13 w.v, which lasts"},
	{18, edit("%13 w.v optimizer f32 [embed 4, part 3, heads 1, head 4] device @0x500", "%13 w.v optimizer f32 [embed 4, part 3, heads 1, head 4] device @0x440"), nil, "overlaps %12 w.m, which lasts"},
	{18, edit("%37 o activation f32 [batch 1, seq 1, heads 1, head 4] device @0x700", "%37 o activation f32 [batch 1, seq 1, heads 1, head 4] device @0x6c0"), nil, "buffer 37 o overlaps the cache %36 cache.v, which generation keeps"},

	{19, edit("[batch 1, seq 4, part 3, heads 1, head 4] device @0x7c0", "[batch 1, seq 4, part 3, heads 1, head 4] device @0x780"), nil,
		"instruction 1 (qkv): operand c (%19 qkv) overlaps operand a (%18 x), which matmul does not allow"},
	{19, edit("%24 rows.lse activation f32 [batch 1, seq 4] device @0x9c0", "%24 rows.lse activation f32 [batch 1, seq 4] device @0x980"), nil, "operand loss (%23 rows) overlaps operand lse (%24 rows.lse)"},
	{19, edit("device @0x900\n  %26", "device @0x940\n  %26", "%26 d.o workspace f32 [batch 1, seq 4, heads 1, head 4] device @0x980", "%26 d.o workspace f32 [batch 1, seq 4, heads 1, head 4] device @0x9c0"), nil,
		"operand dlogits (%25 d.logits) overlaps operand logits (%22 logits), which cross_entropy_grad does not allow"},
	{19, edit("dv=%27+8[", "dv=%27+4["), nil, "operand dk (%27 d.qkv) overlaps operand dv (%27 d.qkv)"},
	{19, edit("total=%30 norm=%2 factor=%3", "total=%30 norm=%3 factor=%3"), nil, "operand norm (%3 factor) overlaps operand factor (%3 factor)"},

	{20, edit("%27 d.qkv workspace f32 [batch 1, seq 4, part 3, heads 1, head 4]", "%27 d.qkv workspace f32 [batch 1, seq 4, part 3, heads 1, head 4, more 1]",
		"dq=%27[1,4,1,4]/[48,12,4,1]", "dq=%27[1,4,1,4]/[48,11,4,1]"), nil, "operand dq: it writes [1 4 1 4] with strides [48 11 4 1] of %27 d.qkv, which are not rows"},

	{21, edit(embedLine, ""), nil, "instruction 0 (qkv): operand a: %18 x is read before it is written"},
	{21, edit("  input labels %17\n", ""), nil, "operand labels: %17 labels is read before it is written, in schedule train for length 4"},
	{21, edit("%30 norm.squares workspace f64 [] device @0x780", "%30 norm.squares workspace f64 [] device @0x640"), nil,
		"instruction 1 (norm.w): operand x: %15 grad.w is read, but its bytes were reused by norm.table (program update, instruction 0)"},
	{21, edit("%29 d.x workspace f32 [batch 1, seq 4, embed 4] device @0x880", "%29 d.x workspace f32 [batch 1, seq 4, embed 4] device @0x700"), nil,
		"operand ids: %16 tokens is read, but its bytes were reused by qkv.grad.x"},
	{21, edit("%16 tokens input i32 [batch 1, seq 4] device @0x700", "%16 tokens input i32 [batch 1, seq 4] device @0x740"), nil,
		"operand ids: %16 tokens is read, but its bytes were reused by the filling of the inputs of program forward"},
	{21, edit("norm.table x=%14 total=%30", "norm.table x=%14 total=%30 {accumulate}"), nil, "operand total: %30 norm.squares is read"},
	{21, edit("c=%14 {trans_a}", "c=%14 {trans_a accumulate}"), nil, "instruction 2 (head.grad.w): operand c: %14 grad.table is read before it is written"},
	{21, edit("c=%19[4,12] from", "c=%19[4,8]/[12,1] from", "b=%9[4,12] c=%19", "b=%9[4,8]/[12,1] c=%19"), nil,
		"operand v: %19 qkv is read, but only a part of what is read was written"},
	{21, edit("total=%30 norm=%2 factor=%3 finite=%4 {max_norm=1}", "total=%30 norm=%2 factor=%3 finite=%4 {max_norm=1}",
		"x=%14 total=%30 from", "x=%14 total=%30 if %4 from"), nil, "operand total: %30 norm.squares is read, but it is written only while %4 finite is not 0"},
	{21, edit("  sum_squares norm.w x=%15 total=%30 {accumulate} from", "  clip_factor early total=%3 norm=%2 factor=%5 finite=%4 {max_norm=1}\n  sum_squares norm.w x=%15 total=%30 {accumulate} if %4 from",
		"x=%14 total=%30 from", "x=%14 total=%30 if %4 from"), nil, "operand total: %30 norm.squares is read, but its bytes were reused by early"},

	{22, edit("  argmax predictions x=%22 y=%31 from small.cue:6:3\n", ""), nil, "program evaluate: output predictions: %31 predictions is read before it is written"},
	{22, edit("%31 predictions activation i32 [batch 1, seq 4] device @0xa00", "%31 predictions activation i32 [batch 1, seq 8] device @0x900", "x=%22 y=%31", "x=%22 y=%31[1,4]"), nil, "output logits: %22 logits is read, but its bytes were reused by predictions"},
}

var brokenOrder = []broken{
	{23, edit("ids=%16 table=%8 y=%18 from", "ids=%16 table=%8 y=%18 wait 1 from"), nil, "it waits for event 1, which no instruction before it signals"},
	{23, edit("ids=%16 table=%8 y=%18 from", "ids=%16 table=%8 y=%18 signal 1 from", lossLine, strings.Replace(lossLine, " from", " signal 1 from", 1)), nil, "it signals event 1, which instruction 0 signals already"},
	{23, edit("ids=%16 table=%8 y=%18 from", "ids=%16 table=%8 y=%18 signal -1 from"), nil, "events count from 1"},
	{23, edit("ids=%16 table=%8 y=%18 from", "ids=%16 table=%8 y=%18 stream 64 from"), nil, "stream 64 is outside [0, 64)"},

	{23, edit("program update\n", "program update\n  all_reduce r x=%14 y=%14 {axis=data} stream 1\n  all_reduce s x=%15 y=%15 {axis=tensor} stream 1\n"), four,
		"it is along tensor on stream 1, where others are along data"},
	{23, edit("program update\n", "program update\n  all_reduce r x=%14 y=%14 {axis=data} joined\n"), four, "it is one call with the instruction before it, and there is none"},
	{23, edit("program update\n", "program update\n  all_reduce r x=%14 y=%14 {axis=data}\n  all_reduce s x=%15 y=%15 {axis=tensor} joined\n"), four,
		"all_reduce along tensor on stream 0 is not one call with r, all_reduce along data on stream 0"},
	{23, edit("program update\n", "program update\n  all_reduce r x=%14 y=%14 {axis=data} stream 1\n  all_reduce s x=%15 y=%15 {axis=data} joined\n"), four,
		"all_reduce along data on stream 0 is not one call with r, all_reduce along data on stream 1"},
	{23, edit("program update\n", "program update\n  all_reduce r x=%14 y=%14 {axis=data} signal 1\n  all_reduce s x=%15 y=%15 {axis=data} joined\n"), four,
		"it is one call with r, which signals event 1 before the call has ended"},
	{23, edit("program update\n", "program update\n  zero z y=%30 stream 2 signal 1\n  all_reduce r x=%14 y=%14 {axis=data}\n  all_reduce s x=%15 y=%15 {axis=data} wait 1 joined\n"), four,
		"it waits for events, but is one call with r, which begins all"},
	{19, edit("program update\n", "program update\n  all_reduce r x=%14 y=%14 {axis=data}\n  all_reduce s x=%14 y=%14 {axis=data} joined\n"), four,
		"operand x (%14 grad.table) overlaps operand y (%14 grad.table) of r, which is one call with it"},

	{24, edit("ids=%16 table=%8 y=%18 from", "ids=%16 table=%8 y=%18 stream 1 from"), nil,
		"instruction 1 (qkv): it reads %18 x on stream 0, and instruction 0 (embed) writes the same bytes on stream 1, but no event orders them"},
	{24, edit("c=%15[4,12] {trans_a} from", "c=%15[4,12] {trans_a} stream 1 wait 1 from", "workspace=%28 {causal scale=0.5} from", "workspace=%28 {causal scale=0.5} signal 1 from",
		"x=%15 total=%30 {accumulate}", "x=%15 total=%30 {accumulate} stream 1"), nil, "it writes %30 norm.squares on stream 1, and instruction 0 (norm.table) writes the same bytes on stream 0"},
	{24, edit("rate_scale=1} if %4 from", "rate_scale=1} stream 1 wait 1 if %4 from", "x=%15 total=%30 {accumulate} from", "x=%15 total=%30 {accumulate} signal 1 from"), nil,
		"instruction 3 (table): it reads %4 finite on stream 1, and instruction 2 (norm) writes the same bytes on stream 0, but no event orders them"},
}

func TestVerifyRefuses(t *testing.T) {
	seen := map[int]bool{}
	for _, list := range [][]broken{brokenForm, brokenReferences, brokenOperands, brokenMemory, brokenOrder} {
		for _, b := range list {
			seen[b.rule] = true
			t.Run(b.want, func(t *testing.T) {
				p := small(t, b.replace...)
				if b.change != nil {
					b.change(p)
				}
				err := p.Verify()
				if err == nil || !strings.Contains(err.Error(), b.want) {
					t.Errorf("rule %d: want %q, got: %v", b.rule, b.want, err)
				}
			})
		}
	}
	for rule := 1; rule <= 24; rule++ {
		if !seen[rule] {
			t.Errorf("no case breaks rule %d", rule)
		}
	}
}

// One mistake gives one problem, with its place and position.
func TestProblemsNameTheirPlace(t *testing.T) {
	err := small(t, "workspace=%28 {causal scale=0.5} from", "{causal scale=0.5} from").Verify()
	var problems *plan.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("want *plan.Problems, got %v", err)
	}
	const want = `plan "small" is not sound:
stage 0: program backward: instruction 3 (attn.grad): operand workspace has 0 bytes, but device kind cpu needs 16
    small.cue:4:3
stage 0: program backward.add: instruction 3 (attn.grad): operand workspace has 0 bytes, but device kind cpu needs 16
    small.cue:4:3`
	if err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestProblemsAreCounted(t *testing.T) {
	p := small(t)
	in := instruction(p, "forward", "embed")
	in.Operands[0].Buffer = 99
	for range 100 {
		program(p, "forward").Instructions = append(program(p, "forward").Instructions, *in)
	}
	var problems *plan.Problems
	if !errors.As(p.Verify(), &problems) || len(problems.List) != plan.MaxProblems || problems.More != 51 {
		t.Errorf("want %d problems and 51 more, got %d and %d", plan.MaxProblems, len(problems.List), problems.More)
	}
}

// What events order may run on several streams; parts of one buffer need none between them.
func TestVerifyAdmitsStreams(t *testing.T) {
	p := small(t,
		"c=%26[4,4] from", "c=%26[4,4] signal 3 from",
		"weight=%1 dlogits=%25 {ignore_index=-100} from", "weight=%1 dlogits=%25 {ignore_index=-100} signal 1 from",
		"c=%14 {trans_a} from", "c=%14 {trans_a} stream 1 wait 1 signal 2 from",
		"c=%14 {trans_a accumulate} from", "c=%14 {trans_a accumulate} stream 1 wait 1 signal 2 from",
		"dtable=%14 {accumulate} from", "dtable=%14 {accumulate} stream 2 wait 2,4 from",
		"c=%29[4,4] {trans_b} from", "c=%29[4,4] {trans_b} wait 2 signal 4 from")
	if err := p.Verify(); err != nil {
		t.Error(err)
	}
}
