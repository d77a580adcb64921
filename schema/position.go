package schema

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"
)

// pos writes a position as Pos does. A value from the command line stands at its option.
func (s *source) pos(p token.Pos) Pos {
	if !p.IsValid() {
		return ""
	}
	position := p.Position()
	if strings.HasPrefix(position.Filename, setOption) {
		return Pos(position.Filename)
	}
	return Pos(fmt.Sprintf("%s:%d:%d", s.show(position.Filename), position.Line, position.Column))
}

// positionsOf writes positions, those of the user's files alone when there are any.
func (s *source) positionsOf(list []token.Pos) []Pos {
	if user := s.userPositions(list); user != nil {
		return user
	}
	var all []Pos
	for _, p := range list {
		if p.IsValid() {
			all = union(all, []Pos{s.pos(p)})
		}
	}
	return all
}

// userPositions are those that lie outside the definitions.
func (s *source) userPositions(list []token.Pos) []Pos {
	var user []Pos
	for _, p := range list {
		if pos := s.pos(p); pos != "" && !strings.HasPrefix(string(pos), "gsc/") {
			user = union(user, []Pos{pos})
		}
	}
	slices.Sort(user)
	return user
}

// userAt is where the strategy's files write the value at path or, failing that, what is nearest around it.
func (e *evaluation) userAt(path string) []Pos {
	all := entries(e.inst.Files)
	if !slices.ContainsFunc(all, func(n *entry) bool { return n.path == path }) {
		if at := e.src.userPositions([]token.Pos{e.value.LookupPath(cue.ParsePath(path)).Pos()}); at != nil {
			return at
		}
	}
	for at := path; at != ""; at = parent(at) {
		for _, n := range all {
			if n.path == at && n.pos().IsValid() {
				return []Pos{e.src.pos(n.pos())}
			}
		}
	}
	return e.files()
}

// files are the strategy's own files.
func (e *evaluation) files() []Pos {
	var names []Pos
	for _, f := range e.inst.Files {
		if f.Filename != setOption {
			names = append(names, Pos(e.src.show(f.Filename)))
		}
	}
	return names
}

// positions maps the path of each value of the strategy to where the user
// wrote it or, where the user did not, to the default.
func (e *evaluation) positions() map[string]Pos {
	found := map[string]Pos{}
	var walk func(v cue.Value, path string)
	walk = func(v cue.Value, path string) {
		if path != "" {
			found[path] = e.src.pos(v.Pos())
		}
		switch v.IncompleteKind() {
		case cue.StructKind:
			it, err := v.Fields()
			for err == nil && it.Next() {
				walk(it.Value(), join(path, it.Selector().Unquoted()))
			}
		case cue.ListKind:
			it, err := v.List()
			for i := 0; err == nil && it.Next(); i++ {
				walk(it.Value(), fmt.Sprintf("%s[%d]", path, i))
			}
		}
	}
	walk(e.value, "")
	for _, n := range slices.Backward(entries(e.inst.Files)) {
		if _, ok := found[n.path]; ok && n.pos().IsValid() {
			found[n.path] = e.src.pos(n.pos())
		}
	}
	return found
}
