package gsc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/data"
	"github.com/gsc-project/gsc/runtime/data/ngram"
	"github.com/gsc-project/gsc/runtime/monitor"
)

// recorder writes a run's metrics and shows its progress. The zero recorder, of a process that does not speak for its job, does neither.
type recorder struct {
	dir     string
	metrics *monitor.Metrics
	shown   []*monitor.Progress // on the terminal, and in the log
	log     *os.File
}

func newRecorder(dir string, p *plan.Plan, o TrainOptions) (*recorder, error) {
	if !First() {
		return &recorder{}, nil
	}
	log, err := os.OpenFile(filepath.Join(dir, runtime.LogFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	r := &recorder{dir: dir, log: log}
	for _, out := range []io.Writer{o.Out, log} {
		r.shown = append(r.shown, &monitor.Progress{Steps: p.Training.Steps, Out: out, Now: time.Now})
	}
	if o.Width > 0 {
		r.shown[0].Width = func() int { return o.Width }
	}
	r.shown[1].Note("%s: begun at %s", p.Name, time.Now().Format(time.RFC3339))
	return r, nil
}

// Begin opens the metrics of a run that goes on after a step.
func (r *recorder) Begin(after int64) (err error) {
	if r.log == nil {
		return nil
	}
	for _, p := range r.shown {
		p.After = after
		p.Start()
	}
	r.metrics, err = monitor.OpenMetrics(filepath.Join(r.dir, runtime.MetricsFile), after)
	return err
}

// Step records a step.
func (r *recorder) Step(record *monitor.Record) error {
	if r.metrics == nil {
		return nil
	}
	for _, p := range r.shown {
		p.Step(record)
	}
	return r.metrics.Write(record)
}

// Note shows a line.
func (r *recorder) Note(format string, args ...any) {
	for _, p := range r.shown {
		p.Note(format, args...)
	}
}

// Sync makes the metrics durable.
func (r *recorder) Sync() error {
	if r.metrics == nil {
		return nil
	}
	return r.metrics.Sync()
}

// Close ends the progress line, writes down why the run failed, if it did, and closes the files.
func (r *recorder) Close(failed error) error {
	if r.log == nil {
		return failed
	}
	r.shown[0].Close()
	if failed != nil {
		r.shown[1].Note("failed: %v", failed)
	}
	if r.metrics != nil {
		failed = errors.Join(failed, r.metrics.Close())
	}
	return errors.Join(failed, r.log.Close())
}

// report tells how a run ended, beside what it is to be compared with.
func (s *session) report(o TrainOptions, dir string, sum runtime.Summary) error {
	if !First() {
		return nil
	}
	w := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', 0)
	row := func(what, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	measured := peakResidentBytes() // before the baselines take their own
	fmt.Fprintln(o.Out)
	if sum.Stopped != "" {
		row("stopped", "after step %d of %d: %s", sum.Step, s.plan.Training.Steps, sum.Stopped)
	} else {
		row("done", "%d steps", sum.Step)
	}
	if sum.Step > 0 {
		row("training loss", "%.4f", sum.Loss)
	}
	for _, v := range sum.Validation {
		row("validation "+v.Name, "%.4f", v.Value)
	}
	if o.Baselines {
		if err := s.baselines(row); err != nil {
			return err
		}
	}
	row("peak memory", "%s predicted, %s measured", plan.FormatBytes(heldBytes(s.plan)), plan.FormatBytes(measured))
	row("run", "%s", dir)
	if err := w.Flush(); err != nil || o.Sample == "" {
		return err
	}
	fmt.Fprint(o.Out, "\nsample:\n")
	return s.generate(context.Background(), GenerateOptions{Prompt: o.Sample, Tokens: 400, Out: o.Out,
		Sampling: runtime.Sampling{Temperature: 0.7, Seed: s.plan.Training.Seed}})
}

// checkReport says before the run what could not be reported after it.
func (s *session) checkReport(o TrainOptions) error {
	if o.Baselines && (len(s.set.Bytes(data.Train)) == 0 || len(s.set.Bytes(data.Validation)) == 0) {
		return errors.New("baselines are byte models: they need a stream of bytes, and a validation split")
	}
	if o.Sample == "" {
		return nil
	}
	if _, err := runtime.NewGenerator(s.machine); err != nil {
		return err
	}
	_, err := encodePrompt(s.set.Tokenizer(), o.Sample)
	return err
}

// baselines fits byte models on the training split and scores them on the validation split.
func (s *session) baselines(row func(what, format string, args ...any)) error {
	training, validation := s.set.Bytes(data.Train), s.set.Bytes(data.Validation)
	model, err := ngram.Fit(training, ngram.MaxOrder)
	if err != nil {
		return err
	}
	for i, nats := range model.CrossEntropies(validation) {
		if order := i + 1; order >= 3 {
			row(fmt.Sprintf("byte model of order %d", order), "%.4f", nats)
		}
	}
	return nil
}
