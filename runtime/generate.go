package runtime

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// Sampling says how the next token is drawn.
type Sampling struct {
	Temperature float64 // 0: always the likeliest token
	TopK        int     // only the k likeliest; 0: all
	TopP        float64 // only the likeliest that together reach this probability; 0 or 1: all
	Seed        uint64
}

// Check refuses settings without a meaning.
func (s Sampling) Check() error {
	switch {
	case !(s.Temperature >= 0) || math.IsInf(s.Temperature, 0):
		return fmt.Errorf("temperature %v: use 0 or more", s.Temperature)
	case s.TopK < 0:
		return fmt.Errorf("top-k %d: use 0 for all tokens, or how many", s.TopK)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return fmt.Errorf("top-p %v: use a probability from 0 to 1", s.TopP)
	}
	return nil
}

// Generator continues prompts with a machine's weights.
type Generator struct {
	machine *Machine
	tokens  []int32 // all so far; what the cache holds is tokens[start : start+cached]
	start   int
	cached  int
	prefill *plan.Buffer
	decode  *plan.Buffer
	logits  *plan.Buffer
	context int
}

// NewGenerator prepares generation; a plan whose model does not predict the next token has no programs for it.
func NewGenerator(m *Machine) (*Generator, error) {
	if m.stage.Schedule(plan.Decode, 0) == nil {
		return nil, fmt.Errorf("a %s model for the task %q does not generate", m.Plan.Model.Architecture, m.Plan.Model.Task)
	}
	return &Generator{machine: m, context: m.Plan.Model.Context,
		prefill: m.Buffer(plan.Prefill, plan.InputTokens), decode: m.Buffer(plan.Decode, plan.InputTokens),
		logits: m.Buffer(plan.Decode, "logits")}, nil
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

// Next gives the logits of the token after those so far. When the context is
// full it goes on with the later half of it.
func (g *Generator) Next() ([]float64, error) {
	if len(g.tokens)-g.start > g.context {
		g.start, g.cached = len(g.tokens)-max(1, g.context/2), 0
	}
	if err := g.fillCache(); err != nil {
		return nil, err
	}
	last := g.tokens[len(g.tokens)-1:]
	if err := g.run(plan.Decode, g.decode, last); err != nil {
		return nil, err
	}
	g.cached++
	return g.machine.Values(g.logits), nil
}

// fillCache runs all tokens but the last through the model, a prefill length at a time. What
// pads the last piece lands behind it in the cache, where it is overwritten before it is seen.
func (g *Generator) fillCache() error {
	piece := kernels.Elements(g.prefill.Shape())
	padded := make([]int32, piece)
	for {
		rest := g.tokens[g.start+g.cached : len(g.tokens)-1]
		if len(rest) == 0 {
			return nil
		}
		clear(padded)
		n := copy(padded, rest)
		if err := g.run(plan.Prefill, g.prefill, padded); err != nil {
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
		g.machine.Run(c.Program)
	}
	return nil
}

// Generate continues the prompt by n tokens and hands each to emit, which may end it by returning false.
func (g *Generator) Generate(n int, s Sampling, emit func(token int32) bool) error {
	if err := s.Check(); err != nil {
		return err
	}
	stream := kernels.StreamKey(kernels.PurposeSample, "")
	for i := range n {
		logits, err := g.Next()
		if err != nil {
			return err
		}
		word := kernels.Philox(s.Seed, uint64(i)/4, 0, stream)[i%4]
		token := s.pick(logits, kernels.Uniform(word))
		g.Append(token)
		if !emit(token) {
			return nil
		}
	}
	return nil
}

// pick draws a token by a number u in (0, 1).
func (s Sampling) pick(logits []float64, u float64) int32 {
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
	if s.Temperature == 0 {
		return int32(order[0])
	}
	if s.TopK > 0 {
		order = order[:min(s.TopK, len(order))]
	}
	shares := make([]float64, len(order))
	total := 0.0
	for i, id := range order {
		shares[i] = math.Exp((logits[id] - logits[order[0]]) / s.Temperature)
		total += shares[i]
	}
	shares, total = s.nucleus(shares, total)
	for i, share := range shares {
		if u -= share / total; u < 0 {
			return int32(order[i])
		}
	}
	return int32(order[len(shares)-1])
}

// nucleus keeps the fewest of the descending shares that reach TopP of the total.
func (s Sampling) nucleus(shares []float64, total float64) ([]float64, float64) {
	if s.TopP == 0 || s.TopP == 1 {
		return shares, total
	}
	sum := 0.0
	for i, share := range shares {
		if sum += share; sum >= s.TopP*total {
			return shares[:i+1], sum
		}
	}
	return shares, total
}
