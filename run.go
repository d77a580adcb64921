package gsc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/timeline"
)

// TrainOptions say how a run is started or resumed.
type TrainOptions struct {
	Options
	Run       string    // folder; empty: runs/NAME
	From      string    // a run whose newest weights the new run starts from
	Reshard   bool      // go on with a run on another mesh, or with other settings of memory
	Sample    string    // a prompt to continue at the end
	Baselines bool      // compare with byte models at the end
	Timeline  string    // a file for what the ranks do in one of the first steps; empty: none
	Out       io.Writer // progress and result
	Width     int       // of the terminal that Out is; 0: it is none

	TellInterrupted bool // a run that was interrupted, saved and can go on ends with [ErrInterrupted]
}

// ErrInterrupted says that a run was interrupted, and goes on when it is trained again.
var ErrInterrupted = errors.New("interrupted")

// Train trains by a strategy or a plan in a run folder. A run that is there
// already is resumed by its stored plan.
func Train(ctx context.Context, path string, o TrainOptions) (err error) {
	r, err := openRun(path, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.unlock()) }()
	s, err := newSession(r.plan, r.dir, r.threads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.checkReport(o); err != nil {
		return err
	}
	if _, err := Once(func() (string, error) { return "", s.beginTried(ctx, r) }); err != nil {
		return err
	}
	recorder, err := newRecorder(r.dir, r.plan, o)
	if err != nil {
		return err
	}
	s.tell(recorder)
	summary, err := s.train(ctx, r.dir, recorder, o.Timeline)
	if err := recorder.Close(err); err != nil {
		return err
	}
	if err := s.report(o, r.dir, summary); err != nil {
		return err
	}
	if o.TellInterrupted && summary.GoesOn {
		return ErrInterrupted
	}
	return nil
}

// tracedStep is the one that --timeline records: by then all memory was touched.
const tracedStep = 3

func (s *session) train(ctx context.Context, dir string, r *recorder, trace string) (runtime.Summary, error) {
	trainer, err := runtime.NewTrainer(s.ranks, s.set, dir, r)
	if err != nil {
		return runtime.Summary{}, err
	}
	if err := r.Begin(trainer.Step()); err != nil {
		return runtime.Summary{}, err
	}
	if trace != "" {
		trainer.Trace(tracedStep, func(events []timeline.Event) error {
			if !First() {
				return nil
			}
			var b bytes.Buffer
			if err := timeline.Write(&b, events, nil); err != nil {
				return err
			}
			return renameio.WriteFile(trace, b.Bytes(), 0o666)
		})
	}
	return trainer.Run(ctx)
}

// run is a run folder, and the plan that is followed in it.
type run struct {
	dir     string
	plan    *plan.Plan
	threads int        // 0: as many as processors
	given   *given     // what a new run begins with; nil: the folder holds the run
	former  *plan.Plan // that the run was begun with, where it goes on by another
	unlock  func() error
}

// openRun finds the run of what is given, and locks it, or plans a new one.
func openRun(path string, o TrainOptions) (*run, error) {
	g, err := readGiven(path, o.Options)
	if err != nil {
		return nil, err
	}
	r := &run{dir: o.Run, threads: g.threads(), unlock: func() error { return nil }}
	if r.dir == "" {
		r.dir = filepath.Join("runs", g.name())
	}
	r.plan, err = storedPlan(r.dir)
	switch {
	case err != nil:
		return nil, err
	case r.plan == nil:
		r.given = g
		r.plan, err = g.start(o.From)
		return r, err
	case o.From != "":
		return nil, fmt.Errorf("%s holds a run already: --from starts a new one, in a folder that --run names", r.dir)
	}
	if changes := g.changes(r.dir, r.plan); changes != "" && o.Reshard {
		r.former = r.plan
		if r.plan, err = g.reshard(r.dir, r.former); err != nil {
			return nil, err
		}
		r.given = g
	} else if changes != "" {
		return nil, fmt.Errorf("%s was begun by another %s:\n%sresume it with what it was begun with; go on with --reshard, where nothing differs but the mesh and settings of memory; or start anew with --run FOLDER (and --from %s to take over its weights)",
			r.dir, g.what(), changes, r.dir)
	}
	if First() {
		r.unlock, err = lock(r.dir)
	}
	return r, err
}

