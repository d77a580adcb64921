package gsc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
)

// BenchOptions say what is timed.
type BenchOptions struct {
	Options
	Steps    int    // to time; each is run once without clocks around its instructions and once with them
	Generate bool   // one token after another at the end of the context, instead of training steps
	Weights  string // that generation works with: WeightsTrained or WeightsInt8; empty: the former
}

// Benchmark is what a plan took, beside what its profile predicts. A step is a training step or, when generating, a token.
type Benchmark struct {
	Name          string    `json:"name"`
	Mode          string    `json:"mode"` // "train" or "generate"
	Device        string    `json:"device"`
	Profile       string    `json:"profile"`
	Threads       int       `json:"threads"`
	TokensPerStep int64     `json:"tokens_per_step"`
	Steps         []float64 `json:"steps_seconds"`
	Median        float64   `json:"median_seconds"`
	Clocked       float64   `json:"clocked_median_seconds"` // with a clock around every instruction
	Predicted     float64   `json:"predicted_seconds"`

	PlanFlops          float64 `json:"plan_flops_per_step"`  // of all operations
	ModelFlops         float64 `json:"model_flops_per_step"` // 6·N·tokens + 12·L·C·T·tokens when training, a third of it when generating
	PeakFlops          float64 `json:"peak_flops"`           // of multiply-adds in registers, at their best moment
	SustainedFlops     float64 `json:"sustained_flops"`      // and over a third of a second, before, between and after the steps
	ReadBytesPerSecond float64 `json:"read_bytes_per_second"`
	WeightBytes        int64   `json:"weight_bytes"` // that a step reads, each use counted
	RSSBytes           int64   `json:"rss_bytes"`
	PredictedRSSBytes  int64   `json:"predicted_rss_bytes"`

	Operations   []BenchRow `json:"operations"`
	Instructions []BenchRow `json:"-"`
}

// BenchRow is what one instruction, or several of one kind, took in a step.
type BenchRow struct {
	Op        string  `json:"op"`
	Shape     string  `json:"shape"`
	Program   string  `json:"program,omitempty"`
	Name      string  `json:"name,omitempty"` // of a single instruction
	Calls     int     `json:"calls"`
	Seconds   float64 `json:"seconds"`
	Predicted float64 `json:"predicted_seconds"`
	Flops     float64 `json:"flops"`
	Bytes     int64   `json:"bytes"`
}

// ceilings are what a device can measure of its own limits.
type ceilings interface {
	PeakFlops(kernels.DType) float64
	SustainedFlops(kernels.DType) float64
	ReadBytesPerSecond() (float64, error)
}

// warmupSteps come before those that are timed: they touch all memory for the first time, and wake the workers.
const warmupSteps = 2

// Bench times training steps of a strategy or a plan on its own data, or its generation. No run is begun and nothing is saved.
func Bench(ctx context.Context, path string, o BenchOptions) (*Benchmark, error) {
	if o.Steps < 1 {
		return nil, fmt.Errorf("%d steps: use 1 or more", o.Steps)
	}
	g, err := readGiven(path, o.Options)
	if err != nil {
		return nil, err
	}
	p, err := o.plan(g)
	if err != nil {
		return nil, err
	}
	profile, err := g.profile(p)
	if err != nil {
		return nil, err
	}
	open := func() (*session, error) { return newSession(p, "", g.threads()) }
	if o.Generate {
		open = func() (*session, error) { return bindSession(p, g.threads()) }
	}
	s, err := open()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	b := &Benchmark{Name: p.Name, Mode: "train", Device: p.Device, Profile: profile.Name, Threads: processors(g.threads()),
		TokensPerStep: p.Estimate.TokensPerStep, PredictedRSSBytes: p.ProcessBytes()}
	if o.Generate {
		b.Mode, b.TokensPerStep = "generate", 1
	}
	return b, b.measure(ctx, s, profile, o.Steps)
}

