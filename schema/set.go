package schema

import (
	"fmt"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/ast/astutil"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// setOption is what stands in positions of values from the command line.
const setOption = "--set "

// set carries out PATH=VALUE: it puts the value where the strategy's files
// write one at that path, or adds it.
func (s *source) set(inst *build.Instance, option string) *Error {
	path, text, ok := strings.Cut(option, "=")
	path = strings.TrimSpace(path)
	selectors := cue.ParsePath(path)
	if !ok || path == "" || selectors.Err() != nil {
		return &Error{Message: fmt.Sprintf("%s%s is not PATH=VALUE", setOption, option), Fix: "write, for example, --set schedule.steps=100"}
	}
	value, err := parser.ParseExpr(setOption+path, text)
	if err != nil {
		e := &Error{Path: path, Message: fmt.Sprintf("%s%s: %s is not a CUE value", setOption, option, text)}
		if !strings.ContainsAny(text, `"{}[]`) {
			e.Fix = fmt.Sprintf("quote a string: '%s=%q'", path, text)
		}
		return e
	}
	replaced := false
	for _, n := range entries(inst.Files) {
		if n.path == path {
			*n.expr, replaced = value, true
		}
	}
	if replaced {
		for _, f := range inst.Files {
			astutil.Resolve(f, func(token.Pos, string, ...any) {})
		}
		return nil
	}
	return s.addValue(inst, selectors, value)
}

// addValue adds one value to the strategy: beside the name, where a definition that is joined with what stands there refuses
// keys that it does not know; else in a file of its own.
func (s *source) addValue(inst *build.Instance, path cue.Path, value ast.Expr) *Error {
	selectors, at := path.Selectors(), value.Pos()
	for i := len(selectors) - 1; i >= 0; i-- {
		if selectors[i].Type() == cue.IndexLabel {
			return &Error{Path: path.String(), Message: "the strategy has no list with this element", Fix: "set the whole list"}
		}
		name := label(selectors[i])
		ast.SetPos(name, at)
		value = ast.NewStruct(&ast.Field{Label: name, Value: value})
	}
	added := value.(*ast.StructLit).Elts
	for _, n := range entries(inst.Files) {
		if n.path == "name" && n.list != nil {
			*n.list = append(*n.list, added...)
			astutil.Resolve(n.file, func(token.Pos, string, ...any) {})
			return nil
		}
	}
	return s.addFile(inst, added)
}

func label(s cue.Selector) ast.Label {
	if s.LabelType() == cue.StringLabel {
		return ast.NewStringLabel(s.Unquoted())
	}
	return ast.NewIdent(s.String())
}

func (s *source) addFile(inst *build.Instance, decls []ast.Decl) *Error {
	file := &ast.File{Filename: setOption, Decls: decls}
	if inst.PkgName != "" {
		file.Decls = append([]ast.Decl{&ast.Package{Name: ast.NewIdent(inst.PkgName)}}, decls...)
	}
	if err := inst.AddSyntax(file); err != nil {
		return &Error{Message: err.Error()}
	}
	return nil
}
