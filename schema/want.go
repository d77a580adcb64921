package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// want is what the definitions allow in a place.
type want struct {
	kind    cue.Kind
	words   []string // bounds, such as "at least 1"
	options []string // the values, as JSON, when they are few
	element *want    // of a list
	length  int      // of a list, when it is fixed
	or      string   // a word that may stand for a number
}

// allowed is what may stand at path.
func (d *diagnosis) allowed(path string) want {
	v := d.constraint(path)
	if !v.Exists() {
		return want{}
	}
	return understand(v)
}

// constraint finds what is known of a path: a value, or a required or optional
// field, which LookupPath does not find.
func (d *diagnosis) constraint(path string) cue.Value {
	v := d.value
	for _, s := range cue.ParsePath(path).Selectors() {
		next := v.LookupPath(cue.MakePath(s))
		if !next.Exists() {
			next = fieldOf(v, s)
		}
		if v = next; !v.Exists() {
			return v
		}
	}
	return v
}

// fieldOf finds a field of any kind by its name, or any element of a list.
func fieldOf(v cue.Value, s cue.Selector) cue.Value {
	if s.Type() == cue.IndexLabel {
		return v.LookupPath(cue.MakePath(cue.AnyIndex))
	}
	it, err := v.Fields(cue.All())
	for err == nil && it.Next() {
		if it.Selector().LabelType() == s.LabelType() && strings.TrimRight(it.Selector().String(), "!?") == s.String() {
			return it.Value()
		}
	}
	return cue.Value{}
}

// understand takes a constraint apart by its evaluated text, such as *0 | int & >=0.
func understand(v cue.Value) want {
	expr, err := parser.ParseExpr("", fmt.Sprint(v))
	if err != nil {
		return want{kind: v.IncompleteKind()}
	}
	w := understandExpr(expr)
	if w.or == "" {
		w.kind = v.IncompleteKind()
	}
	return w
}

func understandExpr(e ast.Expr) want {
	switch x := e.(type) {
	case *ast.BinaryExpr:
		if x.Op == token.AND {
			return understandExpr(x.X).meet(understandExpr(x.Y))
		}
		return understandExpr(x.X).join(understandExpr(x.Y))
	case *ast.ParenExpr:
		return understandExpr(x.X)
	case *ast.UnaryExpr:
		return understandUnary(x)
	case *ast.BasicLit:
		return want{kind: literalKinds[x.Kind], options: []string{x.Value}}
	case *ast.Ident:
		w := want{kind: typeKinds[x.Name]}
		if x.Name == "uint" {
			w.words = []string{"at least 0"}
		}
		return w
	case *ast.ListLit:
		return understandList(x)
	}
	return want{kind: cue.StructKind}
}

var literalKinds = map[token.Token]cue.Kind{
	token.INT: cue.IntKind, token.FLOAT: cue.FloatKind, token.STRING: cue.StringKind, token.TRUE: cue.BoolKind, token.FALSE: cue.BoolKind, token.NULL: cue.NullKind,
}

var typeKinds = map[string]cue.Kind{
	"int": cue.IntKind, "uint": cue.IntKind, "number": cue.NumberKind, "float": cue.FloatKind, "string": cue.StringKind, "bool": cue.BoolKind, "_": cue.TopKind,
}

var comparisons = map[token.Token]string{token.GEQ: "at least ", token.GTR: "more than ", token.LEQ: "at most ", token.LSS: "less than "}

func understandUnary(x *ast.UnaryExpr) want {
	text := sourceText(x.X)
	words, isBound := comparisons[x.Op]
	switch {
	case x.Op == token.MUL:
		return understandExpr(x.X)
	case x.Op == token.SUB:
		return want{kind: cue.NumberKind, options: []string{"-" + text}}
	case !isBound:
		return want{kind: cue.StringKind}
	case len(text) > 15: // 2⁶³ − 1 says nothing to a reader
		return want{kind: cue.NumberKind}
	}
	return want{kind: cue.NumberKind, words: []string{words + text}}
}

