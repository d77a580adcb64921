package sdk_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/sdk"
)

// Every language has a project of every kind, with its library and nothing of the template left.
func TestProjects(t *testing.T) {
	languages := sdk.Languages()
	if want := []string{"assemblyscript", "c", "go", "rust", "zig"}; !slices.Equal(languages, want) {
		t.Fatalf("languages %q, want %q", languages, want)
	}
	for _, language := range languages {
		kinds := sdk.Kinds(language)
		if want := []string{"codec", "loss", "policy", "transform"}; !slices.Equal(kinds, want) {
			t.Errorf("%s has the kinds %q, want %q", language, kinds, want)
		}
		for _, kind := range kinds {
			dir := t.TempDir()
			if err := (sdk.Project{Language: language, Kind: kind, Name: "my-loss"}).Write(dir); err != nil {
				t.Error(err)
			}
			files := list(t, dir)
			for _, want := range []string{"my-loss/Makefile", "my-loss/train.cue", "my-loss/.gitignore", "my-loss/README.md"} {
				if !slices.Contains(files, want) {
					t.Errorf("%s %s: there is no %s in %q", language, kind, want, files)
				}
			}
			if !slices.ContainsFunc(files, func(f string) bool { return strings.HasPrefix(f, "my-loss/gsc/") }) {
				t.Errorf("%s %s: there is no library in %q", language, kind, files)
			}
			for _, f := range files {
				text, err := os.ReadFile(filepath.Join(dir, f))
				if err != nil || strings.Contains(f+string(text), "@NAME@") || strings.Contains(f+string(text), "@KIND@") || strings.Contains(f, ".tmpl") || strings.Contains(f, "template") || strings.HasSuffix(f, "_test.go") {
					t.Errorf("%s %s: %s is not finished (%v)", language, kind, f, err)
				}
			}
		}
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			path, err = filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What cannot be written says what can, and leaves nothing behind.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "there"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		project sdk.Project
		want    string
	}{
		{sdk.Project{Language: "cobol", Kind: "loss", Name: "a"}, `there is no language "cobol": use one of assemblyscript, c, go, rust, zig`},
		{sdk.Project{Kind: "loss", Name: "a"}, `say in which language: one of assemblyscript, c, go, rust, zig`},
		{sdk.Project{Language: "c/template", Kind: "loss", Name: "a"}, `there is no language "c/template"`},
		{sdk.Project{Language: "project", Kind: "loss", Name: "a"}, `there is no language "project"`},
		{sdk.Project{Language: "rust", Kind: "poem", Name: "a"}, `there is no project for the kind "poem" in rust: use one of codec, loss, policy, transform`},
		{sdk.Project{Language: "rust", Kind: "loss", Name: "../a"}, `the name "../a" does not do`},
		{sdk.Project{Language: "rust", Kind: "loss", Name: ""}, `the name "" does not do`},
		{sdk.Project{Language: "rust", Kind: "loss", Name: "gsc"}, `and not "gsc"`},
		{sdk.Project{Language: "rust", Kind: "loss", Name: "there"}, "there is there already"},
	} {
		if err := c.project.Write(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v gives %v, want %s", c.project, err, c.want)
		}
	}
	if err := (sdk.Project{Language: "c", Kind: "loss", Name: "a"}).Write(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is not there takes a project")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%d entries are left, %v", len(left), err)
	}
}
