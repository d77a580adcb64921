// Package gsc is the front door: it loads a strategy, compiles it into an
// execution plan, and trains, evaluates and generates by that plan. It is the
// only place where the parts (schema, compiler, devices, runtime) are wired together.
package gsc

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"

	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/cpu"
	"github.com/gsc-project/gsc/kernels/ref"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/runtime/data"
	"github.com/gsc-project/gsc/schema"
	"github.com/gsc-project/gsc/timeline"
)

// Options say how a strategy is loaded, and for what device it is planned.
type Options struct {
	Tags    []string // KEY=VALUE, for the strategy's @tag attributes
	Set     []string // PATH=VALUE, the value in CUE: replaces what the strategy says
	Device  string   // kind of device in place of the strategy's; empty: the strategy's own
	Profile string   // file of a device profile in place of the strategy's; empty: the strategy's own. It changes estimates alone
	Threads int      // in place of the strategy's; 0: the strategy's own. They change no bit, so the strategy stays what it is
}

// check refuses settings without a meaning.
func (o Options) check() error {
	if o.Threads < 0 {
		return fmt.Errorf("%d threads: use 0 for as many as processors, or how many", o.Threads)
	}
	return nil
}

func (o Options) schema() schema.Options {
	set := o.Set
	if o.Device != "" {
		set = append(set[:len(set):len(set)], "devices.kind="+strconv.Quote(o.Device))
	}
	return schema.Options{Tags: o.Tags, Set: set, ModelOf: modelOf}
}

// Load loads a strategy and checks all of it that needs no data.
func Load(path string, o Options) (*schema.Strategy, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return schema.Load(path, o.schema())
}

// Plan loads a strategy, looks at its data and compiles it. Nothing is
// trained, and no device is needed.
func Plan(path string, o Options) (_ *plan.Plan, err error) {
	modules := newModules()
	defer modules.closing(&err)
	s, found, options, err := compilable(path, o, modules)
	if err != nil {
		return nil, err
	}
	p, err := compiler.Compile(s, found, options)
	if err != nil {
		return nil, err
	}
	if err := located(s, data.CheckRun(found, p.Training.Sequences, p.Training.Steps)); err != nil {
		return nil, err
	}
	if p.Model.From != "" {
		if err := checkpoint.CheckModel(p.Model.From, p.Tensors, checkpoint.Buffers); err != nil {
			return nil, s.Wrong("model.from", err.Error(), "")
		}
	}
	if list := checkpoint.Teacher(p); len(list) > 0 {
		if err := checkpoint.CheckModel(p.Model.Teacher.From, list, checkpoint.Buffers); err != nil {
			return nil, s.Wrong("objective.teacher.from", err.Error(), "")
		}
	}
	return p, nil
}

// compilable loads a strategy, and looks at its data. What its plugins are asked while it is compiled goes to the modules.
func compilable(path string, o Options, modules *modules) (*schema.Strategy, plan.Data, compiler.Options, error) {
	none := func(err error) (*schema.Strategy, plan.Data, compiler.Options, error) {
		return nil, plan.Data{}, compiler.Options{}, err
	}
	s, err := Load(path, o)
	if err != nil {
		return none(err)
	}
	if s, err = modules.with(s); err != nil {
		return none(err)
	}
	if s, err = withTeacher(s); err != nil {
		return none(err)
	}
	found, err := prepare(s)
	if err != nil {
		return none(err)
	}
	if err := orderLabels(s, &found); err != nil {
		return none(err)
	}
	if s, err = s.WithSizes(found.VocabularySize, found.Outputs, found.Labels); err != nil {
		return none(err)
	}
	if err := checkSizes(s, found); err != nil {
		return none(err)
	}
	s.Devices.Threads = processors(cmp.Or(o.Threads, s.Devices.Threads))
	profile, err := measuredProfile(s, o)
	return s, found, compiler.Options{DataBytes: dataBytes(found, s.Batch.Sequences), Profile: profile, Declare: modules.declare}, err
}

// Candidates are the ways to share a strategy's work out that the compiler looks at where it is left open, the best first.
func Candidates(path string, o Options) (_ []compiler.Candidate, err error) {
	modules := newModules()
	defer modules.closing(&err)
	s, found, options, err := compilable(path, o, modules)
	if err != nil {
		return nil, err
	}
	if len(s.Parallel.Open) == 0 {
		return nil, s.Wrong("parallel", "nothing of it is left open, so there are no candidates", `use parallel: "auto", or "auto" for a part of it`)
	}
	_, list, err := compiler.Search(s, found, options)
	return list, err
}

// PredictedTimeline writes what a profile expects of a training step, for viewers of traces: of the plan p, which is that of the strategy or
// plan at path.
func PredictedTimeline(w io.Writer, path string, p *plan.Plan, o Options) (err error) {
	if !p.Trains() {
		return fmt.Errorf("%s is a plan of generation: a timeline is one of a training step", p.Name)
	}
	g := &given{path: path, options: o}
	if !IsPlan(path) {
		if g.strategy, err = Load(path, o); err != nil {
			return err
		}
	}
	profile, err := g.profile(p)
	if err != nil {
		return err
	}
	return timeline.Write(w, compiler.Timeline(profile, p, processors(o.Threads)), func(rank int) string {
		who := "every rank"
		if len(p.Stages) > 1 {
			who = fmt.Sprintf("every rank of stage %d", p.StageOf(rank))
		}
		return fmt.Sprintf("%s, predicted by the profile %s", who, profile.Name)
	})
}

