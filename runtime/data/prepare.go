package data

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/data/source"
	"github.com/gsc-project/gsc/runtime/data/token"
)

// Prepare finds and reads the data that the strategy's part of spec names, and
// returns spec with its second part filled in. Its error is [Errors].
func Prepare(spec plan.Data) (plan.Data, error) { return PrepareWith(spec, nil) }

// PrepareWith is [Prepare] with the transforms that the spec names.
func PrepareWith(spec plan.Data, with Transforms) (plan.Data, error) {
	if err := transformsFit(&spec, with); err != nil {
		return spec, err
	}
	forget(&spec)
	errs := check(&spec)
	files, missing := source.Resolve(spec)
	errs = append(errs, missing...)
	if len(check(&spec)) > 0 {
		return spec, errs.Err()
	}
	if spec.Rows == "given" {
		errs = append(errs, prepareGiven(&spec, files)...)
	} else {
		errs = append(errs, prepareRecords(&spec, files, len(missing) == 0, with)...)
	}
	if err := errs.Err(); err != nil {
		return spec, err
	}
	if errs = tryRows(&spec, with); len(errs) > 0 {
		return spec, errs
	}
	spec.Files = manifest(files)
	noteOverlap(&spec)
	notePairs(&spec)
	return spec, nil
}

// forget empties the second part.
func forget(spec *plan.Data) {
	spec.Vocabulary, spec.VocabularySize, spec.Labels, spec.Target, spec.Outputs = nil, 0, nil, "", 0
	spec.Inputs, spec.Files, spec.Splits, spec.Notes, spec.Width = nil, nil, plan.Counts{}, nil, 0
	spec.Transforms = slices.Clone(spec.Transforms)
	for i := range spec.Transforms {
		t := &spec.Transforms[i]
		t.Taken, t.Given, t.Digest = 0, 0, ""
	}
}

func manifest(files []source.File) []plan.File {
	list := make([]plan.File, len(files))
	for i, f := range files {
		list[i] = f.File
	}
	return list
}

// prepareRecords reads all formats but safetensors. Whether a split is empty is
// told only where all its files were found.
func prepareRecords(spec *plan.Data, files []source.File, complete bool, with Transforms) Errors {
	t := newTally(spec)
	did, errs := scan(*spec, files, t, with)
	spec.Transforms = did
	spec.Target, spec.Inputs = targetOf(spec.Task), inputsOf(spec)
	t.fillVocabulary()
	t.fillOutputs()
	for split := Train; split < splits; split++ {
		t.fillCount(split)
		if len(errs) == 0 && complete {
			t.checkCount(split, files, &errs)
		}
	}
	t.note()
	return errs
}

func (t *tally) fillVocabulary() {
	switch t.spec.Tokenizer {
	case token.Bytes:
		t.spec.VocabularySize = 256
	case token.Characters:
		t.spec.Vocabulary = t.vocabulary()
		t.spec.VocabularySize = len(t.spec.Vocabulary)
	default:
		t.spec.VocabularySize = int(t.maxID) + 1
	}
}

func (t *tally) fillOutputs() {
	if t.spec.Task == "next" {
		t.spec.Outputs = t.spec.VocabularySize
		return
	}
	t.spec.Labels = t.labels()
	t.spec.Outputs = len(t.spec.Labels)
}

func (t *tally) fillCount(split Split) {
	p := &t.parts[split]
	if joins(t.spec) && p.records > 0 {
		p.tokens += p.records - 1
	}
	rows := rowsIn(t.spec, split, p.tokens, p.records)
	if t.spec.Rows == "packed" {
		rows = pack(p.lengths, t.spec.Length).rows()
	}
	*countOf(&t.spec.Splits, split) = plan.Count{Rows: rows, Tokens: p.tokens, Records: p.records}
}

