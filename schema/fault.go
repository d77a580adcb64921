package schema

import (
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/token"
)

// fault is one error of CUE's, sorted into what gsc can say of it.
type fault struct {
	kind faultKind
	path []string
	err  errors.Error
}

type faultKind int

const (
	faultOther      faultKind = iota // none of these, such as an unknown reference
	faultValue                       // a value that is not among those allowed
	faultKey                         // a key that is not allowed
	faultMissing                     // a value that must be given
	faultIncomplete                  // a value that is not settled
	faultNoise                       // a summary of others
)

// faultKinds are the sorts by the beginnings of CUE's messages.
var faultKinds = []struct {
	begin string
	kind  faultKind
}{
	{"%d errors in empty disjunction", faultNoise},
	{"field not allowed", faultKey},
	{"field is required but not present", faultMissing},
	{"required field missing", faultMissing},
	{"incomplete value", faultIncomplete},
	{"unresolved disjunction", faultIncomplete},
	{"invalid interpolation", faultIncomplete},
	{"non-concrete value", faultIncomplete},
	{"conflicting values", faultValue},
	{"invalid value", faultValue},
	{"incompatible list lengths", faultValue},
}

// importField is where the config.json of a folder stands in a strategy.
const importField = "model.#Import"

// faults are the errors of the evaluation.
func (d *diagnosis) faults() []fault {
	return faultsOf(d.value.Validate(cue.Concrete(true), cue.Final()))
}

// faultsOf takes an error of CUE's apart.
func faultsOf(err error) []fault {
	var faults []fault
	for _, err := range errors.Errors(err) {
		form, args := err.Msg()
		f := fault{path: err.Path(), err: err}
		for _, k := range faultKinds {
			if strings.HasPrefix(form, k.begin) {
				f.kind = k.kind
			}
		}
		if strings.HasPrefix(form, "required field missing") && len(args) == 1 {
			f.path = append(slices.Clone(f.path), strings.TrimSpace(toText(args[0])))
		}
		if strings.HasPrefix(form, "invalid index") { // of a table of kinds, by a value that is no name
			f.kind, f.path = faultValue, append(slices.Clone(f.path), "kind")
		}
		if f.kind != faultNoise {
			faults = append(faults, f)
		}
	}
	return faults
}

func (f fault) at() string { return joined(f.path) }

// inside says whether a fault lies in the definitions of a model, such as its
// layers: what is wrong there mostly follows from what is wrong elsewhere.
func (f fault) inside() bool {
	path := f.path
	if under(f.at(), importField) {
		path = path[2:]
	}
	return slices.ContainsFunc(path, func(name string) bool { return strings.HasPrefix(name, "#") || strings.HasPrefix(name, "_") })
}

// under says whether path is section, or lies in it.
func under(path, section string) bool {
	rest, ok := strings.CutPrefix(path, section)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// parent is the path without its last part.
func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

// entriesOf are the entries that write the value of a fault, or that one of its positions lies in.
func (d *diagnosis) entriesOf(f fault) []*entry {
	all := entries(d.inst.Files)
	for at := f.at(); at != ""; at = parent(at) {
		var same []*entry
		for _, n := range all {
			if n.path == at && n.field != nil {
				same = append(same, n)
			}
		}
		if same != nil && (at == f.at() || leaf(*same[0].expr)) {
			return same
		}
	}
	if n := innermost(all, append(d.literals(f.err), errors.Positions(f.err)...)); n != nil {
		return []*entry{n}
	}
	return nil
}

// leaf says whether an expression is a value rather than a struct with fields of its own.
func leaf(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.StructLit, *ast.BinaryExpr:
		return false
	case *ast.Alias:
		return leaf(x.Expr)
	case *ast.Ident:
		return x.Name != "_"
	}
	return true
}

// innermost is the smallest field that holds one of the positions.
func innermost(all []*entry, positions []token.Pos) *entry {
	for _, p := range positions {
		if !p.IsValid() {
			continue
		}
		for _, n := range slices.Backward(all) {
			if n.field != nil && n.covers(p) && leaf(*n.expr) {
				return n
			}
		}
	}
	return nil
}

// literals are the positions of an error at which a literal stands in a file
// of the user's: the others are those of the structs around.
func (d *diagnosis) literals(err errors.Error) []token.Pos {
	written := map[Pos]bool{}
	for _, n := range entries(d.inst.Files) {
		switch (*n.expr).(type) {
		case *ast.BasicLit, *ast.UnaryExpr, *ast.ListLit, *ast.Interpolation:
			written[d.src.pos((*n.expr).Pos())] = true
		}
	}
	var kept []token.Pos
	for _, p := range errors.Positions(err) {
		if p.IsValid() && (written[d.src.pos(p)] || strings.HasSuffix(p.Filename(), ".json")) {
			kept = append(kept, p)
		}
	}
	return kept
}

// sourceText is an expression as text of one short line.
func sourceText(e ast.Expr) string {
	text, err := format.Node(e)
	if err != nil {
		return "the value"
	}
	line := strings.Join(strings.Fields(string(text)), " ")
	if runes := []rune(line); len(runes) > 40 {
		line = string(runes[:39]) + "…"
	}
	return line
}