// The weights that generation can work with.
const (
	WeightsTrained = compiler.WeightsTrained // as they were trained
	WeightsInt8    = compiler.WeightsInt8    // matrices as int8
)

// GenerationPlan makes, of a plan that trains, the one that its generation follows. Of the options it takes the profile and the threads.
func GenerationPlan(p *plan.Plan, weights string, o Options) (*plan.Plan, error) {
	profile, err := o.profile(p.Device)
	if err != nil {
		return nil, err
	}
	return compiler.Generation(p, weights, profile, processors(o.Threads))
}

// checkSizes holds what was found in the data against the model.
func checkSizes(s *schema.Strategy, found plan.Data) error {
	var list schema.Errors
	if n := s.Model.Vocabulary; found.VocabularySize > n {
		list = append(list, s.Wrong("model.vocabulary", fmt.Sprintf("the data has %d tokens, the model's vocabulary is %d", found.VocabularySize, n),
			"leave it out, and it follows from the data"))
	}
	if n := s.Model.Outputs; s.Model.Task != "causal" && found.Outputs > n {
		list = append(list, s.Wrong("model.classes", fmt.Sprintf("the data has %d labels, the model %d", found.Outputs, n), "leave it out, and it follows from the data"))
	}
	if found.Length > s.Model.Context {
		list = append(list, s.Wrong("data.length", fmt.Sprintf("rows of %d tokens are longer than model.context = %d", found.Length, s.Model.Context), ""))
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// prepare looks at the data.
func prepare(s *schema.Strategy) (found plan.Data, err error) {
	if len(s.Transforms) == 0 {
		found, err = data.Prepare(s.Data)
		return found, located(s, err)
	}
	with, closer, err := strategyTransforms(s)
	if err != nil {
		return found, err
	}
	found, err = data.PrepareWith(s.Data, with)
	return found, errors.Join(located(s, err), closer.Close())
}

// orderLabels gives the data's labels the numbers that the model has for them:
// a head that was trained before knows them by number.
func orderLabels(s *schema.Strategy, found *plan.Data) error {
	if len(s.Model.Labels) == 0 || found.Task != "tags" && found.Task != "class" {
		return nil
	}
	for _, label := range found.Labels {
		if !slices.Contains(s.Model.Labels, label) {
			return s.Wrong("model.labels", fmt.Sprintf("the data has the label %q, which the model lacks", label), "leave model.labels out, and it follows from the data")
		}
	}
	found.Labels, found.Outputs = s.Model.Labels, len(s.Model.Labels)
	return nil
}

// located puts the strategy's positions to what is wrong with its data.
func located(s *schema.Strategy, err error) error {
	var mistakes data.Errors
	if !errors.As(err, &mistakes) {
		return err
	}
	var list schema.Errors
	for _, m := range mistakes {
		list = append(list, s.Wrong(m.Path, m.Message, m.Fix))
	}
	return list
}

// dataBytes is what the data layer holds: the data, and the batches of training and evaluation.
func dataBytes(d plan.Data, rows int) int64 {
	return data.EstimateBytes(d) + 3*data.BatchBytes(d, rows)
}

// NewDevice makes the device that runs plans of a kind.
func NewDevice(kind string, threads int) (kernels.Device, error) {
	return NewDeviceAt(kind, "", threads)
}

// Levels names the levels that a device kind has kernels for on this machine; a kind without such has one without a name.
func Levels(kind string) ([]string, error) {
	if kind == "cpu" {
		return cpu.Levels()
	}
	return []string{""}, nil
}

// NewDeviceAt is NewDevice with the kernels of one of [Levels]; "" takes the best.
func NewDeviceAt(kind, level string, threads int) (kernels.Device, error) {
	threads = processors(threads)
	switch kind {
	case "cpu":
		if level != "" {
			return cpu.NewAt(level, threads)
		}
		return cpu.New(threads)
	case "ref":
		return ref.New(), nil
	}
	if _, planned := kernels.Kinds[kind]; planned {
		return nil, fmt.Errorf("this gsc plans for devices of the kind %s but has no backend that runs on them yet: gsc plan shows the plan; use --device cpu or ref to run", kind)
	}
	return nil, fmt.Errorf("this gsc has no device kind %q: use cpu or ref", kind)
}

// processors is how many threads a setting means: 0 stands for all. Those of a job are all its processes'.
func processors(threads int) int { return cmp.Or(threads, job.threads, goruntime.NumCPU()) }

// ReadPlan reads and verifies a plan. What it was made from, the options of a strategy, can no longer be changed; a profile
// prices it anew.
func ReadPlan(path string, o Options) (*plan.Plan, error) {
	if len(o.Tags)+len(o.Set) > 0 || o.Device != "" {
		return nil, fmt.Errorf("%s is a plan: what it does is settled, and takes no tags, settings or device; plan the strategy again with them", path)
	}
	p, err := plan.Read(path)
	if err != nil {
		return nil, err
	}
	profile, err := o.profile(p.Device)
	if err != nil {
		return nil, err
	}
	if profile != nil {
		compiler.Reprice(p, profile, processors(o.Threads))
	}
	return p, nil
}

// IsPlan says whether a path names a plan, rather than a strategy.
func IsPlan(path string) bool {
	switch filepath.Ext(path) {
	case ".gsc", ".json":
		return true
	case ".cue":
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 8)
	n, _ := io.ReadFull(f, head)
	return string(head[:n]) == "gsc plan"
}