// checkCount reports a split that is empty though it was asked for.
func (t *tally) checkCount(split Split, files []source.File, errs *Errors) {
	path, ok := asked(t.spec, split)
	count := CountOf(*t.spec, split)
	if !ok || count.Rows > 0 {
		return
	}
	if count.Records > 0 {
		errs.Add(path, "use shorter rows or more data",
			"%s holds %d tokens, and a row of %d needs %d%s", split, count.Tokens, t.spec.Length, t.spec.Length+1, transformed(t.spec))
		return
	}
	if behind := transformed(t.spec); behind != "" {
		errs.Add(path, "have the transforms leave more", "nothing is left for %s%s", split, behind)
		return
	}
	whole, size := 0, int64(0)
	for _, f := range files {
		if f.Split == split {
			whole++
		}
		size += f.SizeBytes
	}
	switch {
	case whole > 0 || size == 0 || t.spec.Split.By == "":
		errs.Add(path, "", "the files of %s are empty", split)
	case t.spec.Split.By == "bytes":
		errs.Add(path, "raise the share, or name files of its own", "nothing falls to %s", split)
	default:
		errs.Add(path, "change the shares, split by bytes, or name files under data."+split.String(),
			"none of the %d files falls to %s", len(files), split)
	}
}

// transformed says what transforms took away, if they did.
func transformed(spec *plan.Data) string {
	var list []string
	for _, t := range spec.Transforms {
		if t.On == plan.OnRecords && t.Given < t.Taken {
			list = append(list, fmt.Sprintf("%s took %d records and gave %d", t.Plugin, t.Taken, t.Given))
		}
	}
	if list == nil {
		return ""
	}
	return ": the transform " + strings.Join(list, ", ")
}

func (t *tally) note() {
	for split := Train; split < splits; split++ {
		p := &t.parts[split]
		t.noteCount(split, p.cut, fmt.Sprintf("longer than a row and cut at %d tokens", t.spec.Length))
		if t.spec.Format == "jsonl" {
			t.noteCount(split, p.empty, "empty and left out")
		}
		if t.spec.Task == "next" {
			t.noteCount(split, p.nuls, "with the character NUL, which also separates records")
		}
		if split != Train && t.spec.Tokenizer == token.Characters {
			t.noteUnknown(split)
		}
	}
	t.noteLabels()
}

func (t *tally) noteCount(split Split, n int64, what string) {
	if n > 0 {
		t.spec.Notes = append(t.spec.Notes, fmt.Sprintf("%s: %d of %d records %s", split, n, t.parts[split].records+t.parts[split].empty, what))
	}
}

// noteUnknown names the characters that training lacks.
func (t *tally) noteUnknown(split Split) {
	runes := t.unknown(split)
	if len(runes) == 0 {
		return
	}
	shown := string(runes[:min(len(runes), 20)])
	t.spec.Notes = append(t.spec.Notes, fmt.Sprintf("%s: %d characters that training lacks are read as %q: %q",
		split, len(runes), token.Unknown, shown))
}

// noteLabels names the tags or classes that training lacks.
func (t *tally) noteLabels() {
	var list []string
	for name, seen := range t.names {
		if !seen[Train] {
			list = append(list, name)
		}
	}
	if len(list) > 0 {
		slices.Sort(list)
		t.spec.Notes = append(t.spec.Notes, "labels that training lacks: "+strings.Join(list, ", "))
	}
}

// noteOverlap says when a file is in several splits.
func noteOverlap(spec *plan.Data) {
	seen := make(map[string]string)
	shared := make(map[string]int)
	for _, f := range spec.Files {
		if other, ok := seen[f.Path]; ok {
			shared[other+" and "+f.Split]++
		}
		seen[f.Path] = f.Split
	}
	for _, pair := range []string{"train and validation", "train and test", "validation and test"} {
		if n := shared[pair]; n > 0 {
			spec.Notes = append(spec.Notes, fmt.Sprintf("%d files are in both %s", n, pair))
		}
	}
}

// notePairs tells of the rows that are left over where they are compared by twos.
func notePairs(spec *plan.Data) {
	for split := Train; split < splits; split++ {
		if n := CountOf(*spec, split).Rows; plan.RecordsOf(spec.Unit) > 1 && n%2 > 0 {
			spec.Notes = append(spec.Notes, fmt.Sprintf("%s has %d rows, the last of which has none to be paired with", split, n))
		}
	}
}