// reshard is the plan by which a run goes on that was begun by another: what is learnt, and of what, must be the same.
func (g *given) reshard(dir string, former *plan.Plan) (*plan.Plan, error) {
	if g.strategy == nil {
		return nil, errors.New("--reshard takes a strategy: what a plan was made of is not known")
	}
	p, err := g.plan()
	if err != nil {
		return nil, err
	}
	p.Model.From = former.Model.From
	old, err := os.ReadFile(filepath.Join(dir, runtime.StrategyFile))
	if err != nil {
		return nil, fmt.Errorf("%s: --reshard compares strategies: %w", dir, err)
	}
	changes := diffJSON(old, g.strategy.Evaluated, "parallel.mesh.", "parallel.pipeline.", "parallel.rules", "parallel.attention", "parallel.zero", "parallel.reduce", "parallel.bucket", "memory.", "batch.micro_batches", "devices.", "compile.")
	if changes += plan.Diff(former.Logical(), p.Logical()); changes != "" {
		return nil, fmt.Errorf("%s cannot go on as another run: --reshard changes how the work is shared out, and what memory it takes, but not\n%s", dir, indent(changes))
	}
	return p, nil
}

// storedPlan is the plan of a run folder; nil when there is no run in it.
func storedPlan(dir string) (*plan.Plan, error) {
	file := filepath.Join(dir, runtime.PlanFile)
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return plan.Read(file)
}

// RunPlan is the plan of a run folder.
func RunPlan(dir string) (*plan.Plan, error) {
	p, err := storedPlan(dir)
	if err == nil && p == nil {
		err = fmt.Errorf("%s is no run folder: it has no %s", dir, runtime.PlanFile)
	}
	return p, err
}

// start is the plan of a new run, which may start from the weights of another.
func (g *given) start(from string) (*plan.Plan, error) {
	p, err := g.plan()
	if err != nil || from == "" {
		return p, err
	}
	if p.Model.From, err = newestWeights(from); err != nil {
		return nil, err
	}
	return p, checkpoint.CheckModel(p.Model.From, p.Tensors, checkpoint.Buffers)
}

// begin makes the folder of a new run and locks it. The plan is written last: a folder without it is no run.
func (r *run) begin() error {
	switch {
	case r.given == nil:
		return nil
	case r.former != nil: // its checkpoints are this plan's, too
		if err := addFormer(r.dir, r.former.Digest()); err != nil {
			return err
		}
		return r.write()
	}
	if err := os.MkdirAll(r.dir, 0o777); err != nil {
		return err
	}
	unlock, err := lock(r.dir)
	if err != nil {
		return err
	}
	r.unlock = unlock
	if p, err := storedPlan(r.dir); p != nil || err != nil {
		return errors.Join(err, fmt.Errorf("another process began a run in %s meanwhile: name another folder with --run", r.dir))
	}
	return r.write()
}

// addFormer notes the digest of a plan whose checkpoints a run may go on from.
func addFormer(dir, digest string) error {
	file := filepath.Join(dir, runtime.FormerFile)
	known, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return renameio.WriteFile(file, append(known, digest+"\n"...), 0o666)
}

// write writes what the run is done by: the plan last.
func (r *run) write() error {
	if s := r.given.strategy; s != nil {
		if err := renameio.WriteFile(filepath.Join(r.dir, runtime.StrategyFile), s.Evaluated, 0o666); err != nil {
			return err
		}
	}
	if err := keepModules(r.dir, r.plan); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(r.dir, runtime.PlanFile), r.plan.Text(), 0o666)
}

// newestWeights is the model folder of a run's newest intact checkpoint.
func newestWeights(run string) (string, error) {
	saved, _, err := checkpoint.Newest(filepath.Join(run, runtime.CheckpointsDir))
	if err != nil {
		return "", err
	}
	if saved == nil {
		return "", fmt.Errorf("%s has no intact checkpoint to start from", run)
	}
	if err := saved.Close(); err != nil {
		return "", err
	}
	return filepath.Abs(saved.Path)
}
