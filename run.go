package gsc

import (
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
)

// TrainOptions say how a run is started or resumed.
type TrainOptions struct {
	Options
	Run       string    // folder; empty: runs/NAME
	From      string    // a run whose newest weights the new run starts from
	Sample    string    // a prompt to continue at the end
	Baselines bool      // compare with byte models at the end
	Out       io.Writer // progress and result
	Width     int       // of the terminal that Out is; 0: it is none
}

// Train trains by a strategy or a plan in a run folder. A run that is there
// already is resumed by its stored plan.
func Train(ctx context.Context, path string, o TrainOptions) (err error) {
	p, dir, err := openRun(path, o)
	if err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	s, err := newSession(p, o.Threads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	recorder, err := newRecorder(dir, p, o)
	if err != nil {
		return err
	}
	summary, err := s.train(ctx, dir, recorder)
	if err := recorder.Close(err); err != nil {
		return err
	}
	return s.report(o, dir, summary)
}

func (s *session) train(ctx context.Context, dir string, r *recorder) (runtime.Summary, error) {
	trainer, err := runtime.NewTrainer(s.machine, s.set, dir, r)
	if err != nil {
		return runtime.Summary{}, err
	}
	if err := r.Begin(trainer.Step()); err != nil {
		return runtime.Summary{}, err
	}
	return trainer.Run(ctx)
}

// openRun finds or makes the run folder, and gives its plan.
func openRun(path string, o TrainOptions) (*plan.Plan, string, error) {
	g, err := readGiven(path, o.Options)
	if err != nil {
		return nil, "", err
	}
	dir := o.Run
	if dir == "" {
		dir = filepath.Join("runs", g.name())
	}
	stored, err := storedPlan(dir)
	switch {
	case err != nil:
		return nil, "", err
	case stored == nil:
		p, err := g.begin(dir, o.From)
		return p, dir, err
	case o.From != "":
		return nil, "", fmt.Errorf("%s holds a run already: --from starts a new one, in a folder that --run names", dir)
	}
	if changes := g.changes(dir, stored); changes != "" {
		return nil, "", fmt.Errorf("%s was begun by another %s:\n%sresume it with what it was begun with, or start anew with --run FOLDER (and --from %s to take over its weights)",
			dir, g.what(), changes, dir)
	}
	return stored, dir, nil
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

// begin makes a run folder. The plan is written last: a folder without it is no run.
func (g *given) begin(dir, from string) (*plan.Plan, error) {
	p, err := g.plan()
	if err != nil {
		return nil, err
	}
	if from != "" {
		if p.Model.From, err = newestWeights(from); err != nil {
			return nil, err
		}
		if err := checkpoint.CheckModel(p.Model.From, p.Tensors, checkpoint.Buffers); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if g.strategy != nil {
		if err := renameio.WriteFile(filepath.Join(dir, runtime.StrategyFile), g.strategy.Evaluated, 0o666); err != nil {
			return nil, err
		}
	}
	return p, renameio.WriteFile(filepath.Join(dir, runtime.PlanFile), p.Text(), 0o666)
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
