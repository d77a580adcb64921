package schema

import (
	"maps"
	"slices"
	"strings"

	"cuelang.org/go/cue"
)

// lengths are the units of a run's length.
var lengths = []string{"schedule.steps", "schedule.tokens", "schedule.epochs"}

// length: a run has one length. A table may do without: it is as long as it is.
func (d *diagnosis) length() {
	if !d.given("schedule.kind") || d.isRepaired("schedule") {
		return
	}
	var given []string
	for _, path := range lengths {
		if d.given(path) {
			given = append(given, path)
		}
	}
	excused := d.is("schedule.kind", "table") || d.silent("schedule")
	for _, path := range lengths {
		excused = excused || d.excused(path)
	}
	d.wrongIf(len(given) == 0 && !excused, []string{"schedule"}, "give steps, tokens or epochs", "the length of the run must be given")
	if len(given) > 1 {
		d.wrongIf(true, given, "keep one", "the run has %d lengths: %s", len(given), strings.Join(given, ", "))
	}
}

// warmup: it ends before the run, and before a decay begins.
func (d *diagnosis) warmup() {
	warmup, ok := d.integer("schedule.warmup")
	steps, given := d.integer("schedule.steps")
	d.wrongIf(ok && given && warmup >= steps, []string{"schedule.warmup", "schedule.steps"},
		"", "%d steps of warmup leave nothing of a run of %d", warmup, steps)
	decay, okDecay := d.integer("schedule.decay")
	d.wrongIf(ok && given && okDecay && warmup < steps && warmup+decay > steps, []string{"schedule.decay", "schedule.warmup", "schedule.steps"},
		"", "%d steps of decay after %d of warmup are more than the run's %d", decay, warmup, steps)
}

// floor: it lies under the peak.
func (d *diagnosis) floor() {
	floor, ok := d.number("schedule.floor")
	peak, given := d.number("schedule.peak")
	d.wrongIf(ok && given && floor > peak, []string{"schedule.floor", "schedule.peak"}, "", "%v is more than schedule.peak = %v", floor, peak)
}

// table: it is not longer than the run.
func (d *diagnosis) table() {
	v, ok := d.known("schedule.rates")
	steps, given := d.integer("schedule.steps")
	if !ok || !given {
		return
	}
	n, err := v.Len().Int64()
	d.wrongIf(err == nil && n > steps, []string{"schedule.rates", "schedule.steps"}, "", "%d rates are more than the run's %d steps", n, steps)
}

// validated: what watches the validation loss needs a validation split.
func (d *diagnosis) validated() {
	share, _ := d.number("data.split.validation")
	if d.silent("data") || d.touched("data") || !d.given("data.train") || share > 0 || d.given("data.validation") {
		return
	}
	const fix = "give data.validation.files or data.split.validation"
	patience, _ := d.integer("evaluate.patience")
	d.wrongIf(patience > 0, []string{"evaluate.patience"}, fix, "there is no validation split to stop by")
	d.wrongIf(d.is("schedule.kind", "plateau"), []string{"schedule.kind"}, fix, "there is no validation split to see a plateau in")
	metrics, _ := d.list("evaluate.metrics")
	d.wrongIf(len(metrics) > 0, []string{"evaluate.metrics"}, fix, "there is no validation split to evaluate")
}

// metrics: F1 is of labels, that of entities of BIO tags; both are of classes.
func (d *diagnosis) metrics() {
	metrics, ok := d.list("evaluate.metrics")
	task, okTask := d.text("model.task")
	loss, okLoss := d.text("objective.loss")
	if !ok || !okTask {
		return
	}
	for _, m := range metrics {
		paths := []string{"evaluate.metrics", "model.task"}
		switch {
		case m == "entity_f1" && task != "tokens":
			d.wrongIf(true, paths, "", "entity_f1 needs a tag for each token, but model.task is %q", task)
		case m == "f1" && task == "causal":
			d.wrongIf(true, paths, `use "accuracy"`, "f1 needs labels, but model.task is %q", task)
		case okLoss && loss != "cross_entropy":
			d.wrongIf(true, []string{"evaluate.metrics", "objective.loss"}, "", "%s counts right classes, which %s does not give", m, loss)
		}
	}
}

// best: a checkpoint can be the best by what is computed.
func (d *diagnosis) best() {
	best, ok := d.text("evaluate.best")
	metrics, okMetrics := d.list("evaluate.metrics")
	if !ok || !okMetrics || best == "loss" {
		return
	}
	for _, m := range metrics {
		if m == best {
			return
		}
	}
	d.wrongIf(true, []string{"evaluate.best", "evaluate.metrics"}, "add "+best+" to evaluate.metrics", "%s is not among evaluate.metrics", best)
}

// builtIn are the built-in device profiles, each with the kinds of device it is for.
var builtIn = map[string][]string{
	"cpu": {"cpu", "ref"}, "ref": {"cpu", "ref"}, "a100-80": {"cuda"}, "h100-sxm": {"cuda"}, "h200": {"cuda"}, "b200": {"cuda"},
}

// profile: it is known, and of the kind of device; the strategy's own are of the kind of what they are like, which is cuda.
func (d *diagnosis) profile() {
	name, ok := d.text("devices.profile")
	kind, okKind := d.text("devices.kind")
	if !ok || !okKind || name == "host" || strings.HasSuffix(name, ".json") || d.touched("devices.profiles") {
		return
	}
	own := d.ownProfiles()
	kinds, known := builtIn[name]
	if slices.Contains(own, name) {
		kinds, known = []string{"cuda"}, true
	}
	options := slices.Concat([]string{"host"}, slices.Sorted(maps.Keys(builtIn)), own)
	d.wrongIf(!known, []string{"devices.profile"}, "use one of "+strings.Join(options, ", ")+", or a file that gsc calibrate wrote", "there is no device profile %q", name)
	d.wrongIf(known && !slices.Contains(kinds, kind), []string{"devices.profile", "devices.kind"},
		`use devices.profile: "host"`, "%s is of devices of the kind %s", name, strings.Join(kinds, " or "))
}

// ownProfiles names those of the strategy.
func (d *diagnosis) ownProfiles() (names []string) {
	it, err := d.value.LookupPath(cue.ParsePath("devices.profiles")).Fields()
	for err == nil && it.Next() {
		names = append(names, it.Selector().Unquoted())
	}
	return names
}
