package plugins

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gsc-project/gsc/compress"
)

// policyChecker tries a policy on the weights of a model.
type policyChecker struct {
	ctx      context.Context
	plugin   *Plugin
	params   []byte
	declared []compress.Declaration
}

// tried are weights of all kinds and shapes, as models have them.
var tried = []compress.Tensor{
	{Name: "transformer.wte.weight", Kind: compress.Table, Shape: []int{50257, 768}, In: 768, Out: 50257},
	{Name: "transformer.h.0.attn.c_attn.weight", Kind: compress.Linear, Shape: []int{768, 2304}, In: 768, Out: 2304, Heads: 12},
	{Name: "transformer.h.0.mlp.c_fc.weight", Kind: compress.Linear, Shape: []int{768, 3072}, In: 768, Out: 3072},
	{Name: "transformer.h.0.mlp.c_proj.weight", Kind: compress.Linear, Shape: []int{3072, 768}, In: 3072, Out: 768},
	{Name: "model.layers.31.self_attn.q_proj.weight", Kind: compress.Linear, Shape: []int{4096, 4096}, In: 4096, Out: 4096, Heads: 32},
	{Name: strings.Repeat("long.", 100) + "weight", Kind: compress.Linear, Shape: []int{7, 5}, In: 5, Out: 7},
	{Name: "", Kind: compress.Linear, Shape: []int{1, 1}, In: 1, Out: 1},
}

// triedSteps is the length of the run that it is tried on, and moments are steps of it, in the order of a run that is resumed.
const triedSteps = 10000

var moments = []int64{5000, 1, 2, 3, 100, 101, 1000, 2500, 5001, 7499, 9999, 10000}

func (c *policyChecker) checks() []check {
	return []check{{"allocation", c.allocation}, {"declared", c.declares}, {"decided", c.decides}, {"repeated", c.repeated}, {"instances", c.instances}, {"time", c.time}}
}

// with makes an instance for a while.
func (c *policyChecker) with(do func(*Policy) error) error {
	p, err := c.plugin.NewPolicy(c.ctx, c.params, triedSteps)
	if err != nil {
		return err
	}
	return errors.Join(do(p), p.Close())
}

func (c *policyChecker) allocation() (string, error) {
	size := uint32(0)
	err := c.with(func(p *Policy) error {
		size = p.module.Memory().Size()
		return nil
	})
	return fmt.Sprintf("an instance takes %d KiB of memory, of at most %d KiB", size>>10, c.plugin.limits.MemoryBytes>>10), err
}

// declares: what it says of each weight makes sense for that.
func (c *policyChecker) declares() (string, error) {
	touched := 0
	err := c.with(func(p *Policy) error {
		c.declared = nil
		for _, t := range tried {
			d, err := p.Declare(t)
			if err != nil {
				return err
			}
			if d != (compress.Declaration{}) {
				touched++
			}
			c.declared = append(c.declared, d)
		}
		return nil
	})
	if err != nil {
		c.declared = nil
	}
	return fmt.Sprintf("%d of %d weights may be compressed, each in a way that fits it", touched, len(tried)), err
}

// decisions are what an instance decides at some steps, for weights with what was declared of them.
func (c *policyChecker) decisions(p *Policy, steps []int64) ([]compress.Decision, error) {
	if c.declared == nil {
		return nil, errors.New("nothing sound was declared")
	}
	var list []compress.Decision
	for _, step := range steps {
		for i, t := range tried {
			if c.declared[i] == (compress.Declaration{}) {
				continue
			}
			d, err := p.Decide(t, c.declared[i], compress.Statistics{RMS: 0.02}, step)
			if err == nil {
				err = c.plugin.wrong("gsc_decide", fmt.Sprintf("%s, step %d", t.Name, step), c.declared[i].Allows(d))
			}
			if err != nil {
				return nil, err
			}
			list = append(list, d)
		}
	}
	return list, nil
}

// decides: nothing beyond what was declared.
func (c *policyChecker) decides() (string, error) {
	largest, count := 0.0, 0
	err := c.with(func(p *Policy) error {
		list, err := c.decisions(p, moments)
		for _, d := range list {
			largest, count = math.Max(largest, d.Sparsity), count+1
		}
		return err
	})
	return fmt.Sprintf("%d decisions over %d steps, none beyond what was declared; %.3g %% are pruned at most", count, triedSteps, 100*largest), err
}

// repeated: the same question gets the same answer, whatever was asked before.
func (c *policyChecker) repeated() (string, error) {
	err := c.with(func(p *Policy) error {
		first, err := c.decisions(p, []int64{5000, 1})
		if err != nil {
			return err
		}
		again, err := c.decisions(p, []int64{1, 5000})
		if err != nil {
			return err
		}
		if half := len(first) / 2; !slices.Equal(first[:half], again[half:]) || !slices.Equal(first[half:], again[:half]) {
			return errors.New("it decides otherwise for a step that comes behind another")
		}
		return nil
	})
	return "the same decisions in another order of steps", err
}

// instances: another instance, which a resumed run has, decides the same.
func (c *policyChecker) instances() (string, error) {
	var lists [2][]compress.Decision
	for i := range lists {
		if err := c.with(func(p *Policy) (err error) {
			if i == 1 { // which was asked nothing before
				lists[i], err = c.decisions(p, []int64{2500})
				return err
			}
			_, err = c.decisions(p, moments)
			if err == nil {
				lists[i], err = c.decisions(p, []int64{2500})
			}
			return err
		}); err != nil {
			return "", err
		}
	}
	if !slices.Equal(lists[0], lists[1]) {
		return "", errors.New("an instance that was asked for other steps before decides otherwise")
	}
	return "the same decisions in another instance", nil
}

func (c *policyChecker) time() (string, error) {
	least := time.Duration(math.MaxInt64)
	err := c.with(func(p *Policy) error {
		for range 5 {
			start := time.Now()
			list, err := c.decisions(p, moments)
			if err != nil {
				return err
			}
			least = min(least, time.Since(start)/time.Duration(max(1, len(list))))
		}
		return nil
	})
	return fmt.Sprintf("%d ns a decision, copies and bounds included", least.Nanoseconds()), err
}
