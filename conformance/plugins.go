package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/examples"
	"github.com/gsc-project/gsc/schema"
)

// PluginOptions say which plugins are looked at.
type PluginOptions struct {
	Folders []string               // whose modules are; empty: the examples'
	Tell    func(s *Suite, at int) // told of each row as it is done, by its place in the suite, which has the names of all; may be nil
}

// module is a plugin to be checked; lacks says why there is none to be, of a task that is known.
type module struct{ name, file, task, lacks string }

// Marks of a check in a plugin's row.
const (
	markRight   = "ok"
	markWrong   = "wrong"
	markNotDone = "·" // since one before it failed
)

// Plugins holds plugins to their contract, as gsc plugin check does: a suite for each task, a row for each plugin, and a column for each check.
func Plugins(ctx context.Context, o PluginOptions) (Report, error) {
	r := Report{Device: "cpu"}
	list, done, err := modules(ctx, o.Folders)
	defer done()
	if err != nil {
		return r, err
	}
	byTask, err := tasks(ctx, list)
	if err != nil {
		return r, err
	}
	for _, task := range sorted(byTask) {
		s := Suite{Name: "plugins: " + task}
		if task == "" {
			s.Name = "plugins that do not load"
		}
		if err := s.checkAll(ctx, byTask[task], o.Tell); err != nil {
			return r, err
		}
		r.add(s)
	}
	return r, ctx.Err()
}

// checkAll fills in a suite. A row is told as it is done once a plugin went through all checks, and so named the columns.
func (s *Suite) checkAll(ctx context.Context, list []module, tell func(*Suite, int)) error {
	for _, m := range list {
		s.Rows = append(s.Rows, Row{Name: m.name})
	}
	told, named := 0, false
	for i, m := range list {
		if err := s.check(ctx, i, m); err != nil {
			return err
		}
		named = named || s.Rows[i].Pass || i == len(list)-1
		for ; named && told <= i; told++ {
			row := &s.Rows[told]
			for len(row.Marks) < len(s.Columns) {
				row.Marks = append(row.Marks, markNotDone)
			}
			if tell != nil {
				tell(s, told)
			}
		}
	}
	return nil
}

// check fills in a row, as far as its checks go. Why it does not pass is the first that fails.
func (s *Suite) check(ctx context.Context, at int, m module) error {
	if m.lacks != "" {
		s.Rows[at].Skipped, s.Rows[at].Why = true, m.lacks
		return nil
	}
	row := &s.Rows[at]
	findings, err := gsc.CheckPlugin(ctx, m.file, gsc.PluginOptions{})
	if err != nil {
		row.Why = err.Error()
		return ctx.Err()
	}
	row.Pass = true
	for i, f := range findings {
		if missing := (*schema.MissingError)(nil); errors.As(f.Err, &missing) {
			row.Pass, row.Skipped, row.Why = false, true, fmt.Sprintf("%v: gsc plugin check --params gives it them", f.Err)
			return nil
		}
		if i == len(s.Columns) {
			s.Columns = append(s.Columns, f.Check)
		}
		mark := markRight
		if f.Err != nil {
			mark = markWrong
			if row.Pass {
				line, _, _ := strings.Cut(f.Err.Error(), "\n")
				row.Pass, row.Why = false, f.Check+": "+line
			}
		}
		row.Marks = append(row.Marks, mark)
	}
	return nil
}

// tasks groups plugins by what they say that they do; "": they say nothing.
func tasks(ctx context.Context, list []module) (map[string][]module, error) {
	byTask := map[string][]module{}
	for _, m := range list {
		if m.task == "" {
			var err error // of a file that cannot be read, which its row tells
			if m.task, err = gsc.PluginTask(ctx, m.file); err != nil && ctx.Err() != nil {
				return nil, err
			}
		}
		byTask[m.task] = append(byTask[m.task], m)
	}
	return byTask, nil
}

func sorted(byTask map[string][]module) []string {
	var names []string
	for task := range byTask {
		names = append(names, task)
	}
	slices.Sort(names)
	return names
}

// modules finds those of folders, or unpacks and builds the examples', until done, which is never nil.
func modules(ctx context.Context, folders []string) (list []module, done func(), err error) {
	done = func() {}
	if len(folders) == 0 {
		dir, err := os.MkdirTemp("", "gsc-plugins-")
		if err != nil {
			return nil, done, err
		}
		done = func() { os.RemoveAll(dir) }
		if err := os.CopyFS(dir, examples.Plugins); err != nil {
			return nil, done, err
		}
		if list, err = within(dir, dir); err != nil {
			return nil, done, err
		}
		list = slices.DeleteFunc(list, func(m module) bool { return m.name == goModule }) // where it was built when gsc was
		byGo, err := withGo(ctx, dir)
		return append(list, byGo), done, err
	}
	for _, folder := range folders {
		found, err := within(folder, "")
		if err != nil {
			return nil, done, err
		}
		if len(found) == 0 {
			return nil, done, fmt.Errorf("%s holds no plugin: there is no .wasm in it, nor in its folders", folder)
		}
		list = append(list, found...)
	}
	return list, done, nil
}

// within finds the modules of a folder and of those in it, named as seen from base.
func within(folder, base string) (list []module, err error) {
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".wasm" {
			return err
		}
		name := path
		if base != "" {
			name, err = filepath.Rel(base, path)
		}
		list = append(list, module{name: filepath.ToSlash(name), file: path})
		return err
	})
	return list, err
}
