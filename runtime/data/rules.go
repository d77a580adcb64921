package data

import (
	"math"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/data/source"
	"github.com/gsc-project/gsc/runtime/data/token"
)

// Error is a user's mistake, with the place in the strategy that it belongs to.
type Error = source.Error

// Errors are all mistakes that were found at once.
type Errors = source.Errors

// Split is a part of the data.
type Split = source.Split

// The splits.
const (
	Train      = source.Train
	Validation = source.Validation
	Test       = source.Test
)

const splits = 3

// Tokenizer is the tokenizer of a prepared spec.
func Tokenizer(spec plan.Data) (*token.Tokenizer, error) {
	return token.New(spec.Tokenizer, spec.Vocabulary)
}

// CountOf is what a split of a prepared spec holds.
func CountOf(spec plan.Data, split Split) plan.Count { return *countOf(&spec.Splits, split) }

func countOf(c *plan.Counts, split Split) *plan.Count {
	switch split {
	case Validation:
		return &c.Validation
	case Test:
		return &c.Test
	}
	return &c.Train
}

// formats are the rows and tasks that each format can give.
var formats = map[string]struct{ rows, tasks, tokenizers []string }{
	"text":        {[]string{"stream", "packed", "padded"}, []string{"next"}, []string{"bytes", "characters"}},
	"jsonl":       {[]string{"stream", "packed", "padded"}, []string{"next", "class", "values"}, []string{"bytes", "characters"}},
	"tokens":      {[]string{"stream", "packed", "padded"}, []string{"next"}, []string{"none"}},
	"conll":       {[]string{"packed", "padded"}, []string{"tags"}, []string{"bytes", "characters"}},
	"safetensors": {[]string{"given"}, []string{"given"}, []string{"none", ""}},
}

// check holds the settings against each other.
func check(spec *plan.Data) (errs Errors) {
	f, ok := formats[spec.Format]
	if !ok {
		errs.Add("data.format", "use one of text, jsonl, tokens, conll, safetensors", "unknown format %q", spec.Format)
		return errs
	}
	oneOf := func(path, what, value string, allowed []string) {
		if !slices.Contains(allowed, value) {
			errs.Add(path, "use "+strings.Join(allowed, " or "), "data of the format %s has no %s %q", spec.Format, what, value)
		}
	}
	oneOf("data.rows", "rows", spec.Rows, f.rows)
	oneOf("data.task", "task", spec.Task, f.tasks)
	oneOf("data.tokenizer.kind", "tokenizer", spec.Tokenizer, f.tokenizers)
	if len(spec.Train) == 0 {
		errs.Add(Train.Path(), "", "names no files")
	}
	checkFields(spec, &errs)
	checkRows(spec, &errs)
	checkSplit(spec, &errs)
	checkTransforms(spec, &errs)
	return errs
}

func checkFields(spec *plan.Data, errs *Errors) {
	labelled := spec.Task == "class" || spec.Task == "values"
	switch {
	case spec.Format == "jsonl" && spec.Field == "":
		errs.Add("data.field", "name the key of the text", "JSON lines need a field")
	case spec.Format == "jsonl" && labelled && spec.Label == "":
		errs.Add("data.label", "name the key of the label", "rows with a label need its field")
	case spec.Format == "tokens" && spec.TokenType != "uint16" && spec.TokenType != "uint32":
		errs.Add("data.token_type", "use uint16 or uint32", "unknown type of tokens %q", spec.TokenType)
	case spec.Format == "conll" && spec.Column < 0:
		errs.Add("data.column", "columns count from 0", "%d is no column", spec.Column)
	}
	if labelled && spec.Rows != "padded" {
		errs.Add("data.rows", "use padded", "a label belongs to one record, and %s rows hold several", spec.Rows)
	}
}

