package gsc_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
)

// TestStrategiesInTheDocuments loads every cue block of the documents that is
// a whole strategy, and so keeps them right.
func TestStrategiesInTheDocuments(t *testing.T) {
	found := 0
	for _, file := range []string{"README.md", "ARCHITECTURE.md", "RATIONALE.md"} {
		for i, block := range blocks(t, file, "cue") {
			if !strings.Contains(block, "schema.#Strategy") {
				continue
			}
			found++
			t.Run(fmt.Sprintf("%s/%d", file, i), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "strategy.cue")
				if err := os.WriteFile(path, []byte(block), 0o666); err != nil {
					t.Fatal(err)
				}
				if _, err := gsc.Load(path, gsc.Options{Tags: []string{"text=text.txt"}}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	if found == 0 {
		t.Error("the documents hold no strategy")
	}
}

// blocks are the fenced blocks of a language in a document.
func blocks(t *testing.T, file, language string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, part := range strings.Split(string(text), "```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		list = append(list, block)
	}
	return list
}
