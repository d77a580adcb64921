package schema

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
)

// diagnosis finds everything that is wrong with a strategy. CUE keeps quiet
// about some errors while there are others beside them: it does not look for
// keys that are not allowed in a struct that has a wrong value. So the diagnosis works in
// rounds: it notes what an evaluation reports, takes it out of the syntax (a key that is not allowed goes, a wrong value becomes
// _, anything), and evaluates again, until nothing is reported. What remains then says what was expected in each place.
type diagnosis struct {
	*evaluation
	found    Errors
	wrong    []*wrongValue
	keys     []*Error        // keys that are not allowed
	repaired map[string]bool // paths whose value is not the user's any more
	silenced []string        // sections that are not judged, since their kind is unknown
}

// wrongValue is a value that was taken out, to be described when it is known what should stand there.
type wrongValue struct {
	path    string
	entries []*entry
	texts   []string // what was written
	expr    ast.Expr // the first of it
	at      []Pos
	raw     string // CUE's message
}

// rounds bounds the evaluations of a strategy full of errors.
const rounds = 12

// problems runs the rounds.
func (d *diagnosis) problems() {
	if !d.isStrategy() {
		return
	}
	if d.strangers() {
		d.evaluate()
	}
	for range rounds {
		faults := d.faults()
		if d.repair(faults) {
			d.evaluate()
			continue
		}
		d.describeKeys()
		d.missing(faults)
		break
	}
	d.describeWrong()
	d.checkArchitecture()
}

// rest notes what no other rule has noted, in CUE's words.
func (d *diagnosis) rest() {
	if len(d.found) > 0 {
		return
	}
	for _, f := range d.faults() {
		d.found.add(&Error{Path: f.at(), Message: plain(f.err), At: d.src.positionsOf(errors.Positions(f.err))})
	}
}

// isStrategy says whether the file uses #Strategy at all.
func (d *diagnosis) isStrategy() bool {
	if imported(d.inst) != nil && (d.value.Err() != nil || d.value.LookupPath(cue.ParsePath("#version")).Exists()) {
		return true
	}
	d.found.add(&Error{
		Message: "this is not a strategy: nothing in it is schema.#Strategy",
		At:      d.files(),
		Fix:     fmt.Sprintf("import %q, and write schema.#Strategy & {…} at the top level", importPath),
	})
	return false
}

// repair notes and takes out the faults of the first sort that there are, and
// says whether that is worth another evaluation. Faults inside of the model count when there are no others.
func (d *diagnosis) repair(faults []fault) bool {
	of := func(kind faultKind, inside bool) []fault {
		return slices.DeleteFunc(slices.Clone(faults), func(f fault) bool {
			return f.kind != kind || f.inside() != inside || inside && !under(f.at(), "model")
		})
	}
	if d.repairOthers(of(faultOther, false)) || d.repairValues(of(faultValue, false)) || d.repairKeys(of(faultKey, false)) {
		return true
	}
	return d.clean() && (d.repairValues(of(faultValue, true)) || d.repairKeys(of(faultKey, true)))
}

// clean says whether nothing is wrong so far, what is inside of the model apart.
func (d *diagnosis) clean() bool {
	inside := func(path string) bool { return strings.Contains(path, "#") }
	return !slices.ContainsFunc(d.found, func(e *Error) bool { return !inside(e.Path) }) &&
		!slices.ContainsFunc(d.wrong, func(w *wrongValue) bool { return !inside(w.path) }) &&
		!slices.ContainsFunc(d.keys, func(e *Error) bool { return !inside(e.Path) })
}

// repairOthers notes errors that say enough by themselves.
func (d *diagnosis) repairOthers(faults []fault) (changed bool) {
	for _, f := range faults {
		path := f.at()
		if d.silent(path) || d.isRepaired(path) {
			continue
		}
		e := &Error{Path: path, Message: plain(f.err), At: d.src.positionsOf(errors.Positions(f.err))}
		if list := d.entriesOf(f); len(list) > 0 {
			e.Path = list[0].path
			if pos := d.src.pos(f.err.Position()); pos != "" {
				e.At = []Pos{pos}
			}
			d.forget(e.Path, list)
			changed = true
		}
		d.explain(e)
		d.found.add(e)
	}
	return changed
}

// explain improves on CUE's words.
func (d *diagnosis) explain(e *Error) {
	if name, ok := strings.CutPrefix(e.Message, "undefined field: "); ok {
		e.Message = "there is no " + name
		if best := nearest(name, d.kinds("")); best != "" {
			e.Fix = "did you mean " + best + "?"
		}
	}
}

// repairValues takes wrong values out. The faults of one value, one for each
// alternative that it is not, are one error.
func (d *diagnosis) repairValues(faults []fault) (changed bool) {
	var wrong []*wrongValue
	for _, f := range faults {
		w := d.wrongAt(f)
		if i := slices.IndexFunc(wrong, func(o *wrongValue) bool { return o.path == w.path }); i >= 0 {
			wrong[i].at = union(wrong[i].at, w.at)
		} else {
			wrong = append(wrong, w)
		}
	}
	for _, w := range wrong {
		deeper := func(o *wrongValue) bool { return o != w && under(o.path, w.path) }
		if d.isRepaired(w.path) || slices.ContainsFunc(wrong, deeper) {
			continue
		}
		d.wrong = append(d.wrong, w)
		if len(w.entries) > 0 {
			d.forget(w.path, w.entries)
			changed = true
		}
	}
	return changed
}

