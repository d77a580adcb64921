package schema

import (
	"fmt"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
)

// CompressRule says how the weights whose names match are compressed.
type CompressRule struct {
	Match    string // glob over Hugging Face names: * matches within dots too
	Prune    *Prune
	Quantize *Quantize
	Path     string // of the rule, such as "compress[0]"
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
}

func compressRules(list []wireCompress) []CompressRule {
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
		rules = append(rules, rule)
	}
	return rules
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
		prune := d.exists(path + ".prune")
		d.wrongIf(!prune && !d.exists(path+".quantize"), []string{path}, "give prune or quantize", "the rule compresses nothing")
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
