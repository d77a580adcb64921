package schema

import (
	"embed"
	"os"
	"path"
	"path/filepath"
	"strings"

	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/load"
)

// importPath is where a strategy imports the definitions from.
const importPath = "github.com/gsc-project/gsc/schema"

//go:embed cue/*.cue
var definitions embed.FS

// source is a strategy before evaluation: where it stands, and its parsed files.
type source struct {
	dir  string   // folder of the strategy, absolute
	args []string // what is loaded: a file, or "."
	root string   // folder that holds cue.mod, or would
	lone bool     // there is no cue.mod
}

// locate finds what path names: a .cue file, or a folder that holds a package.
func locate(name, base string) (*source, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(base, name)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, err
	}
	s := &source{dir: abs, args: []string{"."}}
	if !info.IsDir() {
		s.dir, s.args = filepath.Dir(abs), []string{abs}
	}
	s.root, s.lone = moduleRoot(s.dir)
	return s, nil
}

// moduleRoot is the nearest folder, from dir up, that holds cue.mod; dir itself where none does.
func moduleRoot(dir string) (root string, lone bool) {
	for d := dir; ; d = filepath.Dir(d) {
		if info, err := os.Stat(filepath.Join(d, "cue.mod")); err == nil && info.IsDir() {
			return d, false
		}
		if d == filepath.Dir(d) {
			return dir, true
		}
	}
}

// instance parses the strategy's files and what they import.
func (s *source) instance(tags []string) *build.Instance {
	env := os.Environ()
	if s.lone && os.Getenv("CUE_REGISTRY") == "" {
		env = append(env, "CUE_REGISTRY=none")
	}
	return load.Instances(s.args, &load.Config{
		Dir: s.dir, ModuleRoot: s.root, Tags: tags, Overlay: s.overlay(), Env: env,
	})[0]
}

// overlay lays the definitions over the module, as an import that stands in
// it, and a module file where there is none.
func (s *source) overlay() map[string]load.Source {
	files := map[string]load.Source{}
	if s.lone {
		files[filepath.Join(s.root, "cue.mod", "module.cue")] = load.FromString(moduleFile)
	}
	folder := s.schemaFolder()
	s.hideStale(folder, files)
	for name, text := range definitionFiles() {
		files[filepath.Join(folder, name)] = load.FromBytes(text)
	}
	return files
}

// schemaFolder is where the definitions lie in the module.
func (s *source) schemaFolder() string {
	return filepath.Join(s.root, "cue.mod", "pkg", filepath.FromSlash(importPath))
}

// hideStale empties files that another version of gsc wrote out and this one does not have.
func (s *source) hideStale(folder string, files map[string]load.Source) {
	found, _ := filepath.Glob(filepath.Join(folder, "*.cue"))
	for _, name := range found {
		files[name] = load.FromString("package schema\n")
	}
}

const moduleFile = `module: "strategy.local"
language: version: "v0.13.0"
`

// definitionFiles are the embedded CUE files by name.
func definitionFiles() map[string][]byte {
	entries, err := definitions.ReadDir("cue")
	if err != nil {
		panic(err) // embedded
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		text, err := definitions.ReadFile(path.Join("cue", entry.Name()))
		if err != nil {
			panic(err)
		}
		files[entry.Name()] = text
	}
	return files
}

// show names a file as messages do: relative to the strategy's folder, or under "gsc/" for the definitions.
func (s *source) show(file string) string {
	if rest, ok := strings.CutPrefix(file, s.schemaFolder()+string(filepath.Separator)); ok {
		return "gsc/" + filepath.ToSlash(rest)
	}
	if rel, err := filepath.Rel(s.dir, file); err == nil && filepath.IsAbs(file) {
		if file = filepath.ToSlash(rel); !strings.HasPrefix(file, "../") {
			file = "./" + file
		}
	}
	return file
}
