package schema

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
)

// fromFolder takes the folder of model.from into the strategy.
func (d *diagnosis) fromFolder() {
	used, problem := d.from()
	if problem != nil {
		d.found.add(problem)
		d.silenced = append(d.silenced, "model")
	}
	if used {
		d.evaluate()
	}
}

// rules holds the sections of a strategy against each other. A rule is silent
// about values that are missing or wrong by themselves.
func (d *diagnosis) rules() {
	if imported(d.inst) == nil {
		return
	}
	for _, rule := range []func(){
		d.sizes, d.elements, d.divides, d.attention, d.rotary, d.vocabulary, d.classes,
		d.microBatches, d.tokens, d.sharding, d.stages, d.auto, d.zero, d.codec, d.objective, d.optimizer, d.parameters, d.compress,
		d.length, d.warmup, d.floor, d.table,
		d.task, d.rows, d.rowLength, d.buckets, d.splits, d.validated,
		d.metrics, d.best, d.profile, d.many, d.nodes, d.grace,
	} {
		rule()
	}
}

// wrongIf notes an error at the values of several paths; the first is the error's own.
func (d *diagnosis) wrongIf(wrong bool, paths []string, fix, form string, args ...any) {
	if !wrong {
		return
	}
	e := &Error{Path: paths[0], Message: fmt.Sprintf(form, args...), Fix: fix}
	for _, path := range paths {
		e.At = union(e.At, d.userAt(path))
	}
	d.found.add(e)
}

// known finds a concrete value that is the user's, or a default.
func (d *diagnosis) known(path string) (cue.Value, bool) {
	if d.isRepaired(path) || d.silent(path) {
		return cue.Value{}, false
	}
	v := d.value.LookupPath(cue.ParsePath(path))
	if !v.Exists() || v.Err() != nil {
		return v, false
	}
	if def, ok := v.Default(); ok {
		v = def
	}
	return v, v.IsConcrete()
}

func (d *diagnosis) number(path string) (float64, bool) {
	v, ok := d.known(path)
	if !ok {
		return 0, false
	}
	x, err := v.Float64()
	return x, err == nil
}

func (d *diagnosis) integer(path string) (int64, bool) {
	v, ok := d.known(path)
	if !ok {
		return 0, false
	}
	x, err := v.Int64()
	return x, err == nil
}

func (d *diagnosis) text(path string) (string, bool) {
	v, ok := d.known(path)
	if !ok {
		return "", false
	}
	s, err := v.String()
	return s, err == nil
}

func (d *diagnosis) is(path string, values ...string) bool {
	s, ok := d.text(path)
	return ok && slices.Contains(values, s)
}

// given says whether the strategy has a value there, be it right or wrong.
func (d *diagnosis) given(path string) bool {
	_, ok := d.known(path)
	return ok || d.isRepaired(path)
}

// touched says whether something in a section was taken out.
func (d *diagnosis) touched(section string) bool {
	for path := range d.repaired {
		if under(path, section) {
			return true
		}
	}
	return d.isRepaired(section)
}

// list reads a list of strings.
func (d *diagnosis) list(path string) ([]string, bool) {
	v, ok := d.known(path)
	if !ok {
		return nil, false
	}
	var list []string
	return list, v.Decode(&list) == nil
}

// divides holds the model's sizes against its architecture's #Divides.
func (d *diagnosis) divides() {
	v, ok := d.known("model.#Divides")
	if !ok {
		return
	}
	it, err := v.Fields()
	for err == nil && it.Next() {
		whole, _ := it.Value().String()
		small, large := "model."+it.Selector().Unquoted(), "model."+whole
		a, okA := d.integer(small)
		b, okB := d.integer(large)
		d.wrongIf(okA && okB && a > 0 && b%a != 0, []string{small, large}, useDivisors(a, b), "%d does not divide %s = %d", a, large, b)
	}
}

// divisors of n, ascending.
func divisors(n int64) (list []int64) {
	var large []int64
	for i := int64(1); i <= n/i; i++ {
		if n%i != 0 {
			continue
		}
		list = append(list, i)
		if i != n/i {
			large = append(large, n/i)
		}
	}
	slices.Reverse(large)
	return append(list, large...)
}

// mostDivisors bounds the list of a fix.
const mostDivisors = 12

// useDivisors names the divisors of n, the ones nearest to a when there are many.
func useDivisors(a, n int64) string {
	list := divisors(n)
	if len(list) > mostDivisors {
		near := slices.IndexFunc(list, func(x int64) bool { return x > a })
		near = min(max(near-mostDivisors/2, 0), len(list)-mostDivisors)
		list = list[near : near+mostDivisors]
	}
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = fmt.Sprint(x)
	}
	return "use one of " + strings.Join(words, ", ")
}

