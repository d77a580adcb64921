package schema

import (
	"fmt"
	"strconv"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// entry is a field, or an element of a list, as the strategy's files write it.
type entry struct {
	path  string     // of the value, such as "parameters[0].match"
	field *ast.Field // nil for an element of a list
	list  *[]ast.Decl
	expr  *ast.Expr // where its value stands in the syntax
	file  *ast.File
}

// pos is where the entry's value stands; a struct stands where its label does.
func (n *entry) pos() token.Pos {
	if n.field != nil {
		switch (*n.expr).(type) {
		case *ast.StructLit, *ast.BinaryExpr:
			return n.field.Label.Pos()
		}
	}
	return (*n.expr).Pos()
}

// covers says whether the entry's text holds the position.
func (n *entry) covers(p token.Pos) bool {
	from, to := (*n.expr).Pos(), (*n.expr).End()
	if n.field != nil {
		from = n.field.Label.Pos()
	}
	return p.Filename() == from.Filename() && from.Offset() <= p.Offset() && p.Offset() < to.Offset()
}

// remove takes a field out of the syntax.
func (n *entry) remove() {
	for i, d := range *n.list {
		if d == ast.Decl(n.field) {
			*n.list = append((*n.list)[:i:i], (*n.list)[i+1:]...)
			return
		}
	}
}

// treeWalker lists the entries of files, outer before inner.
type treeWalker struct {
	file    *ast.File
	entries []*entry
}

// entries lists everything that the files write, hidden fields and definitions
// included: their paths start with _ or #.
func entries(files []*ast.File) []*entry {
	w := &treeWalker{}
	for _, f := range files {
		w.file = f
		w.decls(&f.Decls, "")
	}
	return w.entries
}

func (w *treeWalker) decls(list *[]ast.Decl, path string) {
	for _, d := range *list {
		switch d := d.(type) {
		case *ast.Field:
			w.field(d, list, path)
		case *ast.EmbedDecl:
			w.expr(&d.Expr, path)
		}
	}
}

func (w *treeWalker) field(f *ast.Field, list *[]ast.Decl, path string) {
	label := f.Label
	if alias, ok := label.(*ast.Alias); ok {
		label, _ = alias.Expr.(ast.Label)
	}
	name, _, err := ast.LabelName(label)
	if err != nil {
		return
	}
	path = join(path, name)
	w.entries = append(w.entries, &entry{path: path, field: f, list: list, expr: &f.Value, file: w.file})
	w.expr(&f.Value, path)
}

// expr walks into the parts of an expression that are certainly part of its value.
func (w *treeWalker) expr(e *ast.Expr, path string) {
	switch x := (*e).(type) {
	case *ast.StructLit:
		w.decls(&x.Elts, path)
	case *ast.ParenExpr:
		w.expr(&x.X, path)
	case *ast.Alias:
		w.expr(&x.Expr, path)
	case *ast.BinaryExpr:
		if x.Op == token.AND {
			w.expr(&x.X, path)
			w.expr(&x.Y, path)
		}
	case *ast.ListLit:
		for i := range x.Elts {
			at := fmt.Sprintf("%s[%d]", path, i)
			w.entries = append(w.entries, &entry{path: at, expr: &x.Elts[i], file: w.file})
			w.expr(&x.Elts[i], at)
		}
	}
}

// join puts a field's name behind a path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// joined writes a path of CUE's, whose list elements are bare numbers.
func joined(path []string) string {
	text := ""
	for _, name := range path {
		if _, err := strconv.Atoi(name); err == nil {
			text += "[" + name + "]"
		} else {
			text = join(text, name)
		}
	}
	return text
}
