package source

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/cespare/xxhash/v2"

	"github.com/gsc-project/gsc/compiler/plan"
)

// Split is a part of the data.
type Split uint8

// The splits. All marks a file that is cut into splits by its bytes.
const (
	Train Split = iota
	Validation
	Test
	All
)

var splitNames = [...]string{"train", "validation", "test", "all"}

func (s Split) String() string { return splitNames[s] }

// Path is where a strategy names the files of the split.
func (s Split) Path() string {
	if s == All {
		s = Train
	}
	return "data." + s.String() + ".files"
}

// File is a file of the data.
type File struct {
	plan.File
	Split Split
	Name  string // path below the fixed root of its glob, with slashes
	Found string // where it can be opened
}

// Resolve finds the files that the globs of spec match, in the order of the globs and
// by name within each; a file that several globs match counts once. Digests are left empty.
//
// The order and the split of a file depend on its name below the glob's fixed root (the part before
// the first wildcard) alone, so that they are the same wherever that root lies.
func Resolve(spec plan.Data) ([]File, Errors) {
	var errs Errors
	var files []File
	for split, globs := range [][]string{spec.Train, spec.Validation, spec.Test} {
		files = append(files, resolveList(spec, Split(split), globs, &errs)...)
	}
	return files, errs
}

func resolveList(spec plan.Data, split Split, globs []string, errs *Errors) []File {
	seen := make(map[string]bool)
	var files []File
	for _, glob := range globs {
		found, err := expand(spec.Base, glob)
		if err != nil {
			errs.Add(split.Path(), err.Fix, "%s", err.Message)
			continue
		}
		for _, f := range found {
			if !seen[f.Path] {
				seen[f.Path] = true
				f.Split = splitOf(spec.Split, split, f.Name)
				f.File.Split = f.Split.String()
				files = append(files, f)
			}
		}
	}
	return files
}

// splitOf assigns a file of the given list to its split.
func splitOf(s plan.Split, list Split, name string) Split {
	switch {
	case list != Train || s.By == "":
		return list
	case s.By == "bytes":
		return All
	}
	share := float64(xxhash.Sum64String(name)>>11) / (1 << 53)
	switch {
	case share < s.Test:
		return Test
	case share < s.Test+s.Validation:
		return Validation
	}
	return Train
}

// expand lists the regular files that a glob matches, by name.
func expand(base, glob string) ([]File, *Error) {
	if glob == "" {
		return nil, &Error{Message: "the path is empty"}
	}
	full := glob
	if !filepath.IsAbs(full) {
		full = filepath.Join(escape(base), glob)
	}
	if literal := unescaped(base, glob); isRegular(literal) {
		f, err := newFile(base, literal, filepath.Base(literal))
		return []File{f}, err
	}
	root, pattern := doublestar.SplitPattern(path.Clean(filepath.ToSlash(full)))
	names, err := match(root, pattern)
	if err != nil {
		return nil, &Error{Message: glob + ": " + plain(err)}
	}
	var files []File
	for _, name := range names {
		f, err := newFile(base, filepath.Join(root, name), name)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, nothing(base, glob)
	}
	return files, nil
}

// match lists the regular files below root that the pattern matches, sorted.
func match(root, pattern string) ([]string, error) {
	var names []string
	each := func(name string, _ fs.DirEntry) error {
		if isRegular(filepath.Join(root, name)) {
			names = append(names, name)
		}
		return nil
	}
	if err := doublestar.GlobWalk(os.DirFS(root), pattern, each, doublestar.WithFailOnIOErrors()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// nothing says that a glob matches no file, and why where it can be told.
func nothing(base, glob string) *Error {
	where := unescaped(base, glob)
	info, err := os.Stat(where)
	switch {
	case err == nil && info.IsDir():
		return &Error{Message: glob + " is a folder", Fix: "use \"" + path.Join(filepath.ToSlash(glob), "**/*") + "\" for the files in it"}
	case err == nil:
		return &Error{Message: glob + " is not a regular file"}
	case strings.ContainsAny(glob, "*?[{"):
		return &Error{Message: "no file matches " + glob, Fix: "paths are relative to " + base}
	}
	return &Error{Message: glob + ": no such file", Fix: "paths are relative to " + base}
}

func newFile(base, found, name string) (File, *Error) {
	info, err := os.Stat(found)
	if err != nil {
		return File{}, &Error{Message: found + ": " + plain(err)}
	}
	shown := relative(base, found)
	return File{File: plan.File{Path: shown, SizeBytes: info.Size()}, Name: name, Found: found}, nil
}

// relative is the path below base, or else absolute.
func relative(base, found string) string {
	absolute, err := filepath.Abs(found)
	if err != nil {
		return filepath.ToSlash(found)
	}
	root, err := filepath.Abs(base)
	if err != nil {
		return filepath.ToSlash(absolute)
	}
	if rel, err := filepath.Rel(root, absolute); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(absolute)
}

func isRegular(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// unescaped is the path that a glob names when it is taken literally.
func unescaped(base, glob string) string {
	if filepath.IsAbs(glob) {
		return filepath.Clean(glob)
	}
	return filepath.Join(base, glob)
}

// escape protects the wildcards in a folder's own name.
func escape(folder string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `{`, `\{`).Replace(folder)
}

// plain is the cause of an error of the file system, without its path.
func plain(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
