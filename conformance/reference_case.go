package conformance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
)

// referenceCase is the case.json of a reference case.
type referenceCase struct {
	Steps          int
	MicroBatches   int `json:"micro_batches"`
	Batch          int
	Length         int
	IgnoreIndex    int     `json:"ignore_index"`
	LabelSmoothing float64 `json:"label_smoothing"`
	Optimizer      struct {
		Kind        string
		LR          []float64
		Betas       []float64
		Eps         *float64
		Eps2        *float64
		MaxRMS      *float64 `json:"max_rms"`
		Momentum    *float64
		Nesterov    *bool
		WeightDecay float64 `json:"weight_decay"`
		Decay       string
		ClipNorm    *float64 `json:"clip_norm"`
		Muon        *struct {
			Match    []string
			Momentum float64
			Nesterov bool
			Steps    int
			Eps      float64
			Adjust   string
		}
	}
}

func readCase(folder string) (*referenceCase, error) {
	file := filepath.Join(folder, "case.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c := &referenceCase{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if c.Steps < 1 || c.MicroBatches < 1 || len(c.Optimizer.LR) != c.Steps {
		return nil, fmt.Errorf("%s: %d steps of %d micro-batches with %d rates: there must be a rate for each step", file, c.Steps, c.MicroBatches, len(c.Optimizer.LR))
	}
	return c, nil
}

// strategyText is the strategy that a case stands for. It is an ordinary one, which gsc train takes.
var strategyText = template.Must(template.New("strategy").Funcs(template.FuncMap{"quote": strconv.Quote, "json": toJSON}).Parse(
	`package strategy

import "github.com/gsc-project/gsc/schema"

schema.#Strategy & {
	name: {{quote .Name}}
	model: from: {{quote .Folder}}
	data: {
		format: "safetensors"
		train: files: [{{quote .Data}}]
		length: {{.Case.Length}}
	}
	objective: {ignore_index: {{.Case.IgnoreIndex}}, smoothing: {{.Case.LabelSmoothing}}}
	batch: {sequences: {{.Sequences}}, micro_batches: {{.Case.MicroBatches}}}
	optimizer: {{.Optimizer}}
	schedule: {kind: "table", rates: {{json .Case.Optimizer.LR}}}
	memory: {recompute: {{quote .Recompute}}{{if .LossChunks}}, loss_chunks: {{.LossChunks}}{{end}}}
}
`))

func toJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

// writeStrategy writes the strategy of a case into a folder of its own below dir.
func writeStrategy(c *referenceCase, folder, dir string, o ReferenceOptions) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	recompute := cmp.Or(o.Recompute, "none")
	optimizer, err := c.optimizer()
	if err != nil {
		return "", err
	}
	var text strings.Builder
	name := filepath.Base(folder)
	err = strategyText.Execute(&text, map[string]any{"Name": name, "Folder": folder, "Data": filepath.Join(folder, "data.safetensors"),
		"Case": c, "Sequences": c.Batch * c.MicroBatches, "Optimizer": optimizer, "Recompute": recompute, "LossChunks": o.LossChunks})
	if err != nil {
		return "", err
	}
	target := filepath.Join(dir, name)
	if err := os.MkdirAll(target, 0o777); err != nil {
		return "", err
	}
	file := filepath.Join(target, "strategy.cue")
	return file, os.WriteFile(file, []byte(text.String()), 0o666)
}

// optimizer is the optimizer section, as JSON, which is CUE too.
func (c *referenceCase) optimizer() (string, error) {
	o := &c.Optimizer
	section := map[string]any{"kind": o.Kind, "weight_decay": o.WeightDecay, "decay_on": o.Decay}
	put := func(key string, value any, given bool) {
		if given {
			section[key] = value
		}
	}
	put("betas", o.Betas, o.Betas != nil)
	put("epsilon", o.Eps, o.Eps != nil)
	put("epsilon2", o.Eps2, o.Eps2 != nil)
	put("max_rms", o.MaxRMS, o.MaxRMS != nil)
	put("momentum", o.Momentum, o.Momentum != nil)
	put("nesterov", o.Nesterov, o.Nesterov != nil)
	put("clip_norm", o.ClipNorm, o.ClipNorm != nil)
	if m := o.Muon; m != nil {
		section["match"], section["momentum"], section["nesterov"], section["steps"] = m.Match, m.Momentum, m.Nesterov, m.Steps
		section["newton_schulz_epsilon"], section["adjust"] = m.Eps, m.Adjust
	}
	return toJSON(section)
}
