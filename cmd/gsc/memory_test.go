package main

import (
	"bytes"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

const gpt2Strategy = `package strategy

import "github.com/gsc-project/gsc/schema"

schema.#Strategy & {
	name: "gpt2-124m"
	model: schema.#GPT2 & {layers: 12, heads: 12, width: 768, context: 1024, vocabulary: 50257}
	data: {format: "tokens", train: files: ["tokens.bin"], length: 64, order: "random"}
	batch: sequences: 4
	optimizer: {kind: "adamw", weight_decay: 0.1, clip_norm: 1}
	schedule: {kind: "constant", peak: 1e-4, steps: 3}
	evaluate: every: 0
	checkpoint: every: 0
}
`

// The peak resident set of GPT-2 124M at 4 × 64 tokens is within 5 % + 64 MiB of its plan.
func TestGPT2TakesTheMemoryOfItsPlan(t *testing.T) {
	if os.Getenv("GSC_LONG") == "" {
		t.Skip("takes 2 GiB of memory and of disk: set GSC_LONG=1")
	}
	dir := t.TempDir()
	tokens := make([]byte, 0, 1<<16)
	for r := rand.New(rand.NewSource(1)); len(tokens) < cap(tokens); {
		id := r.Intn(50257)
		tokens = append(tokens, byte(id), byte(id>>8))
	}
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("tokens.bin", tokens)
	write("gpt2.cue", []byte(gpt2Strategy))
	run := func(args ...string) []byte {
		cmd := exec.Command(binary, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("gsc %v: %v\n%s", args, err, out)
		}
		return out
	}
	run("plan", "-o", "plan.gsc", "gpt2.cue")
	p, err := plan.Read(filepath.Join(dir, "plan.gsc"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`([0-9.]+) GiB predicted, ([0-9.]+) GiB measured`).FindSubmatch(run("train", "plan.gsc"))
	if found == nil {
		t.Fatal("the run reports no memory in GiB")
	}
	gib, err := strconv.ParseFloat(string(bytes.TrimSpace(found[2])), 64)
	if err != nil {
		t.Fatal(err)
	}
	predicted, measured := float64(p.PeakBytes()), gib*(1<<30)
	if slack := 0.05*predicted + 64<<20; measured > predicted+slack || measured < predicted-slack {
		t.Errorf("%.0f bytes predicted, %.0f measured", predicted, measured)
	}
}
