// Package compress is the contract of compression policies, which decide how weights are pruned and quantised while they are trained, and gsc's own policy.
//
// A policy is asked twice. When the plan is made it declares, for each weight, all that may ever happen to it ([Policy.Declare]): the plan reserves a mask and scales for
// that, and the operations that fill them. Before each step it decides what holds from that step's update on ([Policy.Decide]): numbers that the runtime
// writes into scalars of the plan. It sees no element of a weight, and makes no mask: what a share of pruned elements means, the operations of the plan say. So a
// decision costs nothing that a step would notice, and gives the same bits on any number of threads and ranks.
//
// A decision must follow from the tensor, the step and the policy's own settings alone: a run that is resumed asks for any step first.
package compress

import (
	"errors"
	"fmt"

	"github.com/gsc-project/gsc/kernels"
)

// Tensor is what a policy is told of a weight.
type Tensor struct {
	Name  string // its Hugging Face name
	Kind  Kind
	Shape []int // as it is stored in a model folder
	In    int   // elements that each output is a sum of
	Out   int   // outputs
	Heads int   // of attention that it is made of; 0: none
}

// Elements is how many the weight has.
func (t Tensor) Elements() int { return t.In * t.Out }

// Kind is what a weight is for.
type Kind string

// The kinds.
const (
	Linear Kind = "linear"
	Table  Kind = "embedding"
)

// Pattern is what is pruned together.
type Pattern string

// The patterns.
const (
	Unpruned   Pattern = ""
	Elements   Pattern = "unstructured" // single ones, the least of the whole weight
	Neighbours Pattern = "neighbours"   // some of each few neighbours along the input
	Rows       Pattern = "rows"         // outputs
	Heads      Pattern = "heads"        // what belongs to a head
)

// Declaration is all that may happen to a weight.
type Declaration struct {
	Pattern   Pattern
	Of        int     // neighbours that are pruned among themselves
	Sparsity  float64 // largest share that is ever pruned
	Bits      int     // 0: it is never quantised
	Group     int     // neighbours along the input that share a scale; 0: all of an output's
	Symmetric bool
}

// Decision is what holds from a step's update on.
type Decision struct {
	Sparsity float64 // share of what the pattern prunes
	Mask     bool    // the mask is made anew, by the weight's present elements; else it stays
	Quantize bool    // the weight is rounded
}

// Statistics is what is known of a weight's elements.
type Statistics struct {
	RMS float64 // root of the mean square of its dense copy behind the last update; 0 before the first
}

// Policy decides for the weights that it is given. It serves one goroutine at a time.
type Policy interface {
	Declare(Tensor) (Declaration, error)
	// Decide is asked once for each weight and step, from 1.
	Decide(t Tensor, declared Declaration, s Statistics, step int64) (Decision, error)
}

// Fits refuses a declaration that makes no sense for a tensor.
func (d Declaration) Fits(t Tensor) error {
	switch {
	case (d.Pattern == Unpruned) != (d.Sparsity == 0) || !(d.Sparsity >= 0 && d.Sparsity < 1):
		return fmt.Errorf("a sparsity of %g does not go with the pattern %q", d.Sparsity, d.Pattern)
	case (d.Pattern == Neighbours) != (d.Of > 0) || d.Of > MaxNeighbours:
		return fmt.Errorf("runs of %d neighbours do not go with the pattern %q: there may be %d", d.Of, d.Pattern, MaxNeighbours)
	case d.Of > 0 && t.In%d.Of != 0:
		return fmt.Errorf("runs of %d neighbours do not divide the %d elements along the input", d.Of, t.In)
	case d.Pattern == Heads && t.Heads == 0:
		return errors.New("it belongs to no heads of attention")
	case d.Bits != 0 && d.Bits != 4 && d.Bits != 8:
		return fmt.Errorf("%d bits: there are 4 and 8", d.Bits)
	case d.Bits == 0 && (d.Group != 0 || d.Symmetric):
		return errors.New("group and symmetric mean nothing without bits")
	case d.Group < 0 || d.Group > 0 && t.In%d.Group != 0:
		return fmt.Errorf("groups of %d do not divide the %d elements along the input", d.Group, t.In)
	case d.Pattern != Unpruned && d.Pruned(t, d.Sparsity) == 0:
		return fmt.Errorf("a share of %g prunes nothing of it", d.Sparsity)
	}
	return nil
}

// MaxNeighbours is the most that are pruned among themselves.
const MaxNeighbours = 64

// Allows refuses a decision beyond what was declared.
func (d Declaration) Allows(made Decision) error {
	switch {
	case !(made.Sparsity >= 0 && made.Sparsity <= d.Sparsity):
		return fmt.Errorf("it prunes a share of %.7g, and declared %.7g at most", made.Sparsity, d.Sparsity)
	case made.Mask && d.Pattern == Unpruned:
		return errors.New("the policy asks for a mask, and declared that nothing is pruned")
	case made.Quantize && d.Bits == 0:
		return errors.New("the policy quantises, and declared no bits")
	}
	return nil
}

// Pruned is how many elements of a tensor a share means.
func (d Declaration) Pruned(t Tensor, sparsity float64) int {
	switch d.Pattern {
	case Elements:
		return kernels.Pruned(t.Elements(), sparsity)
	case Neighbours:
		return t.Elements() / d.Of * kernels.Pruned(d.Of, sparsity)
	case Rows:
		return t.In * kernels.Pruned(t.Out, sparsity)
	case Heads:
		return t.Elements() / t.Heads * kernels.Pruned(t.Heads, sparsity)
	}
	return 0
}