// plan is that of training, or of what generate would do with its weights.
func (o BenchOptions) plan(g *given) (*plan.Plan, error) {
	if o.Weights != "" && !o.Generate {
		return nil, errors.New("--weights is for generation: use it with --generate")
	}
	p, err := g.plan()
	if err != nil || !o.Generate {
		return p, err
	}
	return GenerationPlan(p, cmp.Or(o.Weights, WeightsTrained), Options{Profile: o.Profile, Threads: g.threads()})
}

// measure fills in what is measured, and what is predicted of it.
func (b *Benchmark) measure(ctx context.Context, s *session, profile *compiler.Profile, steps int) error {
	limits, _ := s.device.(ceilings)
	compute := kernels.Kinds[b.Device].Compute
	var sustained []float64
	sample := func() {
		if limits != nil {
			sustained = append(sustained, limits.SustainedFlops(compute))
		}
	}
	if limits != nil {
		b.PeakFlops = limits.PeakFlops(compute)
	}
	sample()
	clocks := runtime.NewClocks(s.machine)
	last := time.Now()
	schedule, err := b.run(ctx, s, clocks, steps, func() {
		if time.Since(last) > sampleEvery {
			sample()
			last = time.Now()
		}
	})
	if err != nil {
		return err
	}
	b.RSSBytes = peakResidentBytes() // before the next line takes a large buffer
	if limits != nil {
		b.PeakFlops = max(b.PeakFlops, limits.PeakFlops(compute))
		sample()
		for _, v := range sustained {
			b.SustainedFlops += v / float64(len(sustained))
		}
		if b.ReadBytesPerSecond, err = limits.ReadBytesPerSecond(); err != nil {
			return err
		}
	}
	stage := &s.plan.Stages[0]
	b.table(stage, clocks.Times(), compiler.Predict(profile, s.plan, schedule, s.plan.RankThreads(b.Threads)))
	b.count(stage, schedule, float64(s.plan.Ranks()))
	return nil
}

// sampleEvery is how far apart, at least, the device is asked between steps what it sustains: another machine shares its processors a second later.
const sampleEvery = time.Second

// run times the steps.
func (b *Benchmark) run(ctx context.Context, s *session, clocks *runtime.Clocks, steps int, between func()) (schedule *plan.Schedule, err error) {
	var plain, clocked []time.Duration
	stage := &s.plan.Stages[0]
	if b.Mode == "generate" {
		schedule = stage.Schedule(plan.Decode, 0)
		if err = s.machine.Start(); err == nil {
			plain, clocked, err = runtime.BenchDecode(ctx, s.machine, clocks, s.plan.Model.Context-1, steps)
		}
	} else {
		schedule = stage.Schedule(plan.Train, s.plan.Data.Length)
		plain, clocked, err = benchTraining(ctx, s, clocks, steps, between)
	}
	if err != nil {
		return nil, err
	}
	for _, d := range plain {
		b.Steps = append(b.Steps, d.Seconds())
	}
	b.Median, b.Clocked = runtime.Median(plain).Seconds(), runtime.Median(clocked).Seconds()
	return schedule, nil
}

func benchTraining(ctx context.Context, s *session, clocks *runtime.Clocks, steps int, between func()) (plain, clocked []time.Duration, err error) {
	bench, err := runtime.NewBench(s.ranks, s.set)
	if err != nil {
		return nil, nil, err
	}
	defer bench.Close()
	return runtime.BenchSteps(ctx, bench, clocks, warmupSteps, steps, between)
}

// table makes a row of each instruction and of each kind of operation.
func (b *Benchmark) table(stage *plan.Stage, times []runtime.Timed, predicted map[string][]float64) {
	for _, t := range times {
		in := t.Instruction
		args := stage.Tensors(in)
		row := BenchRow{Op: in.Op.String(), Program: t.Program, Name: in.Name, Calls: t.Calls, Seconds: t.Time.Seconds()}
		if sizes, err := kernels.Check(in.Op, in.Attrs, args); err == nil { // as it did when the plan was verified
			row.Shape = shapeOf(in, args, sizes)
			row.Flops = float64(t.Calls) * kernels.FlopsOf(in.Op, sizes, in.Attrs)
			row.Bytes = int64(t.Calls) * kernels.TrafficBytes(in.Op, in.Attrs, args)
		}
		if list := predicted[t.Program]; t.Index < len(list) {
			row.Predicted = list[t.Index]
		}
		b.Predicted += row.Predicted
		b.Instructions = append(b.Instructions, row)
	}
	b.Operations = grouped(b.Instructions, func(r BenchRow) BenchRow { return BenchRow{Op: r.Op, Shape: r.Shape} })
	slices.SortStableFunc(b.Instructions, slower)
}

