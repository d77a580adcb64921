package compiler

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// settings are what the strategy may leave open; choose tries several.
type settings struct {
	microBatches int
	recompute    string // "none", "selective" or "full"
	chunkBytes   int64  // of logits at most, unless the strategy says how many chunks
}

// unitOfWork is a strategy on its way to a plan.
type unitOfWork struct {
	strategy *schema.Strategy
	data     plan.Data
	kind     kernels.Kind
	settings settings
	declare  func(*schema.Plugin, compress.Tensor) (compress.Declaration, error)
	short    bool // the model is cut short, for its price: rules may name layers that it lacks

	graph   *graph.Graph
	weights *weights
	buckets []bucket         // of the whole model
	stages  []*stage         // that it is cut into
	cached  []*graph.Program // prefill and decode, when the model generates
	plan    *plan.Plan
	choices []plan.Choice // that passes made
	uncoded int64         // steps before gradients are coded
}

// bucket is the programs for one length of rows, of the whole model or of a chunk of its layers.
type bucket struct {
	length                      int
	forward, backward, evaluate *graph.Program

	// Of a chunk, where there are stages; nil where it has none. A chunk of which nothing is trained has no backward either.
	chunk                int            // among those of its stage
	receive, receiveBack *graph.Program // what forward and backward read of other chunks
	weigh                *graph.Program // the gradients of weights that backward leaves for later
	ends                 []end          // what is waited for
}

// programs are those that a micro-batch goes through in a training step, in their order. It begins to receive what comes back before it goes forward, so that who hands
// that back never waits.
func (b *bucket) programs() []*graph.Program {
	return some(b.receive, b.receiveBack, b.forward, b.backward, b.weigh)
}

// passes is the compiler's table of contents. Each pass takes what the ones
// before it made; verify says whether its result is checked by
// graph.Verify (before lowering) or plan.Verify (after).
var passes = []pass{
	{"build", (*unitOfWork).build},                 // layers → forward, evaluate, prefill and decode programs
	{"compress", (*unitOfWork).compress},           // what rules say of weights, and rounded activations
	{"differentiate", (*unitOfWork).differentiate}, // forward → backward
	{"shard", (*unitOfWork).shard},                 // whole values → a rank's parts, and the collectives between them
	{"pipeline", (*unitOfWork).pipeline},           // layers → stages, and what they hand on to each other
	{"recompute", (*unitOfWork).recompute},         // what the backward program computes again instead of keeping
	{"update", (*unitOfWork).makeUpdate},           // norm, clipping, optimizer
	{"head", (*unitOfWork).head},                   // the loss with its gradient, in chunks where logits are large
	{"fuse", (*unitOfWork).fuse},                   // what products take in of what follows them
	{"parts", (*unitOfWork).keepParts},             // weights that ranks keep parts of, gathered where they are read
	{"bucket", (*unitOfWork).bucket},               // small collectives → one call
	{"precision", (*unitOfWork).precision},         // types of storage and of products; workspaces, which depend on them
	{"schedule", (*unitOfWork).schedule},           // programs → calls; allocate: offsets by liveness
	{"estimate", (*unitOfWork).estimate},           // operations, bytes, time
}

// generationPasses make the programs that generate alone, for the one rank that does where several train.
var generationPasses = []pass{
	{"build", (*unitOfWork).buildAlone},
	{"compress", (*unitOfWork).compress},
	{"pipeline", (*unitOfWork).pipeline},
	{"fuse", (*unitOfWork).fuse},
	{"precision", (*unitOfWork).precision},
	{"schedule", (*unitOfWork).schedule},
}

type pass struct {
	name string
	run  func(*unitOfWork) error
}

// run applies passes in order; after checks what each leaves behind.
func (u *unitOfWork) run(passes []pass, after func(pass string, u *unitOfWork) error) error {
	for _, p := range passes {
		if err := p.run(u); err != nil {
			return err
		}
		if after == nil {
			continue
		}
		if err := after(p.name, u); err != nil {
			return fmt.Errorf("after pass %s: %w", p.name, err)
		}
	}
	return nil
}

// rows is how many a micro-batch has, with those that pad it.
func (u *unitOfWork) rows() int {
	return u.padded("batch", u.strategy.Batch.Sequences/u.settings.microBatches)
}

