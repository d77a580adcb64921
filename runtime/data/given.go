package data

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
	"github.com/gsc-project/gsc/runtime/data/source"
)

// The tensors of a file of batches. All but the first two may be left out.
const (
	tensorTokens    = "input_ids"
	tensorLabels    = "labels"
	tensorMask      = "attention_mask"
	tensorTypes     = "token_type_ids"
	tensorPositions = "position_ids"
	tensorWeights   = "weights"
)

var givenTensors = []string{tensorTokens, tensorLabels, tensorMask, tensorTypes, tensorPositions, tensorWeights}

// given is the rows of safetensors batches of one split, files one after the other.
type given struct {
	form
	steps, perStep int64 // rows = steps·perStep

	tokens, labels, types, mask, positions []int32
	values, weights                        []float32
	names                                  []string // of the further tensors, which are
	further                                [][]float32
}

// form is what all files of given batches share.
type form struct {
	length  int
	columns int // values: how many a row has
	target  string
	has     [6]bool // of givenTensors
	width   int     // of the further tensors
}

// readForm finds the form of a file from its header. The further tensors are those that the loss takes besides.
func readForm(f *safetensors.File, further []string) (g given, bad string) {
	for _, t := range f.Tensors() {
		i := slices.Index(givenTensors, t.Name)
		if i < 0 && !slices.Contains(further, t.Name) {
			return g, fmt.Sprintf("unknown tensor %q: batches hold %s", t.Name, strings.Join(append(slices.Clone(givenTensors), further...), ", "))
		}
		if i >= 0 {
			g.has[i] = true
		}
	}
	if !g.has[0] || !g.has[1] {
		return g, "batches need the tensors input_ids and labels"
	}
	shape := shapeOf(f, tensorTokens)
	if len(shape) != 4 || product(shape) == 0 || product(shape) > math.MaxInt32 {
		return g, fmt.Sprintf("input_ids is of shape %v, not [steps, micro_batches, batch, length]", shape)
	}
	g.steps, g.perStep, g.length = int64(shape[0]), int64(shape[1])*int64(shape[2]), shape[3]
	if bad := g.readTarget(f, shape); bad != "" {
		return g, bad
	}
	for i, name := range givenTensors[2:] {
		want := shape
		if name == tensorWeights && g.target != "token" {
			want = shape[:3]
		}
		if got := shapeOf(f, name); g.has[i+2] && !slices.Equal(got, want) {
			return g, fmt.Sprintf("%s is of shape %v, not %v", name, got, want)
		}
	}
	return g, g.readFurther(f, further, shape)
}

// readFurther finds how wide the further tensors are: numbers for each label.
func (g *given) readFurther(f *safetensors.File, further []string, shape []int) (bad string) {
	if g.target != "token" {
		shape = shape[:3]
	}
	for _, name := range further {
		info, ok := f.Lookup(name)
		got := info.Shape
		switch {
		case !ok:
			return fmt.Sprintf("the loss takes %s, which the batches do not hold", name)
		case !slices.Contains([]string{"F64", "F32", "F16", "BF16"}, info.DType):
			return fmt.Sprintf("%s is %s, and must be of floats", name, info.DType)
		case len(got) != len(shape)+1 || !slices.Equal(got[:len(shape)], shape) || got[len(shape)] < 1 || g.width > 0 && got[len(shape)] != g.width || product(got) > math.MaxInt32:
			return fmt.Sprintf("%s is of shape %v, not %v with the width of the logits behind it", name, got, shape)
		}
		g.width = got[len(shape)]
	}
	return ""
}

