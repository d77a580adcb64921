package conformance

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/kerneltest"
)

// Report is what suites found.
type Report struct {
	Device  string  `json:"device"`
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Skipped int     `json:"skipped,omitempty"`
	Suites  []Suite `json:"suites"`
}

// Suite is a table of one kind of case.
type Suite struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    []Row    `json:"rows"`
}

// Row is a case: its largest errors, in the order of the suite's columns.
type Row struct {
	Name    string   `json:"name"`
	Values  []Value  `json:"values,omitempty"`
	Marks   []string `json:"marks,omitempty"` // instead, where columns are verdicts
	Pass    bool     `json:"pass"`
	Skipped bool     `json:"skipped,omitempty"`
	Why     string   `json:"why,omitempty"`
}

// Cells are the values as text.
func (r Row) Cells() []string {
	if r.Marks != nil {
		return r.Marks
	}
	cells := make([]string, len(r.Values))
	for i, v := range r.Values {
		cells[i] = v.String()
	}
	return cells
}

func (r *Report) add(s Suite) {
	r.Suites = append(r.Suites, s)
	for _, row := range s.Rows {
		switch {
		case row.Skipped:
			r.Skipped++
		case row.Pass:
			r.Passed++
		default:
			r.Failed++
		}
	}
}

// KernelOptions say which kernels are tested, and on how many cases.
type KernelOptions struct {
	CasesPerOp int // 0: the suite's default
	Seed       int64
	Ops        []string // empty: all
}

func (o KernelOptions) suite() (kerneltest.Options, error) {
	k := kerneltest.Options{Seed: o.Seed, CasesPerOp: o.CasesPerOp}
	for _, name := range o.Ops {
		op, err := kernels.ParseOp(name)
		if err != nil {
			return k, err
		}
		k.Ops = append(k.Ops, op)
	}
	return k, nil
}

// Kernels compares a device's operations, at each of its levels, with ref, and ref's derivatives with finite differences.
func Kernels(device string, threads int, o KernelOptions) (Report, error) {
	r := Report{Device: device}
	options, err := o.suite()
	if err != nil {
		return r, err
	}
	levels, err := gsc.Levels(device)
	if err != nil {
		return r, err
	}
	for _, level := range levels {
		results, err := runKernels(device, level, threads, options)
		if err != nil {
			return r, err
		}
		r.add(kernelSuite("operations of "+atLevel(device, level), results))
	}
	r.add(kernelSuite("derivatives", kerneltest.Derivatives(options)))
	return r, nil
}

func runKernels(device, level string, threads int, o kerneltest.Options) ([]kerneltest.Result, error) {
	dev, err := gsc.NewDeviceAt(device, level, threads)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	return kerneltest.Run(dev, o), nil
}

// atLevel names a device and, where it has them, its level.
func atLevel(device, level string) string {
	if level == "" {
		return device
	}
	return device + " " + level
}

func kernelSuite(name string, results []kerneltest.Result) Suite {
	s := Suite{Name: name, Columns: []string{"cases", "largest error", "tolerance"}}
	for _, k := range results {
		row := Row{Name: k.Op.String(), Values: []Value{Value(k.Cases), Value(k.MaxError), Value(k.Tolerance)}, Pass: k.Pass()}
		if !row.Pass {
			row.Why = k.String()
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

// References runs reference cases. A folder without a case.json of its own stands for the cases in it.
func References(folders []string, o ReferenceOptions) (Report, error) {
	r := Report{Device: o.Device}
	cases, err := findCases(folders)
	if err != nil {
		return r, err
	}
	r.add(referenceSuite(cases, o))
	return r, nil
}

func referenceSuite(cases []string, o ReferenceOptions) Suite {
	name := "reference cases on " + atLevel(o.Device, o.Level)
	if len(o.Mesh) > 0 {
		name += " with " + strings.Join(o.Mesh, ", ")
	}
	s := Suite{Name: name, Columns: []string{"logits", "loss", "grad norm", "gradients", "weights"}}
	for _, folder := range cases {
		result := Reference(folder, o)
		row := Row{Name: result.Case, Values: []Value{result.Logits, result.Loss, result.Norm, result.Gradients, result.Weights}, Pass: result.Pass}
		switch {
		case result.Skipped != "":
			row.Skipped, row.Why = true, result.Skipped
		case !row.Pass:
			row.Why = result.Error
			if row.Why == "" {
				row.Why = "farthest: " + result.Worst
			}
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

func findCases(folders []string) ([]string, error) {
	var cases []string
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "case.json")); err == nil {
			cases = append(cases, folder)
			continue
		}
		inside, err := filepath.Glob(filepath.Join(folder, "*", "case.json"))
		if err != nil {
			return nil, err
		}
		if len(inside) == 0 {
			return nil, fmt.Errorf("%s holds no reference case: there is no case.json in it, nor in its folders", folder)
		}
		for _, file := range inside {
			cases = append(cases, filepath.Dir(file))
		}
	}
	return cases, nil
}

// All runs every suite that needs no files of the user's: the kernels, and the project's own reference cases, at each level of the device.
func All(device string, threads int, o KernelOptions) (Report, error) {
	r, err := Kernels(device, threads, o)
	if err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "gsc-cases-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	if err := unpack(dir); err != nil {
		return r, err
	}
	levels, err := gsc.Levels(device)
	if err != nil {
		return r, err
	}
	for _, level := range levels {
		refs, err := References([]string{dir}, ReferenceOptions{Device: device, Level: level, Threads: threads})
		if err != nil {
			return r, err
		}
		r.add(refs.Suites[0])
	}
	return r, nil
}

// unpack writes the embedded cases into a folder.
func unpack(dir string) error {
	return fs.WalkDir(cases, "reference/cases", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := cases.ReadFile(name)
		if err != nil {
			return err
		}
		folder := filepath.Join(dir, path.Base(path.Dir(name)))
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(folder, path.Base(name)), text, 0o666)
	})
}
