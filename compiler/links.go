package compiler

import (
	"math"
	"math/bits"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// collective is the time of a collective. Among ranks of one process it is that of the bytes that all of them read and write; else that of what a rank
// sends over the links between it and its group (plan.SentBytes), and of the steps in which it does.
func (p *Profile) collective(pl *plan.Plan, st *plan.Stage, in *plan.Instruction) float64 {
	axis := in.Attrs.Axis
	if in.Op == kernels.Send || in.Op == kernels.Receive {
		return p.transfer(pl, st, in)
	}
	latency := p.CallSeconds
	if in.Joined {
		latency = 0
	}
	if p.PerNode == 0 {
		bytes := kernels.TrafficBytes(in.Op, in.Attrs, st.Tensors(in)) * int64(pl.Degree(axis))
		return latency + float64(bytes)/p.BytesPerSecond
	}
	neighbours, nodes := pl.Reach(axis, p.PerNode)
	if !in.Joined {
		latency += p.steps(in.Op, neighbours, nodes)
	}
	return latency + p.sending(in.Op, float64(pl.SentBytes(st, in)), neighbours, nodes)
}

// steps is what the latencies of a collective come to: those of trees, as NCCL builds them for what is short, within a node and between nodes.
// An all-reduce goes up and down again; in an all-to-all nobody waits for what others pass on.
func (p *Profile) steps(op kernels.Op, neighbours, nodes int) float64 {
	within, between := float64(bits.Len(uint(neighbours-1))), float64(bits.Len(uint(nodes-1)))
	switch op {
	case kernels.AllReduce:
		within, between = 2*within, 2*between
	case kernels.AllToAll:
		within, between = math.Min(within, 1), math.Min(between, 1)
	}
	return within*p.Node.Seconds + between*p.Network.Seconds
}

// sending is the time that the bytes take which a rank sends. A ring goes through all ranks of a node before it leaves it: so each rank sends all to a
// neighbour, and what leaves a node is shared out among the places on the network that its ranks have, as rings of their own. The slower link bounds it. What
// all ranks exchange goes to each by its own way.
func (p *Profile) sending(op kernels.Op, sent float64, neighbours, nodes int) float64 {
	if nodes == 1 {
		return sent / p.Node.BytesPerSecond
	}
	within, between := sent, sent/float64(neighbours)
	if op == kernels.AllToAll {
		others := float64(neighbours*nodes - 1)
		within, between = sent*float64(neighbours-1)/others, sent*float64(neighbours*(nodes-1))/others
	} else if neighbours == 1 {
		within = 0
	}
	return math.Max(within/p.Node.BytesPerSecond, between/p.Network.BytesPerSecond)
}