// readTarget finds what the labels belong to: whole numbers for tokens or rows, others for rows.
func (g *given) readTarget(f *safetensors.File, shape []int) (bad string) {
	labels := shapeOf(f, tensorLabels)
	info, _ := f.Lookup(tensorLabels)
	real := slices.Contains([]string{"F64", "F32", "F16", "BF16"}, info.DType)
	switch {
	case !real && slices.Equal(labels, shape):
		g.target = "token"
	case !real && slices.Equal(labels, shape[:3]):
		g.target = "row"
	case real && slices.Equal(labels, shape[:3]):
		g.target, g.columns = "values", 1
	case real && len(labels) == 4 && slices.Equal(labels[:3], shape[:3]) && labels[3] > 0 && product(labels) <= math.MaxInt32:
		g.target, g.columns = "values", labels[3]
	default:
		return fmt.Sprintf("labels are %s of shape %v, which does not go with input_ids of %v", info.DType, labels, shape)
	}
	return ""
}

func shapeOf(f *safetensors.File, name string) []int {
	info, _ := f.Lookup(name)
	return info.Shape
}

// product is the number of elements, but no more than MaxInt32+1.
func product(shape []int) int64 {
	n := int64(1)
	for _, d := range shape {
		n = min(n*min(int64(d), math.MaxInt32+1), math.MaxInt32+1)
	}
	return n
}

// reader reads tensors until the first error.
type reader struct {
	file *safetensors.File
	err  error
}

func (r *reader) ints(has bool, name string) []int32 {
	if !has || r.err != nil {
		return nil
	}
	info, _ := r.file.Lookup(name)
	list := make([]int32, info.Elements())
	r.err = r.file.ReadInt32(name, list)
	return list
}

func (r *reader) floats(has bool, name string) []float32 {
	if !has || r.err != nil {
		return nil
	}
	info, _ := r.file.Lookup(name)
	list := make([]float32, info.Elements())
	r.err = r.file.ReadFloat32(name, list)
	return list
}

// readGiven reads a file of batches whole, and checks its numbers.
func readGiven(f *safetensors.File, spec *plan.Data) (*given, string) {
	g, bad := readForm(f, spec.Further)
	if bad != "" {
		return nil, bad
	}
	r := &reader{file: f}
	g.tokens = r.ints(true, tensorTokens)
	g.mask, g.types = r.ints(g.has[2], tensorMask), r.ints(g.has[3], tensorTypes)
	g.positions, g.weights = r.ints(g.has[4], tensorPositions), r.floats(g.has[5], tensorWeights)
	if g.target == "values" {
		g.values = r.floats(true, tensorLabels)
		if g.weights == nil {
			g.weights = slices.Repeat([]float32{1}, int(g.rows()))
		}
	} else {
		g.labels = r.ints(true, tensorLabels)
	}
	g.names = spec.Further
	for _, name := range spec.Further {
		g.further = append(g.further, r.floats(true, name))
	}
	if r.err != nil {
		return nil, r.err.Error()
	}
	for i, name := range spec.Further {
		if at := slices.IndexFunc(g.further[i], notFinite); at >= 0 {
			return nil, fmt.Sprintf("%s: element %d is %g", name, at, g.further[i][at])
		}
	}
	return &g, g.wrong(int32(spec.Ignore))
}

// wrong names the first number that cannot be.
func (g *given) wrong(ignore int32) string {
	for name, list := range map[string][]int32{tensorTokens: g.tokens, tensorTypes: g.types, tensorPositions: g.positions} {
		if i := slices.IndexFunc(list, func(v int32) bool { return v < 0 || v == math.MaxInt32 }); i >= 0 {
			return fmt.Sprintf("%s: element %d is %d", name, i, list[i])
		}
	}
	if i := slices.IndexFunc(g.mask, func(v int32) bool { return v != 0 && v != 1 }); i >= 0 {
		return fmt.Sprintf("%s: element %d is %d, neither 0 nor 1", tensorMask, i, g.mask[i])
	}
	if i := slices.IndexFunc(g.labels, func(v int32) bool { return v != ignore && (v < 0 || v == math.MaxInt32) }); i >= 0 {
		return fmt.Sprintf("%s: element %d is %d, no label and not the one that is ignored, %d", tensorLabels, i, g.labels[i], ignore)
	}
	if i := slices.IndexFunc(g.values, notFinite); i >= 0 {
		return fmt.Sprintf("%s: element %d is %g", tensorLabels, i, g.values[i])
	}
	if i := slices.IndexFunc(g.weights, func(v float32) bool { return notFinite(v) || v < 0 }); i >= 0 {
		return fmt.Sprintf("%s: element %d is %g", tensorWeights, i, g.weights[i])
	}
	return ""
}

