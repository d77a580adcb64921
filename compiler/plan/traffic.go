package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// Traffic is what a rank sends to others along an axis in a training step, in one kind of collective.
type Traffic struct {
	Axis      string
	Op        kernels.Op
	Calls     int
	SentBytes int64
	Beside    int // of the calls: those that run beside what is computed
}

// Traffic lists what a rank of a stage sends in a step of the longest rows by a kind of schedule, by axis and operation. The plan must have passed Verify.
func (p *Plan) Traffic(stage int, kind string) (list []Traffic) {
	st := &p.Stages[stage]
	s := st.Schedule(kind, p.Data.Length)
	if s == nil {
		return nil
	}
	for _, c := range s.Calls {
		program := st.Program(c.Program)
		for i := range program.Instructions {
			in := &program.Instructions[i]
			if !kernels.Contracts[in.Op].Collective || in.Op == kernels.Receive { // which another rank sends
				continue
			}
			k := 0
			for k < len(list) && (list[k].Axis != in.Attrs.Axis || list[k].Op != in.Op) {
				k++
			}
			if k == len(list) {
				list = append(list, Traffic{Axis: in.Attrs.Axis, Op: in.Op})
			}
			list[k].SentBytes += p.SentBytes(st, in)
			if in.Joined {
				continue
			}
			list[k].Calls++
			if in.Stream != 0 {
				list[k].Beside++
			}
		}
	}
	return list
}

// SentBytes is what a rank sends in a collective.
func (p *Plan) SentBytes(st *Stage, in *Instruction) int64 {
	args, ranks := st.Tensors(in), p.Degree(in.Attrs.Axis)
	e, err := kernels.ExchangeOf(in.Op, in.Attrs, args[0].Shape, args[len(args)-1].Shape, ranks)
	if err != nil {
		return 0 // Verify says so
	}
	return e.SentBytes(in.Op, args[0].DType.Size(), ranks)
}

// Span is how many neighbours in number the ranks of a group along an axis lie among.
func (p *Plan) Span(axis string) int {
	group := p.Group(0, axis)
	return group[len(group)-1] + 1
}

// busiest is the traffic of the stage whose ranks send most in a kind of step.
func (p *Plan) busiest(kind string) (stage int, list []Traffic) {
	most := int64(-1)
	for i := range p.Stages {
		sent, own := int64(0), p.Traffic(i, kind)
		for _, t := range own {
			sent += t.SentBytes
		}
		if sent > most {
			stage, list, most = i, own, sent
		}
	}
	return stage, list
}

// trafficTables say what a rank sends in each kind of training step.
func (p *Plan) trafficTables() string {
	steps := "a step"
	if p.Training.Uncoded > 0 {
		steps = fmt.Sprintf("a step behind the first %d", p.Training.Uncoded)
	}
	return p.trafficTable(Train, steps) + p.trafficTable(Uncoded, fmt.Sprintf("one of the first %s, without codes", plural(int(p.Training.Uncoded), "step")))
}

// trafficTable says what a rank sends in a kind of step, by axis and operation; where there are stages, one of the stage that sends most.
func (p *Plan) trafficTable(kind, steps string) string {
	stage, list := p.busiest(kind)
	if len(list) == 0 {
		return ""
	}
	slices.SortStableFunc(list, func(a, b Traffic) int {
		return cmp.Or(cmp.Compare(slices.Index(Axes, a.Axis), slices.Index(Axes, b.Axis)), cmp.Compare(b.SentBytes, a.SentBytes))
	})
	who := "a rank"
	if len(p.Stages) > 1 {
		who = fmt.Sprintf("a rank of stage %d", stage)
	}
	lines := [][]string{{"sent by " + who + " in " + steps, "along", "calls", "beside what is computed", "bytes"}}
	for _, t := range list {
		lines = append(lines, []string{"  " + t.Op.String(), t.Axis, fmt.Sprint(t.Calls), fmt.Sprint(t.Beside), FormatBytes(t.SentBytes)})
	}
	if p.Estimate.RanksPerNode > 0 {
		lines[0] = slices.Insert(lines[0], 2, "over")
		for i, t := range list {
			lines[i+1] = slices.Insert(lines[i+1], 2, p.Link(t.Axis))
		}
	}
	return "\n" + Columns(lines)
}

// Reach is how the ranks of a group along an axis lie on nodes of so many ranks: on how many nodes, and how many on each. Groups that lie otherwise
// than others do, where the numbers do not divide, are taken for the one that reaches most nodes.
func (p *Plan) Reach(axis string, perNode int) (neighbours, nodes int) {
	degree, stride := p.Degree(axis), p.stride(axis)
	span := degree * stride // of the group, in numbers of ranks
	switch {
	case p.Ranks() <= perNode || span <= perNode && perNode%span == 0:
		return degree, 1
	case stride >= perNode:
		return 1, degree
	}
	neighbours = max(1, min(perNode/stride, degree/2))
	return neighbours, (degree + neighbours - 1) / neighbours
}

// Link names what carries the collectives along an axis; "" where all ranks are one process.
func (p *Plan) Link(axis string) string {
	e := &p.Estimate
	if e.RanksPerNode == 0 {
		return ""
	}
	switch neighbours, nodes := p.Reach(axis, e.RanksPerNode); {
	case nodes == 1:
		return e.NodeLink
	case neighbours > 1:
		return e.NodeLink + ", " + e.NetworkLink
	}
	return e.NetworkLink
}
