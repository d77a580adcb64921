package monitor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Metrics writes metrics.jsonl: one JSON object a line, one line a step, steps
// ascending. The keys are step, loss, lr, grad_norm, tokens and
// tokens_per_second, with loss scaling loss_scale and skipped, and for an evaluated step validation_loss and the other
// measures likewise.
//
// A line is written whole, by one call, as soon as it is known.
type Metrics struct {
	file *os.File
	end  int64 // of the last whole line
	last int64 // step of it; −1: none
	line []byte
}

// OpenMetrics opens the file at path for a run that goes on after a step (0: a
// new run). Lines of later steps, which will be run again, are removed, and so is a last
// line that was not written to its end.
func OpenMetrics(path string, after int64) (*Metrics, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	m := &Metrics{file: f}
	m.end, m.last, err = scan(f, after)
	if err == nil {
		err = m.rewind()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s%w", path, err)
	}
	return m, nil
}

// scan finds the end of the lines to keep, and the step of the last one.
func scan(r io.Reader, after int64) (end, last int64, err error) {
	lines := bufio.NewReader(r)
	at, last := int64(0), int64(-1)
	var ended error // why lines are no longer kept
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return end, last, nil // what is left is no whole line
		}
		if err != nil {
			return 0, 0, fmt.Errorf(": %w", err)
		}
		at += int64(len(line))
		step, err := parseStep(line)
		switch {
		case err != nil || step > after || step <= last:
			ended = fmt.Errorf(":%d: not the line of a step that follows the one before: mend or remove it", n)
		case ended != nil:
			return 0, 0, ended
		default:
			end, last = at, step
		}
	}
}

// parseStep is the step of a line.
func parseStep(line []byte) (int64, error) {
	var record struct {
		Step *int64 `json:"step"`
	}
	if err := json.Unmarshal(line, &record); err != nil {
		return 0, err
	}
	if record.Step == nil {
		return 0, errors.New("no step")
	}
	return *record.Step, nil
}

// rewind removes what lies beyond the last whole line.
func (m *Metrics) rewind() error {
	if err := m.file.Truncate(m.end); err != nil {
		return fmt.Errorf(": %w", err)
	}
	_, err := m.file.Seek(m.end, io.SeekStart)
	return err
}

// Write adds the line of a step, which must be later than those before.
func (m *Metrics) Write(r *Record) error {
	if r.Step <= m.last {
		return fmt.Errorf("%s: step %d after step %d", m.file.Name(), r.Step, m.last)
	}
	m.line = r.appendJSON(m.line[:0])
	if _, err := m.file.Write(m.line); err != nil {
		return errors.Join(err, m.rewind())
	}
	m.end, m.last = m.end+int64(len(m.line)), r.Step
	return nil
}

// Sync makes the lines durable. A checkpoint is saved after it, so that the
// lines up to its step are never missing.
func (m *Metrics) Sync() error { return m.file.Sync() }

// Close closes the file.
func (m *Metrics) Close() error { return m.file.Close() }
