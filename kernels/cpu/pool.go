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
//
// A piece is claimed by a compare-and-swap on claim, which holds both the number
// of pieces and the next one. A claim that succeeds is always one of the current
// job, and run returns only when every claimed piece is finished, so the job may
// be read after the claim without a lock. A worker that comes late finds nothing
// left to claim; run never waits for it.
type pool struct {
	threads int
	job     func(piece, worker int) // of the current run; read only by holders of a claim
	claim   atomic.Uint64           // pieces<<32 | next piece to take
	_       [56]byte                // claim and left are written by all: keep them on lines of their own
	left    atomic.Int64            // pieces that are not finished
	_       [56]byte
	asleep  atomic.Int64 // workers that sleep, or are about to
	waiting atomic.Bool  // whether the caller sleeps until left is 0
	closed  atomic.Bool
	mu      sync.Mutex
	wake    *sync.Cond // for workers: there is a job, or the pool is closed
	idle    *sync.Cond // for the caller: left is 0
	done    sync.WaitGroup

	runs   atomic.Int64 // begun
	serial atomic.Int64 // pieces that are finished of a run on one thread
}

const (
	spins  = 40000 // looks for a new job before a worker sleeps: some 40 µs, longer than what lies between two products of a token
	yields = 200   // times that the caller offers its processor to others before it sleeps
)

func newPool(threads int) *pool {
	p := &pool{threads: threads}
	p.wake, p.idle = sync.NewCond(&p.mu), sync.NewCond(&p.mu)
	for w := 1; w < threads; w++ {
		p.done.Add(1)
		go p.work(w)
	}
	return p
}

// run calls job once for each piece, spread over the workers in no fixed
// order, and returns when all are done. It allocates nothing: job is a closure
// that its kernel made when it was bound. It must not be called from within a job,
// nor by two goroutines at once.
func (p *pool) run(pieces int, job func(piece, worker int)) {
	p.runs.Add(1)
	if p.threads == 1 || pieces <= 1 {
		for i := range pieces {
			job(i, 0)
			p.serial.Store(int64(i) + 1)
		}
		return
	}
	p.job = job
	p.left.Store(int64(pieces))
	p.claim.Store(uint64(pieces) << 32)
	if p.asleep.Load() > 0 {
		p.mu.Lock()
		p.wake.Broadcast()
		p.mu.Unlock()
	}
	p.take(0)
	p.awaitAll()
}

// progress is a number that changes with every piece of work.
func (p *pool) progress() int64 {
	return p.runs.Load()<<32 + int64(uint32(p.claim.Load())) + p.serial.Load()
}

// take runs pieces until none is left to claim.
func (p *pool) take(worker int) {
	for {
		c := p.claim.Load()
		if !unclaimed(c) {
			return
		}
		if !p.claim.CompareAndSwap(c, c+1) {
			continue
		}
		p.job(int(uint32(c)), worker)
		if p.left.Add(-1) == 0 {
			p.finish()
		}
	}
}

func unclaimed(claim uint64) bool { return uint32(claim) < uint32(claim>>32) }

// finish wakes the caller if it sleeps.
func (p *pool) finish() {
	if p.waiting.Load() {
		p.mu.Lock()
		p.idle.Signal()
		p.mu.Unlock()
	}
}

// awaitAll returns when all pieces are finished.
func (p *pool) awaitAll() {
	for range spins {
		if p.left.Load() == 0 {
			return
		}
	}
	for range yields {
		if p.left.Load() == 0 {
			return
		}
		goruntime.Gosched()
	}
	p.mu.Lock()
	p.waiting.Store(true)
	for p.left.Load() > 0 {
		p.idle.Wait()
	}
	p.waiting.Store(false)
	p.mu.Unlock()
}

// await returns when n has a value. It is for a job that needs pieces which were claimed before its own.
func (p *pool) await(n *atomic.Int32, value int32) {
	for i := 0; n.Load() != value; i++ {
		if i > spins {
			goruntime.Gosched()
		}
	}
}

func (p *pool) work(worker int) {
	defer p.done.Done()
	for p.awaitJob() {
		p.take(worker)
	}
}

// awaitJob returns true when there is a piece to claim, false when the pool is closed.
func (p *pool) awaitJob() bool {
	for range spins {
		if p.closed.Load() {
			return false
		}
		if unclaimed(p.claim.Load()) {
			return true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asleep.Add(1) // before the look at claim: run looks at asleep after it stored claim
	defer p.asleep.Add(-1)
	for !p.closed.Load() && !unclaimed(p.claim.Load()) {
		p.wake.Wait()
	}
	return !p.closed.Load()
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed.Store(true)
	p.wake.Broadcast()
	p.mu.Unlock()
	p.done.Wait()
}
