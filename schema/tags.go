package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
)

// tagForm is the attribute of a field whose value is given by a tag.
var tagForm = regexp.MustCompile(`^@tag\(\s*"?([^,)"\s]+)`)

// tagged is a field whose value a tag gives.
type tagged struct {
	tag   string
	entry *entry
}

// taggedFields are those of the strategy's files.
func taggedFields(files []*ast.File) []tagged {
	var found []tagged
	for _, n := range entries(files) {
		if n.field == nil {
			continue
		}
		for _, a := range n.field.Attrs {
			if m := tagForm.FindStringSubmatch(a.Text); m != nil {
				found = append(found, tagged{m[1], n})
			}
		}
	}
	return found
}

// missingTags notes tags that were not given and have no default.
func (d *diagnosis) missingTags() bool {
	missing := false
	for _, f := range taggedFields(d.inst.Files) {
		v := d.value.LookupPath(d.pathOf(f.entry.path))
		if _, hasDefault := v.Default(); v.Exists() && !v.IsConcrete() && !hasDefault {
			missing = true
			d.found.add(&Error{Path: f.entry.path, Message: fmt.Sprintf("the tag %q is not given", f.tag),
				At: []Pos{d.src.pos(f.entry.field.Pos())}, Fix: fmt.Sprintf("give it: -t %s=VALUE", f.tag)})
		}
	}
	return missing
}

// pathOf is a path whose hidden fields are those of the strategy's package.
func (d *diagnosis) pathOf(path string) cue.Path {
	var selectors []cue.Selector
	for _, name := range strings.Split(path, ".") {
		if strings.HasPrefix(name, "_") {
			selectors = append(selectors, cue.Hid(name, d.inst.ID()))
		} else {
			selectors = append(selectors, cue.ParsePath(name).Selectors()...)
		}
	}
	return cue.MakePath(selectors...)
}

// badTags are the -t options that are not KEY=VALUE.
func badTags(options []string) Errors {
	var found Errors
	for _, option := range options {
		if key, _, ok := strings.Cut(option, "="); !ok || key == "" {
			found.add(&Error{Message: fmt.Sprintf("-t %s is not KEY=VALUE", option), Fix: "write, for example, -t text=book.txt"})
		}
	}
	return found
}

// unknownTag names the tags that there are.
func (s *source) unknownTag(e *Error, tag string, files []*ast.File) {
	e.Message = fmt.Sprintf("the strategy has no tag %q", tag)
	var names []string
	for _, f := range taggedFields(files) {
		if !slices.Contains(names, f.tag) {
			names = append(names, f.tag)
		}
		e.At = union(e.At, []Pos{s.pos(f.entry.field.Pos())})
	}
	switch best := nearest(tag, names); {
	case best != "":
		e.Fix = fmt.Sprintf("did you mean %q?", best)
	case len(names) > 0:
		e.Fix = "use one of " + quotedList(names)
	default:
		e.Fix = fmt.Sprintf("declare it by a field such as _%s: string @tag(%s)", tag, tag)
	}
}
