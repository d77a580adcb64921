package data

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/record"
	"github.com/gsc-project/gsc/runtime/data/source"
	"github.com/gsc-project/gsc/runtime/data/token"
)

// ChangedError says how the data differs from the plan's manifest.
type ChangedError struct {
	Added, Removed, Changed []string // paths
}

func (e *ChangedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the data is no longer what the plan was made from: %d files added, %d removed, %d changed",
		len(e.Added), len(e.Removed), len(e.Changed))
	for _, list := range []struct {
		sign  string
		paths []string
	}{{"+", e.Added}, {"-", e.Removed}, {"~", e.Changed}} {
		for i, path := range list.paths {
			if i == 20 {
				fmt.Fprintf(&b, "\n  %s … and %d more", list.sign, len(list.paths)-i)
				break
			}
			fmt.Fprintf(&b, "\n  %s %s", list.sign, path)
		}
	}
	return b.String()
}

// Open reads the data of a prepared spec into memory. Where files were
// added, removed or changed since the spec was prepared, its error is a [ChangedError].
func Open(spec plan.Data) (*Set, error) { return OpenWith(spec, nil) }

// OpenWith is [Open] with the transforms that the spec names.
func OpenWith(spec plan.Data, with Transforms) (*Set, error) {
	if err := sound(&spec); err != nil {
		return nil, err
	}
	if err := transformsFit(&spec, with); err != nil {
		return nil, err
	}
	files, errs := source.Resolve(spec)
	if err := compare(spec.Files, files, false); err != nil {
		return nil, err
	}
	if len(errs) > 0 {
		return nil, errs.Err()
	}
	tokenizer, err := Tokenizer(spec)
	if err != nil && spec.Rows != "given" {
		return nil, err
	}
	s := &Set{spec: spec, tokenizer: tokenizer}
	if spec.Rows == "given" {
		err = s.loadGiven(files)
	} else {
		err = s.load(files, with)
	}
	if err == nil {
		s.rows, err = rowStages(&spec, with)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// sound refuses a spec whose second part does not go with its first, as a plan edited by hand may.
func sound(spec *plan.Data) error {
	if err := check(spec).Err(); err != nil {
		return err
	}
	needed := inputsOf(spec)
	if spec.Target == "values" {
		needed = append(needed, plan.InputWeights)
	}
	for _, input := range needed {
		if !slices.Contains(spec.Inputs, input) {
			return fmt.Errorf("data.inputs lack %q", input)
		}
	}
	if spec.Rows == "given" {
		return nil
	}
	vocabulary, outputs := spec.VocabularySize, len(spec.Labels)
	switch {
	case spec.Tokenizer == token.Bytes:
		vocabulary = 256
	case spec.Tokenizer == token.Characters:
		vocabulary = len(spec.Vocabulary)
	}
	if spec.Task == "next" {
		outputs = vocabulary
	}
	if vocabulary < 1 || vocabulary != spec.VocabularySize || outputs != spec.Outputs || spec.Target != targetOf(spec.Task) {
		return fmt.Errorf("data: %d token ids and %d outputs for each %s do not go with the tokenizer %q and the task %q",
			spec.VocabularySize, spec.Outputs, spec.Target, spec.Tokenizer, spec.Task)
	}
	return soundCounts(spec)
}

// mostGrowth is how many bytes transforms may make of one.
const mostGrowth = 256

// soundCounts refuses counts that files of these sizes cannot hold.
func soundCounts(spec *plan.Data) error {
	var total int64
	for _, f := range spec.Files {
		total += f.SizeBytes
	}
	if hasRecordTransforms(spec) {
		total *= mostGrowth
	}
	for split := Train; split < splits; split++ {
		c := CountOf(*spec, split)
		if c.Records < 0 || c.Tokens < 0 || c.Records > total || c.Tokens > 2*total {
			return fmt.Errorf("data.splits: %s cannot have %d records and %d tokens in files of %d bytes", split, c.Records, c.Tokens, total)
		}
	}
	return nil
}

// compare holds the files found against the manifest: names and sizes, and digests once they are known.
func compare(manifest []plan.File, found []source.File, digests bool) error {
	type key struct{ path, split string }
	known := make(map[key]plan.File, len(manifest))
	for _, f := range manifest {
		known[key{f.Path, f.Split}] = f
	}
	e := &ChangedError{}
	for _, f := range found {
		old, ok := known[key{f.Path, f.File.Split}]
		switch {
		case !ok:
			e.Added = append(e.Added, f.Path)
		case old.SizeBytes != f.SizeBytes || digests && old.Digest != f.Digest:
			e.Changed = append(e.Changed, f.Path)
		}
		delete(known, key{f.Path, f.File.Split})
	}
	for k := range known {
		e.Removed = append(e.Removed, k.path)
	}
	if len(e.Added)+len(e.Removed)+len(e.Changed) == 0 {
		return nil
	}
	slices.Sort(e.Removed)
	return e
}

// load reads all formats but safetensors.
func (s *Set) load(files []source.File, with Transforms) error {
	l := &loader{set: s, limit: limit(&s.spec), join: joins(&s.spec), classes: make(map[string]int32)}
	for i, name := range s.spec.Labels {
		l.classes[name] = int32(i)
	}
	for split := Train; split < splits; split++ {
		s.reserve(split)
	}
	did, errs := scan(s.spec, files, l, with)
	if err := compare(s.spec.Files, files, true); err != nil {
		return err
	}
	if err := errs.Err(); err != nil {
		return err
	}
	if err := didTheSame(&s.spec, did); err != nil {
		return err
	}
	if int(l.maxID) >= s.spec.VocabularySize {
		return fmt.Errorf("data: the token id %d is not below the plan's %d", l.maxID, s.spec.VocabularySize)
	}
	return s.finish()
}

// reserve makes a split's arrays, of the sizes that the manifest promises.
func (s *Set) reserve(split Split) {
	p, c := &s.parts[split], CountOf(s.spec, split)
	p.length, p.target, p.ends = int64(s.spec.Length), s.spec.Target, int32(s.spec.Ignore)
	p.tokens = newIDs(s.spec.VocabularySize, c.Tokens)
	p.starts = append(make([]int64, 0, c.Records+1), 0)
	switch s.spec.Task {
	case "tags":
		p.tags = newIDs(s.spec.Outputs+1, c.Tokens)
	case "class":
		p.classes = make([]int32, 0, c.Records)
	case "values":
		p.values = make([]float32, 0, c.Records*int64(s.spec.Outputs))
	}
	if id, ok := s.tokenizer.Separator(); ok && ends(&s.spec) {
		p.ends = id
	}
}

// finish lays out the rows, and holds what was read against what the plan counted.
func (s *Set) finish() error {
	for split := Train; split < splits; split++ {
		p, c := &s.parts[split], CountOf(s.spec, split)
		records := s.Documents(split)
		p.rows = rowsIn(&s.spec, split, p.tokens.len(), records)
		if s.spec.Rows == "packed" && records > 0 {
			p.packing = pack(lengthsOf(p.starts), s.spec.Length)
			p.rows = p.packing.rows()
		}
		if found := (plan.Count{Rows: p.rows, Tokens: p.tokens.len(), Records: records}); found != c {
			return fmt.Errorf("%s: the files hold %+v, but the plan says %+v", split, found, c)
		}
	}
	return nil
}

func lengthsOf(starts []int64) []int64 {
	list := make([]int64, len(starts)-1)
	for i := range list {
		list[i] = starts[i+1] - starts[i]
	}
	return list
}

// loader puts records into a set: the sink of [Open].
type loader struct {
	set     *Set
	limit   int64
	join    bool
	classes map[string]int32

	part    *part
	tokens  int64 // of the record that is open
	tag     int32 // of the word that comes next, plus 1
	maxID   int32
	scratch []int32
}

func (l *loader) Begin(split Split, _ record.Place) {
	l.part, l.tokens, l.tag = &l.set.parts[split], 0, 0
}

func (l *loader) Text(text []byte) {
	if l.set.spec.Tokenizer == token.Bytes {
		n := l.open(len(text))
		l.part.tokens.one = append(l.part.tokens.one, text[:n]...)
		l.mark(n)
		return
	}
	l.scratch = l.set.tokenizer.Append(l.scratch[:0], text)
	n := l.open(len(l.scratch))
	l.part.tokens.appendAll(l.scratch[:n])
	l.mark(n)
}

func (l *loader) IDs(raw []byte) {
	width := source.TokenWidth(l.set.spec.TokenType)
	n := l.open(len(raw) / width)
	l.maxID = max(l.maxID, l.part.tokens.appendRaw(raw[:n*width], width))
	l.mark(n)
}

func (l *loader) Tag(tag string) { l.tag = l.classes[tag] + 1 }

// open says how many of n tokens there is room for; before a record's first token it writes the separator.
func (l *loader) open(n int) int {
	p := l.part
	if l.join && l.tokens == 0 && n > 0 && len(p.starts) > 1 {
		separator, _ := l.set.tokenizer.Separator()
		p.tokens.append(separator)
		p.starts[len(p.starts)-1]++
	}
	return int(min(int64(n), l.limit-l.tokens))
}

// mark counts n tokens that were appended, and gives the first of them the tag of its word.
func (l *loader) mark(n int) {
	l.tokens += int64(n)
	if l.part.tags.width == 0 {
		return
	}
	for ; n > 0; n-- {
		l.part.tags.append(l.tag)
		l.tag = 0
	}
}

func (l *loader) End(label *source.Label) (bad string) {
	if l.tokens == 0 {
		return ""
	}
	p := l.part
	p.starts = append(p.starts, p.tokens.len())
	if label == nil {
		return ""
	}
	switch l.set.spec.Task {
	case "class":
		p.classes = append(p.classes, l.classes[label.Names[0]])
	case "values":
		p.values = append(p.values, l.valuesOf(label)...)
	}
	return ""
}

// valuesOf is the numbers of a label: 1 for each class that it names, 0 for the others.
func (l *loader) valuesOf(label *source.Label) []float32 {
	values := make([]float32, l.set.spec.Outputs)
	for i, v := range label.Numbers[:min(len(label.Numbers), len(values))] {
		values[i] = float32(v)
	}
	for _, name := range label.Names {
		if id, ok := l.classes[name]; ok {
			values[id] = 1
		}
	}
	return values
}
