package schema

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Write writes the definitions into the CUE module of the folder dir, where
// cue vet and editors find them by the import path that strategies use, and
// makes it a module if it is none. Definitions that an earlier version wrote are replaced. It returns the files' names.
func Write(dir string) ([]string, error) {
	module := filepath.Join(dir, "cue.mod", "module.cue")
	folder := filepath.Join(dir, "cue.mod", "pkg", filepath.FromSlash(importPath))
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	var written []string
	if _, err := os.Stat(module); os.IsNotExist(err) {
		if err := os.WriteFile(module, []byte(moduleFile), 0o666); err != nil {
			return nil, err
		}
		written = append(written, module)
	}
	files := definitionFiles()
	stale, _ := filepath.Glob(filepath.Join(folder, "*.cue"))
	for _, name := range stale {
		if _, ours := files[filepath.Base(name)]; !ours {
			if err := os.Remove(name); err != nil {
				return written, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, withAuto(files[name]), 0o666); err != nil {
			return written, err
		}
		written = append(written, path)
	}
	return written, nil
}
