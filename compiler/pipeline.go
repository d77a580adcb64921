package compiler

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// stage is what the ranks at one place along the axis pipeline run; where there is no such axis, all ranks.
type stage struct {
	number  int
	buckets []bucket // for each length of rows its chunks, in the order of the layers
	weights *weights // that it uses
	ties    []tie    // with other stages
	update  *graph.Program

	// Around the update, where gradients are coded but for the first steps: in these sum comes before it, behind them code does, and keep comes behind it. Each is nil where it would do nothing.
	sum, code, keep *graph.Program

	states []*state
	turns  []turn // of a training step
	slots  int    // micro-batches under way at a time
	events int    // so far
}

// tie is a weight that two stages use. The first of them keeps and updates it; the other has a copy.
type tie struct {
	weight *weight // as this stage has it
	peer   int     // the other stage
	owner  bool
}

// The lanes between two stages: each has an order of its own, since stages do not take their turns in the same order.
const (
	forwardLane = iota
	backwardLane
	updateLane // and the end of an evaluation
	lanes
)

// pipeline cuts the layers into stages, of one or several chunks each, which hand on what the next ones read (Huang et al., arXiv:1811.06965, section 2.2): in
// a program for what is received, so that it can begin before it is needed, and by nodes at the end of what made it.
// Layers are shared out so that the chunk with most arithmetic has least. What is computed of inputs alone, positions for example, each chunk computes for itself.
func (u *unitOfWork) pipeline() error {
	n := u.strategy.Parallel.Mesh.Stages()
	if n == 1 {
		u.stages = []*stage{{buckets: u.buckets, weights: u.weights, slots: 1}}
		return nil
	}
	c := &cutter{graph: u.graph, stages: n, chunks: n * max(1, u.strategy.Parallel.Pipeline.Chunks), split: u.strategy.Parallel.Pipeline.Schedule == "zero_bubble"}
	for i := range n {
		u.stages = append(u.stages, &stage{number: i, weights: &weights{}})
	}
	var programs []*graph.Program
	for _, b := range u.buckets {
		list, err := c.bucket(u.stages, b)
		if err != nil {
			return u.strategy.Wrong("parallel.mesh.pipeline", err.Error(), "use fewer stages, or more layers")
		}
		programs = append(programs, list...)
	}
	u.graph.Programs = programs
	u.shareWeights()
	return u.takeTurns()
}

// cutter cuts programs into chunks.
type cutter struct {
	graph          *graph.Graph
	stages, chunks int
	split          bool  // what goes back is cut in two
	layers         []int // the chunk of each
	head           int   // and that of what follows them
	of             map[*graph.Node]int
	taught         map[*graph.Node]bool  // what a teacher does, and what follows from its logits: the head's chunk does it
	made           map[*graph.Value]int  // by root: the chunk that makes it
	crosses        map[*graph.Value]bool // what chunks hand on
	tables         map[*graph.Value][]*graph.Node
}

// bucket cuts the programs for a length, and gives the pieces to the stages.
func (c *cutter) bucket(stages []*stage, b bucket) ([]*graph.Program, error) {
	c.of, c.made, c.tables = map[*graph.Node]int{}, map[*graph.Value]int{}, map[*graph.Value][]*graph.Node{}
	if err := c.assign(b.forward.Nodes, b.backward.Nodes); err != nil {
		return nil, err
	}
	pieces := make([]bucket, c.chunks)
	for k := range pieces {
		pieces[k] = bucket{length: b.length, chunk: k / c.stages}
		pieces[k].forward, pieces[k].backward = c.piece(b.forward, k), c.piece(b.backward, k)
	}
	ahead := c.crossings(pieces, func(b bucket) []*graph.Program { return []*graph.Program{b.forward, b.backward} }, 1)
	back := c.crossings(pieces, func(b bucket) []*graph.Program { return []*graph.Program{b.backward} }, -1)
	c.crosses = map[*graph.Value]bool{}
	for _, list := range slices.Concat(ahead, back) {
		for _, v := range list {
			c.crosses[v] = true
		}
	}
	for k := range pieces {
		c.handOn(stages[k%c.stages], &pieces[k], k, ahead, back)
	}
	if err := c.assign(b.evaluate.Nodes, nil); err != nil {
		return nil, err
	}
	for k := range pieces {
		pieces[k].evaluate = c.piece(b.evaluate, k)
	}
	c.evaluation(pieces, b.evaluate)
	var programs []*graph.Program
	for k, p := range pieces {
		s := stages[k%c.stages]
		s.buckets = append(s.buckets, p)
	}
	for _, p := range pieces { // in the order they run in
		programs = append(programs, some(p.receive, p.receiveBack, p.forward)...)
	}
	for _, p := range slices.Backward(pieces) {
		programs = append(programs, some(p.backward, p.weigh)...)
	}
	for _, p := range pieces {
		programs = append(programs, p.evaluate)
	}
	return programs, nil
}

