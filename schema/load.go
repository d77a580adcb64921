package schema

import (
	"fmt"
	"os"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
)

// Options say how a strategy is loaded.
type Options struct {
	Tags []string // KEY=VALUE, as cue's -t
	Set  []string // PATH=VALUE, the value in CUE: in place of what the strategy's files say there
	Dir  string   // folder that a relative path starts from; the working directory when empty

	// ModelOf finds the model folder of a folder that a teacher comes from, such as a run's; nil: it is one.
	ModelOf func(folder string) (string, error)
}

// Load evaluates the strategy that path names, a .cue file or the folder of a
// package, and returns it complete, or everything that is wrong with it as [Errors].
func Load(path string, opts Options) (*Strategy, error) {
	e, err := open(path, opts)
	if err != nil {
		return nil, err
	}
	e.evaluate()
	d := &diagnosis{evaluation: e, repaired: map[string]bool{}}
	d.fromFolder()
	d.problems()
	d.rules()
	d.rest()
	if err := d.found.sorted(); err != nil {
		return nil, err
	}
	s, err := e.decode()
	if list := ErrorsOf(err); list != nil {
		return nil, list
	}
	if err != nil {
		return nil, Errors{{Message: err.Error()}}
	}
	s.origin = origin{path: path, opts: opts, show: e.src.show}
	if err := s.teacher(path, opts); err != nil {
		return nil, err
	}
	return s, nil
}

// evaluation is a strategy in the course of being loaded.
type evaluation struct {
	src     *source
	inst    *build.Instance
	value   cue.Value
	defined cue.Value // gsc's definitions, once they are asked for
}

// open parses the strategy and carries out the options.
func open(path string, opts Options) (*evaluation, error) {
	dir := opts.Dir
	if dir == "" {
		dir, _ = os.Getwd()
	}
	src, err := locate(path, dir)
	if err != nil {
		return nil, Errors{{Message: fmt.Sprintf("cannot read the strategy %s: %s", path, reason(err))}}
	}
	found := badTags(opts.Tags)
	if found != nil {
		return nil, found.sorted()
	}
	e := &evaluation{src: src, inst: src.instance(opts.Tags)}
	if e.inst.Err != nil {
		return nil, src.loadErrors(e.inst)
	}
	spellOut(e.inst)
	for _, option := range opts.Set {
		if problem := src.set(e.inst, option); problem != nil {
			found.add(problem)
		}
	}
	spellOut(e.inst)
	return e, found.sorted()
}

// evaluate computes the strategy's value from the syntax as it is now.
func (e *evaluation) evaluate() {
	e.value, e.defined = cuecontext.New().BuildInstance(e.inst), cue.Value{}
}

// kinds are the names in a table of the definitions, such as "#Architectures"; those of the definitions themselves in "".
func (e *evaluation) kinds(table string) []string {
	var names []string
	v := e.definitions()
	if table != "" {
		v = v.LookupPath(cue.ParsePath(table))
	}
	it, err := v.Fields(cue.Definitions(true))
	for err == nil && it.Next() {
		name := it.Selector().String()
		if it.Selector().LabelType() == cue.StringLabel {
			name = it.Selector().Unquoted()
		}
		names = append(names, name)
	}
	return names
}
