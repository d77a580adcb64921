package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"

	"github.com/gsc-project/gsc/compiler/plan"
)

// CompressRule says how the weights whose names match are compressed.
type CompressRule struct {
	Match    string // glob over Hugging Face names: * matches within dots too
	Prune    *Prune
	Quantize *Quantize
	Plugin   *Plugin // a policy, in place of the others
	Path     string  // of the rule, such as "compress[0]"
}

// Prune is what is pruned, and when.
type Prune struct {
	Pattern           string // "unstructured", "rows", "heads" or "N:M"
	Keep, Of          int    // N and M; 0: another pattern
	Sparsity          float64
	Begin, End, Every int64
	Schedule          string // "cubic" or "constant"
}

// Quantize is how weights are rounded, and from when on.
type Quantize struct {
	Bits           int
	Group          int // 0: one scale for each output
	Symmetric      bool
	Begin          int64
	ActivationBits int // 0: activations stay as they are
}

// wireCompress is a rule as CUE has it.
type wireCompress struct {
	Match string
	Prune *struct {
		Pattern           string
		Sparsity          float64
		Begin, End, Every int64
		Schedule          string
	}
	Quantize *struct {
		Bits, Group int
		Symmetric   bool
		Begin       int64
		Activations struct{ Bits int }
	}
	wirePlugin
}

// policy is the plugin of a rule, with what it may take where the strategy does not say it.
func (w wirePlugin) policy(path string) (*Plugin, error) {
	if w.Memory == nil {
		w.Memory = "32MiB"
	}
	if w.Time == "" {
		w.Time = "1s"
	}
	if w.Params == nil {
		w.Params = json.RawMessage("{}")
	}
	return w.plugin(path, plan.PluginPolicy)
}

// WithPolicy is the strategy with what was found in the module of the policy of a rule.
func (s *Strategy) WithPolicy(rule int, m Module) (*Strategy, error) {
	params, err := s.params(s.Compress[rule].Plugin, m)
	if err != nil {
		return nil, err
	}
	made, p := *s, *s.Compress[rule].Plugin
	p.Name, p.Version, p.Digest, p.Params = m.Name, m.Version, m.Digest, params
	for _, other := range s.Compress[:rule] {
		if o := other.Plugin; o != nil && o.Name == p.Name && (o.Digest != p.Digest || string(o.Params) != string(p.Params)) {
			return nil, s.Wrong(p.Path+".plugin", fmt.Sprintf("the policy %s stands here and at %s, with another module or other parameters", p.Name, o.Path), "name all of its weights in one rule")
		}
	}
	made.Compress = slices.Clone(s.Compress)
	made.Compress[rule].Plugin = &p
	return &made, nil
}

func compressRules(list []wireCompress) ([]CompressRule, error) {
	var rules []CompressRule
	for i, w := range list {
		rule := CompressRule{Match: w.Match, Path: fmt.Sprintf("compress[%d]", i)}
		if p := w.Prune; p != nil {
			rule.Prune = &Prune{Pattern: p.Pattern, Sparsity: p.Sparsity, Begin: p.Begin, End: max(p.Begin, p.End), Every: p.Every, Schedule: p.Schedule}
			if keep, of, ok := neighbours(p.Pattern); ok {
				rule.Prune.Keep, rule.Prune.Of, rule.Prune.Sparsity = keep, of, 1-float64(keep)/float64(of)
			}
		}
		if q := w.Quantize; q != nil {
			rule.Quantize = &Quantize{Bits: q.Bits, Group: q.Group, Symmetric: q.Symmetric, Begin: q.Begin, ActivationBits: q.Activations.Bits}
		}
		if w.Plugin != "" {
			var err error
			if rule.Plugin, err = w.policy(rule.Path); err != nil {
				return nil, err
			}
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// neighbours reads a pattern such as 2:4.
func neighbours(pattern string) (keep, of int, ok bool) {
	first, last, ok := strings.Cut(pattern, ":")
	if !ok {
		return 0, 0, false
	}
	keep, err := strconv.Atoi(first)
	if err != nil {
		return 0, 0, false
	}
	of, err = strconv.Atoi(last)
	return keep, of, err == nil
}

// compress: a rule says something, and one thing; shares and steps go together.
func (d *diagnosis) compress() {
	v, ok := d.known("compress")
	if !ok {
		return
	}
	n, _ := v.Len().Int64()
	for i := range n {
		path := fmt.Sprintf("compress[%d]", i)
		if d.touched(path) {
			continue
		}
		prune, quantize, plugin := d.exists(path+".prune"), d.exists(path+".quantize"), d.exists(path+".plugin")
		d.wrongIf(!prune && !quantize && !plugin, []string{path}, "give prune, quantize or plugin", "the rule compresses nothing")
		d.wrongIf(plugin && (prune || quantize), []string{path + ".plugin"}, "leave out prune and quantize, or the plugin", "a plugin says itself what is pruned and quantised")
		for _, key := range []string{"params", "memory", "time"} {
			d.wrongIf(!plugin && d.exists(path+"."+key), []string{path + "." + key}, "leave it out, or name a plugin", "it is for a plugin")
		}
		if prune {
			d.prune(path + ".prune")
		}
	}
}

func (d *diagnosis) exists(path string) bool { return d.value.LookupPath(cue.ParsePath(path)).Exists() }

func (d *diagnosis) prune(path string) {
	pattern, ok := d.text(path + ".pattern")
	if !ok {
		return
	}
	keep, of, structured := neighbours(pattern)
	given := d.exists(path + ".sparsity")
	d.wrongIf(structured && (keep >= of || of > maxNeighbours), []string{path + ".pattern"}, `keep fewer, such as "2:4"`, "%q keeps %d of each %d neighbours, of which there may be %d", pattern, keep, of, maxNeighbours)
	d.wrongIf(structured && given, []string{path + ".sparsity", path + ".pattern"}, "leave it out", "it follows from the pattern %q", pattern)
	d.wrongIf(!structured && !given, []string{path}, "give sparsity, such as 0.5", "it does not say what share is pruned")
	begin, _ := d.integer(path + ".begin")
	end, ok := d.integer(path + ".end")
	d.wrongIf(ok && end < begin, []string{path + ".end", path + ".begin"}, "end it later", "it ends at step %d, before it begins at %d", end, begin)
	steps, ok := d.integer("schedule.steps")
	if end = max(begin, end); ok {
		d.wrongIf(end > steps, []string{path, "schedule.steps"}, "end it earlier, or train longer", "pruning ends at step %d, but the run at step %d", end, steps)
	}
}

// maxNeighbours is the largest M of N:M.
const maxNeighbours = 64
