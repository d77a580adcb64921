package source

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

// tree writes files into a new folder: names end in / for folders.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		full := filepath.Join(root, name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(full, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full, []byte(name), 0o644))
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	names := []string{"a.txt", "b.txt", "c.md", "sub/a.txt", "sub/deep/z.txt", "odd[1].txt", "folder.txt/x.txt"}
	cases := []struct {
		globs []string
		want  string // paths, or an error's text after "error:"
	}{
		{[]string{"a.txt"}, "a.txt"},
		{[]string{"*.txt"}, "a.txt b.txt odd[1].txt"},
		{[]string{"**/*.txt"}, "a.txt b.txt folder.txt/x.txt odd[1].txt sub/a.txt sub/deep/z.txt"},
		{[]string{"b.txt", "*.txt"}, "b.txt a.txt odd[1].txt"},
		{[]string{"sub/*", "sub/**"}, "sub/a.txt sub/deep/z.txt"},
		{[]string{"./sub/../a.txt"}, "a.txt"},
		{[]string{"odd[1].txt"}, "odd[1].txt"},
		{[]string{"{c,a}.*"}, "a.txt c.md"},
		{[]string{"sub"}, "error: sub is a folder"},
		{[]string{"none.txt"}, "error: none.txt: no such file"},
		{[]string{"none/*.txt"}, "error: no file matches none/*.txt"},
		{[]string{"sub/[a"}, "error: sub/[a: syntax error in pattern"},
		{[]string{""}, "error: the path is empty"},
	}
	for _, c := range cases {
		base := tree(t, names...)
		files, errs := Resolve(plan.Data{Base: base, Train: c.globs})
		var got []string
		for _, f := range files {
			got = append(got, f.Path)
		}
		text := strings.Join(got, " ")
		if len(errs) > 0 {
			text = "error: " + errs[0].Message
			if errs[0].Path != "data.train.files" {
				t.Errorf("%q: path %s", c.globs, errs[0].Path)
			}
		}
		if text != c.want {
			t.Errorf("%q gives %q, want %q", c.globs, text, c.want)
		}
	}
}

func TestResolveNamesFilesOutsideBaseAbsolutely(t *testing.T) {
	root, base := tree(t, "x/a.txt"), tree(t, "b.txt")
	files, errs := Resolve(plan.Data{Base: base, Train: []string{filepath.Join(root, "**/*.txt"), "b.txt"}, Validation: []string{"b.txt"}})
	if len(errs) > 0 || len(files) != 3 {
		t.Fatal(files, errs)
	}
	if f := files[0]; f.Path != filepath.ToSlash(filepath.Join(root, "x/a.txt")) || f.Name != "x/a.txt" || f.SizeBytes != 7 {
		t.Errorf("%+v", f)
	}
	if files[1].Split != Train || files[2].Split != Validation || files[2].Path != "b.txt" {
		t.Errorf("%+v", files[1:])
	}
}

func TestResolveTakesWildcardsInBaseLiterally(t *testing.T) {
	root := tree(t, "odd[x]*/a.txt", "oddx/b.txt")
	files, errs := Resolve(plan.Data{Base: filepath.Join(root, "odd[x]*"), Train: []string{"*.txt"}})
	if len(errs) > 0 || len(files) != 1 || files[0].Path != "a.txt" {
		t.Errorf("%+v %v", files, errs)
	}
}

func TestSplitByFileDependsOnNamesBelowTheRootAlone(t *testing.T) {
	var names []string
	for i := range 400 {
		names = append(names, "d/"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26)+".go")
	}
	split := func(prefix string) (list []string, counts [3]int) {
		var under []string
		for _, name := range names {
			under = append(under, prefix+name)
		}
		root := tree(t, under...)
		spec := plan.Data{Base: t.TempDir(), Train: []string{filepath.Join(root, prefix, "**/*.go")}, Split: plan.Split{By: "file", Validation: 0.2, Test: 0.1}}
		files, errs := Resolve(spec)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, f := range files {
			list = append(list, f.Name+" "+f.File.Split)
			counts[f.Split]++
		}
		return list, counts
	}
	here, counts := split("")
	there, _ := split("some/where/else/")
	if !slices.Equal(here, there) {
		t.Error("the place of the root changes the split")
	}
	if counts[Validation] < 50 || counts[Validation] > 110 || counts[Test] < 20 || counts[Test] > 65 {
		t.Errorf("shares of 0.2 and 0.1 give %v", counts)
	}
}

func TestErrorsListEveryError(t *testing.T) {
	_, errs := Resolve(plan.Data{Base: t.TempDir(), Train: []string{"a", "b/*"}, Test: []string{"c"}})
	text := errs.Err().Error()
	for _, part := range []string{"data.train.files: a: no such file", "no file matches b/*", "data.test.files: c"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %q", text, part)
		}
	}
}
