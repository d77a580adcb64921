package compiler

import (
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// crossings lists for each chunk what its neighbour hands it, the one before (by = 1) or the one behind it (by = −1): what it reads, or what a chunk
// further on does, and was made further back.
func (c *cutter) crossings(pieces []bucket, programs func(bucket) []*graph.Program, by int) [][]*graph.Value {
	list := make([][]*graph.Value, len(pieces))
	for k := range pieces {
		for _, p := range programs(pieces[k]) {
			for _, n := range p.Nodes {
				n.Uses(func(v *graph.Value, role kernels.Role) {
					v = v.Root()
					from, ok := c.made[v]
					if !ok || !role.Reads() || (k-from)*by <= 0 || c.tables[v] != nil {
						return
					}
					for at := k; at != from; at -= by {
						if !slices.Contains(list[at], v) {
							list[at] = append(list[at], v)
						}
					}
				})
			}
		}
	}
	return list
}

// handOn gives the programs of chunk k their ends: what receives, sends, and waits for either.
func (c *cutter) handOn(s *stage, b *bucket, k int, ahead, back [][]*graph.Value) {
	if c.split {
		b.backward, b.weigh = c.splitBackward(b.backward)
	}
	e := &endMaker{cutter: c, stage: s, bucket: b, chunk: k}
	b.receive = e.receive(b.forward, k-1, forwardLane, ahead[k])
	b.receiveBack = e.receive(b.backward, k+1, backwardLane, back[k])
	var next *graph.Program
	if len(b.backward.Nodes) > 0 {
		next = b.backward
	}
	if k+1 < c.chunks {
		e.send(b.forward, k+1, forwardLane, ahead[k+1], next)
	}
	if k > 0 {
		e.send(b.backward, k-1, backwardLane, back[k-1], nil)
	}
	if next == nil {
		b.backward = nil
	}
}

// end is something handed on between chunks, by its event of the stage.
type end struct {
	event int
	value *graph.Value   // that is received; nil: one is sent
	until *graph.Program // of the chunk, before which it is awaited, where it first uses the value; nil: by what comes next in its slot
}

// await has the nodes of a stage wait for what is handed on. What a micro-batch handed on last is awaited by the next one in its slot, of whatever chunk. It is
// done when all nodes are as they will run.
func (s *stage) await() {
	for i := range s.buckets {
		b := &s.buckets[i]
		first := b.programs()[0].Nodes[0]
		for _, other := range s.buckets {
			for _, e := range other.ends {
				if e.until == nil && other.length == b.length {
					first.Await = append(first.Await, e.event)
				}
			}
		}
		for _, e := range b.ends {
			if e.until != nil {
				n := e.user()
				n.Await = append(n.Await, e.event)
			}
		}
	}
}

// user is the node of a program that waits: the first one that uses what is received, or the last, where none does and it is kept for a later program;
// and the first node for what was sent.
func (e end) user() *graph.Node {
	nodes := e.until.Nodes
	if e.value == nil {
		return nodes[0]
	}
	if i := slices.IndexFunc(nodes, func(n *graph.Node) bool { return uses(n, e.value) > 0 }); i >= 0 {
		return nodes[i]
	}
	return nodes[len(nodes)-1]
}

// endMaker makes what a chunk sends and receives.
type endMaker struct {
	*cutter
	stage  *stage
	bucket *bucket
	chunk  int
}

// attrs say with which chunk, and on which lane: each chunk that receives has lanes of its own.
func (c *cutter) attrs(peer, receiver, lane int) kernels.Attrs {
	return kernels.Attrs{Axis: plan.AxisPipeline, Peer: peer % c.stages, Lane: lane + lanes*(receiver/c.stages)}
}

// receive makes the program that receives what another one reads; nil where that is nothing.
func (e *endMaker) receive(reader *graph.Program, from, lane int, values []*graph.Value) *graph.Program {
	if len(values) == 0 {
		return nil
	}
	p := &graph.Program{Name: "receive." + reader.Name, Length: reader.Length}
	for _, v := range values {
		e.add(emitEnd(e.graph, p, kernels.Receive, v, e.attrs(from, e.chunk, lane)), receiveStream, v, reader)
	}
	return p
}

// send makes a program hand values on, which are gone before another one runs.
func (e *endMaker) send(p *graph.Program, to, lane int, values []*graph.Value, until *graph.Program) {
	for _, v := range values {
		e.add(emitEnd(e.graph, p, kernels.Send, v, e.attrs(to, to, lane)), sendStream, nil, until)
	}
}

// add lets a node go on past the end of its program.
func (e *endMaker) add(n *graph.Node, stream int, received *graph.Value, until *graph.Program) {
	e.stage.events++
	n.Stream, n.Open = stream, e.stage.events
	e.bucket.ends = append(e.bucket.ends, end{n.Open, received, until})
}

// emitEnd appends the sending or receiving of a value.
func emitEnd(g *graph.Graph, p *graph.Program, op kernels.Op, v *graph.Value, attrs kernels.Attrs) *graph.Node {
	e := graph.Emitter{Graph: g, Program: p, Region: "residual"}
	operand := map[kernels.Op]string{kernels.Send: "x", kernels.Receive: "y"}[op]
	return e.Emit(op, op.String()+"."+v.Name, attrs, graph.Args{operand: graph.Is(v)})
}

// splitBackward takes out of a backward program what the gradients of weights in blocks take and nothing else: it need not be done before the
// gradient of the input is handed on (Qi et al., arXiv:2401.10241, section 2).
func (c *cutter) splitBackward(p *graph.Program) (inputs, weights *graph.Program) {
	later := map[*graph.Node]bool{}
	read := map[*graph.Value]bool{} // by what is not later
	for _, n := range slices.Backward(p.Nodes) {
		movable := n.Block > 0
		for _, v := range outputs(n) {
			movable = movable && !read[v] && (v.Class == plan.Gradient || c.local(v))
		}
		if later[n] = movable && len(outputs(n)) > 0; later[n] {
			continue
		}
		n.Uses(func(v *graph.Value, role kernels.Role) { read[v.Root()] = true })
	}
	inputs, weights = &graph.Program{Name: p.Name, Length: p.Length}, &graph.Program{Name: strings.Replace(p.Name, "backward", "weights", 1), Length: p.Length}
	for _, n := range p.Nodes {
		if later[n] {
			weights.Nodes = append(weights.Nodes, n)
		} else {
			inputs.Nodes = append(inputs.Nodes, n)
		}
	}
	if len(weights.Nodes) == 0 {
		weights = nil
	}
	return inputs, weights
}

// local says whether a value is made and used by one chunk's backward program alone.
func (c *cutter) local(v *graph.Value) bool {
	return v.Class == plan.Workspace && !c.crosses[v]
}

// evaluation gives the pieces of an evaluation their ends. What it predicts is handed to the first stage, and all get the sum of the losses.
func (c *cutter) evaluation(pieces []bucket, whole *graph.Program) {
	ahead := c.crossings(pieces, func(b bucket) []*graph.Program { return []*graph.Program{b.evaluate} }, 1)
	for k := range pieces {
		p := pieces[k].evaluate
		body := p.Nodes
		p.Nodes = nil
		for _, v := range ahead[k] {
			emitEnd(c.graph, p, kernels.Receive, v, c.attrs(k-1, k, forwardLane))
		}
		p.Nodes = append(p.Nodes, body...)
		if k+1 < len(pieces) {
			for _, v := range ahead[k+1] {
				emitEnd(c.graph, p, kernels.Send, v, c.attrs(k+1, k+1, forwardLane))
			}
		}
	}
	first, last := pieces[len(pieces)-c.stages].evaluate, pieces[len(pieces)-1].evaluate
	for _, out := range whole.Outputs {
		if out.Name == plan.OutputLogits {
			last.Outputs = append(last.Outputs, out)
			continue
		}
		emitEnd(c.graph, last, kernels.Send, out.Value, c.attrs(0, 0, updateLane))
		emitEnd(c.graph, first, kernels.Receive, out.Value, c.attrs(c.stages-1, 0, updateLane))
		first.Outputs = append(first.Outputs, out)
	}
	loss := c.graph.Scalar(plan.ScalarLoss)
	for _, b := range pieces[len(pieces)-c.stages:] {
		e := graph.Emitter{Graph: c.graph, Program: b.evaluate, Region: "head"}
		e.Emit(kernels.AllReduce, "reduce.loss", kernels.Attrs{Axis: plan.AxisPipeline}, graph.Args{"x": graph.Is(loss), "y": graph.Is(loss)})
	}
}
