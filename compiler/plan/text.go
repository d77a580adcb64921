package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// Text is the plan's canonical text: two plans that are equal have the same
// text, and [ParseText] gives the plan again. A line that is not indented opens a section, an indented one is an item of it:
//
//	gsc plan 1 "go-source" device cpu
//	strategy 5d41402abc4b2a76                         digest of the evaluated strategy
//	mesh [data 4, tensor 2]                           left out for one rank
//
//	model                                             then training, data, estimate: settings as key: JSON
//	  architecture: "gpt2"
//	files                                             the data's manifest: split, bytes, digest, path
//	  train 31415 00aa11bb22cc33dd fmt/print.go
//	choices                                           what, value, why
//	  memory.recompute none "no memory.limit is set"
//
//	plugins                                           kind, name, version, sha256, targets, memory and time of a call, its fuel, unit and inputs where there are any, file, parameters
//	  loss focal 1.0.0 6e340b9cffb37a98 classes memory 67108864 time 10000000000 file focal.wasm {"gamma":2}
//
//	compressions                                      of weights, as JSON
//	  {"tensor":"wte.weight","kind":"linear","in":64,"out":64,"bits":8,"symmetric":true,"quantize_from":1}
//
//	tensors                                           class, name, buffer, type, dims
//	  weight wte.weight %9 f32 [vocab 257, embed 64] init normal std=0.02 from gpt2.cue:3:4
//	scalars
//	  step %0
//	arenas                                            space, bytes
//	  device 1048576
//	    reserve 41943040 process
//
//	stage slots 1                                     with bytes (of a slot) and of (bytes of the arena) where there are several stages
//	buffers                                           ID, name, class, type, dims, space, offset
//	  %12 h.0.ln_1 activation f32 [batch 4, seq 64, embed 64] device @0x1f400
//	program forward length 64
//	  input tokens %11
//	  layer_norm h.0.ln_1 x=%10 weight=%3 bias=%4 y=%12 mean=%13 rstd=%14 {epsilon=1e-05} from gpt2.cue:12:3
//	schedule train length 64
//	  call forward micro_batch 1
//
// An operand is name=%buffer, followed, where they differ from the buffer's own, by
// +offset, @axis (of which it is the rank's part), [shape], /[strides] and <%bound, such as q=%20+768[4,64,12,64]/[147456,2304,64,1]. Behind the attributes
// of an instruction stand stream, wait (events), signal (an event), joined, open (an event of the stage), await (such events), if (a predicate) and from (a position), each where it is set. A name is quoted
// as in Go unless it is made of letters, digits and any of _ . / : + - ~ # *.
func (p *Plan) Text() []byte {
	w := &textWriter{}
	w.line("gsc plan %d %s device %s", p.Version, strconv.Quote(p.Name), name(p.Device))
	w.line("strategy %s", name(p.Strategy))
	if len(p.Mesh) > 0 {
		w.line("mesh %s", axes(p.Mesh))
	}
	w.section("model", &p.Model)
	w.section("training", &p.Training)
	w.section("data", &p.Data)
	w.files(p.Data.Files)
	w.choices(p.Choices)
	w.section("estimate", &p.Estimate)
	w.plugins(p.Plugins)
	w.compressions(p.Compressions)
	w.tensors(p.Tensors)
	w.scalars(p.Scalars)
	w.arenas(p.Arenas)
	for i := range p.Stages {
		w.stage(&p.Stages[i])
	}
	if p.Generation != nil {
		w.line("")
		w.Write(p.Generation.Text())
	}
	return w.Bytes()
}

// Digest is the sha256 of the plan's text, hexadecimal.
func (p *Plan) Digest() string {
	sum := sha256.Sum256(p.Text())
	return hex.EncodeToString(sum[:])
}

type textWriter struct{ bytes.Buffer }

func (w *textWriter) line(format string, args ...any) {
	fmt.Fprintf(&w.Buffer, format, args...)
	w.WriteByte('\n')
}

