package schema

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// noise is what messages must not hold: CUE's own words and gsc's inner names.
var noise = regexp.MustCompile(`empty disjunction|conflicting values|_\|_|mismatched types|\(and \d+ more|structural cycle|_rules|cannot use|\._|#x\b`)

// TestMutations: whatever key is renamed and whatever value replaced in a
// strategy with every section, the error is one of gsc's, names the place, and holds no noise.
func TestMutations(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/right-design.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for _, f := range archive.Files {
		if f.Name == "train.cue" {
			text = string(f.Data)
		}
	}
	body := strings.Index(text, "{\n")
	key, value := regexp.MustCompile(`[a-z_0-9]+:`), regexp.MustCompile(`(?:"[^"]*"|\d[\d.e-]*|true|false)([,}\]\n ])`)
	for _, at := range key.FindAllStringIndex(text[body:], -1) {
		mutate(t, text, body+at[0], body+at[1], "zz"+text[body+at[0]:body+at[1]])
	}
	for _, with := range []string{`"zz"`, `-7.5`, `{zz: 1}`, `[]`, `null`} {
		for _, at := range value.FindAllStringSubmatchIndex(text[body:], -1) {
			if os.Getenv("GSC_LONG") == "" && with != `"zz"` {
				break
			}
			mutate(t, text, body+at[0], body+at[2], with)
		}
	}
}

func mutate(t *testing.T, text string, from, to int, with string) {
	dir := t.TempDir()
	line := strings.Count(text[:from], "\n") + 1
	mutated := text[:from] + with + text[to:]
	if err := os.WriteFile(filepath.Join(dir, "train.cue"), []byte(mutated), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := Load("train.cue", Options{Dir: dir, Tags: []string{"goroot=/usr/local/go"}})
	if err == nil {
		return // another legal value
	}
	var list Errors
	if !errors.As(err, &list) {
		t.Fatalf("line %d: %s → %s: not of type Errors: %v", line, text[from:to], with, err)
	}
	if noise.MatchString(err.Error()) || list[0].At == nil || strings.Contains(err.Error(), " gsc/") {
		t.Errorf("line %d: %s → %s:\n%v", line, text[from:to], with, err)
	}
}
