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
	elements int // of weights that may be pruned
}

// compressed is a weight with its policy.
type compressed struct {
	tensor   compress.Tensor
	declared compress.Declaration
	policy   compress.Policy

	sparsity, mask, quantize string       // scalars
	squares                  *plan.Buffer // the sum of the squares of its elements; nil: nobody asks, or another stage has the weight
}

// newCompressor finds the policies of a plan.
func newCompressor(m *Machine) (c *compressor, err error) {
	c = &compressor{machine: m}
	for i := range m.Plan.Compressions {
		of := &m.Plan.Compressions[i]
		made := compressed{tensor: tensorOf(m.Plan, of), declared: declarationOf(of), sparsity: plan.ScalarSparsity(of.Tensor), mask: plan.ScalarMask(of.Tensor), quantize: plan.ScalarQuantize(of.Tensor)}
		if made.declared.Pattern != compress.Unpruned {
			c.elements += made.tensor.Elements()
		}
		if of.Plugin != "" {
			if t := m.kept(m.Plan.Tensor(of.Tensor + plan.SuffixSquares)); t != nil {
				made.squares = &m.stage.Buffers[t.Buffer]
			}
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

// decide fills the scalars for a step, and gives the share of the elements that are pruned behind it, of those that may be.
func (c *compressor) decide(step int64) (sparsity float64, err error) {
	pruned := 0
	for i := range c.weights {
		w := &c.weights[i]
		d, err := w.policy.Decide(w.tensor, w.declared, c.statistics(w), step)
		if err == nil {
			err = w.declared.Allows(d)
		}
		if err != nil {
			return 0, fmt.Errorf("compression of %s: step %d: %w", w.tensor.Name, step, err)
		}
		c.machine.SetReal(w.sparsity, d.Sparsity)
		c.machine.SetCounter(w.mask, number(d.Mask))
		c.machine.SetCounter(w.quantize, number(d.Quantize))
		pruned += w.declared.Pruned(w.tensor, d.Sparsity)
	}
	if c.elements == 0 {
		return 0, nil
	}
	return float64(pruned) / float64(c.elements), nil
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
