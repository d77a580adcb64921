package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// task is a strategy with what is set in it.
type task struct {
	strategy string
	tags     []string // KEY=VALUE, beside that of the data
	set      []string // PATH=VALUE
}

func (t task) with(set ...string) task {
	t.set = append(t.set[:len(t.set):len(t.set)], set...)
	return t
}

func (t task) arguments(s *session) []string {
	args := []string{filepath.Join("bench/strategies", t.strategy+".cue"), "-t", "data=" + s.dir}
	for _, tag := range t.tags {
		args = append(args, "-t", tag)
	}
	for _, v := range t.set {
		args = append(args, "--set", v)
	}
	return args
}

// benchmark is what gsc bench prints.
type benchmark struct {
	StepsSeconds       []float64 `json:"steps_seconds"`
	MedianSeconds      float64   `json:"median_seconds"`
	PredictedSeconds   float64   `json:"predicted_seconds"`
	PeakFlops          float64   `json:"peak_flops"`
	SustainedFlops     float64   `json:"sustained_flops"`
	ReadBytesPerSecond float64   `json:"read_bytes_per_second"`
	WeightBytes        float64   `json:"weight_bytes"`
	Operations         []struct {
		Op      string  `json:"op"`
		Seconds float64 `json:"seconds"`
		Flops   float64 `json:"flops"`
	} `json:"operations"`
}

// bench runs gsc bench.
func (s *session) bench(t task, flags ...string) (*benchmark, error) {
	args := append(append([]string{"bench"}, t.arguments(s)...), "--threads", fmt.Sprint(s.threads), "--json")
	out, _, err := s.command(append(args, flags...)...)
	if err != nil {
		return nil, err
	}
	return parseBenchmark(out)
}

func parseBenchmark(text []byte) (*benchmark, error) {
	var b benchmark
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, fmt.Errorf("gsc bench --json: %w", err)
	}
	if len(b.StepsSeconds) == 0 {
		return nil, fmt.Errorf("gsc bench --json tells no steps_seconds")
	}
	for _, v := range b.StepsSeconds {
		if !(v > 0) {
			return nil, fmt.Errorf("gsc bench --json: a step of %v seconds", v)
		}
	}
	return &b, nil
}

// trained is what a training run of gsc's shows from outside.
type trained struct {
	losses   []float64 // of each step
	wall     time.Duration
	rssBytes float64 // the peak
}

// train runs gsc train in a folder of its own.
func (s *session) train(t task) (*trained, error) {
	dir := s.path("run")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	args := append(append([]string{"train"}, t.arguments(s)...), "--threads", fmt.Sprint(s.threads), "--run", dir)
	begin := time.Now()
	_, process, err := s.command(args...)
	if err != nil {
		return nil, err
	}
	x := &trained{wall: time.Since(begin), rssBytes: peakBytes(process)}
	metrics, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		return nil, err
	}
	x.losses, err = parseLosses(metrics)
	return x, err
}

// peakBytes is the peak resident set of a process that has ended.
func peakBytes(p *os.ProcessState) float64 {
	usage, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return float64(usage.Maxrss) * rssUnit
}

// parseLosses reads the losses of metrics.jsonl; each must be a number.
func parseLosses(metrics []byte) ([]float64, error) {
	var losses []float64
	for line := range bytes.Lines(metrics) {
		record := struct {
			Step int
			Loss *float64
		}{}
		if err := json.Unmarshal(line, &record); err != nil {
			return nil, fmt.Errorf("metrics.jsonl: %w", err)
		}
		if record.Loss == nil || math.IsNaN(*record.Loss) || math.IsInf(*record.Loss, 0) {
			return nil, fmt.Errorf("metrics.jsonl: step %d has no loss", record.Step)
		}
		losses = append(losses, *record.Loss)
	}
	if len(losses) == 0 {
		return nil, fmt.Errorf("metrics.jsonl has no steps")
	}
	return losses, nil
}

// command runs gsc and gives what it prints. Of what is wrong it keeps the first line.
func (s *session) command(args ...string) ([]byte, *os.ProcessState, error) {
	cmd := exec.CommandContext(s.ctx, s.gsc, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if said, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n"); said != "" {
			return nil, nil, fmt.Errorf("gsc %s: %s", args[0], strings.TrimSuffix(strings.TrimPrefix(said, "gsc: "), ":"))
		}
		return nil, nil, fmt.Errorf("gsc %s: %w", args[0], err)
	}
	return out, cmd.ProcessState, nil
}

// can says why gsc does not take a task, if it does not.
func (s *session) can(t task) error {
	_, _, err := s.command(append([]string{"vet"}, t.arguments(s)...)...)
	return err
}
