package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"cuelang.org/go/cue"

	"github.com/gsc-project/gsc/compiler/plan"
)

// wire is an evaluated strategy as CUE has it.
type wire struct {
	Name       string
	Model      wireModel
	Data       wireData
	Objective  wireObjective
	Batch      wireBatch
	Optimizer  wireOptimizer
	Parameters []wireRule
	Compress   []wireCompress
	Schedule   wireSchedule
	Precision  Precision
	Memory     wireMemory
	Parallel   wireParallel
	Compile    wireCompile
	Devices    wireDevices
	Evaluate   plan.Evaluation
	Checkpoint plan.Checkpoint
	Seed       uint64
}

type wireDevices struct {
	Kind, Profile  string
	Threads, Nodes int
	PerNode        int `json:"per_node"`
	Profiles       map[string]wireProfile
	Launch         wireLaunch
}

type wireProfile struct {
	Like             string
	Memory, Reserved any
	PerAxis          any `json:"per_axis"`
	Bandwidth        float64
	Flops            map[string]float64
	Best, Attention  float64
	Scores           float64
	Call             *float64
	PerNode          int `json:"per_node"`
	Node, Network    Link
}

type wireModel struct {
	Kind, Task, From           string
	Vocabulary, Context, Width int
	Labels                     []string
}

type wireFiles struct{ Files []string }

type wireData struct {
	Format    string
	Field     string
	Label     string
	TokenType string `json:"token_type"`
	Column    int
	TagColumn int `json:"tag_column"`
	Tokenizer struct{ Kind string }
	Train     wireFiles
	Valid     wireFiles `json:"validation"`
	Test      wireFiles
	Split     plan.Split
	Rows      string
	Order     string
	Length    int
	Buckets   []int

	Transforms []wireTransform
}

type wireObjective struct {
	Loss        json.RawMessage
	IgnoreIndex int `json:"ignore_index"`
	Smoothing   float64
	Teacher     *struct{ From string }
}

type wireBatch struct {
	Sequences    int
	MicroBatches int `json:"micro_batches"`
}

type wireOptimizer struct {
	Kind              string
	Betas             [2]float64
	Epsilon           float64
	Epsilon2          float64
	Momentum          float64
	Nesterov          bool
	Decay             float64 `json:"weight_decay"`
	DecayOn           string  `json:"decay_on"`
	ClipNorm          float64 `json:"clip_norm"`
	MaxRMS            float64 `json:"max_rms"`
	Steps             int
	Match             []string
	Adjust            string
	NewtonSchulzLeast float64 `json:"newton_schulz_epsilon"`
}

type wireRule struct {
	Match string
	Train *bool
	Rate  *float64
	Decay *float64
}

type wireSchedule struct {
	plan.Rate
	Steps  int64
	Tokens int64
	Epochs float64
}

type wireCompile struct{ Fuse bool }

type wireMemory struct {
	Limit      any
	Recompute  string
	LossChunks int `json:"loss_chunks"`
}

