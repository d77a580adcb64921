package compiler

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// What parallel.attention may say of attention whose tokens ranks share out.
const (
	byExchange = "exchange" // tokens for heads, and back
	byGather   = "gather"   // keys and values, each rank with its own queries
	byRing     = "ring"     // keys and values pass by, each rank with its own queries
)

// ring is attention, or its gradient, over tokens that the ranks along an axis share out (Liu et al., Ring Attention, arXiv:2310.01889). Each rank keeps
// its queries. The blocks of keys and values pass round, one rank a step, so that in step s a rank works on the block of the rank s places before it;
// the result over a block goes on from that over those before. What is passed next is on its way while a block is worked on.
//
// The gradients of a block's keys and values pass round behind them: each rank adds what its queries give, and after the last step
// they come home. They are added up in the order in which the ranks see the block, its own first.
type ring struct {
	*sharder
	node  *graph.Node
	axes  []string // one
	ways  int
	keys  int // of a block
	nodes []*graph.Node
}

// block is keys, values, and the segments of the keys, if any, where a rank has them in a step.
type block struct{ k, v, segments *graph.Value }

// ring gives the nodes that stand for one of attention whose keys ranks share out.
func (s *sharder) ring(n *graph.Node, c *choice) []*graph.Node {
	r := &ring{sharder: s, node: n, axes: c.axes("S")}
	r.ways = s.degree(r.axes)
	r.keys = s.sizeOf(n, "S") / r.ways
	if n.Op == kernels.Attention {
		r.forward()
	} else {
		r.backward()
	}
	return r.nodes
}

func (r *ring) forward() {
	b := r.first()
	o, lse := graph.Arg{}, graph.Arg{}
	for step := range r.ways {
		next := r.next(b, step)
		n := r.attend(b, step)
		set(n, "before", o)
		set(n, "before_lse", lse)
		if step < r.ways-1 {
			o, lse = r.fresh(r.node.Arg("o"), "o", step), r.fresh(r.node.Arg("lse"), "lse", step)
			set(n, "o", o)
			set(n, "lse", lse)
		}
		b = next
	}
}

func (r *ring) backward() {
	b := r.first()
	var dq, dk, dv graph.Arg
	for step := range r.ways {
		comesK, comesV := dk, dv
		if step > 0 { // before the keys, which are needed later
			comesK, comesV = r.shift(dk.Value, "dk", step), r.shift(dv.Value, "dv", step)
		}
		next := r.next(b, step)
		n := r.attend(b, step)
		dq = r.sum(n, "dq", dq, r.home("dq", step), step)
		dk, dv = r.sum(n, "dk", comesK, graph.Arg{}, step), r.sum(n, "dv", comesV, graph.Arg{}, step)
		b = next
	}
	homeK, homeV := r.goHome("dk", dk), r.goHome("dv", dv)
	r.arrive("dk", homeK)
	r.arrive("dv", homeV)
}

// home is where the last step puts what stays with the rank.
func (r *ring) home(name string, step int) graph.Arg {
	if step < r.ways-1 {
		return graph.Arg{}
	}
	return r.node.Args[r.node.Contract().Param(name)]
}

// first is the rank's own block, dense as what is passed on must be.
func (r *ring) first() block {
	return block{k: r.dense("k"), v: r.dense("v"), segments: r.node.Arg("k_segments")}
}

func (r *ring) dense(name string) *graph.Value {
	v := r.node.Arg(name)
	if v.View == nil {
		return v
	}
	y := r.value(v, fmt.Sprintf("%s.%s.dense", r.node.Name, name))
	r.add(kernels.Copy, y.Name, graph.Args{"x": graph.Is(v), "y": graph.Is(y)})
	return y
}

// next begins to pass on the block of a step: it is the one of the step after. The last one stays where it is.
func (r *ring) next(b block, step int) block {
	if step == r.ways-1 {
		return b
	}
	next := block{k: r.shift(b.k, "k", step+1).Value, v: r.shift(b.v, "v", step+1).Value}
	if b.segments != nil {
		next.segments = r.segments(b.segments, step+1)
	}
	return next
}