// padded is the length of a dim of activations, made one that divides among the ranks that the rules share it out among. It says so.
func (u *unitOfWork) padded(dim string, n int) int {
	ways, axes := 1, map[string]bool{}
	for _, a := range u.mesh() {
		for _, r := range u.strategy.Parallel.Table() {
			if dim == "batch" && a.Name != plan.AxisReplica && a.Name != plan.AxisData {
				continue // rows are given to the ranks of these alone
			}
			if r.Dim == dim && r.Axis == a.Name && r.Kind != "weight" && !axes[a.Name] {
				ways, axes[a.Name] = ways*a.Degree, true
			}
		}
	}
	made := ceilDiv(n, ways) * ways
	if c := (plan.Choice{What: "parallel.mesh", Value: fmt.Sprintf("%s %d is padded to %d", dim, n, made), Why: fmt.Sprintf("%d ranks share it out", ways)}); made != n && !slices.Contains(u.choices, c) {
		u.choices = append(u.choices, c)
	}
	return made
}

func (u *unitOfWork) build() error {
	u.graph = graph.New()
	u.weights = &weights{byName: map[string]*weight{}}
	lengths := u.data.Buckets
	if len(lengths) == 0 {
		lengths = []int{u.data.Length}
	}
	for _, length := range lengths {
		suffix := ""
		if len(lengths) > 1 {
			suffix = fmt.Sprintf("/%d", length)
		}
		b := bucket{length: length}
		var err error
		if b.forward, err = u.buildOne(mode{plan.Train, u.rows(), length, u.padded("seq", length)}, "forward"+suffix); err != nil {
			return err
		}
		if b.evaluate, err = u.buildOne(mode{plan.Evaluate, u.rows(), length, u.padded("seq", length)}, "evaluate"+suffix); err != nil {
			return err
		}
		u.buckets = append(u.buckets, b)
	}
	return u.buildGeneration()
}

// buildAlone makes the programs that generate, without those that train.
func (u *unitOfWork) buildAlone() error {
	u.graph, u.weights = graph.New(), &weights{byName: map[string]*weight{}}
	return u.buildGeneration()
}

func (u *unitOfWork) buildOne(m mode, name string) (*graph.Program, error) {
	return build(u.graph, u.strategy, u.data.Inputs, u.weights, m, name)
}

// prefillLength is how many tokens of a prompt go through the model at once.
const prefillLength = 64

// buildGeneration adds prefill and decode to a model that predicts the next token.
func (u *unitOfWork) buildGeneration() error {
	if u.strategy.Model.Task != "causal" || u.strategy.Parallel.Mesh.Ranks() > 1 {
		return nil
	}
	for _, m := range []mode{{kind: plan.Prefill, rows: 1, length: min(prefillLength, u.strategy.Model.Context)}, {kind: plan.Decode, rows: 1, length: 1}} {
		p, err := u.buildOne(m, m.kind)
		if err != nil {
			return err
		}
		u.cached = append(u.cached, p)
	}
	return nil
}

func (u *unitOfWork) differentiate() error {
	if scaled(u.strategy) {
		u.graph.Scalar(plan.ScalarLossScale)
	}
	trained := map[*graph.Value]bool{}
	for _, w := range u.weights.list {
		if !treat(u.strategy, w).frozen {
			trained[w.value] = true
		}
	}
	if len(trained) == 0 {
		return u.strategy.Wrong("parameters", "they freeze every weight", "leave at least one to train")
	}
	for i := range u.buckets {
		b := &u.buckets[i]
		name := "backward" + b.forward.Name[len("forward"):]
		var err error
		if b.backward, err = graph.Differentiate(u.graph, b.forward, name, func(v *graph.Value) bool { return trained[v] }); err != nil {
			return err
		}
	}
	return nil
}

func (u *unitOfWork) recompute() error {
	for _, s := range u.stages {
		for _, b := range s.buckets {
			recompute(u.graph, b.forward, some(b.backward, b.weigh), u.settings.recompute)
		}
	}
	return nil
}

func (u *unitOfWork) fuse() error {
	if !u.strategy.Compile.Unfused {
		fuse(u.graph, u.kind)
	}
	return nil
}

func (u *unitOfWork) precision() error {
	setTypes(u.graph, u.kind)
	setCompute(u.graph, u.kind, computeTypes[u.strategy.Precision.Compute])
	if err := u.storeHalves(); err != nil {
		return err
	}
	u.storeMasters()
	return addWorkspace(u.graph, u.kind)
}