// some leaves out programs that there are not.
func some(list ...*graph.Program) []*graph.Program {
	return slices.DeleteFunc(list, func(p *graph.Program) bool { return p == nil })
}

// assign says which chunk each node of a forward program is of, and of the backward program that mirrors it. Nodes that compute tables are
// of none. The first program that is assigned says where the layers are cut.
func (c *cutter) assign(forward, backward []*graph.Node) error {
	c.findTables(forward)
	c.findTaught(forward)
	units := c.units(forward)
	if c.layers == nil {
		if err := c.share(units, c.teaching(forward)); err != nil {
			return err
		}
	}
	at, chunk := -1, 0
	for i, u := range units {
		switch {
		case u.block > 0:
			at++
			chunk = c.layers[at]
		case i == len(units)-1 && i > 0:
			chunk = c.head
		}
		for _, n := range u.nodes {
			c.note(n, chunk)
		}
	}
	for _, n := range forward {
		if c.taught[n] {
			c.note(n, c.head)
		}
	}
	return c.mirror(backward)
}

// mirror assigns the nodes of a backward program: its runs of blocks are those of the forward program from the end on, as far as there is something to
// train. What lies before them is the head's, and else what lies outside of blocks goes with the block that follows, as it goes with the block before it in the
// forward program.
func (c *cutter) mirror(nodes []*graph.Node) error {
	runs, at := c.units(nodes), len(c.layers)
	chunk, of := 0, make([]int, len(runs))
	for i, r := range runs {
		if r.block > 0 {
			at--
		}
		if at < 0 {
			return fmt.Errorf("the backward pass has more blocks than the forward pass has, which are %d", len(c.layers))
		}
		if of[i] = -1; r.block > 0 {
			of[i] = c.layers[at]
		}
	}
	for i := len(runs) - 1; i >= 0; i-- {
		switch {
		case of[i] >= 0:
			chunk = of[i]
		case i == 0:
			chunk = c.head
		}
		for _, n := range runs[i].nodes {
			c.note(n, chunk)
		}
	}
	return nil
}

func (c *cutter) note(n *graph.Node, chunk int) {
	c.of[n] = chunk
	for _, v := range outputs(n) {
		if !v.Lasting() && v.Class != plan.Gradient {
			if _, known := c.made[v]; !known {
				c.made[v] = chunk
			}
		}
	}
}

// findTables finds the nodes of a program that read inputs, scalars and each other's results alone.
func (c *cutter) findTables(nodes []*graph.Node) {
	for _, n := range nodes {
		pure := !n.Contract().Collective
		var needs []*graph.Node
		n.Uses(func(v *graph.Value, role kernels.Role) {
			root := v.Root()
			switch {
			case role.Writes():
				pure = pure && !root.Lasting()
			case root.Class == plan.Input || root.Class == plan.ScalarKind:
			case c.tables[root] != nil:
				needs = append(needs, c.tables[root]...)
			default:
				pure = false
			}
		})
		if !pure {
			continue
		}
		for _, v := range outputs(n) {
			c.tables[v] = append(slices.Clone(needs), n)
		}
	}
}

// findTaught finds the nodes of a program that read a teacher's weights or what follows from them. A teacher is not cut: its logits are needed where the loss is, and there
// alone.
func (c *cutter) findTaught(nodes []*graph.Node) {
	c.taught = map[*graph.Node]bool{}
	from := map[*graph.Value]bool{}
	for _, n := range nodes {
		n.Uses(func(v *graph.Value, role kernels.Role) {
			c.taught[n] = c.taught[n] || role.Reads() && (v.Root().Class == plan.Taught || from[v.Root()])
		})
		if !c.taught[n] {
			delete(c.taught, n)
			continue
		}
		for _, v := range outputs(n) {
			from[v] = !v.Lasting()
		}
	}
}

// teaching is the arithmetic of that.
func (c *cutter) teaching(nodes []*graph.Node) (flops float64) {
	for _, n := range nodes {
		if c.taught[n] {
			flops += flopsOf(n)
		}
	}
	return flops
}

// flopsOf is the arithmetic of a node. Of one that breaks its contract Verify says so, with its place.
func flopsOf(n *graph.Node) float64 {
	sizes, err := kernels.Check(n.Op, n.Attrs, tensors(n))
	if err != nil {
		return 0
	}
	return kernels.FlopsOf(n.Op, sizes, n.Attrs)
}