// rotary: rotary embeddings turn pairs of a head's elements.
func (d *diagnosis) rotary() {
	for l := range everyLayer(d.layers()) {
		if l.Attention == nil || l.Attention.Rotary == nil {
			continue
		}
		r, a := l.Attention.Rotary, l.Attention
		if r.Width%2 != 0 || r.Width > a.HeadWidth {
			paths := []string{"model.heads", "model.width"}
			if d.given("model.head") {
				paths = []string{"model.head"}
			}
			if d.given("model.rotary_share") {
				paths = append(paths, "model.rotary_share")
			}
			d.wrongIf(true, paths, "make their number even, and no more than the head has",
				"rotary embeddings turn pairs of elements, but %d of each head's %d would be turned", r.Width, a.HeadWidth)
			return
		}
	}
}

// layers are the model's, when nothing is wrong with it.
func (d *diagnosis) layers() []Layer {
	v, ok := d.known("model.#Layers")
	if !ok || len(d.found) > 0 {
		return nil
	}
	decoder := &layerDecoder{src: d.src}
	layers := decoder.layers(v)
	if decoder.err != nil {
		return nil
	}
	return layers
}

// attention: its projections are one for q, k and v together, or one for each.
func (d *diagnosis) attention() {
	for l := range everyLayer(d.layers()) {
		a := l.Attention
		if a == nil {
			continue
		}
		single := a.Q != nil && a.K != nil && a.V != nil
		if (a.QKV != nil) == (a.Q != nil || a.K != nil || a.V != nil) || a.QKV == nil && !single {
			d.found.add(&Error{Path: "model.#Layers", Message: "attention " + l.Name + " takes either qkv, or q, k and v", At: []Pos{l.Pos}})
		}
	}
}

// everyLayer goes through layers and their branches.
func everyLayer(layers []Layer) func(func(*Layer) bool) {
	var walk func(list []Layer, yield func(*Layer) bool) bool
	walk = func(list []Layer, yield func(*Layer) bool) bool {
		for i := range list {
			if !yield(&list[i]) {
				return false
			}
			for _, branch := range list[i].Branches {
				if !walk(branch, yield) {
					return false
				}
			}
		}
		return true
	}
	return func(yield func(*Layer) bool) { walk(layers, yield) }
}

// vocabulary: bytes are 256 tokens, and files of tokens do not say how many there are.
func (d *diagnosis) vocabulary() {
	n, ok := d.integer("model.vocabulary")
	if !ok {
		return
	}
	d.wrongIf(n > 0 && n < 256 && d.is("data.tokenizer.kind", "bytes"), []string{"model.vocabulary", "data.tokenizer.kind"},
		"use 256, or leave it out", "bytes are 256 tokens, %d are too few", n)
	format, _ := d.text("data.format")
	d.wrongIf(n == 0 && (format == "tokens" || format == "safetensors"), []string{"model.vocabulary", "data.format"},
		"give the number of token ids", "must be given: %s files do not say it", format)
}

// classes: batches of safetensors files do not say how many labels there are.
func (d *diagnosis) classes() {
	n, ok := d.integer("model.classes")
	d.wrongIf(ok && n == 0 && d.is("data.format", "safetensors"), []string{"model.classes", "data.format"},
		"give the number of labels", "must be given: safetensors files do not say it")
	labels, okLabels := d.list("model.labels")
	d.wrongIf(ok && okLabels && len(labels) > 0 && int(n) != len(labels), []string{"model.classes", "model.labels"},
		"leave classes out", "%d is not the number of model.labels, %d", n, len(labels))
}

// zero: what ranks share out, they must be able to round alike.
func (d *diagnosis) zero() {
	stage, ok := d.integer("parallel.zero")
	ranks, okRanks := d.integer("parallel.mesh.data")
	d.wrongIf(ok && okRanks && stage > 0 && ranks > 1 && d.is("precision.master", "bf16"), []string{"parallel.zero", "precision.master"}, "use parallel.zero: 0, or precision.master: \"f32\"",
		"parts of weights that are stored in bf16 are not updated by ranks apart: they are rounded by the places of their elements in the whole")
	tensor, okTensor := d.integer("parallel.mesh.tensor")
	d.wrongIf(okTensor && tensor > 1 && d.is("precision.rounding", "stochastic"), []string{"parallel.mesh.tensor", "precision.rounding"}, "use precision.rounding: \"nearest\", or parallel.mesh.tensor: 1",
		"stochastic rounding takes its bits by the places of elements in the whole weight")
}

// auto: what is to be chosen needs to know for how many ranks.
func (d *diagnosis) auto() {
	for _, axis := range axes {
		path := "parallel.mesh." + axis
		if d.is(path, Auto) {
			d.wrongIf(!d.given("devices.per_node") && !d.excused("devices.per_node"), []string{path}, "give devices.per_node, and devices.nodes where there are several",
				"it is not said how many ranks there are to share the work out among")
			return
		}
	}
}

