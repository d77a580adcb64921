package gsc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/runtime/data"
	"github.com/gsc-project/gsc/runtime/data/token"
)

// Axes are the axes of a mesh.
var Axes = plan.Axes

// session is a plan bound to devices, with its data open.
type session struct {
	plan    *plan.Plan
	level   string           // of the devices' kernels; "": the best
	device  kernels.Device   // of the first rank here
	machine *runtime.Machine // and its machine
	ranks   *runtime.Ranks   // all of them; nil where the first is alone
	set     *data.Set
	modules string      // folder of a run that holds its plugins; "": there is none
	plugins *pluginHost // nil: nothing asked for it
	closers []io.Closer // in the order in which they were opened
}

// newSession binds all ranks of a plan, and opens its data. A run's folder, which may not be there yet, holds its plugins.
func newSession(p *plan.Plan, run string, threads int) (*session, error) {
	s := &session{plan: p, modules: run}
	err := s.openData(threads)
	if err == nil {
		err = s.bindRanks(threads)
	}
	return s.bound(err)
}

// bound is the session, unless it could not be bound.
func (s *session) bound(err error) (*session, error) {
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Bind binds all ranks of a plan, each to a device of its own with the kernels of a level ([Levels]); "" takes the best. What it gives
// besides frees them.
func Bind(p *plan.Plan, level string, threads int) (*runtime.Ranks, io.Closer, error) {
	s := &session{plan: p, level: level}
	if _, err := s.bound(s.bindRanks(threads)); err != nil {
		return nil, nil, err
	}
	return s.ranks, s, nil
}

// mostRanks is how many ranks one process runs: some megabytes each, of packed operands, stacks and buffers, are no part of the plan.
const mostRanks = 1024

// bindRanks joins the ranks, which share this process's memory unless it holds but one, and binds each to a device of its own.
func (s *session) bindRanks(threads int) error {
	if Joined() {
		return s.bindRank(threads)
	}
	if n := s.plan.Ranks(); n > mostRanks {
		return fmt.Errorf("the plan has %d ranks, and one process runs %d at most: each takes memory of its own besides the plan's; run it as processes of an MPI, or use a smaller mesh", n, mostRanks)
	}
	all := processors(threads)
	threads = s.plan.RankThreads(all)
	var world *local.World
	machines := make([]*runtime.Machine, 0, s.plan.Ranks())
	look := func(rank int) (int64, string) { return machines[rank].Look() }
	for rank := range s.plan.Ranks() {
		device, err := s.open(threads)
		if err != nil {
			return err
		}
		if world == nil {
			world = newWorld(s.plan.Ranks(), device, deadline(s.plan, device, all, s.plan.Ranks()/all), look)
		}
		m, err := s.bind(device, runtime.Rank{Number: rank, Join: world.Group})
		if err != nil {
			return err
		}
		machines = append(machines, m)
	}
	var err error
	s.ranks, err = runtime.NewRanks(machines, world.Fail)
	return err
}

// open makes a device, which the session closes.
func (s *session) open(threads int) (kernels.Device, error) {
	device, err := NewDeviceAt(s.plan.Device, s.level, threads)
	if err == nil {
		s.closers = append(s.closers, device)
	}
	return device, err
}

// bind binds a rank, whose machine the session closes.
func (s *session) bind(device kernels.Device, rank runtime.Rank) (*runtime.Machine, error) {
	if s.machine == nil {
		if err := checkTeacher(s.plan); err != nil {
			return nil, err
		}
	}
	if err := s.openPlugins(); err != nil {
		return nil, err
	}
	if s.plugins != nil {
		rank.Host = &rankPlugins{s.plugins, map[lossKey]*plugins.Loss{}, map[string]*plugins.Policy{}, map[string]*plugins.Codec{}}
	}
	m, err := runtime.Bind(s.plan, device, rank)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, m)
	if s.machine == nil {
		s.device, s.machine = device, m
	}
	return m, nil
}

// leastDeadline is for how long a rank may be at a short instruction while others wait for it.
const leastDeadline = 8 * time.Second

// deadline is for how long a rank may be at any instruction of a plan without getting on. Of a device that cannot tell, longer where one is expected to take its time, on a
// processor that several ranks may share.
func deadline(p *plan.Plan, device kernels.Device, threads, sharing int) time.Duration {
	longest := time.Duration(0)
	if _, tells := device.(kernels.Progressive); p.Ranks() > 1 && !tells {
		for _, e := range compiler.Timeline(compiler.BuiltIn(p.Device, ""), p, threads) {
			longest = max(longest, e.Length)
		}
	}
	return leastDeadline + 4*time.Duration(max(1, sharing))*longest
}

// newWorld makes the world of a process's ranks, who add up as their devices do.
func newWorld(ranks int, device kernels.Device, deadline time.Duration, look func(rank int) (int64, string)) *local.World {
	return local.NewWorld(ranks, local.Options{Deadline: deadline, Look: look, Add: adder(device)})
}

// adder is how a device adds up; nil where it has no way of its own.
func adder(device kernels.Device) func(z, x, y []float32) {
	if d, ok := device.(interface{ Add(z, x, y []float32) }); ok {
		return d.Add
	}
	return nil
}

// bindSession is a session of the first rank alone without data, as generation needs.
func bindSession(p *plan.Plan, threads int) (*session, error) {
	s := &session{plan: p}
	device, err := s.open(threads)
	if err == nil {
		_, err = s.bind(device, runtime.Rank{})
	}
	return s.bound(err)
}

