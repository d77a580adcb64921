package data

import (
	"fmt"
	"sync"
)

// Prefetcher makes the batch of the next step while the current one is in use.
type Prefetcher struct {
	ready chan filled
	free  chan *Batch
	stop  chan struct{}
	done  chan struct{}
	once  sync.Once
	held  *Batch // by the caller
}

type filled struct {
	batch *Batch
	err   error
}

// Prefetch begins to make the training batches of the steps first … last in the background, each of the given rows. It
// holds two batches ([BatchBytes] each) and one goroutine, until Stop.
func (s *Set) Prefetch(seed uint64, first, last int64, rows int) *Prefetcher {
	p := &Prefetcher{ready: make(chan filled, 1), free: make(chan *Batch, 2), stop: make(chan struct{}), done: make(chan struct{})}
	p.free <- NewBatch(s.spec, rows)
	p.free <- NewBatch(s.spec, rows)
	go p.run(s, seed, first, last)
	return p
}

func (p *Prefetcher) run(s *Set, seed uint64, first, last int64) {
	defer close(p.done)
	defer close(p.ready)
	for step := first; step <= last; step++ {
		select {
		case <-p.stop:
			return
		case b := <-p.free:
			err := s.Fill(seed, step, b)
			select {
			case <-p.stop:
				return
			case p.ready <- filled{b, err}:
			}
			if err != nil {
				return
			}
		}
	}
}

// Next is the batch of the next step. It may be used until Next is called again.
func (p *Prefetcher) Next() (*Batch, error) {
	if p.held != nil {
		p.free <- p.held
		p.held = nil
	}
	next, ok := <-p.ready
	if !ok {
		return nil, fmt.Errorf("no batch: the last step was prepared, or the prefetcher stopped")
	}
	p.held = next.batch
	return next.batch, next.err
}

// Stop ends the work in the background, and returns when it has ended. The
// batch that the caller holds stays valid.
func (p *Prefetcher) Stop() {
	p.once.Do(func() { close(p.stop) })
	<-p.done
}
