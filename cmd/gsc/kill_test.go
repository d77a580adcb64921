package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// Killing the process at any instant loses nothing but the steps since the last
// checkpoint: training again ends with the bits of a run that was never stopped, and has told each step once.
func TestKilledRunEndsWithTheSameBits(t *testing.T) { killAndCompare(t, "tiny.cue", 5) }

// So it does where data go through plugins: records, and rows at each step.
func TestKilledRunWithTransforms(t *testing.T) { killAndCompare(t, "masked.cue", 3) }

// killAndCompare kills runs of a strategy of testdata/common so many times.
func killAndCompare(t *testing.T, strategy string, kills int) {
	if os.Getenv("GSC_LONG") != "" {
		kills = 50
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "common"))); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", "plugin-transforms"))); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	run(t, dir, strategy, "whole")
	whole := time.Since(began)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d; a run that is not stopped takes %v", seed, whole)
	random := rand.New(rand.NewPCG(seed, 0))
	for n := 0; kills > 0; n++ {
		name := fmt.Sprintf("run%d", n)
		for kills > 0 && killed(t, dir, strategy, name, time.Duration(random.Float64()*float64(whole))) {
			kills--
		}
		run(t, dir, strategy, name)
		compareRuns(t, filepath.Join(dir, "whole"), filepath.Join(dir, name))
	}
}

// killSteps is the length of the runs, with dropout, rows in random order,
// evaluations and many checkpoints.
const killSteps = 80

func killCommand(dir, strategy, name string) *exec.Cmd {
	cmd := exec.Command(binary, "train", "--run", name, "--set", fmt.Sprint("schedule.steps=", killSteps),
		"--set", "checkpoint.every=3", "--set", "evaluate.every=10", strategy)
	cmd.Dir = dir
	return cmd
}

// run trains to the end.
func run(t *testing.T, dir, strategy, name string) {
	t.Helper()
	if out, err := killCommand(dir, strategy, name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// killed trains and kills the process after a while; false: it had ended before.
func killed(t *testing.T, dir, strategy, name string, after time.Duration) bool {
	t.Helper()
	cmd := killCommand(dir, strategy, name)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		t.Fatalf("%s: %v: %s", name, err, &said)
	}
	return err != nil
}

var speed = regexp.MustCompile(`"tokens_per_second":[0-9.e+]+`)

func compareRuns(t *testing.T, want, got string) {
	t.Helper()
	last := filepath.Join("checkpoints", fmt.Sprintf("step-%08d", killSteps))
	for _, file := range []string{"model.safetensors", "state.safetensors", "config.json"} {
		if read(t, got, last, file) != read(t, want, last, file) {
			t.Errorf("%s: %s differs", got, file)
		}
	}
	metrics := func(run string) string { return speed.ReplaceAllString(read(t, run, "metrics.jsonl"), "") }
	if metrics(got) != metrics(want) {
		t.Errorf("%s: metrics.jsonl differs:\n%s", got, metrics(got))
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
