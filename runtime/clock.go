package runtime

import (
	"slices"
	"time"

	"github.com/gsc-project/gsc/compiler/plan"
)

// Clocks measure how long each instruction of a machine takes. They stand around the
// bound kernels, so that a machine without them runs exactly as if there were none.
type Clocks struct {
	programs []*clocked
}

// clocked is a program with its two forms: as it was bound, and with a clock around each kernel.
type clocked struct {
	name        string
	bound       *program
	plain, with []step
	calls       []int
	taken       []time.Duration   // since the last lap
	laps        [][]time.Duration // of each instruction
}

// NewClocks makes clocks for every instruction, and does not start them.
func NewClocks(m *Machine) *Clocks {
	c := &Clocks{}
	for _, bound := range m.inOrder() {
		n := len(bound.steps)
		p := &clocked{name: bound.plan.Name, bound: bound, plain: bound.steps, with: slices.Clone(bound.steps),
			calls: make([]int, n), taken: make([]time.Duration, n), laps: make([][]time.Duration, n)}
		for i := range p.with {
			run := p.plain[i].run
			p.with[i].run = func() {
				start := time.Now()
				run()
				p.taken[i] += time.Since(start)
				p.calls[i]++
			}
		}
		c.programs = append(c.programs, p)
	}
	return c
}

// inOrder lists the bound programs in the order of the plan.
func (m *Machine) inOrder() (list []*program) {
	for i := range m.stage.Programs {
		name := m.stage.Programs[i].Name
		for _, slot := range m.stage.SlotsOf(name) {
			list = append(list, m.programs[instance{name, slot}])
		}
	}
	return list
}

// Start puts the clocks around the kernels.
func (c *Clocks) Start() {
	for _, p := range c.programs {
		p.bound.steps = p.with
	}
}

// Stop takes them away.
func (c *Clocks) Stop() {
	for _, p := range c.programs {
		p.bound.steps = p.plain
	}
}

// Lap ends a measurement: what the instructions took since the last one is noted.
func (c *Clocks) Lap() {
	for _, p := range c.programs {
		for i := range p.taken {
			if p.calls[i] > 0 {
				p.laps[i] = append(p.laps[i], p.taken[i])
			}
			p.taken[i] = 0
		}
	}
}

// Timed is what an instruction took.
type Timed struct {
	Program     string
	Index       int
	Instruction *plan.Instruction
	Calls       int           // in a lap
	Time        time.Duration // of a lap's calls together: the median of the laps
}

// Times lists the instructions that ran, in the order of the programs.
func (c *Clocks) Times() []Timed {
	var list []Timed
	for _, p := range c.programs {
		for i, laps := range p.laps {
			if len(laps) > 0 {
				list = append(list, Timed{Program: p.name, Index: i, Instruction: &p.bound.plan.Instructions[i],
					Calls: p.calls[i] / len(laps), Time: Median(laps)})
			}
		}
	}
	return list
}

// Median is the middle of some durations, of which there is at least one.
func Median(list []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
