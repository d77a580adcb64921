package conformance

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// ReferenceOptions say how reference cases are run.
type ReferenceOptions struct {
	Device        string // "cpu" or "ref"
	Level         string // of its kernels; empty: the best
	Threads       int
	Recompute     string   // memory.recompute; empty: none
	LossChunks    int      // memory.loss_chunks; 0: left open. With several the logits are never whole, and not compared
	Mesh          []string // settings of parallel, such as "mesh.data=2" and "zero=1"; empty: one rank
	WriteStrategy string   // folder that keeps the strategies; empty: none is kept
}

// ReferenceResult is how far a case is from its expected values: the largest
// error of each kind, by the rule of the cases' README, or [NotCompared].
type ReferenceResult struct {
	Case      string `json:"case"`
	Logits    Value  `json:"logits"`
	Loss      Value  `json:"loss"`
	Norm      Value  `json:"grad_norm"`
	Gradients Value  `json:"gradients"`
	Weights   Value  `json:"weights"`
	Worst     string `json:"worst,omitempty"`   // the tensor with the largest error for its tolerance
	Error     string `json:"error,omitempty"`   // why it could not be run
	Skipped   string `json:"skipped,omitempty"` // why the mesh does not go with it
	Pass      bool   `json:"pass"`

	tolerance tolerance
	worst     float64
}

// tolerance is how large errors may be.
type tolerance struct{ values, tensors float64 }

var tolerances = map[kernels.DType]tolerance{kernels.F32: {2e-6, 5e-6}, kernels.F64: {1e-9, 1e-9}}

// Reference runs one reference case: it writes the case's strategy, plans and trains by it, and compares.
func Reference(folder string, o ReferenceOptions) ReferenceResult {
	r := &ReferenceResult{Case: filepath.Base(folder), tolerance: tolerances[kernels.Kinds[o.Device].Compute]}
	r.Logits, r.Loss, r.Norm, r.Gradients, r.Weights = NotCompared, NotCompared, NotCompared, NotCompared, NotCompared
	if err := r.run(folder, o); err != nil {
		r.Error = err.Error()
	}
	r.Pass = r.Error == "" && r.worst <= 1
	return *r
}

func (r *ReferenceResult) run(folder string, o ReferenceOptions) error {
	c, err := readCase(folder)
	if err != nil {
		return err
	}
	file, err := gsc.Once(func() (string, error) {
		dir := o.WriteStrategy
		if dir == "" {
			if dir, err = os.MkdirTemp("", "gsc-reference-"); err != nil {
				return "", err
			}
		}
		return writeStrategy(c, folder, dir, o)
	})
	if err != nil {
		return err
	}
	if o.WriteStrategy == "" {
		defer removeStrategy(file)
	}
	p, err := planFor(file, o.Device, o.Threads, o.Mesh)
	if len(o.Mesh) > 0 && beyondLimits(err) {
		why, _, _ := strings.Cut(err.Error(), "\n")
		r.Skipped = strings.TrimSuffix(why, ":")
		return nil
	}
	if err != nil {
		return err
	}
	expected, err := safetensors.Open(filepath.Join(folder, "expected.safetensors"))
	if err != nil {
		return err
	}
	defer expected.Close()
	return r.train(p, c, expected, o)
}

// removeStrategy removes a case's folder, and the one that was made for it, when all processes have read what is in them.
func removeStrategy(file string) {
	_, failed := gsc.Once(func() (string, error) { return "", nil })
	if failed == nil && gsc.First() {
		os.RemoveAll(filepath.Dir(filepath.Dir(file)))
	}
}

// trial is a case while it runs.
type trial struct {
	*session
	expected *safetensors.File
	start    map[string][]float64 // weights before the first step
}

// newTrial begins a case by its plan.
func newTrial(p *plan.Plan, expected *safetensors.File, level string, threads int) (*trial, error) {
	s, err := newSession(p, level, threads)
	return &trial{session: s, expected: expected}, err
}

func (r *ReferenceResult) train(p *plan.Plan, c *referenceCase, expected *safetensors.File, o ReferenceOptions) error {
	t, err := newTrial(p, expected, o.Level, o.Threads)
	if err != nil {
		return err
	}
	defer t.close()
	if err := r.steps(t, c); err != nil {
		return err
	}
	return r.weights(t, c)
}

