package cpu

import (
	goruntime "runtime"
	"sync"
	"sync/atomic"
)

// pool runs pieces of work on a fixed set of workers. The goroutine that calls run
// is worker 0; the others spin for a short while between jobs and then sleep,
// so that the many short kernels of a step find them awake and an idle process
// uses no processor.
type pool struct {
	threads int
	job     func(piece, worker int) // of the current run
	pieces  int64
	next    atomic.Int64  // the next piece to take
	serial  atomic.Uint64 // counts runs; a change wakes spinning workers
	busy    atomic.Int64  // workers that have not finished the current run
	mu      sync.Mutex
	wake    *sync.Cond
	asleep  int
	closed  atomic.Bool
	done    sync.WaitGroup
}

// spins is how often a worker looks for a new job before it sleeps: some 20 µs.
const spins = 4000

func newPool(threads int) *pool {
	p := &pool{threads: threads}
	p.wake = sync.NewCond(&p.mu)
	for w := 1; w < threads; w++ {
		p.done.Add(1)
		go p.work(w)
	}
	return p
}

// run calls job once for each piece, spread over the workers in no fixed
// order, and returns when all are done. It allocates nothing: job is a closure
// that its kernel made when it was bound. It must not be called from within a job.
func (p *pool) run(pieces int, job func(piece, worker int)) {
	if p.threads == 1 || pieces <= 1 {
		for i := range pieces {
			job(i, 0)
		}
		return
	}
	p.job, p.pieces = job, int64(pieces)
	p.next.Store(0)
	p.busy.Store(int64(p.threads - 1))
	p.serial.Add(1)
	p.mu.Lock()
	if p.asleep > 0 {
		p.wake.Broadcast()
	}
	p.mu.Unlock()
	p.take(0)
	for n := 0; p.busy.Load() > 0; n++ {
		if n > spins {
			goruntime.Gosched()
		}
	}
}

func (p *pool) take(worker int) {
	for {
		piece := p.next.Add(1) - 1
		if piece >= p.pieces {
			return
		}
		p.job(int(piece), worker)
	}
}

func (p *pool) work(worker int) {
	defer p.done.Done()
	seen := uint64(0)
	for {
		seen = p.await(seen)
		if p.closed.Load() {
			return
		}
		p.take(worker)
		p.busy.Add(-1)
	}
}

// await returns the serial of a run later than seen.
func (p *pool) await(seen uint64) uint64 {
	for range spins {
		if s := p.serial.Load(); s != seen {
			return s
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.serial.Load() == seen {
		p.asleep++
		p.wake.Wait()
		p.asleep--
	}
	return p.serial.Load()
}

func (p *pool) close() {
	p.closed.Store(true)
	p.serial.Add(1)
	p.mu.Lock()
	p.wake.Broadcast()
	p.mu.Unlock()
	p.done.Wait()
}
