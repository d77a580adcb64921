package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// Compression is what may happen to a weight while it is trained, for which the plan reserves room, and by which schedule it does. All that reads the weight sees it
// compressed; what the optimizer updates is its dense state.
type Compression struct {
	Tensor string `json:"tensor"` // a weight
	Kind   string `json:"kind"`   // "linear" or "embedding"
	In     int    `json:"in"`     // elements that each output is a sum of
	Out    int    `json:"out"`
	Across bool   `json:"across,omitempty"` // it is stored [in, out]
	Heads  int    `json:"heads,omitempty"`

	Plugin string `json:"plugin,omitempty"` // the policy that decides, by its name in the plan; "": gsc's own, by the steps below

	Pattern  string  `json:"pattern,omitempty"` // of what is pruned: "unstructured", "neighbours", "rows" or "heads"; "": nothing
	Of       int     `json:"of,omitempty"`      // neighbours that are pruned among themselves
	Sparsity float64 `json:"sparsity,omitempty"`
	Begin    int64   `json:"begin,omitempty"` // steps of the first mask, of the last, and between two
	End      int64   `json:"end,omitempty"`
	Every    int64   `json:"every,omitempty"`
	Cubic    bool    `json:"cubic,omitempty"`

	Bits         int   `json:"bits,omitempty"` // 0: it is not quantised
	Group        int   `json:"group,omitempty"`
	Symmetric    bool  `json:"symmetric,omitempty"`
	QuantizeFrom int64 `json:"quantize_from,omitempty"`

	ActivationBits int `json:"activation_bits,omitempty"` // of what the weight is multiplied with; 0: it is not quantised
}

// What a compressed weight has beside it, by the ends of their names: its dense copy, which is trained, and what that is compressed by.
const (
	SuffixDense = ".dense"
	SuffixMask  = ".mask"
	SuffixScale = ".scale"
	SuffixZero  = ".zero"

	SuffixSquares = ".squares" // the sum of the squares of the dense copy, where a plugin's policy is told of it
)

// The scalars of a compressed weight: the share that is pruned, whether its mask is made anew (0 or 1), and whether it is quantised.
func ScalarSparsity(tensor string) string { return "sparsity." + tensor }
func ScalarMask(tensor string) string     { return "mask." + tensor }
func ScalarQuantize(tensor string) string { return "quantize." + tensor }

var patterns = []string{"", "unstructured", "neighbours", "rows", "heads"}

// compressions is the third part of rule 10.
func (v *verifier) compressions() {
	seen := map[string]bool{}
	for _, c := range v.plan.Compressions {
		t := v.plan.Tensor(c.Tensor)
		switch {
		case t == nil || t.Class != Weight || seen[c.Tensor]:
			v.fail("compression of %q: it is no weight, or stands twice", c.Tensor)
			continue
		case c.In < 1 || c.Out < 1 || kernels.Elements(t.Shape()) != c.In*c.Out:
			v.fail("compression of %s: %d × %d are not its elements", c.Tensor, c.Out, c.In)
		case !slices.Contains(patterns, c.Pattern) || (c.Pattern == "neighbours") != (c.Of > 0) || c.Of > 0 && c.In%c.Of != 0 || c.Pattern == "heads" && (c.Heads < 1 || c.In*c.Out%c.Heads != 0):
			v.fail("compression of %s: the pattern %q does not go with its %d × %d elements, %d heads, and runs of %d", c.Tensor, c.Pattern, c.Out, c.In, c.Heads, c.Of)
		case c.Bits != 0 && c.Bits != 4 && c.Bits != 8 || c.Group < 0 || c.Group > 0 && c.In%c.Group != 0:
			v.fail("compression of %s: %d bits and groups of %d do not go with %d elements along the input", c.Tensor, c.Bits, c.Group, c.In)
		case c.Plugin != "" && (v.plan.Plugin(c.Plugin) == nil || v.plan.Plugin(c.Plugin).Kind != PluginPolicy):
			v.fail("compression of %s: the plan has no policy %q", c.Tensor, c.Plugin)
		case c.Plugin != "" && len(v.plan.Stages) > 1 && !slices.ContainsFunc(v.plan.Scalars, func(s Scalar) bool { return s.Name == ScalarPruned }):
			v.fail("compression of %s: the policy %s decides on several stages, and there is no scalar %s", c.Tensor, c.Plugin, ScalarPruned)
		case c.Plugin == "" && c.Pattern != "" && (c.Begin < 1 || c.End < c.Begin || c.Every < 1 || !(c.Sparsity > 0 && c.Sparsity < 1)):
			v.fail("compression of %s: its steps or its sparsity make no sense", c.Tensor)
		}
		seen[c.Tensor] = true
		for _, need := range []struct {
			name string
			is   bool
		}{{SuffixDense, c.Pattern != "" || c.Bits > 0}, {SuffixMask, c.Pattern != ""}, {SuffixScale, c.Bits > 0}, {SuffixSquares, c.Plugin != ""}} {
			if need.is && v.plan.Trains() && v.plan.Tensor(c.Tensor+need.name) == nil {
				v.fail("compression of %s: there is no tensor %s", c.Tensor, c.Tensor+need.name)
			}
		}
	}
}

