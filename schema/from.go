package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	cuejson "cuelang.org/go/encoding/json"
)

// from takes the config.json of the folder that model.from names into the
// strategy: as model.#Import, and model.kind when the strategy names no
// architecture. It gives nil when there is no folder.
func (e *evaluation) from() (used bool, problem *Error) {
	v := e.value.LookupPath(cue.ParsePath("model.from"))
	folder, err := v.String()
	if err != nil {
		return false, nil
	}
	at := e.userAt("model.from")
	text, name, problem := e.readConfig(folder, at)
	if problem != nil {
		return false, problem
	}
	expr, err := cuejson.Extract(name, text)
	if err != nil {
		cause := json.Unmarshal(text, new(any))
		return false, &Error{Path: "model.from", Message: fmt.Sprintf("config.json is not JSON: %v", cause), At: union(at, e.src.positionsOf(errors.Positions(err)))}
	}
	config := cuecontext.New().BuildExpr(expr)
	kind, err := config.LookupPath(cue.ParsePath("model_type")).String()
	if err != nil {
		return false, &Error{Path: "model.from", Message: "config.json has no model_type", At: union(at, []Pos{e.src.pos(expr.Pos())})}
	}
	if problem := e.checkKind(kind, union(at, []Pos{e.src.pos(config.LookupPath(cue.ParsePath("model_type")).Pos())})); problem != nil {
		return false, problem
	}
	return true, e.addConfig(kind, expr)
}

// readConfig reads FOLDER/config.json.
func (e *evaluation) readConfig(folder string, at []Pos) (text []byte, name string, problem *Error) {
	path := folder
	if !filepath.IsAbs(path) {
		path = filepath.Join(e.src.dir, path)
	}
	name = filepath.Join(path, "config.json")
	text, err := os.ReadFile(name)
	if err == nil {
		return text, name, nil
	}
	problem = &Error{Path: "model.from", Message: fmt.Sprintf("cannot read %s/config.json: %s", folder, reason(err)), At: at}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		problem.Message = fmt.Sprintf("there is no folder %q", folder)
		problem.Fix = "a relative folder starts at the strategy's own"
	}
	return nil, "", problem
}

// checkKind says whether the named architecture, or else one of gsc's own, is the folder's.
func (e *evaluation) checkKind(kind string, at []Pos) *Error {
	model := e.value.LookupPath(cue.ParsePath("model"))
	if named, err := model.LookupPath(cue.ParsePath("#Export.model_type")).String(); err == nil {
		if named == kind {
			return nil
		}
		return &Error{Path: "model.from", Message: fmt.Sprintf("the folder holds a model of type %q, the strategy names one of type %q", kind, named),
			At: union(at, e.userAt("model.kind"))}
	}
	if known := e.kinds("#Architectures"); !slices.Contains(known, kind) {
		return &Error{Path: "model.from", Message: fmt.Sprintf("config.json: gsc has no architecture for model_type %q", kind), At: at,
			Fix: "use one of " + strings.Join(known, ", ") + ", or name an architecture of your own: model: #Mine & {from: …}"}
	}
	return nil
}

// addConfig adds model: {kind: KIND, #Import: CONFIG} to the strategy.
func (e *evaluation) addConfig(kind string, config ast.Expr) *Error {
	fields := []any{&ast.Field{Label: ast.NewIdent("#Import"), Value: config}}
	if _, err := e.value.LookupPath(cue.ParsePath("model.kind")).String(); err != nil {
		fields = append(fields, &ast.Field{Label: ast.NewIdent("kind"), Value: ast.NewString(kind)})
	}
	model := &ast.Field{Label: ast.NewIdent("model"), Value: ast.NewStruct(fields...)}
	return e.src.addFile(e.inst, []ast.Decl{model})
}

// reason is an error of the file system without the path, which the message has.
func reason(err error) string {
	if pathError, ok := errorAs[*os.PathError](err); ok {
		return pathError.Err.Error()
	}
	return err.Error()
}
