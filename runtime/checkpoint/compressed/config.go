package compressed

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
)

// The formats that a quantised weight may have.
const (
	formatInt    = "int-quantized"
	formatPacked = "pack-quantized"
)

// packed says whether a weight's numbers are packed into words: those that no whole number is multiplied with are.
func packed(c *plan.Compression) bool { return c.Bits != 8 || c.ActivationBits == 0 }

func formatOf(c *plan.Compression) string {
	if packed(c) {
		return formatPacked
	}
	return formatInt
}

// config collects what config.json says of compression.
type config struct {
	groups   []group
	targets  []string // modules that are pruned
	patterns []string // of them
}

// group is the modules that are rounded in one way.
type group struct {
	bits, size, activations int
	symmetric               bool
	modules                 []string
	format                  string
}

func (c *config) quantised(of *plan.Compression) {
	like := group{bits: of.Bits, size: of.Group, activations: of.ActivationBits, symmetric: of.Symmetric, format: formatOf(of)}
	i := slices.IndexFunc(c.groups, func(g group) bool {
		return g.bits == like.bits && g.size == like.size && g.activations == like.activations && g.symmetric == like.symmetric
	})
	if i < 0 {
		i, c.groups = len(c.groups), append(c.groups, like)
	}
	c.groups[i].modules = append(c.groups[i].modules, moduleOf(of.Tensor))
}

func (c *config) pruned(of *plan.Compression, w Weight) {
	if w.Pattern == "" {
		return
	}
	c.targets = append(c.targets, moduleOf(of.Tensor))
	if !slices.Contains(c.patterns, w.Pattern) {
		c.patterns = append(c.patterns, w.Pattern)
	}
}

// members is quantization_config.
func (c *config) members(r Report) map[string]any {
	groups, format := map[string]any{}, "dense"
	for i, g := range c.groups {
		groups[fmt.Sprintf("group_%d", i)] = g.members()
		if format == "dense" {
			format = g.format
		} else if format != g.format {
			format = "mixed-precision"
		}
	}
	made := map[string]any{"quant_method": "compressed-tensors", "quantization_status": "compressed", "format": format, "config_groups": groups, "ignore": []string{}, "kv_cache_scheme": nil}
	if len(c.targets) > 0 {
		structure := "unstructured"
		if len(c.patterns) == 1 && c.patterns[0] == "2:4" {
			structure = "2:4"
		}
		made["sparsity_config"] = map[string]any{"format": "dense", "targets": c.targets, "ignore": []string{}, "sparsity_structure": structure, "global_sparsity": r.sparsity()}
	}
	return made
}

// sparsity is the share of zeros in the weights that are pruned.
func (r Report) sparsity() float64 {
	zeros, all := 0, 0
	for _, w := range r.Weights {
		if w.Pattern != "" {
			zeros, all = zeros+w.Zeros, all+w.Elements
		}
	}
	return float64(zeros) / float64(max(1, all))
}

func (g *group) members() map[string]any {
	weights := map[string]any{"num_bits": g.bits, "type": "int", "symmetric": g.symmetric, "strategy": "channel", "dynamic": false}
	if g.size > 0 {
		weights["strategy"], weights["group_size"] = "group", g.size
	}
	made := map[string]any{"targets": g.modules, "weights": weights, "input_activations": nil, "output_activations": nil, "format": g.format}
	if g.activations > 0 {
		made["input_activations"] = map[string]any{"num_bits": g.activations, "type": "int", "symmetric": true, "strategy": "token", "dynamic": true}
	}
	return made
}
