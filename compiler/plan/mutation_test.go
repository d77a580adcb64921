package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

// mutator corrupts a plan at random.
type mutator struct {
	*rand.Rand
	plan *plan.Plan
}

func (m *mutator) buffer() *plan.Buffer {
	list := m.plan.Stages[0].Buffers
	return &list[m.IntN(len(list))]
}

func (m *mutator) program() *plan.Program {
	list := m.plan.Stages[0].Programs
	return &list[m.IntN(len(list))]
}

func (m *mutator) instruction() *plan.Instruction {
	list := m.program().Instructions
	return &list[m.IntN(len(list))]
}

// operand gives one that is present.
func (m *mutator) operand() *plan.Operand {
	for {
		list := m.instruction().Operands
		if o := &list[m.IntN(len(list))]; o.Buffer >= 0 {
			return o
		}
	}
}

func (m *mutator) calls() *[]plan.Call {
	list := m.plan.Stages[0].Schedules
	return &list[m.IntN(len(list))].Calls
}

func drop[T any](m *mutator, list []T) []T {
	if len(list) == 0 {
		return nil
	}
	i := m.IntN(len(list))
	return slices.Delete(slices.Clone(list), i, i+1)
}

// mutations by what they do.
var mutations = map[string]func(*mutator){
	"move a buffer": func(m *mutator) {
		m.buffer().Offset = m.Int64N(m.plan.Arenas[0].SizeBytes/64) * 64
	},
	"move a buffer onto another": func(m *mutator) {
		b := m.buffer()
		b.Offset = m.buffer().Offset
	},
	"swap two buffers": func(m *mutator) {
		a, b := m.buffer(), m.buffer()
		a.Offset, b.Offset = b.Offset, a.Offset
	},
	"shrink the arena":    func(m *mutator) { m.plan.Arenas[0].SizeBytes -= m.Int64N(256) },
	"drop an instruction": func(m *mutator) { p := m.program(); p.Instructions = drop(m, p.Instructions) },
	"repeat an instruction": func(m *mutator) {
		p := m.program()
		i := m.IntN(len(p.Instructions))
		p.Instructions = slices.Insert(slices.Clone(p.Instructions), m.IntN(len(p.Instructions)), p.Instructions[i])
	},
	"swap instructions": func(m *mutator) {
		p := m.program()
		i, j := m.IntN(len(p.Instructions)), m.IntN(len(p.Instructions))
		p.Instructions[i], p.Instructions[j] = p.Instructions[j], p.Instructions[i]
	},
	"swap neighbours": func(m *mutator) {
		if p := m.program(); len(p.Instructions) > 1 {
			i := m.IntN(len(p.Instructions) - 1)
			p.Instructions[i], p.Instructions[i+1] = p.Instructions[i+1], p.Instructions[i]
		}
	},
	"reshape an operand": func(m *mutator) {
		if o := m.operand(); len(o.Shape) > 0 {
			o.Shape[m.IntN(len(o.Shape))] += m.IntN(3) - 1
		}
	},
	"shift an operand": func(m *mutator) { m.operand().Offset += m.IntN(17) - 8 },
	"stride an operand": func(m *mutator) {
		if o := m.operand(); len(o.Strides) > 0 {
			o.Strides[m.IntN(len(o.Strides))] += m.IntN(9) - 4
		}
	},
	"retarget an operand": func(m *mutator) { m.operand().Buffer = m.buffer().ID },
	"retarget an operand to its like": func(m *mutator) {
		o := m.operand()
		size := m.plan.Stages[0].Buffers[o.Buffer].SizeBytes()
		for range 100 {
			if b := m.buffer(); b.SizeBytes() == size {
				o.Buffer = b.ID
				return
			}
		}
	},
	"add or replace": func(m *mutator) { in := m.instruction(); in.Attrs.Accumulate = !in.Attrs.Accumulate },
	"drop an input": func(m *mutator) {
		if p := m.program(); len(p.Inputs) > 0 {
			p.Inputs = drop(m, p.Inputs)
		}
	},
	"drop a call": func(m *mutator) { c := m.calls(); *c = drop(m, *c) },
	"swap calls": func(m *mutator) {
		if c := *m.calls(); len(c) > 0 {
			i, j := m.IntN(len(c)), m.IntN(len(c))
			c[i], c[j] = c[j], c[i]
		}
	},
	"repeat a call": func(m *mutator) {
		c := m.calls()
		*c = slices.Insert(slices.Clone(*c), m.IntN(len(*c)), (*c)[m.IntN(len(*c))])
	},
	"change a predicate": func(m *mutator) { m.instruction().Predicate = m.IntN(len(m.plan.Scalars) + 1) },
	"guard neighbours": func(m *mutator) {
		p := m.program()
		i := m.IntN(len(p.Instructions))
		for j := i; j < min(i+1+m.IntN(4), len(p.Instructions)); j++ {
			p.Instructions[j].Predicate = 5
		}
	},
	"use a stream": func(m *mutator) { m.instruction().Stream = 1 + m.IntN(2) },
	"use streams with events": func(m *mutator) {
		p := m.program()
		for i := range p.Instructions {
			p.Instructions[i].Stream, p.Instructions[i].Signal = m.IntN(3), i+1
			for e := range i {
				if m.IntN(4) > 0 {
					p.Instructions[i].Wait = append(p.Instructions[i].Wait, e+1)
				}
			}
		}
	},
}

// What Verify admits, runs right: no corruption that does harm gets past it.
func TestMutations(t *testing.T) {
	names := make([]string, 0, len(mutations))
	for name := range mutations {
		names = append(names, name)
	}
	slices.Sort(names)
	text := small(t).Text()
	for n, name := range names {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			count := 100
			if testing.Short() {
				count = 25
			}
			for i := range count {
				p, err := plan.ParseText(text)
				if err != nil {
					t.Fatal(err)
				}
				m := &mutator{rand.New(rand.NewPCG(uint64(n), uint64(i))), p}
				for range 1 + m.IntN(2) {
					mutations[name](m)
				}
				judge(t, p, uint64(i))
			}
		})
	}
}

// What Verify refuses of placement and order, would go wrong: it is no stricter than the memory asks for, or hardly.
func TestRefusalsAreJust(t *testing.T) {
	text := small(t).Text()
	for _, name := range []string{"move a buffer", "swap two buffers", "swap neighbours", "drop an input", "use a stream"} {
		refused, just := 0, 0
		for i := range uint64(300) {
			p, err := plan.ParseText(text)
			if err != nil {
				t.Fatal(err)
			}
			mutations[name](&mutator{rand.New(rand.NewPCG(7, i)), p})
			if err := p.Verify(); err != nil {
				refused++
				if harm(p, i) != "" {
					just++
				}
			}
		}
		t.Logf("%s: %d of 300 refused, %d of them seen to go wrong", name, refused, just)
		if refused < 30 || just*10 < refused*7 {
			t.Errorf("%s: %d of 300 were refused, and only %d of them go wrong", name, refused, just)
		}
	}
}

// judge fails when a plan was admitted that does harm.
func judge(t *testing.T, p *plan.Plan, seed uint64) {
	t.Helper()
	if p.Verify() != nil {
		return
	}
	if h := harm(p, seed); h != "" {
		t.Errorf("a plan was admitted, but %s:\n%s", h, difference(small(t).Text(), p.Text()))
	}
}

// difference lists the lines in which two texts of equal length differ.
func difference(a, b []byte) string {
	var out strings.Builder
	la, lb := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for _, line := range lb {
		if !slices.Contains(la, line) {
			fmt.Fprintln(&out, "+", line)
		}
	}
	return out.String()
}
