package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/runtime/data"
	"github.com/gsc-project/gsc/runtime/monitor"
	"github.com/gsc-project/gsc/timeline"
)

// The files of a run directory.
const (
	PlanFile        = "plan.gsc"
	MetricsFile     = "metrics.jsonl"
	CheckpointsDir  = "checkpoints"
	StrategyFile    = "strategy.json"
	LogFile         = "log.txt"
	FormerFile      = "former.txt" // digests of the plans that the run was done by before, a line each
	tokenizerConfig = "gsc_tokenizer.json"
)

// Recorder is told what happens in a run.
type Recorder interface {
	// Step is told each step as soon as it is done. The record is its own until the next step.
	Step(*monitor.Record) error
	// Note is told what a user should know beside the figures.
	Note(format string, args ...any)
	// Sync makes what it was told durable; a checkpoint follows.
	Sync() error
}

// Summary is how a run ended.
type Summary struct {
	Step       int64
	Loss       float64 // of the last step
	Validation Scores  // of the last evaluation
	Stopped    string  // why it ended before its last step; empty: it did not
	GoesOn     bool    // it was interrupted: it goes on when it is run again
}

// state is what a run must know to go on, beside its tensors. It is stored in each checkpoint.
type state struct {
	Tokens     int64    `json:"tokens"`
	Loss       float64  `json:"loss"`
	Reductions int      `json:"reductions,omitempty"` // of a plateau rate
	Stale      int      `json:"stale,omitempty"`      // evaluations since the last improvement
	PlateauAge int      `json:"plateau_age,omitempty"`
	Lowest     *float64 `json:"lowest,omitempty"` // validation loss, of a plateau rate
	Best       *float64 `json:"best,omitempty"`   // score of the best evaluation; less is better
	Ended      bool     `json:"ended,omitempty"`  // early stopping ended the run
	Validation Scores   `json:"validation,omitempty"`

	Scaler Scaler `json:"scaler,omitzero"` // of loss scaling

	Owed *monitor.Record `json:"owed,omitempty"` // of a step whose evaluation was interrupted: it is told when the run goes on
}

// Trainer drives the ranks of a plan through a run. Evaluation, checkpoints and scalars are the first rank's.
type Trainer struct {
	ranks    *Ranks
	machine  *Machine
	set      *data.Set
	store    *checkpoint.Store
	saver    *checkpoint.Saver
	dir      string
	recorder Recorder
	digest   string
	step     int64 // done
	state    state
	saved    int64 // step of the newest checkpoint of this process; −1: none
	scorer   *scorer
	record   monitor.Record

	tracedIn int                                 // steps until one is recorded; 0: none is
	traced   func(events []timeline.Event) error // is told of it
}

// Trace has one of the next steps recorded, the nth from now on or the last one, and told.
func (t *Trainer) Trace(n int, tell func(events []timeline.Event) error) {
	t.tracedIn, t.traced = int(min(int64(n), max(1, t.machine.Plan.Training.Steps-t.step))), tell
}

// NewTrainer prepares a run in a directory: it continues from the newest intact
// checkpoint there, or starts with the plan's initial weights.
func NewTrainer(r *Ranks, set *data.Set, dir string, recorder Recorder) (*Trainer, error) {
	m := r.First()
	store, err := openStore(r.apart, filepath.Join(dir, CheckpointsDir), m.Plan.Training.Checkpoint.Keep)
	if err != nil {
		return nil, err
	}
	t := &Trainer{ranks: r, machine: m, set: set, dir: dir, store: store, recorder: recorder, digest: m.Plan.Digest(), saved: -1}
	if reserved := m.reserved(); reserved != nil {
		t.saver = checkpoint.NewSaver(store, reserved)
	}
	t.scorer = newScorer(r, set)
	return t, t.restore()
}

// openStore opens the folder of checkpoints, to which several processes save together.
func openStore(apart *Processes, dir string, keep int) (*checkpoint.Store, error) {
	if apart == nil {
		return checkpoint.Open(dir, keep)
	}
	saving, err := NewProcesses(apart.peers, "save") // beside what else the processes do together
	if err != nil {
		return nil, err
	}
	return checkpoint.OpenTogether(dir, keep, saving)
}

