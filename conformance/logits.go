package conformance

import (
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime"
)

// logits joins what the ranks predict for the first micro-batch of the session's batch, which they have just evaluated: those of the last
// stage have them, each the rows of its place along data, and of these the tokens of its place along sequence. It is nil where logits are
// not kept, or where rules share tokens out along other axes.
func (s *session) logits() ([]float64, error) {
	buffer := keptLogits(s.plan, s.batch.Length)
	if buffer == nil {
		return nil, nil
	}
	of := layoutOf(s.plan, buffer, s.batch.Length)
	if of == nil {
		return nil, nil
	}
	parts, err := s.ranks.Gather(func(m *runtime.Machine) []float64 {
		if b := m.Evaluated(s.batch.Length, plan.OutputLogits); b != nil {
			return m.Values(b)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return of.join(parts), nil
}

// keptLogits is the buffer that a rank of the last stage keeps logits in; nil where they are not kept.
func keptLogits(p *plan.Plan, length int) *plan.Buffer {
	last := &p.Stages[len(p.Stages)-1]
	for _, c := range last.Schedule(plan.Evaluate, length).Calls {
		for _, out := range last.Program(c.Program).Outputs {
			if out.Name == plan.OutputLogits {
				return &last.Buffers[out.Buffer]
			}
		}
	}
	return nil
}

// logitsLayout is how ranks hold the logits of a micro-batch.
type logitsLayout struct {
	plan   *plan.Plan
	tokens int // that have logits in a row
	part   int // tokens of a rank: what pads a row makes them more than there are
	width  int // of a token's logits, the classes and what pads them
}

// layoutOf says how the ranks hold logits by what one holds: (B,T,V), or (B,V) for a label a row. nil: their tokens are elsewhere.
func layoutOf(p *plan.Plan, b *plan.Buffer, length int) *logitsLayout {
	l := &logitsLayout{plan: p, tokens: 1, part: 1, width: b.Dims[len(b.Dims)-1].Size}
	if len(b.Dims) > 2 {
		l.tokens, l.part = length, b.Dims[1].Size
	}
	if b.Dims[0].Size != p.RankRows() || l.part*p.Degree(plan.AxisSequence) < l.tokens {
		return nil
	}
	return l
}

// join puts the parts, by rank, together.
func (l *logitsLayout) join(parts [][]float64) []float64 {
	type place struct{ rows, sequence int }
	holders := map[place][]float64{}
	for rank := l.plan.FirstOf(len(l.plan.Stages) - 1); rank <= l.plan.LastOf(len(l.plan.Stages)-1); rank++ {
		holders[place{l.plan.RowPlace(rank), l.plan.Place(rank, plan.AxisSequence)}] = parts[rank]
	}
	var joined []float64
	classes, rows := l.plan.Model.Outputs, l.plan.RankRows()
	for row := range l.plan.BatchRows() {
		for token := range l.tokens {
			held := holders[place{row / rows, token / l.part}]
			at := (row%rows*l.part + token%l.part) * l.width
			joined = append(joined, held[at:at+classes]...)
		}
	}
	return joined
}
