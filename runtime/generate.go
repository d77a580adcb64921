package runtime

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// Generator continues prompts with a machine's weights.
type Generator struct {
	machine *Machine
	tokens  []int32 // all so far; what the cache holds is tokens[start : start+cached]
	start   int
	cached  int
	prefill *plan.Buffer
	decode  *plan.Buffer
	logits  *plan.Buffer
	best    *plan.Buffer // the token with the largest logit; nil where the plan does not look for it
	context int
	values  []float64 // of the logits
	raw     []byte
	padded  []int32 // a piece of the prompt
	token   [1]int32
}

// NewGenerator prepares generation; a plan whose model does not predict the next token has no programs for it.
func NewGenerator(m *Machine) (*Generator, error) {
	if m.stage.Schedule(plan.Decode, 0) == nil {
		return nil, fmt.Errorf("a %s model for the task %q does not generate", m.Plan.Model.Architecture, m.Plan.Model.Task)
	}
	return &Generator{machine: m, context: m.Plan.Model.Context,
		prefill: m.Buffer(plan.Prefill, plan.InputTokens), decode: m.Buffer(plan.Decode, plan.InputTokens),
		logits: m.Buffer(plan.Decode, plan.OutputLogits), best: m.Buffer(plan.Decode, plan.OutputLikeliest)}, nil
}

// Prompt starts anew with the given tokens, at least one.
func (g *Generator) Prompt(tokens []int32) error {
	if len(tokens) == 0 {
		return fmt.Errorf("an empty prompt: give at least one token")
	}
	for _, id := range tokens {
		if id < 0 || int(id) >= g.machine.Plan.Model.Vocabulary {
			return fmt.Errorf("token %d is outside the vocabulary of %d", id, g.machine.Plan.Model.Vocabulary)
		}
	}
	g.tokens, g.start, g.cached = slices.Clone(tokens), 0, 0
	return nil
}

// Append adds a token, of the vocabulary, to those so far.
func (g *Generator) Append(token int32) { g.tokens = append(g.tokens, token) }

// Next gives the logits of the token after those so far; they stand until it is called again. When the context is
// full it goes on with the later half of it.
func (g *Generator) Next() ([]float64, error) {
	if err := g.advance(); err != nil {
		return nil, err
	}
	return g.readLogits()
}

// readLogits copies the logits to where they can be worked with, in memory that is taken once.
func (g *Generator) readLogits() ([]float64, error) {
	if n := int(g.logits.SizeBytes()); len(g.raw) < n {
		g.raw = make([]byte, n)
	}
	err := g.machine.Read(g.logits, g.raw)
	g.values = decode(g.values[:0], g.logits.DType, g.raw)
	return g.values, err
}

// advance computes the logits of the next token.
func (g *Generator) advance() error {
	if len(g.tokens)-g.start > g.context {
		g.start, g.cached = len(g.tokens)-max(1, g.context/2), 0
	}
	if err := g.fillCache(); err != nil {
		return err
	}
	last := g.tokens[len(g.tokens)-1:]
	if err := g.run(plan.Decode, g.decode, last); err != nil {
		return err
	}
	g.cached++
	return nil
}

// fillCache runs all tokens but the last through the model, a prefill length at a time. What
// pads the last piece lands behind it in the cache, where it is overwritten before it is seen.
func (g *Generator) fillCache() error {
	if g.padded == nil {
		g.padded = make([]int32, kernels.Elements(g.prefill.Shape()))
	}
	for {
		rest := g.tokens[g.start+g.cached : len(g.tokens)-1]
		if len(rest) == 0 {
			return nil
		}
		clear(g.padded)
		n := copy(g.padded, rest)
		if err := g.run(plan.Prefill, g.prefill, g.padded); err != nil {
			return err
		}
		g.cached += n
	}
}

func (g *Generator) run(kind string, input *plan.Buffer, tokens []int32) error {
	g.machine.SetCounter(plan.ScalarPosition, int64(g.cached))
	if err := g.machine.Write(input, bytesOf(tokens)); err != nil {
		return err
	}
	for _, c := range g.machine.stage.Schedule(kind, 0).Calls {
		if err := g.machine.Run(c.Program, c.Slot); err != nil {
			return err
		}
	}
	return nil
}

// Generate continues the prompt by n tokens and hands each to emit, which may end it by returning false.
func (g *Generator) Generate(n int, s Sampling, emit func(token int32) bool) error {
	if err := s.Check(); err != nil {
		return err
	}
	draw := &sampler{Sampling: s}
	for i := range n {
		token, err := g.next(draw, uint64(i))
		if err != nil {
			return err
		}
		g.Append(token)
		if !emit(token) {
			return nil
		}
	}
	return nil
}

// next draws the token of a place.
func (g *Generator) next(s *sampler, place uint64) (int32, error) {
	if err := g.advance(); err != nil {
		return 0, err
	}
	if s.Temperature == 0 && g.best != nil {
		err := g.machine.Read(g.best, bytesOf(g.token[:]))
		return g.token[0], err
	}
	logits, err := g.readLogits()
	if err != nil {
		return 0, err
	}
	word := kernels.Philox(s.Seed, place/4, 0, sampleStream)[place%4]
	return s.pick(logits, kernels.Uniform(word)), nil
}

var sampleStream = kernels.StreamKey(kernels.PurposeSample, "")