// segments passes segments on, once for all layers.
func (r *ring) segments(x *graph.Value, step int) *graph.Value {
	key := move{x, "ring", ""}
	if r.moved[key] == nil {
		y := r.graph.Add(fmt.Sprintf("%s.ring%d", x.Name, step), plan.Activation, x.DType, x.Dims...)
		y.Split = r.split(x)
		r.pass(x, y)
		r.moved[key] = y
	}
	return r.moved[key]
}

func (r *ring) shift(x *graph.Value, name string, step int) graph.Arg {
	y := r.value(x, fmt.Sprintf("%s.%s.ring%d", r.node.Name, name, step))
	r.pass(x, y)
	return graph.Is(y)
}

// pass begins to hand x to the rank after, beside what is computed.
func (r *ring) pass(x, y *graph.Value) {
	n := r.add(kernels.RingShift, y.Name, graph.Args{"x": graph.Is(x), "y": graph.Is(y)})
	n.Attrs.Axis, n.Async = r.axes[0], true
}

// attend appends the node itself, for the block of a step.
func (r *ring) attend(b block, step int) *graph.Node {
	n := *r.node
	n.Name = fmt.Sprintf("%s.ring%d", r.node.Name, step)
	n.Args = append([]graph.Arg(nil), r.node.Args...)
	set(&n, "k", graph.Is(b.k))
	set(&n, "v", graph.Is(b.v))
	if b.segments != nil {
		set(&n, "k_segments", graph.Is(b.segments))
	}
	set(&n, "first_key", graph.Is(r.graph.PlaceBefore(r.axes, step, r.keys)))
	r.nodes = append(r.nodes, &n)
	return &n
}

// sum makes an output of a node a term of a sum that goes on in other steps: it is added to the sum so far, if any, and written to a place, if it has one.
func (r *ring) sum(n *graph.Node, output string, sum, into graph.Arg, step int) graph.Arg {
	of := r.node.Arg(output)
	if into.Value == nil {
		into = r.fresh(of, output+".sum", step)
	}
	if sum.Value == nil {
		set(n, output, into)
		return into
	}
	term := r.fresh(of, output, step)
	set(n, output, term)
	r.add(kernels.Add, fmt.Sprintf("%s.%s.add%d", r.node.Name, output, step), graph.Args{"x": sum, "y": term, "z": into})
	return into
}

// goHome begins to pass the sum of a block's gradients on to the rank whose block it is.
func (r *ring) goHome(output string, sum graph.Arg) graph.Arg {
	into := r.node.Args[r.node.Contract().Param(output)]
	if into.Value.View != nil { // collectives give what lies together
		return r.shift(sum.Value, output, r.ways)
	}
	r.pass(sum.Value, into.Value)
	return into
}

// arrive puts what came home in its place.
func (r *ring) arrive(output string, from graph.Arg) {
	into := r.node.Args[r.node.Contract().Param(output)]
	if into.Value != from.Value {
		r.add(kernels.Copy, into.Value.Name, graph.Args{"x": from, "y": into})
	}
}

// fresh is a value of a step that is laid out as an output is.
func (r *ring) fresh(like *graph.Value, name string, step int) graph.Arg {
	return graph.Is(r.value(like, fmt.Sprintf("%s.%s.part%d", r.node.Name, name, step)))
}

func (r *ring) value(like *graph.Value, name string) *graph.Value {
	v := r.graph.Add(name, plan.Workspace, like.DType, like.Dims...)
	v.Split = r.split(like)
	return v
}

// add appends a node beside the ring's own.
func (r *ring) add(op kernels.Op, name string, args graph.Args) *graph.Node {
	e := graph.Emitter{Graph: r.graph, Program: &graph.Program{}, Region: r.node.Region, Pos: r.node.Pos, Block: r.node.Block}
	n := e.Emit(op, name, kernels.Attrs{}, args)
	r.nodes = append(r.nodes, n)
	return n
}
