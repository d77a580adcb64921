package runtime

import (
	"context"
	"fmt"
	"time"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/data"
)

// Bench runs training steps for the time they take: the steps of the plan's run, from its
// first on, over again where that is short. Where gradients are coded, it begins behind the steps without codes, and moves no weights, since the
// mean of squares that those leave is not there. Nothing is recorded or saved.
type Bench struct {
	ranks   *Ranks
	set     *data.Set
	batches *data.Prefetcher
	step    int64
}

// NewBench gives the ranks their starting weights.
func NewBench(r *Ranks, set *data.Set) (*Bench, error) {
	return &Bench{ranks: r, set: set}, r.Start()
}

// Step runs the next step and gives the time it took, that of waiting for its batch included.
func (b *Bench) Step() (time.Duration, error) {
	p := &b.ranks.First().Plan.Training
	if b.batches == nil || b.step == p.Steps {
		b.Close()
		for _, m := range b.ranks.machines {
			if s := m.Scaler(); m.Scaled() {
				s.Updates = p.Uncoded
				m.SetScaler(s)
			}
		}
		b.step, b.batches = p.Uncoded, b.set.Prefetch(p.Seed, p.Uncoded+1, p.Steps, p.Sequences)
	}
	b.step++
	start := time.Now()
	batch, err := b.batches.Next()
	if err != nil {
		return 0, err
	}
	eta := rate(p.Rate, p.Steps, b.step, 0)
	if p.Uncoded > 0 {
		eta = 0
	}
	r, err := b.ranks.Train(batch, b.step, eta)
	took := time.Since(start)
	if err == nil && !r.Finite {
		err = fmt.Errorf("step %d: loss %v, gradient norm %v: the update was skipped, so its time says nothing: lower the learning rate or clip the gradient", b.step, r.Loss, r.Norm)
	}
	return took, err
}

// Close ends the making of batches.
func (b *Bench) Close() {
	if b.batches != nil {
		b.batches.Stop()
	}
}

// BenchSteps runs so many steps without clocks and as many with them, by turns, after
// some that warm up, and calls between before each that counts.
func BenchSteps(ctx context.Context, b *Bench, c *Clocks, warmup, steps int, between func()) (plain, clocked []time.Duration, err error) {
	defer c.Stop()
	for i := range warmup + 2*steps {
		with := i >= warmup && (i-warmup)%2 == 1
		if with {
			c.Start()
		} else {
			c.Stop()
		}
		if i >= warmup {
			between()
		}
		took, err := b.Step()
		switch {
		case err != nil:
			return nil, nil, err
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case with:
			c.Lap()
			clocked = append(clocked, took)
		case i >= warmup:
			plain = append(plain, took)
		}
	}
	return plain, clocked, nil
}

// BenchDecode generates so many tokens with the cache filled up to a position, and gives what each took. The
// tokens are those of the prompt over again: the time depends on none.
func BenchDecode(ctx context.Context, m *Machine, c *Clocks, position, tokens int) (plain, clocked []time.Duration, err error) {
	g, err := NewGenerator(m)
	if err != nil {
		return nil, nil, err
	}
	if err := g.Prompt(make([]int32, position+1)); err != nil {
		return nil, nil, err
	}
	if err := g.fillCache(); err != nil {
		return nil, nil, err
	}
	defer c.Stop()
	last := make([]int32, 1)
	for i := range 2 + 2*tokens {
		with := i >= 2 && i%2 == 1
		if with {
			c.Start()
		} else {
			c.Stop()
		}
		start := time.Now()
		if err := g.run(plan.Decode, g.decode, last); err != nil {
			return nil, nil, err
		}
		took := time.Since(start)
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case with:
			c.Lap()
			clocked = append(clocked, took)
		case i >= 2:
			plain = append(plain, took)
		}
	}
	return plain, clocked, nil
}
