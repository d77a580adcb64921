package schema

import (
	"fmt"
	"slices"
)

// formats are the formats of data that have what a task needs.
var formats = map[string][]string{
	"causal":   {"text", "jsonl", "tokens", "safetensors"},
	"tokens":   {"conll", "safetensors"},
	"sequence": {"jsonl", "safetensors"},
}

// task: the data has what the model learns.
func (d *diagnosis) task() {
	task, ok := d.text("model.task")
	format, okFormat := d.text("data.format")
	if !ok || !okFormat {
		return
	}
	fits := formats[task]
	if task == "tokens" && d.transforms() > 0 { // which may label tokens; when modules are looked at one must
		fits = slices.Concat(formats["causal"], fits[:1])
	}
	fix := "use one of " + quotedList(fits)
	if task == "tokens" && slices.Contains(formats["causal"], format) {
		fix += ", or a transform of data that labels tokens"
	}
	d.wrongIf(!slices.Contains(fits, format), []string{"data.format", "model.task"}, fix,
		"%s", noLabels(format, task))
	label := d.given("data.label")
	d.wrongIf(format == "jsonl" && task == "sequence" && !label, []string{"data.label", "model.task"}, "give the key of the label",
		"must be given: model.task is %q", task)
	d.wrongIf(format == "jsonl" && task == "causal" && label, []string{"data.label", "model.task"}, "leave it out",
		"a causal model learns the next token, not a label")
}

// transforms is how many the data go through.
func (d *diagnosis) transforms() int64 {
	v, ok := d.known("data.transforms")
	if !ok {
		return 0
	}
	n, _ := v.Len().Int64()
	return n
}

// noLabels says why a format does not serve a task.
func noLabels(format, task string) string {
	switch task {
	case "tokens":
		return fmt.Sprintf("%s has no label for each token, which model.task = %q needs", format, task)
	case "sequence":
		return fmt.Sprintf("%s has no label for each row, which model.task = %q needs", format, task)
	}
	return fmt.Sprintf("%s is sentences with tags; a causal model takes text", format)
}

// rows: how records become rows, in which order.
func (d *diagnosis) rows() {
	rows, ok := d.text("data.rows")
	if !ok {
		return
	}
	task, _ := d.text("model.task")
	d.wrongIf(task == "sequence" && rows != "padded" && rows != "given", []string{"data.rows", "model.task"}, `use "padded"`,
		"%s rows cross records, but model.task = %q has a label for each", rows, task)
	d.wrongIf(rows == "padded" && d.is("data.format", "text"), []string{"data.rows", "data.format"}, `use "stream" or "packed"`,
		"each file would be one row")
	d.wrongIf(rows != "stream" && d.is("data.order", "random"), []string{"data.order", "data.rows"}, `use "shuffled"`,
		"rows at random places are of a stream, but data.rows is %q", rows)
	d.wrongIf(rows != "padded" && d.given("data.buckets"), []string{"data.buckets", "data.rows"}, "leave it out",
		"only padded rows differ in length, but data.rows is %q", rows)
}

// rowLength: a row fits the model.
func (d *diagnosis) rowLength() {
	length, ok := d.integer("data.length")
	context, given := d.integer("model.context")
	d.wrongIf(ok && given && length > context, []string{"data.length", "model.context"}, "", "%d is more than model.context = %d", length, context)
}

// buckets: they ascend to the length of a row.
func (d *diagnosis) buckets() {
	v, ok := d.known("data.buckets")
	if !ok {
		return
	}
	var buckets []int64
	if v.Decode(&buckets) != nil || len(buckets) == 0 {
		return
	}
	last := buckets[len(buckets)-1]
	d.wrongIf(!slices.IsSorted(buckets) || len(slices.Compact(slices.Clone(buckets))) != len(buckets), []string{"data.buckets"},
		"sort it", "%v does not ascend", buckets)
	if length, given := d.integer("data.length"); given {
		d.wrongIf(length != slices.Max(buckets), []string{"data.buckets", "data.length"}, fmt.Sprintf("end with %d", length),
			"the last is %d, but data.length is %d", last, length)
		return
	}
	context, given := d.integer("model.context")
	d.wrongIf(given && slices.Max(buckets) > context, []string{"data.buckets", "model.context"}, "",
		"%d is more than model.context = %d", slices.Max(buckets), context)
}

// splits: a split comes from one place, and leaves something to learn from.
func (d *diagnosis) splits() {
	validation, _ := d.number("data.split.validation")
	test, _ := d.number("data.split.test")
	d.wrongIf(validation+test >= 1, []string{"data.split.validation", "data.split.test"}, "",
		"%v for validation and %v for test leave nothing to learn from", validation, test)
	for name, share := range map[string]float64{"validation": validation, "test": test} {
		d.wrongIf(share > 0 && d.given("data."+name), []string{"data.split." + name, "data." + name}, "keep one",
			"the %s split is given twice: as a share, and by its files", name)
	}
}
