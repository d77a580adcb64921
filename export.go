package gsc

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/runtime/checkpoint/compressed"
)

// FormatCompressedTensors is the layout of compressed-tensors, of Hugging Face model folders whose weights are whole numbers, or partly zeros.
const FormatCompressedTensors = "compressed-tensors"

// ExportOptions say what is written.
type ExportOptions struct {
	To   string // the format: [FormatCompressedTensors]
	Best bool   // the best checkpoint instead of the newest
	Out  io.Writer
}

// Export writes the weights of a run into a folder, in a format that other tools load, and says what it wrote.
func Export(run, folder string, o ExportOptions) (err error) {
	if o.To != FormatCompressedTensors {
		return fmt.Errorf("format %q: use %s; a checkpoint in %s is a Hugging Face model folder as it is", o.To, FormatCompressedTensors, filepath.Join(run, runtime.CheckpointsDir))
	}
	p, err := RunPlan(run)
	if err != nil {
		return err
	}
	find := checkpoint.Newest
	if o.Best {
		find = checkpoint.Best
	}
	saved, refused, err := find(filepath.Join(run, runtime.CheckpointsDir))
	if err != nil {
		return err
	}
	for _, r := range refused {
		fmt.Fprintln(o.Out, r)
	}
	if saved == nil {
		return fmt.Errorf("%s has no intact checkpoint to export", run)
	}
	defer func() { err = errors.Join(err, saved.Close()) }()
	report, err := compressed.Write(folder, p, saved)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Out, "%sstep %d of %s is in %s\n", report, saved.Step, run, folder)
	return err
}