// decode makes a Strategy of an evaluated value that has no errors.
func (e *evaluation) decode() (*Strategy, error) {
	text, err := e.value.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var w wire
	if err := json.Unmarshal(text, &w); err != nil {
		if wrong, ok := errorAs[*json.UnmarshalTypeError](err); ok && strings.HasPrefix(wrong.Value, "number ") {
			return nil, e.tooLarge(wrong)
		}
		return nil, fmt.Errorf("the schema and its Go types differ: %w", err)
	}
	s := &Strategy{
		Name: w.Name, Precision: w.Precision, Parallel: w.Parallel.parallel(), Evaluate: w.Evaluate, Checkpoint: w.Checkpoint, Seed: w.Seed,
		Batch: Batch(w.Batch), Optimizer: w.Optimizer.optimizer(),
		Schedule: w.Schedule.Rate, Length: w.Schedule.length(),
		Positions: e.positions(),
	}
	if len(s.Evaluate.Metrics) == 0 {
		s.Evaluate.Metrics = nil
	}
	if s.Objective, err = w.Objective.objective(); err != nil {
		return nil, err
	}
	limit, err := sizeBytes(w.Memory.Limit)
	if err != nil {
		return nil, err
	}
	if s.Parallel.BucketBytes, err = sizeBytes(w.Parallel.Bucket); err != nil {
		return nil, err
	}
	if s.Parallel.Codec, err = w.Parallel.Codec.codec(); err != nil {
		return nil, err
	}
	if s.Devices, err = w.Devices.devices(); err != nil {
		return nil, err
	}
	if s.Launch, err = w.Devices.Launch.launch(); err != nil {
		return nil, err
	}
	s.Compile.Unfused = !w.Compile.Fuse
	s.Memory = Memory{LimitBytes: limit, Recompute: w.Memory.Recompute, LossChunks: w.Memory.LossChunks}
	for i, r := range w.Parameters {
		pos := s.Positions[fmt.Sprintf("parameters[%d].match", i)]
		s.Parameters = append(s.Parameters, ParameterRule{Match: r.Match, Train: r.Train, Rate: r.Rate, Decay: r.Decay, Pos: pos})
	}
	if s.Compress, err = compressRules(w.Compress); err != nil {
		return nil, err
	}
	if s.Model, err = e.model(w.Model); err != nil {
		return nil, err
	}
	s.Data = w.Data.data(e.src.dir, &s.Model, s.Objective)
	if s.Transforms, err = w.Data.transforms(); err != nil {
		return nil, err
	}
	if file := &s.Devices.Profile; strings.HasSuffix(*file, ".json") && !filepath.IsAbs(*file) {
		*file = filepath.Join(e.src.dir, *file)
	}
	if s.Optimizer.Kind == "muon" && s.Optimizer.Match == nil {
		s.Optimizer.Match = e.strings("model.#Hidden")
	}
	s.Open = w.open(s)
	if s.Evaluated, err = identity(text); err != nil {
		return nil, err
	}
	s.Digest, err = digest(s.Evaluated, s.Model.Layers)
	return s, err
}

// tooLarge is the error for a number that its Go type cannot hold.
func (e *evaluation) tooLarge(wrong *json.UnmarshalTypeError) error {
	path := strings.ToLower(wrong.Field) // as all keys are
	found := &Error{Path: path, Message: strings.TrimPrefix(wrong.Value, "number ") + " is beyond the numbers that this can be"}
	if pos, ok := e.positions()[path]; ok {
		found.At = []Pos{pos}
	}
	return found
}

func (d *wireDevices) devices() (Devices, error) {
	made := Devices{Kind: d.Kind, Profile: d.Profile, Threads: d.Threads, Nodes: d.Nodes, PerNode: d.PerNode}
	for name, p := range d.Profiles {
		own := Profile{Like: p.Like, Bandwidth: p.Bandwidth, Flops: p.Flops, Best: p.Best, Attention: p.Attention, Scores: p.Scores, CallSeconds: p.Call, PerNode: p.PerNode, Node: p.Node, Network: p.Network}
		memory, err := sizeBytes(p.Memory)
		if err != nil {
			return made, err
		}
		own.MemoryBytes = memory
		for _, size := range []struct {
			written any
			to      **int64
		}{{p.Reserved, &own.ReservedBytes}, {p.PerAxis, &own.AxisBytes}} {
			n, err := sizeBytes(size.written)
			if err != nil {
				return made, err
			}
			if size.written != nil {
				*size.to = &n
			}
		}
		if made.Profiles == nil {
			made.Profiles = map[string]Profile{}
		}
		made.Profiles[name] = own
	}
	return made, nil
}

func (o *wireOptimizer) optimizer() Optimizer {
	opt := Optimizer{
		Kind: o.Kind, Betas: o.Betas, Epsilon: o.Epsilon, Epsilon2: o.Epsilon2, Momentum: o.Momentum, Nesterov: o.Nesterov, Decay: o.Decay,
		DecayOn: o.DecayOn, ClipNorm: o.ClipNorm, MaxRMS: o.MaxRMS, Steps: o.Steps, Match: o.Match, Adjust: o.Adjust,
	}
	if o.Kind == "muon" {
		opt.Epsilon2 = o.NewtonSchulzLeast
	}
	return opt
}

