package gsc_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
)

// exampleTags give each example the data that its tags ask for, as small as will do.
func exampleTags(t *testing.T, dir string) map[string][]string {
	t.Helper()
	common := filepath.Join("cmd", "gsc", "testdata", "common")
	if err := os.CopyFS(dir, os.DirFS(common)); err != nil {
		t.Fatal(err)
	}
	tagged, err := os.ReadFile(filepath.Join(common, "tags.conll"))
	if err != nil {
		t.Fatal(err)
	}
	for _, split := range []string{"train", "dev", "test"} {
		save(t, filepath.Join(dir, split+".conll"), string(tagged))
	}
	for i := range 40 { // files enough that some fall to each split
		save(t, filepath.Join(dir, "src", fmt.Sprintf("p%d", i), "p.go"), fmt.Sprintf("package p%d\n\nfunc F() int { return %d }\n", i, i))
	}
	return map[string][]string{
		"compressed":        {"text=" + filepath.Join(dir, "plays.txt")},
		"entities":          {"data=" + dir},
		"gpt3-plan":         {"text=" + filepath.Join(dir, "plays.txt")},
		"go-source":         {"goroot=" + dir},
		"llama-auto":        {"text=" + filepath.Join(dir, "plays.txt")},
		"plugin-codecs":     {"text=" + filepath.Join(dir, "plays.txt")},
		"plugin-losses":     {"text=" + filepath.Join(dir, "plays.txt")},
		"plugin-policies":   {"text=" + filepath.Join(dir, "plays.txt")},
		"plugin-transforms": {"goroot=" + dir},
		"ranks":             {"text=" + filepath.Join(dir, "plays.txt")},
		"shakespeare":       {"text=" + filepath.Join(dir, "plays.txt")},
	}
}

// Every example is planned as it stands, and trains with few and small steps.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	tags := exampleTags(t, dir)
	for _, e := range languageExamples {
		tags[e.folder] = tags[map[string]string{"text": "plugin-losses", "goroot": "plugin-transforms"}[e.reads]]
	}
	found, err := filepath.Glob(filepath.Join("examples", "*", "*.cue"))
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	for _, path := range found {
		name := filepath.Base(filepath.Dir(path))
		t.Run(name, func(t *testing.T) {
			if name == "plugin-go" {
				path = goExample(t, dir)
			}
			o := gsc.Options{Tags: tags[name]}
			p, err := gsc.Plan(path, o)
			if err != nil {
				t.Fatal(err)
			}
			if p.Device == "cuda" { // no backend runs it yet, which is what training says
				if err := gsc.Train(t.Context(), path, gsc.TrainOptions{Options: o, Run: filepath.Join(dir, name), Out: io.Discard}); err == nil || !strings.Contains(err.Error(), "no backend") {
					t.Errorf("training gives %v", err)
				}
				return
			}
			o.Set = []string{"model.layers=1", "batch.sequences=4", `schedule={kind: "constant", peak: 1e-3, steps: 2}`, "evaluate.rows=8"}
			if name == "compressed" { // within those steps
				o.Set = append(o.Set, `compress=[{match: "*.weight", prune: pattern: "2:4", quantize: activations: bits: 8}]`)
			}
			if err := gsc.Train(t.Context(), path, gsc.TrainOptions{Options: o, Run: filepath.Join(dir, name), Out: io.Discard}); err != nil {
				t.Error(err)
			}
		})
	}
}

// An architecture of a user's own is differentiated, cached and saved as gsc's own are.
func TestOwnArchitecture(t *testing.T) {
	path := filepath.Join("examples", "own-architecture", "train.cue")
	small := []string{"model.width=16", "model.context=24", "model.std=0.3", "batch={sequences: 2, micro_batches: 2}", `devices.kind="ref"`, "optimizer.clip_norm=0"}
	l := newLab(t, planOf(t, path, small...), 1)
	gradients := l.gradients()
	for _, name := range l.weights() {
		l.compare(gradients, l.direction(newRandom(), name))
	}

	small[3] = "batch.sequences=1"
	l = newLab(t, planOf(t, path, small...), 1)
	l.check(l.set.Fill(1, 1, l.batch))
	l.compareGeneration(10, l.logits(), 1e-12)
}