// restore loads the newest intact checkpoint, or the starting weights.
func (t *Trainer) restore() error {
	saved, refused, err := t.ranks.apart.Open(filepath.Join(t.dir, CheckpointsDir), t.store.Newest)
	if err != nil {
		return err
	}
	for _, r := range refused {
		t.recorder.Note("%v", r)
	}
	if saved == nil {
		err := t.ranks.Start()
		t.state.Scaler = t.machine.Scaler()
		return err
	}
	defer saved.Close()
	if err := saved.CheckPins(t.machine.Plan); err != nil {
		return err
	}
	if former, err := os.ReadFile(filepath.Join(t.dir, FormerFile)); saved.Plan != t.digest && (err != nil || !slices.Contains(strings.Fields(string(former)), saved.Plan)) {
		return fmt.Errorf("%s was made by another plan (%.12s, this one is %.12s)", saved.Path, saved.Plan, t.digest)
	}
	if err := t.ranks.Load(saved); err != nil {
		return err
	}
	t.step, t.saved = saved.Step, saved.Step
	t.recorder.Note("resumed from %s", saved.Path)
	if note := termsNote(saved, t.machine.Plan); note != "" {
		t.recorder.Note("%s", note)
	}
	if err := json.Unmarshal(saved.Run, &t.state); err != nil {
		return err
	}
	t.ranks.SetScaler(t.state.Scaler)
	return nil
}

// Step is the number of steps done.
func (t *Trainer) Step() int64 { return t.step }

// Run trains to the plan's last step, or until ctx ends or the evaluation says to stop. It always leaves a
// checkpoint of where it stopped, unless the error says that this was impossible.
func (t *Trainer) Run(ctx context.Context) (Summary, error) {
	p := &t.machine.Plan.Training
	if err := t.settle(ctx); err != nil {
		return t.summary(""), t.failed(err)
	}
	if t.step < p.Steps && !t.state.Ended {
		if err := t.steps(ctx); err != nil {
			return t.summary(""), t.failed(err)
		}
	}
	if err := t.wait(); err != nil {
		return t.summary(""), err
	}
	if t.saved != t.step {
		if err := t.saveNow(false); err != nil {
			return t.summary(""), err
		}
	}
	switch {
	case t.state.Ended:
		return t.summary(fmt.Sprintf("the validation score did not improve in %d evaluations", p.Evaluation.Patience)), nil
	case t.step < p.Steps || t.state.Owed != nil:
		s := t.summary("interrupted")
		s.GoesOn = true
		return s, nil
	}
	return t.summary(""), nil
}

// failed is an error of the run and that of the checkpoint on its way, unless they tell of the same rank's failure.
func (t *Trainer) failed(err error) error {
	var told *collectives.Failure
	saving := t.wait()
	if errors.As(err, &told) && errors.Is(saving, told) {
		return err
	}
	return errors.Join(err, saving)
}

func (t *Trainer) summary(stopped string) Summary {
	return Summary{Step: t.step, Loss: t.state.Loss, Validation: t.state.Validation, Stopped: stopped}
}

// settle evaluates and tells the step whose evaluation was interrupted.
func (t *Trainer) settle(ctx context.Context) error {
	if t.state.Owed == nil {
		return nil
	}
	t.record, t.state.Owed = *t.state.Owed, nil
	return t.after(ctx)
}

func (t *Trainer) steps(ctx context.Context) error {
	p := &t.machine.Plan.Training
	batches := t.set.Prefetch(p.Seed, t.step+1, p.Steps, p.Sequences)
	defer batches.Stop()
	clock := time.Now()
	for t.step < p.Steps && !t.state.Ended {
		if err := t.ranks.apart.Stopped(ctx); interrupted(err) {
			return nil
		} else if err != nil {
			return fmt.Errorf("step %d: %w", t.step+1, err)
		}
		b, err := batches.Next()
		if err != nil {
			return err
		}
		if err := t.one(b); err != nil {
			return err
		}
		t.record.TokensPerSecond = float64(b.Valid) / time.Since(clock).Seconds()
		if err := t.after(ctx); err != nil {
			return err
		}
		clock = time.Now()
	}
	return nil
}

