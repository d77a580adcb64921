package abi

// The names of a policy's exports.
const (
	Declare = "gsc_declare"
	Decide  = "gsc_decide"
)

// PolicyCall is the argument of gsc_declare and gsc_decide, as words in guest memory.
//
// A policy decides how weights are pruned and quantised while they are trained. It sees no element of them: gsc makes masks and scales itself, by what the policy says. It exports
//
//	gsc_declare(call i32) → i32         a [Status]. Once for each weight, when the plan is made: all that may ever happen to it
//	gsc_decide(call i32) → i32          a [Status]. Once for each weight before each step: what holds from that step's update on
//
// The call is a pointer to words of 32 bits, a [PolicyCall]. Those of the weight:
//
//	name, name_bytes  its Hugging Face name, UTF-8
//	kind              0: of a linear layer; 1: a table of embeddings
//	in, out           each of its out outputs is a sum over in elements
//	heads             of attention that its elements belong to; 0: none
//	step, steps       64 bits each, the low word first: the step from 1, and how many the run has. 0 in gsc_declare
//	rms               float32: the root of the mean square of its elements behind the last update, before they are pruned and rounded; 0 in gsc_declare and before the first step
//
// gsc_declare sets, all of them 0 before:
//
//	pattern           0: nothing is pruned; 1: single elements, the least; 2: of each few neighbours along the input; 3: outputs; 4: heads
//	of                neighbours that are pruned among themselves, for pattern 2; they must divide in
//	sparsity          float32: the largest share that is ever pruned, above 0 and below 1
//	bits              8, 4, or 0: it is never quantised
//	group             neighbours along the input that share a scale, which must divide in; 0: all of an output's
//	symmetric         1: zero is in the middle of what bits can say; 0: there are zero points
//
// A weight for which it sets nothing stays as it is. gsc_decide finds there what was declared, and sets, all of them 0 before:
//
//	prune             float32: the share that is pruned, no more than was declared
//	mask              1: the mask is made anew, by the weight's elements as they are; 0: it stays
//	quantise          1: the weight is rounded
//
// What it decides must follow from the call alone: a run that is resumed asks for any step first.
type PolicyCall struct {
	Name, NameBytes        uint32
	Kind                   uint32
	In, Out, Heads         uint32
	Step, StepHigh         uint32
	Steps, StepsHigh       uint32
	RMS                    uint32
	Pattern, Of, Sparsity  uint32
	Bits, Group, Symmetric uint32
	Prune, Mask, Quantise  uint32
}

// PolicyCallBytes is its size.
const PolicyCallBytes = 20 * 4

// Words are its words, in order.
func (c *PolicyCall) Words() [PolicyCallBytes / 4]*uint32 {
	return [...]*uint32{&c.Name, &c.NameBytes, &c.Kind, &c.In, &c.Out, &c.Heads, &c.Step, &c.StepHigh, &c.Steps, &c.StepsHigh, &c.RMS,
		&c.Pattern, &c.Of, &c.Sparsity, &c.Bits, &c.Group, &c.Symmetric, &c.Prune, &c.Mask, &c.Quantise}
}