// Close frees the machines' memory and ends the devices.
func (s *session) Close() error {
	var errs []error
	if s.ranks != nil {
		s.ranks.Close()
		if s.ranks.Stuck() { // a rank that was left behind may still write
			return nil
		}
	}
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// load takes what a plan that trains needs from a run's newest or best checkpoint.
func (s *session) load(run string, best bool) error {
	return loadSaved(run, best, s.ranks.Apart(), s.ranks.Load)
}

// loadSaved opens a run's newest or best checkpoint for take.
func loadSaved(run string, best bool, apart *runtime.Processes, take func(*checkpoint.Saved) error) error {
	find, which := checkpoint.Newest, "intact"
	if best {
		find, which = checkpoint.Best, "best"
	}
	dir := filepath.Join(run, runtime.CheckpointsDir)
	saved, refused, err := apart.Open(dir, func() (*checkpoint.Saved, []checkpoint.Refused, error) { return find(dir) })
	if err != nil {
		return err
	}
	if saved == nil {
		var why strings.Builder
		for _, r := range refused {
			fmt.Fprintf(&why, "\n    %v", r)
		}
		return fmt.Errorf("%s has no %s checkpoint%s", run, which, why.String())
	}
	return errors.Join(take(saved), saved.Close())
}

// EvalOptions say what is evaluated.
type EvalOptions struct {
	Split   string
	Best    bool
	Threads int
}

func parseSplit(name string) (data.Split, error) {
	for _, split := range []data.Split{data.Train, data.Validation, data.Test} {
		if split.String() == name {
			return split, nil
		}
	}
	return 0, fmt.Errorf("unknown split %q: use train, validation or test", name)
}

// Evaluate scores a run's weights on a split.
func Evaluate(ctx context.Context, run string, o EvalOptions) (runtime.Scores, error) {
	split, err := parseSplit(o.Split)
	if err != nil {
		return runtime.Scores{}, err
	}
	p, err := RunPlan(run)
	if err != nil {
		return runtime.Scores{}, err
	}
	s, err := newSession(p, run, o.Threads)
	if err != nil {
		return runtime.Scores{}, err
	}
	defer s.Close()
	if s.set.Rows(split) == 0 {
		return runtime.Scores{}, fmt.Errorf("the plan has no %s data", o.Split)
	}
	if err := s.load(run, o.Best); err != nil {
		return runtime.Scores{}, err
	}
	return runtime.Evaluate(ctx, s.ranks, s.set, split)
}

// GenerateOptions say what is generated.
type GenerateOptions struct {
	Prompt   string
	Tokens   int
	Sampling runtime.Sampling
	Weights  string // WeightsTrained or WeightsInt8; empty: the former
	Best     bool
	Threads  int
	Out      io.Writer
}

// Generate continues a prompt with a run's weights.
func Generate(ctx context.Context, run string, o GenerateOptions) error {
	if err := o.Sampling.Check(); err != nil {
		return err
	}
	if o.Tokens < 0 {
		return fmt.Errorf("%d tokens: use 0 or more", o.Tokens)
	}
	stored, err := RunPlan(run)
	if err != nil {
		return err
	}
	p, err := GenerationPlan(stored, cmp.Or(o.Weights, WeightsTrained), Options{Threads: o.Threads})
	if err != nil {
		return err
	}
	s, err := bindSession(p, o.Threads)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := loadSaved(run, o.Best, nil, func(saved *checkpoint.Saved) error { return s.machine.LoadWeights(saved, stored) }); err != nil {
		return err
	}
	return s.generate(ctx, o)
}

// generate writes the prompt and what follows it.
func (s *session) generate(ctx context.Context, o GenerateOptions) error {
	tokenizer, err := data.Tokenizer(s.plan.Data)
	if err != nil {
		return err
	}
	g, err := runtime.NewGenerator(s.machine)
	if err != nil {
		return err
	}
	prompt, err := encodePrompt(tokenizer, o.Prompt)
	if err != nil {
		return err
	}
	if err := g.Prompt(prompt); err != nil {
		return err
	}
	if _, err := io.WriteString(o.Out, o.Prompt); err != nil {
		return err
	}
	var failed error
	err = g.Generate(o.Tokens, o.Sampling, func(token int32) bool {
		_, failed = o.Out.Write(tokenizer.Decode([]int32{token}))
		return failed == nil && ctx.Err() == nil
	})
	if err == nil && failed == nil {
		_, failed = io.WriteString(o.Out, "\n")
	}
	return errors.Join(err, failed)
}

// encodePrompt is the ids of a prompt; those of an empty one are the separator's, with which every text begins.
func encodePrompt(t *token.Tokenizer, prompt string) ([]int32, error) {
	if t.Kind == token.None {
		return nil, errors.New("the model was trained on token ids, and gsc has no tokenizer that makes them of text")
	}
	ids := t.Encode([]byte(prompt))
	known := []rune(string(t.Decode(ids)))
	for i, r := range []rune(prompt) {
		if i >= len(known) || known[i] != r {
			return nil, fmt.Errorf("the prompt holds %q, which is none of the %d characters that the model was trained on", r, t.Size())
		}
	}
	if len(ids) > 0 {
		return ids, nil
	}
	if id, ok := t.Separator(); ok {
		return []int32{id}, nil
	}
	return nil, errors.New("there is nothing to continue: give --prompt a text, since the training text has no separator that texts begin with")
}