// steps runs the case's steps and compares what each gives.
func (r *ReferenceResult) steps(t *trial, c *referenceCase) error {
	losses, norms := make([]float64, c.Steps), make([]float64, c.Steps)
	for step := 1; step <= c.Steps; step++ {
		if err := t.fill(step); err != nil {
			return err
		}
		result, err := r.step(t, step, c.Optimizer.LR[step-1])
		if err != nil {
			return err
		}
		losses[step-1], norms[step-1] = result.Loss, result.Norm
	}
	if err := r.compare(t, "loss", losses, 0, &r.Loss); err != nil {
		return err
	}
	return r.compare(t, "grad_norm", norms, 0, &r.Norm)
}

// step runs one step. Of the first it compares the logits of the first micro-batch, and the gradients.
func (r *ReferenceResult) step(t *trial, step int, rate float64) (result runtime.Result, err error) {
	if step > 1 {
		return t.step(step, rate)
	}
	if t.start, err = t.weights(); err != nil {
		return result, err
	}
	if _, err := t.ranks.Evaluate(t.batch, 0); err != nil {
		return result, err
	}
	logits, err := t.logits()
	if err != nil {
		return result, err
	}
	if logits != nil {
		if err := r.compare(t, "logits", logits, 0, &r.Logits); err != nil {
			return result, err
		}
	}
	terms := t.keepGradients()
	if result, err = t.step(step, rate); err != nil {
		return result, err
	}
	gradients, err := t.gradients(terms)
	if err != nil {
		return result, err
	}
	return result, r.compareGradients(t, gradients)
}

// weights compares the final weights. Elements that no loss depends on drift
// with the noise in their gradient, and are held to the largest steps there can be.
func (r *ReferenceResult) weights(t *trial, c *referenceCase) error {
	rates := 0.0
	for _, lr := range c.Optimizer.LR {
		rates += lr
	}
	weights, err := t.weights()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		got := weights[name]
		if from, to := unseen(name, len(got)); from < to {
			if drift := farthest(got[from:to], t.start[name][from:to]); drift > 2*rates {
				return fmt.Errorf("%s, which no loss depends on, moved by %.2g, more than 2·Σ lr = %.2g", name, drift, 2*rates)
			}
			want, err := t.read("final." + name)
			if err != nil {
				return err
			}
			copy(got[from:to], want[from:to])
		}
		if err := r.compare(t, "final."+name, got, 0, &r.Weights); err != nil {
			return err
		}
	}
	return nil
}

// unseen is the range of a tensor's elements that softmax does not see: what
// all keys share. In exact arithmetic they have no gradient.
func unseen(name string, n int) (from, to int) {
	switch {
	case strings.HasSuffix(name, "key.bias"):
		return 0, n
	case strings.HasSuffix(name, "attn.c_attn.bias"):
		return n / 3, 2 * n / 3
	}
	return 0, 0
}

func farthest(a, b []float64) float64 {
	far := 0.0
	for i := range a {
		far = math.Max(far, math.Abs(a[i]-b[i]))
	}
	return far
}

func (t *trial) read(name string) ([]float64, error) {
	info, ok := t.expected.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("the case expects no %s", name)
	}
	values := make([]float64, kernels.Elements(info.Shape))
	return values, t.expected.ReadFloat64(name, values)
}

// compare adds the error ‖a−b‖ / max(‖b‖, floor) of a tensor to its kind's largest.
func (r *ReferenceResult) compare(t *trial, name string, got []float64, floor float64, largest *Value) error {
	want, err := t.read(name)
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return fmt.Errorf("%s has %d elements, the case expects %d", name, len(got), len(want))
	}
	difference, norm := 0.0, 0.0
	for i := range got {
		difference += (got[i] - want[i]) * (got[i] - want[i])
		norm += want[i] * want[i]
	}
	e := math.Sqrt(difference) / math.Max(math.Sqrt(norm), floor)
	if difference == 0 {
		e = 0
	}
	if !(e <= float64(*largest)) { // NaN is the largest of all
		*largest = Value(e)
	}
	limit := r.tolerance.values
	if largest == &r.Gradients || largest == &r.Weights {
		limit = r.tolerance.tensors
	}
	if share := e / limit; !(share <= r.worst) {
		r.worst, r.Worst = share, name
	}
	return nil
}