// stretch is a run of nodes of one block.
type stretch struct {
	block int
	nodes []*graph.Node
	flops float64
}

// units cuts the nodes that compute no tables, and are not a teacher's, where blocks change.
func (c *cutter) units(nodes []*graph.Node) (list []stretch) {
	for _, n := range nodes {
		if made := outputs(n); c.taught[n] || len(made) > 0 && c.tables[made[0]] != nil {
			continue
		}
		if len(list) == 0 || list[len(list)-1].block != n.Block {
			list = append(list, stretch{block: n.Block})
		}
		u := &list[len(list)-1]
		u.nodes, u.flops = append(u.nodes, n), u.flops+flopsOf(n)
	}
	return list
}

// share cuts before layers, and before the head, which has a teacher's arithmetic besides: each chunk has something, and the most arithmetic of a chunk is the least there can be.
func (c *cutter) share(units []stretch, teaching float64) error {
	costs := []float64{0} // of what lies before the layers, of each layer with what follows it, and of the head
	for i, u := range units {
		if u.block > 0 || i == len(units)-1 {
			costs = append(costs, 0)
		}
		costs[len(costs)-1] += u.flops
	}
	costs[len(costs)-1] += teaching
	if len(costs) < c.chunks {
		return fmt.Errorf("%d parts are more than the %d layers, what lies before them and the head", c.chunks, len(costs)-2)
	}
	of := balance(costs, c.chunks)
	c.layers, c.head = of[1:len(of)-1], of[len(of)-1]
	return nil
}

// balance shares a row of costs out among chunks, each of which gets one or more: the largest sum of a chunk is the least.
func balance(costs []float64, chunks int) []int {
	n := len(costs)
	sums := make([]float64, n+1)
	for i, c := range costs {
		sums[i+1] = sums[i] + c
	}
	// most[k][i] is that of the first i costs among k chunks; from[k][i] is where the last of these begins.
	most, from := make([][]float64, chunks+1), make([][]int, chunks+1)
	for k := range most {
		most[k], from[k] = make([]float64, n+1), make([]int, n+1)
	}
	for k := 1; k <= chunks; k++ {
		for i := k; i <= n; i++ {
			best := -1.0
			for j := i - 1; j >= k-1; j-- {
				if k == 1 && j > 0 {
					continue
				}
				worst := max(most[k-1][j], sums[i]-sums[j])
				if best < 0 || worst < best*(1-1e-9) {
					best, from[k][i] = worst, j
				}
			}
			most[k][i] = best
		}
	}
	of := make([]int, n)
	for k, i := chunks, n; k > 0; k-- {
		for j := from[k][i]; j < i; j++ {
			of[j] = k - 1
		}
		i = from[k][i]
	}
	return of
}

// piece is the part of a program that is a chunk's, with the tables that it reads.
func (c *cutter) piece(p *graph.Program, chunk int) *graph.Program {
	piece := &graph.Program{Name: c.name(p, chunk), Length: p.Length, Boundaries: p.Boundaries}
	var nodes []*graph.Node
	for _, n := range p.Nodes {
		if k, ok := c.of[n]; ok && k == chunk {
			nodes = append(nodes, n)
		}
	}
	wanted := map[*graph.Node]bool{}
	for _, n := range nodes {
		n.Uses(func(v *graph.Value, role kernels.Role) {
			for _, t := range c.tables[v.Root()] {
				wanted[t] = true
			}
		})
	}
	for _, n := range p.Nodes {
		if wanted[n] {
			twin := *n
			twin.Args = slices.Clone(n.Args)
			piece.Nodes = append(piece.Nodes, &twin)
		}
	}
	piece.Nodes = append(piece.Nodes, nodes...)
	for _, in := range p.Inputs {
		if reads(piece.Nodes, in.Value) {
			piece.Inputs = append(piece.Inputs, in)
		}
	}
	return piece
}

// name is the program's own, with the number of the chunk among those of its stage where that has several.
func (c *cutter) name(p *graph.Program, chunk int) string {
	if c.chunks == c.stages {
		return p.Name
	}
	return fmt.Sprintf("%s#%d", p.Name, chunk/c.stages)
}

func reads(nodes []*graph.Node, v *graph.Value) bool {
	return slices.ContainsFunc(nodes, func(n *graph.Node) bool {
		found := false
		n.Uses(func(used *graph.Value, role kernels.Role) { found = found || role.Reads() && used.Root() == v })
		return found
	})
}