// one runs one step.
func (t *Trainer) one(b *data.Batch) error {
	p := &t.machine.Plan.Training
	step := t.step + 1
	lr := rate(p.Rate, p.Steps, step, t.state.Reductions)
	if t.tracedIn--; t.tracedIn == 0 {
		t.ranks.Trace(true)
	}
	result, err := t.ranks.Train(b, step, lr)
	if err != nil {
		return err
	}
	if t.tracedIn == 0 {
		events, err := t.ranks.apart.events(t.ranks.Trace(false))
		if err != nil {
			return err
		}
		if err := t.traced(events); err != nil { // the run is worth more
			t.recorder.Note("no timeline was written: %v", err)
		}
	}
	if !result.Finite && !t.maySkip() {
		return t.explode(b, step, result)
	}
	t.step = step
	t.state.Tokens += int64(b.Valid)
	if !bad(result.Loss) {
		t.state.Loss = result.Loss
	}
	t.record = monitor.Record{Step: step, Loss: result.Loss, Rate: lr, GradNorm: result.Norm, Tokens: t.state.Tokens, LossScale: t.state.Scaler.Scale,
		Pruning: t.ranks.steppers[0].compressor.prunes(), Sparsity: result.Sparsity}
	if t.state.Scaler = t.machine.Scaler(); t.machine.Scaled() {
		t.record.Skipped = step - t.state.Scaler.Updates
	}
	return nil
}

// maySkip says whether a step that changed no weight is one that loss scaling lowers its scale after.
func (t *Trainer) maySkip() bool {
	return t.machine.Scaled() && t.machine.Scaler().Scale >= t.machine.Plan.Training.LossScale.Minimum
}

// explode reports a step whose loss or gradient is not finite. The update was skipped, so the weights are still good.
func (t *Trainer) explode(b *data.Batch, step int64, r Result) error {
	fix := "lower the learning rate or clip the gradient"
	if t.machine.Scaled() {
		fix = fmt.Sprintf("the loss scale fell to %g, below precision.loss_scale.minimum: lower the learning rate, clip the gradient, or compute in bf16", t.machine.Scaler().Scale)
	}
	where, err := t.ranks.Locate(b, step)
	if err != nil {
		return err
	}
	if where == "" {
		where = "no instruction of forward or backward: the norm itself overflowed"
	}
	if err := t.wait(); err != nil {
		return err
	}
	if t.saved != t.step {
		if err := t.saveNow(false); err != nil {
			return err
		}
	}
	return fmt.Errorf("step %d: loss %v, gradient norm %v: NaN or Inf first appears in %s; the weights of step %d are kept: %s",
		step, r.Loss, r.Norm, where, t.step, fix)
}

// after evaluates, records and saves where the plan says so.
func (t *Trainer) after(ctx context.Context) error {
	p := &t.machine.Plan.Training
	best := false
	if due(p.Evaluation.Every, t.step, p.Steps) && t.set.Rows(data.Validation) > 0 {
		scores, err := t.evaluate(ctx)
		if err != nil && !interrupted(err) {
			return err
		}
		if err != nil {
			owed := t.record
			t.state.Owed = &owed
			return nil
		}
		t.record.Validation, t.state.Validation = scores, scores
		best = t.judge(scores)
	}
	if err := t.recorder.Step(&t.record); err != nil {
		return err
	}
	switch {
	case t.step == p.Steps || t.state.Ended:
		return errors.Join(t.wait(), t.saveNow(best))
	case best || p.Checkpoint.Every > 0 && t.step%p.Checkpoint.Every == 0:
		return t.save(best)
	}
	return nil
}

// due says whether something that happens every so many steps, and at the end, is due.
func due(every, step, last int64) bool {
	return step == last || every > 0 && step%every == 0
}

