package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/examples"
	"github.com/gsc-project/gsc/kernels"
)

// StrategyOptions say how many random strategies are tried, and on what.
type StrategyOptions struct {
	Device  string
	Threads int
	Seeds   int                    // at least one
	First   int                    // the first seed
	Tell    func(s *Suite, at int) // told of each row as it is done, by its place in the suite, which has the names of all; may be nil
}

// DefaultSeeds is how many random strategies tell enough for a first look.
const DefaultSeeds = 30

// strategySteps is how long each strategy trains.
const strategySteps = 10

// Strategies trains random models on random batches, shared out among up to 8 ranks in random ways, and compares what they learn with what
// one rank learns; and the stages of ZeRO with each other, and a run with itself, bit by bit.
func Strategies(o StrategyOptions) (Report, error) {
	r := Report{Device: o.Device}
	if o.Seeds < 1 {
		return r, fmt.Errorf("%d seeds: use one or more", o.Seeds)
	}
	device, err := gsc.NewDevice(o.Device, o.Threads)
	if err != nil { // as each strategy would say
		return r, err
	}
	device.Close()
	dir, err := os.MkdirTemp("", "gsc-strategies-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	if err := writeTexts(dir); err != nil {
		return r, err
	}
	s := Suite{Name: "random strategies on " + o.Device, Columns: []string{"ranks", "loss", "weights"}}
	all := make([]*drawn, o.Seeds)
	for i := range all {
		all[i] = draw(o.First+i, o.Device)
		s.Rows = append(s.Rows, Row{Name: fmt.Sprintf("%d %s", o.First+i, all[i]), Values: []Value{Value(all[i].ranks()), NotCompared, NotCompared}})
	}
	for i, d := range all {
		s.Rows[i].judge(d, filepath.Join(dir, fmt.Sprintf("strategy-%d.cue", o.First+i)), o)
		if o.Tell != nil {
			o.Tell(&s, i)
		}
	}
	r.add(s)
	return r, nil
}

// judge tries a strategy, by way of a file.
func (r *Row) judge(d *drawn, file string, o StrategyOptions) {
	err := d.try(file, o, r.Values)
	r.Pass = err == nil
	if err != nil {
		r.Why = err.Error() + "; parallel: " + strings.Join(d.mesh(), ", ")
	}
}

// try notes how far the losses and the weights are from those of one rank in values[1] and values[2].
func (d *drawn) try(file string, o StrategyOptions, values []Value) error {
	if err := os.WriteFile(file, []byte(d.text()), 0o666); err != nil {
		return err
	}
	if err := d.teach(o, filepath.Dir(file)); err != nil {
		return fmt.Errorf("the teacher: %w", err)
	}
	one, err := learn(file, o, nil)
	if err != nil {
		return fmt.Errorf("on one rank: %w", err)
	}
	shared, err := learn(file, o, d.mesh())
	if err != nil {
		return err
	}
	loss, weights := shared.apart(one)
	values[1], values[2] = Value(loss), Value(weights)
	limit := tolerances[kernels.Kinds[o.Device].Compute]
	if d.teacher != "" { // a plugin computes in float32
		limit = tolerances[kernels.F32]
	}
	if !(loss <= limit.values) || !(weights <= limit.tensors) {
		return fmt.Errorf("it learns something else than one rank")
	}
	return d.sameBits(file, o, shared)
}

// sameBits trains again, and at other stages of ZeRO, with small collectives as one call and apart, which change no bit of the sums that are taken after each micro-batch.
func (d *drawn) sameBits(file string, o StrategyOptions, first *learnt) error {
	again, err := learn(file, o, d.mesh())
	if err != nil {
		return err
	}
	if !first.same(again) {
		return fmt.Errorf("trained again it holds other bits")
	}
	if d.data == 1 {
		return nil
	}
	var want *learnt
	for stage := range 4 {
		other := *d
		other.zero, other.each, other.apart = stage, true, stage%2 == 1
		got, err := learn(file, o, other.mesh())
		if err != nil {
			return fmt.Errorf("zero %d: %w", stage, err)
		}
		if want == nil {
			want = got
		}
		if !got.same(want) {
			return fmt.Errorf("zero %d holds other bits than zero 0", stage)
		}
	}
	return nil
}