func notFinite(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }

// vocabulary is the number that all tokens are below.
func (g *given) vocabulary() int { return int(slices.Max(g.tokens)) + 1 }

// outputs is the number that all labels are below, or how many values a row has.
func (g *given) outputs() int {
	if g.target == "values" {
		return g.columns
	}
	return max(int(slices.Max(g.labels)), 0) + 1
}

func (g *given) rows() int64 { return g.steps * g.perStep }

func (g *given) sizeBytes() int64 {
	further := 0
	for _, list := range g.further {
		further += len(list)
	}
	return 4 * int64(further+len(g.tokens)+len(g.labels)+len(g.types)+len(g.mask)+len(g.positions)+len(g.values)+len(g.weights))
}

// join appends the rows of another file.
func (g *given) join(o *given) {
	g.steps += o.steps
	for _, pair := range [][2]*[]int32{{&g.tokens, &o.tokens}, {&g.labels, &o.labels}, {&g.types, &o.types},
		{&g.mask, &o.mask}, {&g.positions, &o.positions}} {
		*pair[0] = slices.Concat(*pair[0], *pair[1])
	}
	g.values, g.weights = slices.Concat(g.values, o.values), slices.Concat(g.weights, o.weights)
	for i := range g.further {
		g.further[i] = slices.Concat(g.further[i], o.further[i])
	}
}

// openGiven reads all files of batches; what does not fit together is an error.
func openGiven(spec *plan.Data, files []source.File) (parts [splits]*given, errs Errors) {
	var first *given
	for _, f := range files {
		g, bad := openFile(f.Found, spec)
		if bad == "" && first != nil && g.form != first.form {
			bad = "its tensors are not of the form of " + files[0].Path + ": the same names, length and kind of labels"
		}
		part := parts[f.Split]
		if bad == "" && part != nil && part.perStep != g.perStep {
			bad = fmt.Sprintf("%d rows a step, but %d in the files before it", g.perStep, part.perStep)
		}
		switch {
		case bad != "":
			errs.Add(f.Split.Path(), "", "%s: %s", f.Path, strings.TrimPrefix(bad, f.Found+": "))
			continue
		case part == nil:
			parts[f.Split] = g
		default:
			part.join(g)
		}
		if first == nil {
			first = g
		}
	}
	return parts, errs
}

func openFile(path string, spec *plan.Data) (*given, string) {
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, err.Error()
	}
	defer file.Close()
	return readGiven(file, spec)
}

// prepareGiven fills in the second part of spec for files of batches.
func prepareGiven(spec *plan.Data, files []source.File) Errors {
	errs := source.Digest(files)
	if len(errs) > 0 {
		return errs
	}
	parts, errs := openGiven(spec, files)
	if len(errs) > 0 || parts[Train] == nil {
		return errs
	}
	f := parts[Train].form
	if changesWeights(spec) && !slices.Contains(f.inputs(), plan.InputWeights) {
		errs.Add("data.transforms", "put weights into them", "a transform changes the weights of tokens, and the batches hold none")
		return errs
	}
	spec.Length, spec.Target, spec.Inputs, spec.Width = f.length, f.target, append(f.inputs(), spec.Further...), f.width
	for split, g := range parts {
		if g == nil {
			continue
		}
		spec.VocabularySize = max(spec.VocabularySize, g.vocabulary())
		spec.Outputs = max(spec.Outputs, g.outputs())
		*countOf(&spec.Splits, Split(split)) = plan.Count{Rows: g.rows(), Tokens: int64(len(g.tokens)), Records: g.steps}
	}
	for i := range f.columns {
		spec.Labels = append(spec.Labels, strconv.Itoa(i))
	}
	return nil
}

