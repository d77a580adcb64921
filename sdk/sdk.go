// Package sdk holds what authors of plugins begin with: for each language a library, and for each kind of plugin a project that builds.
//
// A language is a folder: what lies in it is its library, which a project gets as its folder gsc; below template lies a folder for each kind, which is the project, beside what projects of
// all kinds have, in the folder all, and what those of a kind, or all, have in every language, below project. In names and texts of a project @NAME@ stands for its name, @KIND@ for its kind, and
// what ends in .tmpl loses that: files that would mean something to Go's tools here.
package sdk

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed all:assemblyscript all:c all:go all:project rust/Cargo.toml rust/src all:rust/template all:zig
var files embed.FS

// The names of what means something.
const (
	templates = "template"
	shared    = "project"
	every     = "all"
	library   = "gsc"
	suffix    = ".tmpl"
)

// Project is what is to be written.
type Project struct {
	Language, Kind string
	Name           string // of the plugin, and of its folder
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// Languages lists those there are.
func Languages() []string {
	return folders(".", shared)
}

// Kinds lists the kinds of plugins that a language has a project for.
func Kinds(language string) []string { return folders(path.Join(language, templates), every) }

// folders lists those in a folder, but for one.
func folders(dir, but string) []string {
	list, _ := fs.ReadDir(files, dir) // a language without templates has no kinds
	var names []string
	for _, e := range list {
		if e.IsDir() && e.Name() != but {
			names = append(names, e.Name())
		}
	}
	return names
}

func (p Project) check() error {
	switch {
	case p.Language == "":
		return fmt.Errorf("say in which language: one of %s", strings.Join(Languages(), ", "))
	case !slices.Contains(Languages(), p.Language):
		return fmt.Errorf("there is no language %q: use one of %s", p.Language, strings.Join(Languages(), ", "))
	case !slices.Contains(Kinds(p.Language), p.Kind):
		return fmt.Errorf("there is no project for the kind %q in %s: use one of %s", p.Kind, p.Language, strings.Join(Kinds(p.Language), ", "))
	case !nameForm.MatchString(p.Name), p.Name == library:
		return fmt.Errorf("the name %q does not do: use up to 63 of a-z, 0-9, _ and -, beginning with a letter, and not %q", p.Name, library)
	}
	return nil
}

// Write makes a folder of the project's name in dir, all of it or nothing.
func (p Project) Write(dir string) (err error) {
	if err := p.check(); err != nil {
		return err
	}
	folder := filepath.Join(dir, p.Name)
	if _, err := os.Lstat(folder); err == nil {
		return fmt.Errorf("%s is there already: give the plugin another name, or take that away", folder)
	}
	made, err := os.MkdirTemp(dir, "."+p.Name+"-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(made)) }()
	whole := filepath.Join(made, p.Name)
	for _, part := range []struct{ from, to string }{
		{path.Join(shared, every), whole}, {path.Join(shared, p.Kind), whole},
		{path.Join(p.Language, templates, every), whole}, {path.Join(p.Language, templates, p.Kind), whole}, {p.Language, filepath.Join(whole, library)},
	} {
		if err := p.copy(part.from, part.to); err != nil {
			return err
		}
	}
	return os.Rename(whole, folder)
}

// copy writes what lies below a folder, but for a language's templates.
func (p Project) copy(from, to string) error {
	filled := strings.NewReplacer("@NAME@", p.Name, "@KIND@", p.Kind)
	return fs.WalkDir(files, from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == path.Join(p.Language, templates) {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, "_test.go") { // the library is tested where it comes from
			return nil
		}
		inside := strings.TrimSuffix(filled.Replace(strings.TrimPrefix(name, from)), suffix)
		target := filepath.Join(to, filepath.FromSlash(inside))
		if d.IsDir() {
			return os.MkdirAll(target, 0o777)
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, []byte(filled.Replace(string(text))), 0o666)
	})
}
