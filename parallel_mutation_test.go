package gsc_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

// disturbances are corruptions of a plan of several ranks that change beside what or where its instructions work, but not what they compute in their order.
var disturbances = map[string]func(r *rand.Rand, p *plan.Plan){
	"drop a wait": func(r *rand.Rand, p *plan.Plan) {
		if in := some(r, p, func(in *plan.Instruction) bool { return len(in.Wait) > 0 }); in != nil {
			in.Wait = nil
		}
	},
	"wait for another event": func(r *rand.Rand, p *plan.Plan) {
		if in := some(r, p, func(in *plan.Instruction) bool { return len(in.Wait) > 0 }); in != nil {
			in.Wait[0] = max(1, in.Wait[0]+r.IntN(5)-2)
		}
	},
	"use another stream": func(r *rand.Rand, p *plan.Plan) {
		in := some(r, p, func(*plan.Instruction) bool { return true })
		in.Stream = 1 - in.Stream
	},
	"move a buffer onto another": func(r *rand.Rand, p *plan.Plan) {
		list := p.Stages[0].Buffers
		list[r.IntN(len(list))].Offset = list[r.IntN(len(list))].Offset
	},
	"swap two buffers": func(r *rand.Rand, p *plan.Plan) {
		list := p.Stages[0].Buffers
		i, j := r.IntN(len(list)), r.IntN(len(list))
		list[i].Offset, list[j].Offset = list[j].Offset, list[i].Offset
	},
}

func program(r *rand.Rand, p *plan.Plan) *plan.Program {
	names := []string{"forward", "backward", "backward.add", "update"}
	return p.Stages[0].Program(names[r.IntN(len(names))])
}

// some is an instruction of a kind; nil where a program has none.
func some(r *rand.Rand, p *plan.Plan, kind func(*plan.Instruction) bool) *plan.Instruction {
	var list []*plan.Instruction
	program := program(r, p)
	for i := range program.Instructions {
		if kind(&program.Instructions[i]) {
			list = append(list, &program.Instructions[i])
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[r.IntN(len(list))]
}

// A disturbed plan of several ranks is refused, or trains to the same bits.
func TestDisturbedRanksAreRefusedOrTheSame(t *testing.T) {
	for _, c := range []struct {
		name  string
		cut   []string
		count int // of each kind
	}{{"tensor", []string{"parallel.mesh.tensor=2"}, 100}, {"ring", around(2), 40}} {
		t.Run(c.name, func(t *testing.T) {
			set := append(c.cut, "batch.sequences=8", "batch.micro_batches=2", mesh(2), "parallel.zero=3")
			disturbed(t, planOf(t, write(t, gpt2, stream), set...).Text(), c.count)
		})
	}
}

// disturbed tries so many of each kind.
func disturbed(t *testing.T, text []byte, count int) {
	read := func() *plan.Plan {
		p, err := plan.ParseText(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one := newLab(t, read(), 1)
	losses, bits := one.train(2), one.digest()
	if testing.Short() {
		count = 10
	}
	for name, disturb := range disturbances {
		refused, same := 0, 0
		for seed := range uint64(count) {
			p := read()
			disturb(rand.New(rand.NewPCG(seed, 3)), p)
			if p.Verify() != nil {
				refused++
				continue
			}
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				l := newLab(t, p, 1)
				if got := l.train(2); !slices.Equal(got, losses) || l.digest() != bits {
					t.Errorf("it is admitted, and learns something else: losses %v, not %v", got, losses)
				}
			})
			same++
		}
		t.Logf("%s: %d refused, %d of %d ran", name, refused, same, count)
		if refused == 0 {
			t.Errorf("%s: none of %d was refused", name, count)
		}
	}
}