// drawn is a random strategy.
type drawn struct {
	model, rows, optimizer, recompute string
	sequences, micro, length          int
	replica, data, sequence           int
	tensor, pipeline                  int
	zero, chunks                      int
	schedule                          string // of stages
	megatron, each                    bool
	apart                             bool   // each collective is a call of its own
	attention                         string // "": left open
	compress                          string // rules; "": none
	teacher                           string // the model that is learnt from; "": none
}

func (d *drawn) ranks() int { return d.replica * d.data * d.sequence * d.tensor * d.pipeline }

func (d *drawn) String() string {
	words := []string{strings.TrimPrefix(d.model[:strings.Index(d.model, " ")], "schema.#")}
	for _, m := range d.mesh() {
		switch m = strings.TrimPrefix(strings.TrimPrefix(m, "mesh."), "pipeline."); {
		case strings.HasPrefix(m, "rules="):
			m = "megatron"
		case strings.HasSuffix(m, "=1") && !strings.HasPrefix(m, "zero"):
			continue
		}
		words = append(words, strings.ReplaceAll(m, `"`, ""))
	}
	if d.micro > 1 {
		words = append(words, fmt.Sprintf("micro=%d", d.micro))
	}
	if d.compress != "" {
		words = append(words, "compressed")
	}
	if d.teacher != "" {
		words = append(words, "taught")
	}
	return strings.Join(words, " ")
}

// mesh is the settings of the strategy's section parallel.
func (d *drawn) mesh() []string {
	list := []string{fmt.Sprintf("mesh.replica=%d", d.replica), fmt.Sprintf("mesh.data=%d", d.data), fmt.Sprintf("mesh.sequence=%d", d.sequence), fmt.Sprintf("mesh.tensor=%d", d.tensor),
		fmt.Sprintf("mesh.pipeline=%d", d.pipeline), fmt.Sprintf("zero=%d", d.zero)}
	if d.pipeline > 1 {
		list = append(list, fmt.Sprintf("pipeline.schedule=%q", d.schedule), fmt.Sprintf("pipeline.chunks=%d", d.chunks))
	}
	if d.each {
		list = append(list, `reduce="each"`)
	}
	if d.apart {
		list = append(list, "bucket=0")
	}
	if d.attention != "" {
		list = append(list, fmt.Sprintf("attention=%q", d.attention))
	}
	if d.megatron {
		list = append(list, `rules=[{kind: "activation", region: "residual", dim: "seq", axis: "tensor"}]`)
	}
	return list
}

func (d *drawn) text() string {
	objective := `loss: "cross_entropy"`
	if d.teacher != "" {
		objective = fmt.Sprintf(`{loss: {plugin: %q}, teacher: from: %q}`, teachingPlugin, teacherFolder)
	}
	return d.textWith(d.model, objective, d.compress)
}

// textWith is the strategy with another model.
func (d *drawn) textWith(model, objective, compress string) string {
	return fmt.Sprintf(`package strategy

import "github.com/gsc-project/gsc/schema"

schema.#Strategy & {
	name:  "random"
	model: %s
	data:  %s & {length: %d}
	objective: %s
	batch: {sequences: %d, micro_batches: %d}
	optimizer: %s
	compress: [%s]
	schedule: {kind: "constant", peak: 0.003, steps: %d}
	memory: recompute: %q
	evaluate: every: 0
	checkpoint: every: 0
}
`, model, d.rows, d.length, objective, d.sequences, d.micro, d.optimizer, compress, strategySteps, d.recompute)
}