func (t *Trainer) evaluate(ctx context.Context) (Scores, error) {
	rows := t.machine.Plan.Training.Evaluation.Rows
	scores, err := t.scorer.score(ctx, t.set.Evaluation(data.Validation, t.machine.Plan.BatchRows(), rows))
	if loss, _ := scores.Get("loss"); err == nil && bad(loss) {
		return nil, fmt.Errorf("step %d: the validation loss is %v: lower the learning rate or clip the gradient", t.step, loss)
	}
	if err != nil {
		err = fmt.Errorf("evaluation after step %d: %w", t.step, err)
	}
	return scores, err
}

// judge says whether the scores are the best so far, and keeps count for early stopping and plateaus.
func (t *Trainer) judge(s Scores) bool {
	p := &t.machine.Plan.Training
	if p.Rate.Kind == "plateau" {
		t.plateau(s.cost("loss"), p.Rate.Patience)
	}
	value := s.cost(p.Evaluation.Best)
	if t.state.Best == nil || value < *t.state.Best {
		t.state.Best, t.state.Stale = &value, 0
		return true
	}
	t.state.Stale++
	t.state.Ended = p.Evaluation.Patience > 0 && t.state.Stale >= p.Evaluation.Patience
	return false
}

// plateau lowers the rate when the loss was not lower in so many evaluations.
func (t *Trainer) plateau(loss float64, patience int) {
	if t.state.Lowest == nil || loss < *t.state.Lowest {
		t.state.Lowest, t.state.PlateauAge = &loss, 0
		return
	}
	if t.state.PlateauAge++; t.state.PlateauAge >= patience {
		t.state.Reductions++
		t.state.PlateauAge = 0
	}
}

// snapshot describes the state after the current step.
func (t *Trainer) snapshot(best bool) (checkpoint.Snapshot, error) {
	run, err := json.Marshal(t.state)
	if err != nil {
		return checkpoint.Snapshot{}, err
	}
	p := t.machine.Plan
	snap := checkpoint.Snapshot{Step: t.step, Plan: t.digest, Best: best, Config: p.Model.Config, Files: tokenizerFiles(p), Run: run, Pins: checkpoint.PinsOf(p)}
	for i := range p.Tensors {
		tensor := &p.Tensors[i]
		if !checkpoint.Saves(tensor) {
			continue
		}
		stored := checkpoint.TensorOf(tensor, t.ranks.reader(tensor))
		stored.Runs = t.ranks.saves(tensor)
		snap.Tensors = append(snap.Tensors, stored)
	}
	return snap, nil
}

// save saves in the background where the plan reserves a buffer for it.
func (t *Trainer) save(best bool) error {
	if t.saver == nil {
		return t.saveNow(best)
	}
	snap, err := t.snapshot(best)
	if err != nil {
		return err
	}
	t.saved = t.step
	return errors.Join(t.recorder.Sync(), t.saver.Save(snap))
}

// saveNow saves from the arena itself, and returns when the checkpoint is durable.
func (t *Trainer) saveNow(best bool) error {
	snap, err := t.snapshot(best)
	if err != nil {
		return err
	}
	t.saved = t.step
	return errors.Join(t.recorder.Sync(), t.store.Save(snap))
}

func (t *Trainer) wait() error {
	if t.saver == nil {
		return nil
	}
	return t.saver.Wait()
}

// reserved is the buffer for checkpoints on their way to disk; nil when the plan has none.
func (m *Machine) reserved() []byte {
	for i := range m.stage.Buffers {
		if b := &m.stage.Buffers[i]; b.Class == plan.Transfer {
			return kernels.Slice[uint8](kernels.Tensor{DType: kernels.U8, Shape: b.Shape(), Data: m.address(b, 0, 0)})
		}
	}
	return nil
}

// tokenizerFiles describe the tokenizer in the model folder.
func tokenizerFiles(p *plan.Plan) map[string][]byte {
	text, err := json.MarshalIndent(map[string]any{"kind": p.Data.Tokenizer, "vocabulary": p.Data.Vocabulary, "labels": p.Data.Labels}, "", " ")
	if err != nil {
		panic(err) // strings always marshal
	}
	return map[string][]byte{tokenizerConfig: append(text, '\n')}
}
