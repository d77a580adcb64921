package schema

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelang.org/go/cmd/cue/cmd"
	"golang.org/x/tools/txtar"
)

// vet runs cue vet on a strategy of a folder in which the definitions are written out.
func vet(t *testing.T, dir string, args ...string) error {
	t.Helper()
	t.Chdir(dir)
	var output bytes.Buffer
	c, err := cmd.New(append([]string{"vet", "-c"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	c.SetOut(&output)
	c.SetErr(&output)
	if err := c.Run(t.Context()); err != nil {
		return errors.New(output.String() + err.Error())
	}
	return nil
}

// TestVetAcceptsExamples holds the examples against the written-out definitions by cue's own command.
func TestVetAcceptsExamples(t *testing.T) {
	dir := t.TempDir()
	if _, err := Write(dir); err != nil {
		t.Fatal(err)
	}
	strategies, _ := filepath.Glob("../examples/*/*.cue")
	if len(strategies) == 0 {
		t.Fatal("no examples")
	}
	for i, name := range strategies {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, filepath.Base(filepath.Dir(name)), filepath.Base(name)), text)
		if strategies[i], err = filepath.Abs(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range strategies {
		args := []string{filepath.Join(filepath.Base(filepath.Dir(name)), filepath.Base(name))}
		for tag := range tagsOf(t, name) {
			args = append(args, "-t", tag+"=x")
		}
		if err := vet(t, dir, args...); err != nil {
			t.Errorf("cue vet %s: %v", args, err)
		}
	}
}

// tagsOf are the tags that a strategy declares.
func tagsOf(t *testing.T, name string) map[string]bool {
	t.Helper()
	src, err := locate(name, "")
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]bool{}
	for _, f := range taggedFields(src.instance(nil).Files) {
		tags[f.tag] = true
	}
	return tags
}

// TestVetAgrees: cue vet accepts what Load accepts and, rules that only Go
// knows apart, refuses what it refuses.
func TestVetAgrees(t *testing.T) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	refused := 0
	for i, name := range cases {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if cases[i] = filepath.Base(name); !vettable(archive) {
			continue
		}
		dir := t.TempDir()
		if _, err := Write(dir); err != nil {
			t.Fatal(err)
		}
		var args []string
		for _, f := range archive.Files {
			switch f.Name {
			case "want":
			case "args":
				for line := range strings.Lines(string(f.Data)) {
					if tag, ok := strings.CutPrefix(strings.TrimSpace(line), "-t "); ok {
						args = append(args, "-t", tag)
					}
				}
			default:
				writeFile(t, filepath.Join(dir, f.Name), f.Data)
			}
		}
		working, _ := os.Getwd()
		err = vet(t, dir, append(args, "train.cue")...)
		t.Chdir(working)
		switch wrong := strings.HasPrefix(cases[i], "wrong-"); {
		case !wrong && err != nil:
			t.Errorf("%s: cue vet refuses what gsc accepts: %v", cases[i], err)
		case wrong && err != nil:
			refused++
		}
	}
	if refused < 30 {
		t.Errorf("cue vet refused %d of the wrong strategies only", refused)
	}
}

// vettable says whether a case is one that cue's own command can judge: without --set, and without a folder of weights.
func vettable(archive *txtar.Archive) bool {
	for _, f := range archive.Files {
		if f.Name == "args" && !strings.HasPrefix(string(f.Data), "-t ") && strings.Contains(string(f.Data), "-") {
			return false
		}
		if f.Name == "train.cue" {
			return !strings.Contains(string(f.Data), "from: \"")
		}
	}
	return false
}

// TestWriteReplaces: definitions of another version do not stay behind, a module file does.
func TestWriteReplaces(t *testing.T) {
	dir := t.TempDir()
	written, err := Write(dir)
	if err != nil || len(written) != len(definitionFiles())+1 {
		t.Fatal(written, err)
	}
	stale := filepath.Join(filepath.Dir(written[1]), "old.cue")
	writeFile(t, stale, []byte("package schema\n\n#Old: 1\n"))
	module := filepath.Join(dir, "cue.mod", "module.cue")
	writeFile(t, module, []byte("module: \"lab.example\"\nlanguage: version: \"v0.13.0\"\n"))
	if written, err = Write(dir); err != nil || len(written) != len(definitionFiles()) {
		t.Fatal(written, err)
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Error("old definitions stayed")
	}
	if text, _ := os.ReadFile(module); !bytes.Contains(text, []byte("lab.example")) {
		t.Error("the user's module file was overwritten")
	}
}

// TestLoadHidesOldDefinitions: in a module that holds definitions of another version, strategies are loaded by gsc's own.
func TestLoadHidesOldDefinitions(t *testing.T) {
	dir := t.TempDir()
	written, err := Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(written[1])
	writeFile(t, filepath.Join(folder, "old.cue"), []byte("package schema\n\n#Strategy: name: \"old\"\n"))
	writeFile(t, filepath.Join(folder, "strategy.cue"), []byte("package schema\n\n#Strategy: {}\n"))
	if s := loadText(t, dir, fmt.Sprintf(roundTripStrategy, models["gpt2"]+", vocabulary: 50}", "")); s.Name != "run" {
		t.Errorf("loaded as %q", s.Name)
	}
}