// shapeOf says by which sizes the operation's calls differ in speed: those of a product or of attention; of an activation, its kind.
func shapeOf(in *plan.Instruction, args []kernels.Tensor, s kernels.Sizes) string {
	k := compiler.KeyOf(in.Op, in.Attrs, args, s)
	switch in.Op {
	case kernels.MatMul, kernels.MatMulInt8:
		return fmt.Sprintf("%d×%d×%d %s", s["M"], s["N"], s["K"], k.Form)
	case kernels.Attention, kernels.AttentionGrad:
		return fmt.Sprintf("%d×%d×%d×%d %s", s["B"], s["H"], s["T"], s["D"], k.Form)
	}
	return k.Form
}

// grouped adds up the rows that share what key leaves of them, the slowest group first.
func grouped(rows []BenchRow, key func(BenchRow) BenchRow) []BenchRow {
	var list []BenchRow
	at := map[BenchRow]int{}
	for _, r := range rows {
		k := key(r)
		i, known := at[k]
		if !known {
			i = len(list)
			at[k] = i
			list = append(list, k)
		}
		sum := &list[i]
		sum.Calls += r.Calls
		sum.Seconds += r.Seconds
		sum.Predicted += r.Predicted
		sum.Flops += r.Flops
		sum.Bytes += r.Bytes
	}
	slices.SortStableFunc(list, slower)
	return list
}

func slower(a, b BenchRow) int { return cmp.Compare(b.Seconds, a.Seconds) }

// count counts the arithmetic of a step in both ways, and the weights it reads.
func (b *Benchmark) count(stage *plan.Stage, s *plan.Schedule, ranks float64) {
	for _, r := range b.Instructions {
		b.PlanFlops += ranks * r.Flops
	}
	perForward := 1.0
	if s.Kind == plan.Train {
		perForward = 3 // the backward pass is two products for each of the forward one
	}
	for _, c := range s.Calls {
		p := stage.Program(c.Program)
		forward := s.Kind != plan.Train || len(p.Inputs) > 0 // backward and update take no input from the data
		for i := range p.Instructions {
			flops, bytes := modelCount(stage, &p.Instructions[i])
			b.WeightBytes += bytes
			if forward {
				b.ModelFlops += ranks * perForward * flops
			}
		}
	}
}

// modelCount is the arithmetic of a forward instruction as models are compared by: products with weights, and attention
// over all T×T scores, seen or not; and the bytes of weights that it reads.
func modelCount(stage *plan.Stage, in *plan.Instruction) (flops float64, weightBytes int64) {
	args := stage.Tensors(in)
	sizes, err := kernels.Check(in.Op, in.Attrs, args)
	if err != nil {
		return 0, 0
	}
	attrs := in.Attrs
	if in.Op == kernels.MatMul || in.Op == kernels.MatMulInt8 || in.Op == kernels.Attention {
		attrs.Causal, attrs.Window = false, 0
		flops = kernels.FlopsOf(in.Op, sizes, attrs)
	}
	for i, o := range in.Operands {
		if o.Buffer >= 0 && stage.Buffers[o.Buffer].Class == plan.Weight && kernels.Contracts[in.Op].RoleOf(i, in.Attrs).Reads() && in.Op != kernels.Embedding && in.Op != kernels.EmbeddingInt8 {
			weightBytes += int64(args[i].Len()) * int64(args[i].DType.Size())
		}
	}
	return flops, weightBytes
}