// What a strategy with a teacher learns by, and from.
const (
	teachingPlugin = "distill.wasm"
	teacherFolder  = "teacher"
)

// teach makes the teacher's folder in that of the strategy: a run of a step.
func (d *drawn) teach(o StrategyOptions, dir string) error {
	if d.teacher == "" {
		return nil
	}
	module, err := examples.Plugins.ReadFile("plugin-losses/" + teachingPlugin)
	if err != nil {
		return err
	}
	run, file := filepath.Join(dir, teacherFolder), filepath.Join(dir, "teacher.cue")
	if err := errors.Join(os.RemoveAll(run), os.WriteFile(filepath.Join(dir, teachingPlugin), module, 0o666), os.WriteFile(file, []byte(d.textWith(d.teacher, `loss: "cross_entropy"`, "")), 0o666)); err != nil {
		return err
	}
	return gsc.Train(context.Background(), file, gsc.TrainOptions{Options: gsc.Options{Device: o.Device, Threads: o.Threads, Set: []string{"schedule.steps=1"}}, Run: run, Out: io.Discard})
}

// draw makes the strategy of a seed. Sizes divide among the ranks where they must.
func draw(seed int, device string) *drawn {
	r := rand.New(rand.NewPCG(uint64(seed), 7))
	pick := func(list ...int) int { return list[r.IntN(len(list))] }
	d := &drawn{zero: r.IntN(4), each: r.IntN(2) == 0, recompute: []string{"none", "selective", "full"}[r.IntN(3)]}
	for d.ranks() < 2 || d.ranks() > 8 {
		d.data, d.sequence, d.tensor, d.pipeline = pick(1, 2, 3, 4), pick(1, 1, 2, 4), pick(1, 1, 2, 4), pick(1, 1, 2, 3, 4)
		d.replica = pick(1, 1, 1, 2, 3)
	}
	kv := d.tensor * pick(1, 1, 2, d.sequence)
	heads := kv * pick(1, 2)
	if heads > 16 { // larger models only make more of rounding
		kv, heads = d.tensor, d.tensor
	}
	head := pick(4, 6, 8)
	mlp := d.tensor * (3 + r.IntN(8))
	if r.IntN(6) == 0 {
		mlp++ // then it stays whole
	}
	d.length = max(d.sequence*d.tensor, 5+r.IntN(14)) // padded where it does not divide
	d.megatron = d.tensor > 1 && r.IntN(2) == 0
	layers := d.stages(pick)
	d.sequences = d.micro * (d.replica*d.data + r.IntN(d.replica*d.data+1)) // likewise
	dropout := pick(0, 1)
	rate := []string{"0", "0.1"}[dropout]
	text := `{train: files: ["text.txt"], split: {by: "bytes", validation: 0.1}, order: "random"}`
	common := fmt.Sprintf("layers: %d, heads: %d, context: %d, std: 0.2", layers, heads, d.length)
	words := fmt.Sprintf("%s, vocabulary: %d", common, 256+r.IntN(6)) // likewise
	switch r.IntN(7) {
	case 0, 1:
		d.model = fmt.Sprintf("schema.#GPT2 & {%s, width: %d, mlp: %d, epsilon: 1e-3, tie: %t, dropout: {embedding: %s, attention: %s, residual: %s}}",
			words, heads*head, mlp, r.IntN(2) == 0, rate, rate, rate)
		d.rows = text
	case 2, 3:
		d.model = fmt.Sprintf("schema.#Llama & {%s, kv_heads: %d, width: %d, mlp: %d, dropout: attention: %s}", words, kv, heads*head, mlp, rate)
		d.rows = []string{text, `{format: "jsonl", train: files: ["lines.jsonl"], rows: "padded"}`, `{format: "jsonl", train: files: ["lines.jsonl"], rows: "packed"}`}[r.IntN(3)]
	case 4:
		d.model = fmt.Sprintf("schema.#Qwen2 & {%s, kv_heads: %d, width: %d, mlp: %d, tie: true}", words, kv, heads*head, mlp)
		d.rows = text
	case 5:
		d.model = fmt.Sprintf("schema.#GPTNeoX & {%s, width: %d, mlp: %d, rotary_share: 0.5, dropout: {hidden: %s, attention: %s}}", words, heads*8, mlp, rate, rate)
		d.rows = text
	case 6:
		d.model = fmt.Sprintf(`schema.#BERT & {task: %q, %s, width: %d, mlp: %d, epsilon: 1e-3, dropout: {hidden: %s, attention: %s}}`,
			[]string{"tokens", "sequence"}[dropout], common, heads*head, mlp, rate, rate)
		d.rows = []string{`{format: "conll", train: files: ["tags.conll"], validation: files: ["tags.conll"]}`,
			`{format: "jsonl", label: "kind", train: files: ["lines.jsonl"], rows: "padded"}`}[dropout]
	}
	// Where a gradient is 0 but for rounding, AdamW makes much of it: float32 is not asked to.
	d.optimizer = `{kind: "sgd", momentum: 0.9, clip_norm: 1}`
	if device == "ref" {
		d.optimizer = fmt.Sprintf(`{kind: %q, clip_norm: 1}`, []string{"adamw", "adam", "sgd"}[r.IntN(3)])
		if !strings.Contains(d.optimizer, "sgd") {
			d.optimizer = strings.Replace(d.optimizer, "}", ", epsilon: 1e-4}", 1)
		}
	}
	if d.sequence > 1 {
		d.attention = []string{"", "gather", "ring", "ring"}[r.IntN(4)]
	}
	width := heads * head
	if strings.HasPrefix(d.model, "schema.#GPTNeoX") {
		width = heads * 8
	}
	if device == "ref" && r.IntN(2) == 0 { // in float32 a sum in another order may prune, or round, an element otherwise
		d.compress = compression(r, d.model, width, mlp)
	}
	if strings.Contains(d.model, "vocabulary") && r.IntN(4) == 0 {
		d.teacher = fmt.Sprintf("schema.#Llama & {%s, kv_heads: %d, width: %d, mlp: %d}", strings.Replace(words, "layers: "+strconv.Itoa(layers), "layers: 2", 1), kv, heads*4, 3*d.tensor)
	}
	return d
}