func understandList(list *ast.ListLit) want {
	w := want{kind: cue.ListKind, length: len(list.Elts)}
	for _, x := range list.Elts {
		if open, ok := x.(*ast.Ellipsis); ok {
			w.length = 0
			if open.Type == nil {
				break
			}
			x = open.Type
		}
		element := understandExpr(x)
		w.element = &element
	}
	return w
}

// meet is what both allow.
func (w want) meet(o want) want {
	if w.kind&o.kind != 0 {
		w.kind &= o.kind
	}
	for _, word := range o.words {
		if !slices.Contains(w.words, word) {
			w.words = append(w.words, word)
		}
	}
	switch {
	case w.options == nil:
		w.options = o.options
	case o.options != nil:
		w.options = slices.DeleteFunc(slices.Clone(w.options), func(s string) bool { return !slices.Contains(o.options, s) })
	}
	if w.element == nil || o.element != nil && o.element.options == nil && o.length > 0 {
		w.element, w.length = o.element, o.length
	}
	return w
}

// join is what either allows. A single value beside something wider is its default, and says nothing.
func (w want) join(o want) want {
	kind := w.kind | o.kind
	switch {
	case w.options == nil && o.options == nil && w.kind&cue.ListKind == 0:
		if !slices.Equal(w.words, o.words) {
			w.words = nil
		}
	case w.options == nil && o.kind == cue.StringKind && len(o.options) == 1 && w.kind&^cue.NumberKind == 0:
		w.or, kind = o.options[0], w.kind
	case w.options == nil:
	case o.options == nil && o.kind != 0:
		w = o
	default:
		for _, option := range o.options {
			if !slices.Contains(w.options, option) {
				w.options = append(w.options, option)
			}
		}
	}
	if o.kind == cue.ListKind && o.element != nil && (w.element == nil || w.element.options != nil) {
		w.element, w.length = o.element, o.length
	}
	w.kind = kind
	return w
}

var nouns = map[cue.Kind]string{
	cue.IntKind: "an integer", cue.NumberKind: "a number", cue.FloatKind: "a number", cue.StringKind: "a string", cue.BoolKind: "true or false",
	cue.ListKind: "a list", cue.NumberKind | cue.StringKind: "a number or a string", cue.IntKind | cue.StringKind: "an integer or a string",
}

var plurals = strings.NewReplacer("an integer", "integers", "a number", "numbers", "a string", "strings", "a list", "lists")

// phrase says it in words: "an integer of at least 1".
func (w want) phrase() string {
	if w.or != "" {
		number := w
		number.or = ""
		return number.phrase() + " or " + w.or
	}
	switch {
	case len(w.options) == 1:
		return w.options[0]
	case len(w.options) > 1:
		return "one of " + strings.Join(w.options, ", ")
	case w.kind == cue.ListKind && w.element != nil:
		return w.listPhrase()
	case len(w.words) == 0 || w.kind&^cue.NumberKind != 0:
		return nouns[w.kind]
	}
	if most, ok := w.upTo(); ok {
		return most
	}
	text := nouns[w.kind] + " of " + strings.Join(w.words, " and ")
	return strings.NewReplacer("of more than", "over", "of less than", "under", "and less than", "and under", "and more than", "and over").Replace(text)
}

// upTo says of whole numbers that begin with 0 or 1 where they end.
func (w want) upTo() (string, bool) {
	first, last := 0, ""
	for _, word := range w.words {
		most, isMost := strings.CutPrefix(word, "at most ")
		switch {
		case isMost:
			last = most
		case word == "more than 0":
			first = 1
		case word != "at least 0":
			return "", false
		}
	}
	return fmt.Sprintf("an integer from %d to %s", first, last), w.kind == cue.IntKind && last != "" && len(w.words) > 1
}

func (w want) listPhrase() string {
	of := plurals.Replace(w.element.phrase())
	if w.length > 0 {
		return "a list of " + strconv.Itoa(w.length) + " " + of
	}
	return strings.TrimSuffix("a list of "+of, " of ")
}
