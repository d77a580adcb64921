package calibrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gsc-project/gsc/calibrate"
	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/cpu"
)

// options measure the least sizes on one thread, and tell the notes.
func options(notes *[]string) calibrate.Options {
	return calibrate.Options{Name: "test", Quick: true, Threads: []int{1},
		Open: func(threads int) (calibrate.Device, error) { return cpu.New(threads) },
		Note: func(format string, args ...any) { *notes = append(*notes, fmt.Sprintf(format, args...)) }}
}

// TestMeasure: every operation whose time depends on sizes has a table, and the profile survives its file.
func TestMeasure(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for some seconds")
	}
	var notes []string
	p, err := calibrate.Measure(context.Background(), options(&notes))
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range notes {
		if strings.Contains(note, "left out") {
			t.Error(note)
		}
	}
	forms := map[kernels.Op][]string{}
	for _, table := range p.Tables {
		forms[table.Op] = append(forms[table.Op], table.Form)
	}
	for _, op := range kernels.Ops() {
		if !slices.Contains([]kernels.Op{kernels.ClipFactor, kernels.LossScale, kernels.CrossEntropyJoin, kernels.Encode, kernels.Decode, kernels.FakeQuantize}, op) && forms[op] == nil {
			t.Errorf("%v has no table", op)
		}
	}
	if diff := cmp.Diff([]string{"nn", "nn row", "nt", "nt row", "tn", "tt", "nn bf16", "nt bf16", "tn bf16"}, forms[kernels.MatMul]); diff != "" {
		t.Errorf("forms of matmul (-want +got):\n%s", diff)
	}
	read, err := compiler.ParseProfile(p.Text())
	if err != nil {
		t.Fatal(err)
	}
	read.ProcessBytes, read.ScratchBytes, read.ThreadBytes = 0, 0, 0 // of the kind, not of the file
	if diff := cmp.Diff(p, read); diff != "" {
		t.Errorf("written and read (-want +got):\n%s", diff)
	}
}

// TestMeasureStops: a cancelled calibration ends, and says so.
func TestMeasureStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var notes []string
	if p, err := calibrate.Measure(ctx, options(&notes)); !errors.Is(err, context.Canceled) || p != nil {
		t.Errorf("Measure: %v, %v; want no profile, and %v", p, err, context.Canceled)
	}
}

// TestMeasureNeedsADevice: a device that does not open is the error.
func TestMeasureNeedsADevice(t *testing.T) {
	o, broken := options(new([]string)), errors.New("broken")
	o.Open = func(int) (calibrate.Device, error) { return nil, broken }
	if _, err := calibrate.Measure(context.Background(), o); !errors.Is(err, broken) {
		t.Errorf("Measure: %v, want %v", err, broken)
	}
}
