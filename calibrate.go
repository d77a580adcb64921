package gsc

import (
	"context"
	"fmt"
	goruntime "runtime"
	"slices"

	"github.com/gsc-project/gsc/calibrate"
	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/kernels/cpu"
)

// CalibrateOptions say what is measured.
type CalibrateOptions struct {
	Name  string                           // of the profile; empty: one that tells the processors
	Quick bool                             // the least sizes alone: nothing to rely on
	Note  func(format string, args ...any) // is told what is being measured
}

// Calibrate measures this machine's processors: one of them, and all.
func Calibrate(ctx context.Context, o CalibrateOptions) (*compiler.Profile, error) {
	all := goruntime.NumCPU()
	if o.Name == "" {
		o.Name = fmt.Sprintf("cpu-%d", all)
	}
	return calibrate.Measure(ctx, calibrate.Options{Name: o.Name, Quick: o.Quick, Note: o.Note, Threads: slices.Compact([]int{1, all}),
		Open: func(threads int) (calibrate.Device, error) { return cpu.New(threads) }})
}
