package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"
)

// describeWrong says of each wrong value what should stand in its place: what
// the definitions allow there is known now that the wrong values are out of the way.
func (d *diagnosis) describeWrong() {
	for _, w := range d.wrong {
		if rest, ok := strings.CutPrefix(w.path, importField+"."); ok {
			d.found.add(d.unsupported(rest, w))
			continue
		}
		e := &Error{Path: w.path}
		e.Message, e.Fix = d.judge(w)
		e.At = w.at
		if fix, ok := hints[indices.ReplaceAllString(w.path, "[]")]; ok {
			e.Fix = fix
		}
		d.found.add(e)
	}
}

// indices are those of lists in a path, which hints leave open.
var indices = regexp.MustCompile(`\[[0-9]+\]`)

// hints are fixes that the definitions cannot say.
var hints = map[string]string{
	"compress[].plugin":        "write a file's name: \"policy.wasm\"",
	"compress[].prune.pattern": `use "unstructured", "rows", "heads", or N:M such as "2:4"`,
	"compress[].quantize.bits": "use 8 or 4",

	"compress[].quantize.activations.bits": "use 8 or 4",

	"devices.kind":      `use one of "cpu", "ref", "cuda"`,
	"memory.limit":      `write bytes, or a number with a unit: "8GiB"`,
	"parallel.bucket":   `write bytes, or a number with a unit: "8MiB"`,
	"name":              "use letters, digits, dots, dashes and underscores",
	"precision.compute": `use one of "f32", "bf16", "fp16"`,
	"precision.master":  `use one of "f32", "bf16"`,
	"precision.reduce":  `this version has "f32"`,

	"devices.launch.memory":          `write bytes, or a number with a unit: "8GiB"`,
	"devices.launch.slurm.options":   `write whole options: "--exclusive", "--mail-user=NAME"`,
	"devices.launch.slurm.partition": "write it without spaces",
	"devices.launch.slurm.time":      `write days, hours and minutes: "1d12h", "90m"`,
}

// unsupported is the error for a setting of config.json that the architecture does not have.
func (d *diagnosis) unsupported(key string, w *wrongValue) *Error {
	e := &Error{Path: "model.from", At: union(w.at[:min(1, len(w.at))], d.userAt("model.from"))}
	e.Message = fmt.Sprintf("config.json: %s: %s is not supported", key, strings.Join(w.texts, " and "))
	if want := d.allowed(w.path); len(want.options) > 1 || len(want.options) == 1 && want.options[0] != "null" {
		e.Fix = choose("", want.options)
	}
	return e
}

// notGiven is the error for a value that must be given.
func (d *diagnosis) notGiven(path string) *Error {
	e := &Error{Path: path, Message: "must be given", At: d.userAt(path)}
	if want := d.allowed(path).phrase(); want != "" {
		e.Message += ": " + want
	}
	switch path {
	case "model", "model.kind":
		e.Path, e.Message = "model", "names no architecture"
		e.Fix = `write model: schema.#GPT2 & {…}, or model: from: "FOLDER"`
	case CodecPath + ".plugin":
		e.Path, e.Message, e.Fix = CodecPath, "names no codec", `write kind: "top_k" or "one_bit", or plugin: "FILE.wasm"`
	case "data.train", "data.train.files":
		e.Path, e.Message = "data.train.files", "must be given"
		e.Fix = `write data: train: files: ["GLOB"]`
	}
	return e
}

// insideModel is the error for what is wrong in the layers of an architecture, or elsewhere in its definition.
func (d *diagnosis) insideModel(f fault) *Error {
	e := &Error{Path: f.at(), Message: plain(f.err), At: d.src.positionsOf(errors.Positions(f.err))}
	switch f.kind {
	case faultKey:
		e.Message, e.Fix = d.unknownKey(e.Path)
	case faultMissing, faultIncomplete:
		e.Message, e.At = "must be given", d.src.positionsOf([]token.Pos{d.value.LookupPath(cue.ParsePath(parent(e.Path) + ".name")).Pos()})
		if e.At == nil {
			e.At = d.userAt(e.Path)
		}
		if want := d.allowed(e.Path).phrase(); want != "" {
			e.Message += ": " + want
		}
	case faultValue:
		if values, ok := strings.CutPrefix(e.Message, "conflicting values "); ok {
			values, _, _ = strings.Cut(values, " (mismatched")
			e.Message = values + " contradict each other"
		}
	}
	return e
}