// wrongAt gathers what is known of a wrong value.
func (d *diagnosis) wrongAt(f fault) *wrongValue {
	w := &wrongValue{path: f.at(), entries: d.entriesOf(f), raw: plain(f.err)}
	for _, n := range w.entries {
		w.texts = append(w.texts, sourceText(*n.expr))
		w.at = union(w.at, []Pos{d.src.pos(n.pos())})
		if under(w.path, n.path) {
			w.path = n.path
		}
	}
	if len(w.entries) > 0 {
		w.expr = *w.entries[0].expr
	}
	w.at = union(w.at, d.src.userPositions(d.literals(f.err)))
	return w
}

// forget makes a value anything. What stands beside a kind that is not known is not judged.
func (d *diagnosis) forget(path string, list []*entry) {
	d.repaired[path] = true
	for _, n := range list {
		*n.expr = ast.NewIdent("_")
	}
	if section, ok := strings.CutSuffix(path, ".kind"); ok {
		d.silenced = append(d.silenced, section)
	} else if path == "data.format" || path == "model" {
		d.silenced = append(d.silenced, parent(path+"."))
	}
}

// repairKeys notes keys that are not allowed and takes them out.
func (d *diagnosis) repairKeys(faults []fault) (changed bool) {
	for _, f := range faults {
		path := f.at()
		if slices.ContainsFunc(faults, func(o fault) bool { return o.at() != path && under(path, o.at()) }) {
			continue // it goes with what is around it
		}
		at := d.src.userPositions(d.literals(f.err))
		if list := d.entriesOf(f); len(list) > 0 {
			n := list[0]
			at = []Pos{d.src.pos(n.field.Label.Pos())}
			if under(path, n.path) {
				path = n.path
			}
			n.remove()
			changed = true
		}
		if d.isRepaired(path) || d.silent(path) {
			continue
		}
		d.repaired[path] = true
		d.keys = append(d.keys, &Error{Path: path, At: at})
	}
	return changed
}

// strangers notes and takes out top-level fields that are no sections: CUE
// allows them beside an embedded definition.
func (d *diagnosis) strangers() (changed bool) {
	sections := map[string]bool{}
	for _, n := range entries(imported(d.inst).Files) {
		sections[strings.TrimPrefix(n.path, "#Strategy.")] = true
	}
	for _, n := range entries(d.inst.Files) {
		if n.field == nil || strings.ContainsAny(n.path, ".[#") || strings.HasPrefix(n.path, "_") || sections[n.path] {
			continue
		}
		n.remove()
		changed = true
		d.repaired[n.path] = true
		d.keys = append(d.keys, &Error{Path: n.path, At: []Pos{d.src.pos(n.field.Label.Pos())}})
	}
	return changed
}

// describeKeys says of each key that is not allowed what was probably meant.
func (d *diagnosis) describeKeys() {
	for _, e := range d.keys {
		if d.silent(e.Path) {
			continue
		}
		e.Message, e.Fix = d.unknownKey(e.Path)
		d.found.add(e)
	}
}

// silent says whether a path lies in a section that is not judged.
func (d *diagnosis) silent(path string) bool {
	return slices.ContainsFunc(d.silenced, func(section string) bool { return under(path, section) })
}

// isRepaired says whether a path lies in what was taken out.
func (d *diagnosis) isRepaired(path string) bool {
	for at := path; at != ""; at = parent(at) {
		if d.repaired[at] {
			return true
		}
	}
	return false
}

// missing notes what is not given, and what is wrong inside of the model when nothing else is.
func (d *diagnosis) missing(faults []fault) {
	if d.missingTags() {
		faults = slices.DeleteFunc(faults, func(f fault) bool { return f.kind == faultIncomplete })
	}
	for _, f := range faults {
		if f.kind == faultMissing && !f.inside() && !d.excused(f.at()) {
			d.found.add(d.notGiven(f.at()))
		}
	}
	clean := len(d.found) == 0 && len(d.wrong) == 0 && len(d.keys) == 0
	for _, f := range faults {
		switch written := d.entriesOf(f) != nil; {
		case f.kind == faultIncomplete && !f.inside() && written && !d.excused(f.at()):
			d.found.add(d.unsettled(f))
		case f.kind == faultIncomplete && !f.inside() && clean && !d.excused(f.at()):
			d.found.add(d.notGiven(f.at()))
		case f.inside() && clean && under(f.at(), "model"):
			d.found.add(d.insideModel(f))
		}
	}
}

// excused says whether a value is missing because of an error that is already noted.
func (d *diagnosis) excused(path string) bool {
	if path == "objective.loss" && !d.given("model.task") {
		return true // its default is the model's
	}
	return d.silent(path) || d.isRepaired(path) ||
		slices.ContainsFunc(d.found, func(e *Error) bool { return e.Fix == didYouMean(path) || e.Fix == didYouMean(parent(path)) })
}

// checkArchitecture looks whether there is one, and whether its layers are complete.
func (d *diagnosis) checkArchitecture() {
	model := d.value.LookupPath(cue.ParsePath("model"))
	layers := model.LookupPath(cue.ParsePath("#Layers"))
	kind, err := model.LookupPath(cue.ParsePath("kind")).String()
	switch {
	case err == nil && !layers.Exists() && !d.silent("model") && d.clean() && len(d.found) == 0:
		d.silenced = append(d.silenced, "model")
		known := d.kinds("#Architectures")
		d.found.add(&Error{Path: "model.kind", Message: fmt.Sprintf("gsc has no architecture %q", kind), At: d.userAt("model.kind"), Fix: choose(kind, known)})
	case len(d.found) == 0 && layers.Exists():
		for _, v := range []cue.Value{layers, model.LookupPath(cue.ParsePath("#Export")), model.LookupPath(cue.ParsePath("#outputs"))} {
			for _, f := range faultsOf(v.Validate(cue.Concrete(true), cue.Final())) {
				d.found.add(d.insideModel(f))
			}
		}
	}
}