// compression draws rules for all matrices, and for the table of some models, which several stages may use. N:M and groups divide the inputs of all.
func compression(r *rand.Rand, model string, width, mlp int) string {
	runs := []int{0}
	for _, n := range []int{2, 3, 4, 8} {
		if width%n == 0 && mlp%n == 0 {
			runs = append(runs, n)
		}
	}
	run, begin := runs[r.IntN(len(runs))], 1+r.IntN(3)
	prune := []string{"", fmt.Sprintf("sparsity: 0.%d", 2+r.IntN(5)), `pattern: "rows", sparsity: 0.5`, fmt.Sprintf(`pattern: "%d:%d"`, max(1, run/2), run)}[r.IntN(4)]
	if strings.Contains(prune, ":0") {
		prune = "sparsity: 0.5"
	}
	var rules []string
	if prune != "" {
		rules = append(rules, fmt.Sprintf(`{match: "*", prune: {%s, begin: %d, end: %d, every: 2}}`, prune, begin, begin+r.IntN(strategySteps-begin)))
	}
	if prune == "" || r.IntN(2) == 0 {
		rules = append(rules, fmt.Sprintf(`{match: "*", quantize: {bits: %d, group: %d, symmetric: %t, begin: %d%s}}`, []int{4, 8}[r.IntN(2)], run, r.IntN(2) == 0, 1+r.IntN(4), []string{"", ", activations: bits: 8"}[r.IntN(2)]))
	}
	for architecture, table := range map[string]string{"schema.#GPT2": "transformer.wte.weight", "schema.#Qwen2": "model.embed_tokens.weight"} {
		if strings.HasPrefix(model, architecture) && r.IntN(2) == 0 {
			rules = append(rules, fmt.Sprintf(`{match: %q, prune: {sparsity: 0.3, begin: 2}, quantize: bits: 8}`, table))
		}
	}
	return strings.Join(rules, ", ")
}

