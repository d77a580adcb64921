package compiler

import (
	"slices"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

// TestGeneration: each matrix is quantised by a program of its own, into the layout that its products read, and the tied embedding reads the head's.
func TestGeneration(t *testing.T) {
	s, data := tiny()
	trained, err := Compile(s, data, Options{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Generation(trained, WeightsInt8, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	var programs []string
	for _, program := range p.Stages[0].Programs {
		programs = append(programs, program.Name)
	}
	golden(t, "generation.txt", listing(p, programs...))
	if p.Estimate.StepSeconds <= 0 || p.Estimate.FlopsPerToken <= 0 || p.Trains() {
		t.Errorf("estimate %+v, trains %v", p.Estimate, p.Trains())
	}
}

// TestGenerationAsTrained: without int8 weights the instructions are those of the plan that trains, and the choice of a token.
func TestGenerationAsTrained(t *testing.T) {
	s, data := tiny()
	trained, err := Compile(s, data, Options{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Generation(trained, WeightsTrained, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := listing(trained, plan.Prefill, plan.Decode) + "  argmax likeliest: x=lm_head y=likeliest\n"
	if got := listing(p, plan.Prefill, plan.Decode); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	gradients := slices.ContainsFunc(p.Stages[0].Buffers, func(b plan.Buffer) bool { return b.Class == plan.Gradient || b.Class == plan.State })
	if gradients || p.Stages[0].Schedule(plan.Load, 0) != nil {
		t.Error("it keeps gradients or optimizer state, or loads what it need not")
	}
}