// length is the run's; a table without a length runs to its end.
func (s *wireSchedule) length() Length {
	l := Length{Steps: s.Steps, Tokens: s.Tokens, Epochs: s.Epochs}
	if s.Kind == "table" && l == (Length{}) {
		l.Steps = int64(len(s.Rates))
	}
	return l
}

func (d *wireData) data(base string, m *Model, o Objective) plan.Data {
	data := plan.Data{
		Format: d.Format, Field: d.Field, Label: d.Label, TokenType: d.TokenType, Column: d.Column, TagColumn: d.TagColumn,
		Tokenizer: d.Tokenizer.Kind, Train: d.Train.Files, Validation: d.Valid.Files, Test: d.Test.Files, Base: base, Split: d.Split,
		Rows: d.Rows, Order: d.Order, Length: d.Length, Buckets: d.Buckets, Task: dataTask(d.Format, m.Task, o), Ignore: o.IgnoreIndex,
	}
	if data.Length == 0 {
		data.Length = m.Context
		if n := len(d.Buckets); n > 0 {
			data.Length = d.Buckets[n-1]
		}
	}
	if d.Rows == "padded" && data.Buckets == nil {
		data.Buckets = []int{data.Length}
	}
	return data
}

// dataTask says what a row's labels are made of.
func dataTask(format, task string, o Objective) string {
	switch {
	case format == "safetensors":
		return "given"
	case !o.OfClasses():
		return "values"
	case task == "tokens" && format == "conll":
		return "tags"
	case task == "sequence":
		return "class"
	}
	return "next"
}

// open lists what is left for the compiler to choose.
func (w *wire) open(s *Strategy) []string {
	var open []string
	for _, path := range s.Parallel.Open {
		open = append(open, "parallel."+path)
	}
	for _, o := range []struct {
		path string
		open bool
	}{
		{"batch.micro_batches", w.Batch.MicroBatches == 0},
		{"memory.recompute", w.Memory.Recompute == ""},
		{"memory.loss_chunks", w.Memory.LossChunks == 0},
		{"model.vocabulary", s.Model.Vocabulary == 0},
		{"model.classes", s.Model.Task != "causal" && s.Model.Outputs == 0},
	} {
		if o.open {
			open = append(open, o.path)
		}
	}
	return open
}

// SizeBytes is a size as strategies write it, such as "16MiB", in bytes.
func SizeBytes(text string) (int64, error) { return sizeBytes(text) }

// sizeBytes is a size in bytes: a number, or a string with a unit.
func sizeBytes(size any) (int64, error) {
	switch x := size.(type) {
	case nil:
		return 0, nil
	case float64:
		return whole(x)
	case string:
		digits := strings.TrimRight(x, "BKMGTi ")
		number, err := strconv.ParseFloat(digits, 64)
		unit, ok := units[strings.TrimSpace(x[len(digits):])]
		if err == nil && ok {
			return whole(number * unit)
		}
	}
	return 0, fmt.Errorf("%v is not a size", size)
}

// mostBytes is far beyond any memory, and sums of some such sizes are still numbers.
const mostBytes = 1 << 60

func whole(bytes float64) (int64, error) {
	if bytes > mostBytes {
		return 0, fmt.Errorf("%.3g bytes are more than any machine has", bytes)
	}
	return int64(bytes), nil
}

var units = map[string]float64{
	"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// identity is what a strategy is: JSON with sorted keys and numbers in one form, without how it is launched.
func identity(text []byte) ([]byte, error) {
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, err
	}
	if devices, ok := values["devices"].(map[string]any); ok {
		delete(devices, "launch")
	}
	return json.Marshal(values)
}

// digest is the sha256 of the strategy and of what its model is made of.
func digest(strategy []byte, layers []Layer) (string, error) {
	made, err := json.Marshal(layers)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(append(strategy[:len(strategy):len(strategy)], '\n'), made...))
	return hex.EncodeToString(sum[:]), nil
}

// strings reads a list of strings.
func (e *evaluation) strings(path string) []string {
	var list []string
	if v := e.value.LookupPath(cue.ParsePath(path)); v.Exists() {
		_ = v.Decode(&list)
	}
	return list
}