// stages draws how micro-batches go through the stages, and how many layers there are for them.
func (d *drawn) stages(pick func(...int) int) (layers int) {
	d.chunks, d.micro, layers = 1, pick(1, 2, 3), pick(1, 2, 3)
	if d.pipeline == 1 {
		return layers
	}
	d.schedule = []string{"1f1b", "gpipe", "zero_bubble"}[pick(0, 1, 2)]
	d.micro = pick(1, 2, 3, 4, 6)
	if d.schedule == "1f1b" && d.micro%d.pipeline == 0 {
		d.chunks = pick(1, 2)
	}
	return max(layers, d.pipeline*d.chunks-2) // what lies before the layers, and the head, are parts, too
}

// learnt is what a run learns.
type learnt struct {
	losses  []float64
	weights map[string][]float64
}

// learn trains by a strategy with some settings of parallel.
func learn(file string, o StrategyOptions, mesh []string) (*learnt, error) {
	p, err := planFor(file, o.Device, o.Threads, mesh)
	if err != nil {
		return nil, err
	}
	s, err := newSession(p, "", o.Threads)
	if err != nil {
		return nil, err
	}
	defer s.close()
	l := &learnt{}
	for step := 1; step <= strategySteps; step++ {
		if err := s.fill(step); err != nil {
			return nil, err
		}
		result, err := s.step(step, p.Training.Rate.Peak)
		if err != nil {
			return nil, err
		}
		l.losses = append(l.losses, result.Loss)
	}
	l.weights, err = s.weights()
	return l, err
}

// apart is the largest error of the losses and of a weight, relative to those of another run.
func (l *learnt) apart(from *learnt) (losses, weights float64) {
	losses = relative(l.losses, from.losses)
	for name, want := range from.weights {
		if e := relative(l.weights[name], want); !(e <= weights) {
			weights = e
		}
	}
	return losses, weights
}

// relative is ‖a−b‖ over ‖b‖, or over that of as many elements of a hundredth where that is more: a weight that starts from zero may have learnt
// nothing but noise.
func relative(a, b []float64) float64 {
	difference, norm := 0.0, 0.0
	for i, v := range b {
		difference += (a[i] - v) * (a[i] - v)
		norm += v * v
	}
	return math.Sqrt(difference / max(norm, 1e-4*float64(len(b))))
}

func (l *learnt) same(as *learnt) bool {
	if !slices.Equal(l.losses, as.losses) {
		return false
	}
	for name, want := range as.weights {
		if !slices.Equal(l.weights[name], want) {
			return false
		}
	}
	return true
}

// writeTexts writes what the strategies learn: random words, the same each time.
func writeTexts(dir string) error {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"the", "rank", "of", "a", "mesh", "gathers", "its", "part", "and", "sums", "what", "others", "hold"}
	var text, lines, tags strings.Builder
	for range 150 {
		var line []string
		for range 3 + r.IntN(9) {
			line = append(line, words[r.IntN(len(words))])
		}
		sentence := strings.Join(line, " ")
		text.WriteString(sentence + ".\n")
		fmt.Fprintf(&lines, "{\"text\": %q, \"kind\": %q}\n", sentence, []string{"short", "long"}[min(1, len(line)/7)])
		for _, w := range line {
			fmt.Fprintf(&tags, "%s %s\n", w, []string{"O", "B-X", "I-X"}[len(w)%3])
		}
		tags.WriteString("\n")
	}
	for name, b := range map[string]*strings.Builder{"text.txt": &text, "lines.jsonl": &lines, "tags.conll": &tags} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o666); err != nil {
			return err
		}
	}
	return nil
}
