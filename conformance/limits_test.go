package conformance

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/schema"
)

// limitedModel has three heads, one of them for keys and values, and two layers.
const limitedModel = `package strategy

import "github.com/gsc-project/gsc/schema"

schema.#Strategy & {
	name: "limits"
	model: schema.#Llama & {layers: 2, heads: 3, kv_heads: 1, width: 24, mlp: 15, context: 8}
	data: {train: files: ["text.txt"], split: {by: "bytes", validation: 0.1}, length: 8}
	batch: {sequences: 2, micro_batches: 1}
	schedule: {kind: "constant", peak: 0.003, steps: 2}
	optimizer: kind: *"adamw" | string
}
`

// Each limit of the list is one that gsc meets, and nothing else that it refuses is taken for one.
func TestLimitsAreWhatIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := writeTexts(dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "strategy.cue")
	if err := os.WriteFile(file, []byte(limitedModel), 0o666); err != nil {
		t.Fatal(err)
	}
	met := map[int]bool{}
	for _, c := range []struct {
		set   string // settings, parted by semicolons
		limit bool
	}{
		{`parallel.mesh.data=2; parallel.zero=1; devices.kind="cuda"; precision={compute: "bf16", master: "bf16"}`, true},
		{`parallel.mesh.tensor=2; model.heads=4; model.kv_heads=2; model.mlp=16; devices.kind="cuda"; precision={compute: "bf16", master: "bf16", rounding: "stochastic"}`, true},
		{`parallel.mesh.tensor=3; model.kv_heads=3; optimizer.kind="muon"`, true},
		{`parallel.mesh.tensor=2`, true},
		{`parallel.mesh.data=3`, true},
		{`parallel.mesh.sequence=2; parallel.attention="exchange"`, true},
		{`parallel.mesh.sequence=2; parallel.mesh.tensor=2; model.heads=4; model.kv_heads=2; model.mlp=16; parallel.attention="ring"; parallel.rules=[{kind: "activation", region: "attention", dim: "seq", axis: "tensor"}]`, true},
		{`parallel.mesh.pipeline=5`, true},
		{`parallel.mesh.pipeline=2; parallel.pipeline.chunks=2`, true},
		{`parallel.mesh.tensor=0`, false},
		{`parallel.mesh.tenser=2`, false},
		{`parallel.zero=7`, false},
		{`parallel.pipeline.chunks=2`, false},
		{`parallel.mesh.data=3; parallel.zero=7`, false},
		{`data.length=9`, false},
	} {
		_, err := gsc.Plan(file, gsc.Options{Set: strings.Split(c.set, "; ")})
		if err == nil || beyondLimits(err) != c.limit {
			t.Errorf("%s: %v, a limit: want %v, got %v", c.set, err, c.limit, !c.limit)
		}
		if e := new(schema.Error); errors.As(err, &e) {
			met[limitOf(e)] = true
		}
	}
	for i, l := range limits {
		if !met[i] {
			t.Errorf("no strategy met the limit %s: %v", l.path, l.message)
		}
	}
}