// stages: each has layers, and chunks take turns by whole rounds of micro-batches.
func (d *diagnosis) stages() {
	stages, ok := d.integer("parallel.mesh.pipeline")
	chunks, okChunks := d.integer("parallel.pipeline.chunks")
	if !ok || !okChunks || stages < 1 || chunks < 1 {
		return
	}
	if layers, okLayers := d.integer("model.layers"); okLayers && layers > 0 && stages*chunks > 1 {
		paths := []string{"parallel.mesh.pipeline", "model.layers"}
		if chunks > 1 {
			paths = append(paths, "parallel.pipeline.chunks")
		}
		d.wrongIf(stages*chunks > layers+2, paths, "use fewer stages, or more layers", "%d parts are more than the %d layers, what lies before them and the head", stages*chunks, layers)
	}
	d.wrongIf(chunks > 1 && stages == 1, []string{"parallel.pipeline.chunks", "parallel.mesh.pipeline"}, "use chunks: 1", "one stage has all layers")
	d.wrongIf(chunks > 1 && !d.is("parallel.pipeline.schedule", "1f1b"), []string{"parallel.pipeline.chunks", "parallel.pipeline.schedule"},
		`use schedule: "1f1b", or chunks: 1`, "only 1f1b has a form that is interleaved")
	n, given := d.integer("batch.micro_batches")
	d.wrongIf(chunks > 1 && given && n%stages != 0, []string{"batch.micro_batches", "parallel.mesh.pipeline"},
		fmt.Sprintf("use a multiple of %d", stages), "with %d chunks a stage, micro-batches go through the %d stages in whole rounds: %d do not", chunks, stages, n)
}

// microBatches: each micro-batch holds as many rows, and each rank takes some of them.
func (d *diagnosis) microBatches() {
	rows, ok := d.integer("batch.sequences")
	parts, given := d.integer("batch.micro_batches")
	d.wrongIf(ok && given && rows%parts != 0, []string{"batch.micro_batches", "batch.sequences"},
		useDivisors(parts, rows), "%d does not divide batch.sequences = %d", parts, rows)
	groups, okGroups := d.integer("parallel.mesh.replica")
	ranks, okRanks := d.integer("parallel.mesh.data")
	if !ok || !okRanks || !okGroups || ranks < 1 || groups < 1 || given && (parts < 1 || rows%parts != 0) {
		return
	}
	paths := []string{"parallel.mesh.data", "batch.sequences"}
	if given {
		paths, rows = append(paths, "batch.micro_batches"), rows/parts
	}
	if groups > 1 {
		paths, ranks = append(paths, "parallel.mesh.replica"), groups*ranks
	}
	d.wrongIf(ranks > rows, paths, "use fewer ranks, or more rows", "%d ranks are more than the %d rows of a micro-batch", ranks, rows)
}

// objective: which loss fits which model, and what smoothing is for.
func (d *diagnosis) objective() {
	loss, ok := d.text("objective.loss")
	task, okTask := d.text("model.task")
	d.wrongIf(ok && okTask && task != "sequence" && loss != "cross_entropy", []string{"objective.loss", "model.task"},
		`use "cross_entropy"`, "%q needs one label a row, but model.task is %q", loss, task)
	smoothing, given := d.number("objective.smoothing")
	d.wrongIf(given && smoothing > 0 && d.given("objective.loss.plugin"), []string{"objective.smoothing", "objective.loss"},
		"leave it out", "label smoothing is for cross_entropy, not for a plugin")
	d.wrongIf(d.given("objective.teacher") && !d.given("objective.loss.plugin"), []string{"objective.teacher", "objective.loss"},
		"leave it out, or use a plugin that learns from it", "a teacher is for a plugin that takes its logits")
	d.wrongIf(ok && given && smoothing > 0 && loss != "cross_entropy", []string{"objective.smoothing", "objective.loss"},
		"leave it out", "label smoothing is for cross_entropy, not for %s", loss)
}

// optimizer: Nesterov's form is one of momentum.
func (d *diagnosis) optimizer() {
	momentum, ok := d.number("optimizer.momentum")
	v, given := d.known("optimizer.nesterov")
	if !ok || !given {
		return
	}
	nesterov, _ := v.Bool()
	d.wrongIf(nesterov && momentum == 0, []string{"optimizer.nesterov"}, "give optimizer.momentum, 0.9 for example", "there is no momentum to use it with")
}

// parameters: a rule says something, and one thing.
func (d *diagnosis) parameters() {
	v, ok := d.known("parameters")
	if !ok {
		return
	}
	n, _ := v.Len().Int64()
	for i := range n {
		path := fmt.Sprintf("parameters[%d]", i)
		if d.touched(path) {
			continue
		}
		rate, decay := d.given(path+".rate"), d.given(path+".decay")
		train, given := d.known(path + ".train")
		d.wrongIf(!rate && !decay && !d.given(path+".train"), []string{path}, "give train, rate or decay", "the rule changes nothing")
		if frozen, err := train.Bool(); given && err == nil && !frozen {
			d.wrongIf(rate || decay, []string{path}, "leave out rate and decay, or train: false", "weights that are not trained have no rate and no decay")
		}
	}
}