// compressionRows say what is compressed, how and when, and what is reserved for it; weights that are treated alike share a line.
func (p *Plan) compressionRows() (rows [][2]string) {
	var order []string
	counts, elements, reserved := map[string]int{}, map[string]int{}, map[string]int64{}
	for _, c := range p.Compressions {
		text := c.brief()
		if counts[text] == 0 {
			order = append(order, text)
		}
		counts[text]++
		elements[text] += c.In * c.Out
		for _, suffix := range []string{SuffixDense, SuffixMask, SuffixScale, SuffixZero, SuffixSquares} {
			if t := p.Tensor(c.Tensor + suffix); t != nil {
				reserved[text] += int64(kernels.Elements(t.Shape())) * int64(t.DType.Size())
			}
		}
	}
	for _, text := range order {
		rows = append(rows, [2]string{"compressed", fmt.Sprintf("%s of %s: %s; %s beside them", plural(counts[text], "weight"), FormatCount(float64(elements[text])), text, FormatBytes(reserved[text]))})
	}
	return rows
}

// PatternName is the pattern as strategies write it, such as "2:4"; "": nothing is pruned.
func (c *Compression) PatternName() string {
	if c.Of > 0 {
		return fmt.Sprintf("%d:%d", c.Of-kernels.Pruned(c.Of, c.Sparsity), c.Of)
	}
	return c.Pattern
}

// brief says what happens to the weight.
func (c *Compression) brief() string {
	var parts []string
	if c.Pattern != "" {
		when := fmt.Sprintf("at step %d", c.Begin)
		if c.Plugin != "" {
			when = "at most, when " + c.Plugin + " says so"
		} else if c.End > c.Begin {
			when = fmt.Sprintf("from step %d to %d, every %d", c.Begin, c.End, c.Every)
			if c.Cubic {
				when += ", cubic"
			}
		}
		parts = append(parts, fmt.Sprintf("%.4g %% pruned (%s) %s", 100*c.Sparsity, c.PatternName(), when))
	}
	if c.Bits > 0 {
		group, form := "", ""
		if c.Group > 0 {
			group = fmt.Sprintf(" in groups of %d", c.Group)
		}
		if !c.Symmetric {
			form = ", with zero points"
		}
		when := fmt.Sprintf("from step %d", c.QuantizeFrom)
		if c.Plugin != "" {
			when = "when " + c.Plugin + " says so"
		}
		parts = append(parts, fmt.Sprintf("int%d%s%s %s", c.Bits, group, form, when))
	}
	if c.ActivationBits > 0 {
		parts = append(parts, fmt.Sprintf("activations int%d", c.ActivationBits))
	}
	return strings.Join(parts, ", ")
}

// decidedBy is how many weights a policy decides about.
func (p *Plan) decidedBy(plugin string) (n int) {
	for _, c := range p.Compressions {
		if c.Plugin == plugin {
			n++
		}
	}
	return n
}

// compressionChange says what differs between two compressions of one weight.
func compressionChange(a, b Compression) string { return changed("how", a.brief(), b.brief()) }