// unsettled is the error for a value that is written but has no single value.
func (d *diagnosis) unsettled(f fault) *Error {
	e := &Error{Path: f.at(), Message: "has no single value"}
	for _, n := range d.entriesOf(f) {
		e.At = union(e.At, []Pos{d.src.pos(n.pos())})
		e.Message = sourceText(*n.expr) + " has no single value"
	}
	if want := d.allowed(f.at()).phrase(); want != "" {
		e.Fix = "give " + want
	}
	return e
}

// judge says what is wrong with a value, and how to make it right.
func (d *diagnosis) judge(w *wrongValue) (message, fix string) {
	want, written := d.allowed(w.path), strings.Join(w.texts, " and ")
	if lit, ok := w.expr.(*ast.StructLit); ok && w.path == "objective.loss" && len(w.texts) == 1 {
		if message, fix := d.judgeLoss(w, lit); message != "" {
			return message, fix
		}
	}
	switch {
	case written == "":
		return w.raw, ""
	case len(w.texts) > 1 && w.texts[0] != w.texts[1]:
		return written + " contradict each other", "write it once"
	case len(want.options) == 1 && want.kind != cue.StringKind:
		return fmt.Sprintf("%s contradicts %s", written, want.options[0]), ""
	case len(want.options) > 0:
		return written + " is not possible here", choose(written, want.options)
	case want.kind == cue.StructKind:
		return d.judgeStruct(w.path, written)
	}
	if list, ok := w.expr.(*ast.ListLit); ok && want.element != nil {
		return d.judgeList(w, list, want)
	}
	if want.kind&cue.StringKind != 0 && strings.HasPrefix(written, `"`) {
		return written + " is not of its form", forms[w.path[strings.LastIndexAny(w.path, ".]")+1:]]
	}
	if want.phrase() == "" {
		return fmt.Sprintf("%s is not possible here: %s", written, w.raw), ""
	}
	return fmt.Sprintf("%s is not %s", written, want.phrase()), want.fix(written)
}

// forms say how what has a form is written, by key.
var forms = map[string]string{
	"plugin": "name a module's file, which ends in .wasm",
	"memory": `write a size such as "64MiB"`,
	"time":   `write a time such as "500ms" or "10s"`,
	"fuel":   "write a number from 1 to 1e18",
}

// judgeLoss finds what is wrong with a loss that is a plugin, of which the names of gsc's own losses say nothing.
func (d *diagnosis) judgeLoss(w *wrongValue, lit *ast.StructLit) (message, fix string) {
	ctx := cuecontext.New()
	def := ctx.BuildInstance(imported(d.inst)).LookupPath(cue.ParsePath("#LossPlugin"))
	faults := faultsOf(def.Unify(ctx.BuildExpr(lit)).Validate(cue.Concrete(true), cue.Final()))
	if len(faults) == 0 || len(faults[0].path) == 0 {
		return "", ""
	}
	key := faults[0].path[len(faults[0].path)-1]
	var keys []string
	for it, err := def.Fields(cue.All()); err == nil && it.Next(); {
		keys = append(keys, strings.TrimRight(it.Selector().String(), "?!"))
	}
	text := ""
	for _, decl := range lit.Elts {
		if f, ok := decl.(*ast.Field); ok {
			if name, _, _ := ast.LabelName(f.Label); name == key {
				text, w.at = sourceText(f.Value), []Pos{d.src.pos(f.Label.Pos())}
			}
		}
	}
	switch faults[0].kind {
	case faultKey:
		if best := nearest(key, keys); best != "" {
			return key + ": a loss that is a plugin has no such key", didYouMean(join(w.path, best))
		}
		return key + ": a loss that is a plugin has no such key", "use one of " + strings.Join(keys, ", ")
	case faultMissing:
		return key + " must be given", forms[key]
	case faultValue:
		return fmt.Sprintf("%s: %s is not of its form", key, text), forms[key]
	}
	return "", ""
}

