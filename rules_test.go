package gsc_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
)

// TestEveryRule: whatever a rule says, ranks learn what one rank learns, or the strategy is refused for it in its own words. In short one rule of eleven is tried.
func TestEveryRule(t *testing.T) {
	const kinds, regions, dims, axes = "weight activation", "residual attention mlp head", "batch seq heads kv_heads mlp vocab", "replica data sequence tensor"
	one := learn(t, "ref", gpt2, stream, 2, "batch.sequences=14", "batch.micro_batches=2", "data.length=13")
	n := 0
	for _, kind := range append(strings.Fields(kinds), "") {
		for _, region := range append(strings.Fields(regions), "") {
			for _, dim := range strings.Fields(dims) {
				for _, axis := range strings.Fields(axes) {
					if n++; os.Getenv("GSC_LONG") == "" && n%11 != 0 {
						continue
					}
					rule := fmt.Sprintf("dim: %q, axis: %q", dim, axis)
					if kind != "" {
						rule += fmt.Sprintf(", kind: %q", kind)
					}
					if region != "" {
						rule += fmt.Sprintf(", region: %q", region)
					}
					one.sharedOrRefused(t, fmt.Sprintf("parallel={mesh: {%s: 2}, zero: %d, rules: [{%s}]}", axis, n%2*3, rule))
				}
			}
		}
	}
	for _, both := range []string{
		`parallel={mesh: {data: 2, tensor: 2}, rules: [{dim: "heads", axis: "data"}]}`, `parallel={mesh: {data: 2}, rules: [{dim: "heads", axis: "data", region: "residual"}]}`,
		`parallel={mesh: {data: 2}, zero: 3, rules: [{dim: "vocab", axis: "data"}]}`, `parallel={mesh: {tensor: 2, sequence: 2}, rules: [{dim: "mlp", axis: "sequence"}]}`,
	} {
		one.sharedOrRefused(t, both)
	}
}

// sharedOrRefused is shared, where the strategy is not refused at parallel.
func (l *lesson) sharedOrRefused(t *testing.T, cut string) {
	t.Helper()
	if _, err := gsc.Plan(l.path, gsc.Options{Set: append(l.set[:len(l.set):len(l.set)], cut)}); err == nil {
		l.shared(t, cut)
	} else if !strings.HasPrefix(err.Error(), "parallel.") {
		t.Errorf("%s: %v", cut, err)
	}
}
