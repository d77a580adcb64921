package gsc_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// What computes behind a collective, on the same stream, comes after it without an event, however long that takes.
func TestStreamsRunInOrder(t *testing.T) {
	p := planOf(t, write(t, gpt2, stream), mesh(2), "parallel.zero=3", "batch.sequences=8", "batch.micro_batches=2", "parallel.bucket=0")
	one := newLab(t, p, 1)
	losses, bits := one.train(2), one.digest()
	moved := 0
	for i := range p.Stages[0].Programs {
		moved += computeBehind(&p.Stages[0].Programs[i])
	}
	if moved < 10 {
		t.Fatalf("%d instructions moved", moved)
	}
	if err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	slow := &collectives.Link{Latency: 2 * time.Millisecond, BytesPerSecond: 1e12}
	world := local.NewWorld(2, local.Options{Link: slow})
	l := joinLab(t, p, 1, world, world.Group)
	if got := l.train(2); !slices.Equal(got, losses) || l.digest() != bits {
		t.Errorf("losses %v, not %v", got, losses)
	}
}

// computeBehind moves what waits for one collective to the stream of that, and counts it; events order it with its neighbours in the stream that it leaves.
func computeBehind(p *plan.Program) (moved int) {
	signals := map[int]int{}
	for i := range p.Instructions {
		in := &p.Instructions[i]
		signals[in.Signal] = i
		if i == 0 || i == len(p.Instructions)-1 || in.Stream != 0 || in.Signal != 0 || len(in.Wait) != 1 || kernels.Contracts[in.Op].Collective {
			continue
		}
		from, before, after := &p.Instructions[signals[in.Wait[0]]], &p.Instructions[i-1], &p.Instructions[i+1]
		if from.Stream == 0 || before.Stream != 0 || after.Stream != 0 {
			continue
		}
		if before.Signal == 0 {
			before.Signal = 5000 + i
			signals[before.Signal] = i - 1
		}
		in.Stream, in.Wait, in.Signal = from.Stream, []int{before.Signal}, 6000+i
		after.Wait = append(slices.Clone(after.Wait), in.Signal)
		moved++
	}
	return moved
}
