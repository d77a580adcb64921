package gsc_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// patient is a context that is cancelled when it is looked at so many times.
type patient struct {
	context.Context
	left int
}

func (p *patient) Err() error {
	if p.left--; p.left < 0 {
		return context.Canceled
	}
	return nil
}

// A run that is interrupted, wherever it looks whether it is, saves and ends
// cleanly: it goes on to the same weights, rates and evaluations, also where an evaluation was broken off.
func TestInterruptedRunEndsWithTheSameBits(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plan.gsc")
	save(t, path, string(planOf(t, write(t, gpt2, stream), "batch.sequences=8", `evaluate={every: 1, rows: 9}`,
		`schedule={kind: "plateau", peak: 0.03, steps: 5, patience: 1, factor: 0.5}`).Text()))
	options := gsc.TrainOptions{Out: io.Discard, Run: filepath.Join(dir, "whole")}
	if err := gsc.Train(t.Context(), path, options); err != nil {
		t.Fatal(err)
	}
	want := outcome(t, options.Run)
	for looks := range 1000 {
		options.Run = filepath.Join(dir, strconv.Itoa(looks))
		var said strings.Builder
		options.Out = &said
		if err := gsc.Train(&patient{t.Context(), looks}, path, options); err != nil {
			t.Fatalf("%d looks: %v", looks, err)
		}
		interrupted := strings.Contains(said.String(), "interrupted")
		if interrupted {
			if err := gsc.Train(t.Context(), path, options); err != nil {
				t.Fatalf("%d looks: %v", looks, err)
			}
		}
		if got := outcome(t, options.Run); !reflect.DeepEqual(got, want) {
			t.Errorf("%d looks: the run ends otherwise:\n%v\n%v", looks, got.lines, want.lines)
		}
		if !interrupted {
			return
		}
	}
	t.Error("the run never ended")
}

// result is what a run ends with.
type result struct {
	lines        []map[string]float64 // of metrics.jsonl, but for the speed
	model, state string
}

func outcome(t *testing.T, run string) result {
	t.Helper()
	r := result{lines: metrics(t, run)}
	for _, line := range r.lines {
		delete(line, "tokens_per_second")
	}
	for file, text := range map[string]*string{safetensors.ModelFile: &r.model, "state.safetensors": &r.state} {
		content, err := os.ReadFile(filepath.Join(run, runtime.CheckpointsDir, "step-00000005", file))
		if err != nil {
			t.Fatal(err)
		}
		*text = string(content)
	}
	return r
}
