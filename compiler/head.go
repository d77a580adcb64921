package compiler

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// The sizes of logits that the compiler leaves whole, and that it cuts more into chunks of: the second where
// memory is limited. A chunk of GPT-2's logits with 1,024 rows costs little beside its products, one of 256 rows a tenth of them.
const (
	largeChunk = 256 << 20
	smallChunk = 64 << 20
)

// head lets the cross entropy, or a plugin, give its gradient while its logits are at hand, and, where the logits are large or the
// strategy asks for it, cuts their rows into chunks: each chunk's logits, loss, gradient, and what that adds to the gradients
// of the head's operands, before the next chunk's. Chunks follow each other in the backward program, so that their logits
// share memory.
func (u *unitOfWork) head() error {
	s := u.stages[len(u.stages)-1]
	for i := range s.buckets {
		b := &s.buckets[i]
		if lossAt(b.forward) < 0 { // it is another chunk's
			continue
		}
		n := u.chunks(b)
		if b.backward != nil && (n > 1 || !u.strategy.Compile.Unfused) {
			joinGradient(u.graph, b.forward, b.backward)
		}
		if n == 1 {
			continue
		}
		if err := u.split(b, n); err != nil {
			return err
		}
	}
	return nil
}

// chunks is the number of chunks of rows for a bucket; that for the longest is the plan's choice.
func (u *unitOfWork) chunks(b *bucket) int {
	logits := logitsOf(b.forward)
	rows := logits.Len() / logits.Dims[len(logits.Dims)-1].Size
	n := u.strategy.Memory.LossChunks
	if n == 0 {
		size := int64(logits.Len()) * int64(u.floatBytes())
		limit := u.settings.chunkBytes
		n = int((size + limit - 1) / limit)
		if b.length == u.data.Length {
			u.choices = append(u.choices, plan.Choice{What: "memory.loss_chunks", Value: fmt.Sprint(min(n, rows)), Why: fmt.Sprintf(
				"a micro-batch's logits take %s; a chunk of them at most %s", plan.FormatBytes(size), plan.FormatBytes(limit))})
		}
	}
	return max(1, min(n, rows))
}

func logitsOf(p *graph.Program) *graph.Value { return p.Nodes[lossAt(p)].Arg("logits") }

// lossAt is the place of the loss of each row, or of what a rank knows of it.
func lossAt(p *graph.Program) int {
	return slices.IndexFunc(p.Nodes, func(n *graph.Node) bool {
		if n.Op == kernels.CrossEntropyPart {
			return true
		}
		for _, ops := range lossOps {
			if n.Op == ops[0] {
				return true
			}
		}
		return false
	})
}

// joined are the losses that give their gradient while they are at it.
var joined = map[kernels.Op]kernels.Op{kernels.CrossEntropy: kernels.CrossEntropyGrad, kernels.PluginLoss: kernels.PluginLossGrad}

// joinGradient moves the gradient of such a loss into the forward program, where nothing but both reads the logits.
func joinGradient(g *graph.Graph, forward, backward *graph.Program) {
	loss := forward.Nodes[lossAt(forward)]
	op, ok := joined[loss.Op]
	at := slices.IndexFunc(backward.Nodes, func(n *graph.Node) bool { return n.Op == op })
	if !ok || at < 0 {
		return
	}
	grad := backward.Nodes[at]
	if logits := loss.Arg("logits"); grad.Arg("logits") != logits || logits.View != nil || readers(g, logits) > 2 {
		return
	}
	for _, operand := range []string{"row_weights", "weight", "scale", "dlogits"} {
		set(loss, operand, grad.Args[grad.Contract().Param(operand)])
	}
	loss.Name += "+grad"
	backward.Nodes = slices.Delete(backward.Nodes, at, at+1)
}

// readers counts the nodes and outputs that read a root, in all programs.
func readers(g *graph.Graph, v *graph.Value) int {
	count := 0
	for _, p := range g.Programs {
		for _, out := range p.Outputs {
			if out.Value.Root() == v {
				count++
			}
		}
		for _, n := range p.Nodes {
			n.Uses(func(used *graph.Value, role kernels.Role) {
				if role.Reads() && used.Root() == v {
					count++
				}
			})
		}
	}
	return count
}

// split cuts the head of a bucket's programs into n chunks.
func (u *unitOfWork) split(b *bucket, n int) error {
	train, err := u.tail(b.forward)
	if err == nil {
		train.join(b.forward)
		train.follow(b.backward)
		err = train.check(u.graph, b.forward, b.backward)
	}
	if err != nil {
		return u.unsplittable(err)
	}
	kept, later := train.divide(b.forward)
	b.forward.Nodes = kept
	b.backward.Nodes = slices.Concat(train.chunked(u.graph, n), later, train.rest(b.backward))

	// The head of the evaluation is the same, but for the logits, which are an output while they are whole. Where ranks gather them for what is
	// predicted they stay so.
	outputs := slices.Clone(b.evaluate.Outputs)
	b.evaluate.Outputs = slices.DeleteFunc(b.evaluate.Outputs, func(p graph.Port) bool { return p.Name == "logits" })
	evaluate, err := u.tail(b.evaluate)
	if err == nil {
		evaluate.follow(b.evaluate)
		err = evaluate.check(u.graph, b.evaluate)
	}
	if err != nil {
		b.evaluate.Outputs = outputs
		return nil
	}
	kept, later = evaluate.divide(b.evaluate)
	b.evaluate.Nodes = slices.Concat(kept, evaluate.chunked(u.graph, n), later)
	return nil
}

// unsplittable is an error where the strategy asks for chunks; else the logits stay whole.
func (u *unitOfWork) unsplittable(err error) error {
	if u.strategy.Memory.LossChunks > 1 {
		return u.strategy.Wrong("memory.loss_chunks", "the loss cannot be cut into chunks: "+err.Error(), "leave it out")
	}
	for i := range u.choices {
		if u.choices[i].What != "memory.loss_chunks" {
			continue
		}
		u.choices[i] = plan.Choice{What: u.choices[i].What, Value: "1", Why: "the loss cannot be cut into chunks: " + err.Error()}
	}
	return nil
}
