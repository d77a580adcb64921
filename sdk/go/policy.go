package gsc

// WeightKind is what a weight is.
type WeightKind uint32

// The kinds of weights.
const (
	Linear WeightKind = iota // the matrix of a linear layer
	Table                    // a table of embeddings
)

// Weight is one of the model's. A policy sees none of its elements.
type Weight struct {
	Name    string // its Hugging Face name
	Kind    WeightKind
	In, Out int // each of its outputs is a sum over so many elements
	Heads   int // of attention, that its elements belong to; 0: none
}

// Pattern is what is pruned together.
type Pattern uint32

// The patterns.
const (
	Unpruned   Pattern = iota
	Elements           // single elements, the least of all
	Neighbours         // of each few neighbours along the input
	Outputs            // whole outputs
	Heads              // of attention
)

// Declaration is all that may ever happen to a weight; what is 0 says that nothing does.
type Declaration struct {
	Pattern   Pattern
	Of        uint32  // neighbours that are pruned among themselves; they must divide In
	Sparsity  float32 // the largest share that is ever pruned, below 1
	Bits      uint32  // 8 or 4
	Group     uint32  // neighbours along the input that share a scale, which must divide In; 0: all of an output's
	Symmetric bool    // zero is in the middle of what the bits can say; otherwise there are zero points
}

// Moment is when a policy is asked.
type Moment struct {
	Step, Steps int64   // the step, from 1, and how many the run has
	RMS         float32 // the root of the mean square of the weight's elements behind the last update, before they are pruned and rounded; 0 before the first step
}

// Decision is what holds from a step's update on, within what was declared.
type Decision struct {
	Prune    float32 // the share that is pruned
	Mask     bool    // the mask is made anew, by the weight's elements as they are
	Quantise bool    // the weight is rounded
}

// Policy says what is pruned and rounded, and when.
type Policy interface {
	// Declare says, when the plan is made, what may ever happen to a weight.
	Declare(Weight) Declaration
	// Decide says before each step what happens to a weight for which something was declared. It follows from the arguments alone: a run that is resumed asks for any step first.
	Decide(Weight, Declaration, Moment) Decision
}

// CompressionPolicy makes the program a plugin that compresses weights. prepare gets the parameters, once, and gives the policy for them, or says why there is none.
func CompressionPolicy(m Manifest, prepare func(Params) (Policy, error)) {
	describe("policy", "", m)
	var policy Policy
	prepared(&policy, prepare)
	registered.declare = func(c *policyCall) {
		d := policy.Declare(c.weight())
		c.pattern, c.of, c.sparsity, c.bits, c.group, c.symmetric = d.Pattern, d.Of, d.Sparsity, d.Bits, d.Group, word(d.Symmetric)
	}
	registered.decide = func(c *policyCall) {
		declared := Declaration{c.pattern, c.of, c.sparsity, c.bits, c.group, c.symmetric != 0}
		d := policy.Decide(c.weight(), declared, Moment{c.step.long(), c.steps.long(), c.rms})
		c.prune, c.mask, c.quantise = d.Prune, word(d.Mask), word(d.Quantise)
	}
}

// policyCall is a call as it lies in memory.
type policyCall struct {
	name           pointer[byte]
	nameBytes      uint32
	kind           WeightKind
	in, out, heads uint32
	step, steps    words
	rms            float32
	pattern        Pattern
	of             uint32
	sparsity       float32
	bits, group    uint32
	symmetric      uint32
	prune          float32
	mask, quantise uint32
}

// words are a number, the low word first.
type words [2]uint32

func (w words) long() int64 { return int64(w[1])<<32 | int64(w[0]) }

func (c *policyCall) weight() Weight {
	return Weight{Name: string(c.name.from(0, int(c.nameBytes))), Kind: c.kind, In: int(c.in), Out: int(c.out), Heads: int(c.heads)}
}

// word is 1 for what is true.
func word(yes bool) uint32 {
	if yes {
		return 1
	}
	return 0
}