// fix says how to write a value of the wrong kind.
func (w want) fix(written string) string {
	text, err := strconv.Unquote(written)
	_, numberErr := strconv.ParseFloat(text, 64)
	switch {
	case err == nil && numberErr == nil && w.kind&cue.NumberKind != 0:
		return "write it without quotes: " + text
	case err == nil && w.kind == cue.BoolKind && (text == "true" || text == "false"):
		return "write it without quotes: " + text
	case err != nil && w.kind == cue.IntKind && strings.Contains(written, "/"):
		return "/ gives fractions: write div(a, b)"
	case err != nil && w.kind == cue.StringKind:
		return fmt.Sprintf("write it in quotes: %q", written)
	case w.kind == cue.ListKind && !strings.HasPrefix(written, "["):
		return "write it as a list: [" + written + "]"
	}
	return ""
}

// judgeStruct is for a value where a section belongs.
func (d *diagnosis) judgeStruct(path, written string) (message, fix string) {
	keys := d.keysOf(path)
	if slices.Contains(keys, "kind") && strings.HasPrefix(written, `"`) {
		return written + " is not a section", fmt.Sprintf("write %s: kind: %s", path, written)
	}
	if fix = "its keys are " + strings.Join(keys, ", "); len(keys) == 0 {
		fix = "write it as a section, {key: value}"
	}
	if path == "parallel" {
		fix += fmt.Sprintf("; or leave all of it open: %q", Auto)
	}
	return written + " is not a section", fix
}

// judgeList finds the element that is wrong, or the length.
func (d *diagnosis) judgeList(w *wrongValue, list *ast.ListLit, want want) (message, fix string) {
	if want.length > 0 && len(list.Elts) != want.length {
		return fmt.Sprintf("%d elements are given, but it is %s", len(list.Elts), want.phrase()), ""
	}
	for i, x := range list.Elts {
		text := sourceText(x)
		if want.element.holds(text) {
			continue
		}
		w.at = []Pos{d.src.pos(x.Pos())}
		message = fmt.Sprintf("element %d: %s is not %s", i, text, want.element.phrase())
		if len(want.element.options) > 1 {
			return message, choose(text, want.element.options)
		}
		return message, want.element.fix(text)
	}
	return fmt.Sprintf("%s is not %s", sourceText(list), want.phrase()), ""
}

// holds says whether a value as written may be what is wanted, so far as its text shows.
func (w want) holds(text string) bool {
	number, err := strconv.ParseFloat(text, 64)
	switch {
	case len(w.options) > 0:
		return slices.Contains(w.options, text)
	case w.kind&^cue.NumberKind == 0:
		return err == nil && w.within(number)
	case w.kind == cue.StringKind:
		return strings.HasPrefix(text, `"`)
	}
	return true
}

// within says whether a number respects the bounds.
func (w want) within(number float64) bool {
	for _, word := range w.words {
		i := strings.LastIndex(word, " ")
		bound, _ := strconv.ParseFloat(word[i+1:], 64)
		switch word[:i] {
		case "at least":
			if number < bound {
				return false
			}
		case "more than":
			if number <= bound {
				return false
			}
		case "at most":
			if number > bound {
				return false
			}
		case "less than":
			if number >= bound {
				return false
			}
		}
	}
	return true
}

// choose names the option that was probably meant, or all of them.
func choose(written string, options []string) string {
	var bare []string // of options that are words: a number is not like another
	for _, o := range options {
		if _, err := strconv.ParseFloat(o, 64); err != nil {
			bare = append(bare, strings.Trim(o, `"`))
		}
	}
	if best := nearest(strings.Trim(written, `"`), bare); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(options) == 1 {
		return "use " + options[0]
	}
	return "use one of " + strings.Join(options, ", ")
}
