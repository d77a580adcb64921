package runtime

import (
	"fmt"
	"math"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
)

// compressor writes what the policies decide into a rank's scalars.
type compressor struct {
	machine  *Machine
	weights  []compressed
	elements int  // of all weights that may be pruned
	pruned   int  // of the weights decided about, behind the newest step
	apart    bool // each stage decides about its own weights, and the plan adds up what they prune
}

// compressed is a weight with its policy.
type compressed struct {
	tensor   compress.Tensor
	declared compress.Declaration
	policy   compress.Policy
	plugin   string // that the policy is of; "": it is gsc's own

	sparsity, mask, quantize string       // scalars
	squares                  *plan.Buffer // the sum of the squares of its elements; nil: nobody asks
}

// newCompressor finds the policies of a plan.
func newCompressor(m *Machine) (c *compressor, err error) {
	c = &compressor{machine: m, apart: m.scalars[plan.ScalarPruned] != nil}
	for i := range m.Plan.Compressions {
		of := &m.Plan.Compressions[i]
		made := compressed{tensor: tensorOf(m.Plan, of), declared: declarationOf(of), sparsity: plan.ScalarSparsity(of.Tensor), mask: plan.ScalarMask(of.Tensor), quantize: plan.ScalarQuantize(of.Tensor)}
		if made.declared.Pattern != compress.Unpruned {
			c.elements += made.tensor.Elements()
		}
		if c.apart && m.Plan.Tensor(of.Tensor).Stage != m.number() {
			continue
		}
		if of.Plugin != "" {
			made.squares = &m.stage.Buffers[m.Plan.Tensor(of.Tensor+plan.SuffixSquares).Buffer]
			made.plugin = of.Plugin
			if made.policy, err = c.plugged(of); err != nil {
				return nil, err
			}
			c.weights = append(c.weights, made)
			continue
		}
		made.policy = compress.Own{Declaration: made.declared, Prune: compress.Schedule{Begin: of.Begin, End: of.End, Every: of.Every, Cubic: of.Cubic}, QuantizeFrom: of.QuantizeFrom}
		c.weights = append(c.weights, made)
	}
	return c, nil
}

// plugged is the policy of a plugin.
func (c *compressor) plugged(of *plan.Compression) (compress.Policy, error) {
	if c.machine.rank.Host == nil {
		return nil, fmt.Errorf("nothing here runs the plugin %s", of.Plugin)
	}
	return c.machine.rank.Host.Policy(c.machine.Plan.Plugin(of.Plugin), c.machine.Plan.Training.Steps)
}

// statistics are what is known of a weight's elements.
func (c *compressor) statistics(w *compressed) compress.Statistics {
	if w.squares == nil {
		return compress.Statistics{}
	}
	return compress.Statistics{RMS: math.Sqrt(math.Float64frombits(c.machine.loadWord(w.squares)) / float64(w.tensor.Elements()))}
}

func tensorOf(p *plan.Plan, c *plan.Compression) compress.Tensor {
	return compress.Tensor{Name: c.Tensor, Kind: compress.Kind(c.Kind), Shape: p.Tensor(c.Tensor).StoredShape(), In: c.In, Out: c.Out, Heads: c.Heads}
}

func declarationOf(c *plan.Compression) compress.Declaration {
	return compress.Declaration{Pattern: compress.Pattern(c.Pattern), Of: c.Of, Sparsity: c.Sparsity, Bits: c.Bits, Group: c.Group, Symmetric: c.Symmetric}
}

// prunes says whether any weight may be pruned.
func (c *compressor) prunes() bool { return c.elements > 0 }

// decide fills the scalars for a step.
func (c *compressor) decide(step int64) error {
	c.pruned = 0
	for i := range c.weights {
		w := &c.weights[i]
		d, err := w.policy.Decide(w.tensor, w.declared, c.statistics(w), step)
		if err != nil { // which says of what
			return err
		}
		if err := w.declared.Allows(d); err != nil {
			return fmt.Errorf("compression of %s by the policy %s: %w", w.tensor.Name, w.plugin, err)
		}
		c.machine.SetReal(w.sparsity, d.Sparsity)
		c.machine.SetCounter(w.mask, number(d.Mask))
		c.machine.SetCounter(w.quantize, number(d.Quantize))
		c.pruned += w.declared.Pruned(w.tensor, d.Sparsity)
	}
	c.machine.SetReal(plan.ScalarPruned, float64(c.pruned))
	return nil
}

// sparsity is the share of the elements that are pruned behind the step that was run, of those that may be.
func (c *compressor) sparsity() float64 {
	switch {
	case c.elements == 0:
		return 0
	case c.apart:
		return c.machine.Real(plan.ScalarPruned) / float64(c.elements)
	}
	return float64(c.pruned) / float64(c.elements)
}

func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// startMasters gives what starts as a weight does its values, once the weights have theirs.
func (m *Machine) startMasters() error {
	for i := range m.Plan.Tensors {
		t := m.kept(&m.Plan.Tensors[i])
		if t == nil || t.Init.Kind != plan.InitWeight {
			continue
		}
		of := m.kept(m.Plan.Tensor(t.Of))
		from, to := &m.stage.Buffers[of.Buffer], &m.stage.Buffers[t.Buffer]
		if from.DType != to.DType || from.SizeBytes() != to.SizeBytes() {
			return fmt.Errorf("tensor %s: it cannot start as %s, which is kept otherwise", t.Name, of.Name)
		}
		copied := make([]byte, from.SizeBytes())
		if err := m.Read(from, copied); err != nil {
			return err
		}
		if err := m.Write(to, copied); err != nil {
			return err
		}
	}
	return nil
}
