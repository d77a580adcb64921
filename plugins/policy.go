package plugins

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/tetratelabs/wazero/api"

	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/plugins/abi"
)

var ofPolicy = map[string]signature{abi.Declare: {1, api.ValueTypeI32}, abi.Decide: {1, api.ValueTypeI32}}

// nameBytes is the longest name of a weight that a policy is told.
const nameBytes = 1 << 10

// Policy is a plugin that decides how weights are compressed. It serves one goroutine at a time.
type Policy struct {
	*instance
	declare, decide api.Function
	call, name      uint32 // where they lie
	steps           int64
	words           abi.PolicyCall
}

var _ compress.Policy = (*Policy)(nil)

// Decides says whether a policy has the functions that decide about weights; gradient codecs may lack them.
func (p *Plugin) Decides() bool { return p.has(ofPolicy) == nil }

// NewPolicy makes an instance for a run of so many steps.
func (p *Plugin) NewPolicy(ctx context.Context, params []byte, steps int64) (*Policy, error) {
	if p.Manifest.Kind != abi.PolicyKind {
		return nil, p.wrong("", "", fmt.Errorf("it is a %s, not a policy", p.Manifest.Kind))
	}
	if err := p.has(ofPolicy); err != nil {
		return nil, p.wrong("", "", err)
	}
	i, err := p.instance(ctx)
	if err != nil {
		return nil, err
	}
	policy := &Policy{instance: i, declare: i.module.ExportedFunction(abi.Declare), decide: i.module.ExportedFunction(abi.Decide), steps: steps}
	if err = i.init(params); err == nil {
		err = i.allocate([]room{{abi.PolicyCallBytes, &policy.call}, {nameBytes, &policy.name}})
	}
	if err != nil {
		return nil, errors.Join(err, i.close())
	}
	return policy, nil
}

// Close drops the instance.
func (p *Policy) Close() error { return p.close() }

var (
	kinds    = map[compress.Kind]uint32{compress.Linear: 0, compress.Table: 1}
	patterns = []compress.Pattern{compress.Unpruned, compress.Elements, compress.Neighbours, compress.Rows, compress.Heads}
)

// Declare asks what may happen to a weight.
func (p *Policy) Declare(t compress.Tensor) (compress.Declaration, error) {
	p.words = p.wordsOf(t)
	if err := p.invoke(abi.Declare, p.declare, t, 0); err != nil {
		return compress.Declaration{}, err
	}
	w := &p.words
	if int(w.Pattern) >= len(patterns) {
		return compress.Declaration{}, p.plugin.wrong(abi.Declare, t.Name, fmt.Errorf("it declares the pattern %d, of which there are 1 to %d", w.Pattern, len(patterns)-1))
	}
	d := compress.Declaration{Pattern: patterns[w.Pattern], Of: int(w.Of), Sparsity: share(w.Sparsity), Bits: int(w.Bits), Group: int(w.Group), Symmetric: w.Symmetric != 0}
	return d, p.plugin.wrong(abi.Declare, t.Name, d.Fits(t))
}

// Decide asks what holds from a step on.
func (p *Policy) Decide(t compress.Tensor, declared compress.Declaration, s compress.Statistics, step int64) (compress.Decision, error) {
	p.words = p.wordsOf(t)
	w := &p.words
	w.Step, w.StepHigh, w.Steps, w.StepsHigh, w.RMS = uint32(step), uint32(step>>32), uint32(p.steps), uint32(p.steps>>32), math.Float32bits(float32(s.RMS))
	w.Of, w.Sparsity, w.Bits, w.Group = uint32(declared.Of), math.Float32bits(float32(declared.Sparsity)), uint32(declared.Bits), uint32(declared.Group)
	for i, pattern := range patterns {
		if pattern == declared.Pattern {
			w.Pattern = uint32(i)
		}
	}
	if declared.Symmetric {
		w.Symmetric = 1
	}
	if err := p.invoke(abi.Decide, p.decide, t, step); err != nil {
		return compress.Decision{}, err
	}
	return compress.Decision{Sparsity: share(w.Prune), Mask: w.Mask != 0, Quantize: w.Quantise != 0}, nil
}

// share is a share that came as the bits of a float32.
func share(bits uint32) float64 { return float64(math.Float32frombits(bits)) }

func (p *Policy) wordsOf(t compress.Tensor) abi.PolicyCall {
	return abi.PolicyCall{Name: p.name, NameBytes: uint32(min(len(t.Name), nameBytes)), Kind: kinds[t.Kind], In: uint32(t.In), Out: uint32(t.Out), Heads: uint32(t.Heads)}
}

// invoke writes the words, calls, and reads them again.
func (p *Policy) invoke(export string, f api.Function, t compress.Tensor, step int64) error {
	err := p.exchange(f, t.Name)
	switch {
	case err == nil:
		return nil
	case step > 0:
		return p.plugin.wrong(export, fmt.Sprintf("%s, step %d", t.Name, step), err)
	}
	return p.plugin.wrong(export, t.Name, err)
}

func (p *Policy) exchange(f api.Function, tensor string) error {
	name, err := p.bytes(p.name, nameBytes)
	if err != nil {
		return err
	}
	copy(name, tensor)
	view, err := p.bytes(p.call, abi.PolicyCallBytes)
	if err != nil {
		return err
	}
	for i, word := range p.words.Words() {
		binary.LittleEndian.PutUint32(view[4*i:], *word)
	}
	p.stack[0] = uint64(p.call)
	if err := p.status(f, 1); err != nil {
		return err
	}
	if view, err = p.bytes(p.call, abi.PolicyCallBytes); err != nil {
		return err
	}
	for i, word := range p.words.Words() {
		*word = binary.LittleEndian.Uint32(view[4*i:])
	}
	return nil
}
