package schema

import (
	stderrors "errors"
	"fmt"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
)

// plain is CUE's message without the noise: no path, no positions, no names of internal things.
func plain(err error) string {
	list := errors.Errors(err)
	if len(list) == 0 {
		return err.Error()
	}
	form, args := list[0].Msg()
	return strings.TrimSuffix(strings.TrimSpace(fmt.Sprintf(form, args...)), ":")
}

func toText(v any) string { return fmt.Sprint(v) }

// loadErrors are the errors of reading the files: syntax, imports, tags.
func (s *source) loadErrors(inst *build.Instance) error {
	var found Errors
	for _, err := range errors.Errors(inst.Err) {
		e := &Error{Message: strings.TrimPrefix(err.Error(), "import failed: "), At: s.positionsOf(errors.Positions(err))}
		e.Message = strings.ReplaceAll(e.Message, s.dir+"/", "./")
		switch {
		case strings.HasPrefix(e.Message, "no tag for "):
			s.unknownTag(e, strings.Trim(strings.TrimPrefix(e.Message, "no tag for "), `"`), inst.Files)
		case strings.Contains(e.Message, "cannot find package"):
			e.Message = e.Message[strings.Index(e.Message, "cannot find package"):]
			e.Message, _, _ = strings.Cut(e.Message, ": ")
			e.Fix = fmt.Sprintf("the definitions of gsc are in %q", importPath)
		}
		found.add(e)
	}
	return found.sorted()
}

// definitions are the evaluated definitions of gsc's own.
func (e *evaluation) definitions() cue.Value {
	if inst := imported(e.inst); inst != nil && !e.defined.Exists() {
		e.defined = cuecontext.New().BuildInstance(inst)
	}
	return e.defined
}

// imported finds gsc's package among what an instance imports.
func imported(inst *build.Instance) *build.Instance {
	for _, i := range inst.Imports {
		if i.ImportPath == importPath {
			return i
		}
		if found := imported(i); found != nil {
			return found
		}
	}
	return nil
}

func errorAs[T error](err error) (T, bool) {
	var target T
	ok := stderrors.As(err, &target)
	return target, ok
}