func checkRows(spec *plan.Data, errs *Errors) {
	if int(int32(spec.Ignore)) != spec.Ignore {
		errs.Add("objective.ignore_index", "", "%d is no label", spec.Ignore)
	}
	if spec.Length < 1 && spec.Rows != "given" {
		errs.Add("data.length", "", "rows of %d tokens", spec.Length)
	}
	if !slices.Contains([]string{"", "shuffled", "random", "sequential"}, spec.Order) {
		errs.Add("data.order", "use shuffled, random or sequential", "unknown order %q", spec.Order)
	}
	if spec.Order == "random" && spec.Rows != "stream" {
		errs.Add("data.order", "use shuffled", "rows at random places are of a stream, and these are %s", spec.Rows)
	}
	if len(spec.Buckets) == 0 {
		return
	}
	ascending := spec.Buckets[0] > 0 && slices.IsSorted(spec.Buckets) && len(slices.Compact(slices.Clone(spec.Buckets))) == len(spec.Buckets)
	if !ascending || spec.Buckets[len(spec.Buckets)-1] != spec.Length {
		errs.Add("data.buckets", "", "%v does not ascend to the length, %d", spec.Buckets, spec.Length)
	}
}

func checkSplit(spec *plan.Data, errs *Errors) {
	s := spec.Split
	if s.By == "" && s.Validation == 0 && s.Test == 0 {
		return
	}
	if s.By != "file" && s.By != "bytes" {
		errs.Add("data.split.by", "use file or bytes", "unknown way to split %q", s.By)
	}
	if spec.Rows == "given" {
		errs.Add("data.split", "name files under data.validation", "given batches cannot be split")
	}
	bad := func(share float64) bool { return math.IsNaN(share) || share < 0 || share >= 1 }
	if bad(s.Validation) || bad(s.Test) || s.Validation+s.Test >= 1 {
		errs.Add("data.split", "", "shares of %g and %g leave nothing to train on", s.Validation, s.Test)
	}
	if s.Validation > 0 && len(spec.Validation) > 0 {
		errs.Add("data.split.validation", "leave out one of them", "validation has files of its own")
	}
	if s.Test > 0 && len(spec.Test) > 0 {
		errs.Add("data.split.test", "leave out one of them", "test has files of its own")
	}
}

// asked says whether the strategy wants a split to hold something, and where it says so.
func asked(spec *plan.Data, split Split) (path string, ok bool) {
	share, list := spec.Split.Validation, spec.Validation
	if split == Test {
		share, list = spec.Split.Test, spec.Test
	}
	switch {
	case split == Train || len(list) > 0:
		return split.Path(), true
	case share > 0:
		return "data.split." + split.String(), true
	}
	return "", false
}

// joins says whether separators stand between the records.
func joins(spec *plan.Data) bool { return spec.Rows == "stream" && spec.Tokenizer != token.None }

// ends says whether the last token of a record predicts the separator.
func ends(spec *plan.Data) bool {
	return spec.Rows != "stream" && spec.Task == "next" && spec.Tokenizer != token.None
}

// limit is how many tokens of a record are kept. Where the next token is
// predicted, one more than a row holds: it is the last one's label.
func limit(spec *plan.Data) int64 {
	switch {
	case spec.Rows != "padded":
		return math.MaxInt64
	case spec.Task == "next":
		return int64(spec.Length) + 1
	}
	return int64(spec.Length)
}

// rowsIn is how many rows a split has, of an epoch or of a pass of evaluation.
// Those of packed rows are known from the packing alone.
func rowsIn(spec *plan.Data, split Split, tokens, records int64) int64 {
	length := int64(spec.Length)
	switch {
	case spec.Rows != "stream":
		return records
	case tokens < 2:
		return 0
	case split == Train:
		return (tokens - 1) / length
	}
	return (tokens - 2 + length) / length
}

// inputsOf names the tensors of a batch; those of given rows are known from the files alone.
func inputsOf(spec *plan.Data) []string {
	inputs := []string{plan.InputTokens, plan.InputLabels}
	switch spec.Rows {
	case "packed":
		inputs = append(inputs, plan.InputSegments, plan.InputPositions)
	case "padded":
		inputs = append(inputs, plan.InputLengths)
	}
	if spec.Task == "values" || spec.Rows != "given" && changesWeights(spec) {
		inputs = append(inputs, plan.InputWeights)
	}
	return inputs
}

// targetOf says what a label belongs to, by the task.
func targetOf(task string) string {
	switch task {
	case "class":
		return "row"
	case "values":
		return "values"
	}
	return "token"
}