func (f *form) inputs() []string {
	inputs := []string{plan.InputTokens, plan.InputLabels}
	for i, name := range []string{plan.InputMask, plan.InputTypes, plan.InputPositions, plan.InputWeights} {
		if f.has[i+2] || name == plan.InputWeights && f.target == "values" {
			inputs = append(inputs, name)
		}
	}
	return inputs
}

// givenBytes is the memory that the rows of a split take.
func givenBytes(spec *plan.Data, c plan.Count) int64 {
	return c.Rows*BatchBytes(*spec, 1) - 12*c.Rows
}

// loadGiven reads files of batches into the set.
func (s *Set) loadGiven(files []source.File) error {
	if err := source.Digest(files).Err(); err != nil {
		return err
	}
	if err := compare(s.spec.Files, files, true); err != nil {
		return err
	}
	parts, errs := openGiven(&s.spec, files)
	if len(errs) > 0 {
		return errs
	}
	for split, g := range parts {
		p := &s.parts[split]
		p.length, p.target, p.given = int64(s.spec.Length), s.spec.Target, g
		if g == nil {
			continue
		}
		p.rows = g.rows()
		fits := g.length == s.spec.Length && g.width == s.spec.Width && g.target == s.spec.Target && p.rows == CountOf(s.spec, Split(split)).Rows
		if !fits || g.vocabulary() > s.spec.VocabularySize || g.outputs() > s.spec.Outputs {
			return fmt.Errorf("%s: the files are not of the form that the plan says", Split(split))
		}
	}
	return nil
}

// CheckRun holds a run against files of batches, which have as many steps and rows a step as
// they have; other data fits every run. Its error is [Errors].
func CheckRun(spec plan.Data, sequences int, steps int64) error {
	train := spec.Splits.Train
	if spec.Rows != "given" || train.Records == 0 {
		return nil
	}
	var errs Errors
	if rows := train.Rows / train.Records; int64(sequences) != rows {
		errs.Add("batch.sequences", fmt.Sprintf("use %d", rows), "%d rows a step, but the files of data.train hold %d", sequences, rows)
	}
	if steps > train.Records {
		errs.Add("schedule.steps", fmt.Sprintf("use at most %d", train.Records), "%d steps, but the files of data.train hold %d", steps, train.Records)
	}
	return errs.Err()
}

// check refuses a step that the files do not hold.
func (g *given) check(step int64, rows int) error {
	switch {
	case int64(rows) != g.perStep:
		return fmt.Errorf("step %d: a batch of %d rows, but the files hold %d a step", step, rows, g.perStep)
	case step > g.steps:
		return fmt.Errorf("step %d: the files hold %d steps", step, g.steps)
	}
	return nil
}

// fill copies row r into row i of the batch.
func (g *given) fill(b *Batch, i int, r int64) {
	copyRow(b.Tokens, g.tokens, i, r, g.length)
	b.mark(i, 0, g.length, 1)
	copyRow(b.Mask, g.mask, i, r, g.length)
	copyRow(b.Types, g.types, i, r, g.length)
	copyRow(b.Positions, g.positions, i, r, g.length)
	if g.mask != nil {
		b.valid[i] = 0
		for _, v := range g.mask[r*int64(g.length) : (r+1)*int64(g.length)] {
			b.valid[i] += v
		}
		if b.Lengths != nil {
			b.Lengths[i] = b.valid[i]
		}
	}
	labels := g.length
	if g.target != "token" {
		labels = 1
	}
	copyRow(b.Labels, g.labels, i, r, labels)
	copyRow(b.Weights, g.weights, i, r, labels)
	copyRow(b.Values, g.values, i, r, g.columns)
	for k, name := range g.names {
		copyRow(b.Further[name], g.further[k], i, r, labels*g.width)
	}
}

// copyRow copies row r of src into row i of dst, where both are there.
func copyRow[E int32 | float32](dst, src []E, i int, r int64, width int) {
	if dst != nil && src != nil {
		copy(dst[i*width:(i+1)*width], src[r*int64(width):(r+1)*int64(width)])
	}
}