// name writes a name so that it is one word of a line.
func name(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !bare(r) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// bare says whether a rune may stand in a name without quotes.
func bare(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./:+-~#*", r)
}

func dims(list []Dim) string {
	words := make([]string, len(list))
	for i, d := range list {
		words[i] = name(d.Name) + " " + strconv.Itoa(d.Size)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

func axes(list []Axis) string {
	words := make([]Dim, len(list))
	for i, a := range list {
		words[i] = Dim{Name: a.Name, Size: a.Degree}
	}
	return dims(words)
}

func numbers(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	return "[" + strings.Join(words, ",") + "]"
}

// section writes a struct of settings, one a line.
func (w *textWriter) section(title string, settings any) {
	w.line("\n%s", title)
	for _, s := range settingsOf(settings) {
		if !s.unset() {
			w.line("  %s: %s", s.key, s.json())
		}
	}
}

// setting is one value under a struct of settings, by its path of JSON names.
type setting struct {
	key      string
	value    reflect.Value
	optional bool
}

// settingsOf lists the settings under a pointer to a struct, nested structs
// taken apart. The data manifest has a section of its own.
func settingsOf(settings any) []setting { return flatten("", reflect.ValueOf(settings).Elem(), false) }

func flatten(path string, value reflect.Value, optional bool) []setting {
	if value.Kind() != reflect.Struct {
		return []setting{{path, value, optional}}
	}
	var list []setting
	for i, f := range fieldsOf(value.Type()) {
		if value.Type().Field(i).Type == reflect.TypeFor[[]File]() {
			continue
		}
		key := f.name
		if path != "" {
			key = path + "." + key
		}
		list = append(list, flatten(key, value.Field(i), f.optional || optional)...)
	}
	return list
}

// unset says whether the setting is left out of the text.
func (s setting) unset() bool {
	if !s.optional {
		return false
	}
	switch s.value.Kind() {
	case reflect.Slice:
		return s.value.Len() == 0
	case reflect.Float64:
		return s.value.Float() == 0
	}
	return s.value.IsZero()
}

// json is the setting as compact JSON; null where there is none of it, which Verify refuses.
func (s setting) json() string {
	var b bytes.Buffer
	if raw, ok := s.value.Interface().(json.RawMessage); ok {
		if len(raw) == 0 || json.Compact(&b, raw) != nil {
			return "null"
		}
		return b.String()
	}
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s.value.Interface()) != nil {
		return "null"
	}
	return strings.TrimSpace(b.String())
}

func (w *textWriter) files(list []File) {
	if len(list) == 0 {
		return
	}
	w.line("\nfiles")
	for _, f := range list {
		w.line("  %s %d %s %s", name(f.Split), f.SizeBytes, name(f.Digest), name(f.Path))
	}
}

func (w *textWriter) choices(list []Choice) {
	if len(list) == 0 {
		return
	}
	w.line("\nchoices")
	for _, c := range list {
		w.line("  %s %s %s", name(c.What), name(c.Value), strconv.Quote(c.Why))
	}
}

func (w *textWriter) plugins(list []Plugin) {
	if len(list) == 0 {
		return
	}
	w.line("\nplugins")
	for _, p := range list {
		more := ""
		if p.Fuel > 0 {
			more += fmt.Sprintf(" fuel %d", p.Fuel)
		}
		if p.Unit != "" {
			more += " unit " + name(p.Unit)
		}
		for _, input := range p.Inputs {
			more += " input " + name(input)
		}
		w.line("  %s %s %s %s %s memory %d time %d%s file %s %s", name(p.Kind), name(p.Name), name(p.Version), name(p.Digest), name(p.Targets), p.MemoryBytes, int64(p.Time), more,
			name(p.File), setting{value: reflect.ValueOf(p.Params)}.json())
	}
}

func (w *textWriter) compressions(list []Compression) {
	if len(list) == 0 {
		return
	}
	w.line("\ncompressions")
	for i := range list {
		w.line("  %s", setting{value: reflect.ValueOf(list[i])}.json())
	}
}

func (w *textWriter) tensors(list []Tensor) {
	w.line("\ntensors")
	for i := range list {
		t := &list[i]
		words := []string{name(string(t.Class)), name(t.Name), "%" + strconv.Itoa(t.Buffer), t.DType.String(), dims(t.Dims)}
		if t.Of != "" {
			words = append(words, "of", name(t.Of))
		}
		if t.Stored != nil {
			words = append(words, "stored", numbers(t.Stored))
		}
		if t.Init != (Init{}) {
			words = append(words, "init", name(t.Init.Kind))
			words = append(words, numbersOf([]string{"value", "std", "bound"}, t.Init.Value, t.Init.Std, t.Init.Bound)...)
		}
		if t.Frozen {
			words = append(words, "frozen")
		}
		if t.Cut.Axis != "" {
			words = append(words, "cut", strconv.Itoa(t.Cut.Dim), name(t.Cut.Axis))
		}
		if t.Part != "" {
			words = append(words, "part", name(t.Part))
		}
		if t.Terms {
			words = append(words, "terms")
		}
		if t.Stage != 0 {
			words = append(words, "stage", strconv.Itoa(t.Stage))
		}
		for _, c := range t.Copies {
			words = append(words, "copy", strconv.Itoa(c.Stage), "%"+strconv.Itoa(c.Buffer))
		}
		w.line("  %s%s", strings.Join(words, " "), from(t.Pos))
	}
}

// numbersOf writes name=value for values that are not 0.
func numbersOf(names []string, values ...float64) []string {
	var words []string
	for i, v := range values {
		if v != 0 {
			words = append(words, names[i]+"="+float(v))
		}
	}
	return words
}

func float(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func from(pos string) string {
	if pos == "" {
		return ""
	}
	return " from " + name(pos)
}

func (w *textWriter) scalars(list []Scalar) {
	w.line("\nscalars")
	for _, s := range list {
		w.line("  %s %%%d", name(s.Name), s.Buffer)
	}
}

func (w *textWriter) arenas(list []Arena) {
	w.line("\narenas")
	for _, a := range list {
		w.line("  %s %d", a.Space, a.SizeBytes)
		for _, r := range a.Reserved {
			w.line("    reserve %d %s", r.SizeBytes, name(r.For))
		}
	}
}

func (w *textWriter) stage(s *Stage) {
	w.line("\nstage slots %d%s%s", s.Slots, optional("bytes", s.SlotBytes), optional("of", s.Bytes))
	w.line("buffers")
	for i := range s.Buffers {
		w.buffer(&s.Buffers[i])
	}
	for i := range s.Programs {
		w.program(s, &s.Programs[i])
	}
	for _, sc := range s.Schedules {
		w.line("\nschedule %s%s", name(sc.Kind), optional("length", int64(sc.Length)))
		for _, c := range sc.Calls {
			w.line("  call %s%s%s", name(c.Program), optional("micro_batch", int64(c.MicroBatch)), optional("slot", int64(c.Slot)))
		}
	}
}

// optional writes a number behind a word, unless it is 0.
func optional(word string, n int64) string {
	if n == 0 {
		return ""
	}
	return " " + word + " " + strconv.FormatInt(n, 10)
}

func (w *textWriter) buffer(b *Buffer) {
	flags := ""
	if b.Lasting {
		flags += " lasting"
	}
	if b.Slotted {
		flags += " slotted"
	}
	w.line("  %%%d %s %s %s %s %s @%#x%s", b.ID, name(b.Name), name(string(b.Class)), b.DType, dims(b.Dims), b.Space, b.Offset, flags)
}

func (w *textWriter) program(s *Stage, p *Program) {
	w.line("\nprogram %s%s", name(p.Name), optional("length", int64(p.Length)))
	for _, in := range p.Inputs {
		w.line("  input %s %%%d", name(in.Name), in.Buffer)
	}
	for _, out := range p.Outputs {
		w.line("  output %s %%%d", name(out.Name), out.Buffer)
	}
	for i := range p.Instructions {
		w.line("  %s", s.Format(&p.Instructions[i]))
	}
}

// Format writes an instruction as it stands in the plan's text.
func (s *Stage) Format(in *Instruction) string {
	words := []string{in.Op.String(), name(in.Name)}
	for i := range in.Operands {
		if o := &in.Operands[i]; o.Buffer != Absent.Buffer {
			words = append(words, operandName(in, i)+"="+s.operand(o))
		}
	}
	if attrs := attrWords(&in.Attrs); len(attrs) > 0 {
		words = append(words, "{"+strings.Join(attrs, " ")+"}")
	}
	line := strings.Join(words, " ") + optional("stream", int64(in.Stream))
	if len(in.Wait) > 0 {
		line += " wait " + strings.Trim(numbers(in.Wait), "[]")
	}
	line += optional("signal", int64(in.Signal))
	if in.Joined {
		line += " joined"
	}
	line += optional("open", int64(in.Open))
	if len(in.Await) > 0 {
		line += " await " + strings.Trim(numbers(in.Await), "[]")
	}
	if in.Predicate != 0 {
		line += fmt.Sprintf(" if %%%d", in.Predicate-1)
	}
	return line + from(in.Pos)
}

func (s *Stage) operand(o *Operand) string {
	text := "%" + strconv.Itoa(o.Buffer)
	if o.Offset != 0 {
		text += fmt.Sprintf("%+d", o.Offset)
	}
	if o.Part != "" {
		text += "@" + name(o.Part)
		if o.Step != 0 {
			text += fmt.Sprintf("(%d)", o.Step)
		}
	}
	if o.Buffer < 0 || o.Buffer >= len(s.Buffers) || !slices.Equal(o.Shape, s.Buffers[o.Buffer].Shape()) {
		text += numbers(o.Shape)
	}
	if len(o.Strides) > 0 {
		text += "/" + numbers(o.Strides)
	}
	if o.Bound != 0 {
		text += fmt.Sprintf("<%%%d", o.Bound-1)
	}
	return text
}

// attrWords writes the attributes that are set, in the order of kernels.Attrs.
func attrWords(a *kernels.Attrs) []string {
	if *a == (kernels.Attrs{}) {
		return nil
	}
	var words []string
	value := reflect.ValueOf(a).Elem()
	for i, f := range fieldsOf(value.Type()) {
		switch v := value.Field(i); v.Kind() {
		case reflect.Bool:
			if v.Bool() {
				words = append(words, f.name)
			}
		case reflect.String:
			if v.Len() > 0 {
				words = append(words, f.name+"="+name(v.String()))
			}
		case reflect.Float64:
			words = append(words, numbersOf([]string{f.name}, v.Float())...)
		default:
			if !v.IsZero() {
				words = append(words, f.name+"="+fmt.Sprint(v.Interface()))
			}
		}
	}
	return words
}
