//go:build mpi

package mpi

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
)

const (
	spins  = 2000 // looks before a rank offers its processor to others, where each has one
	yields = 100  // and before it sleeps between looks
	nap    = 30 * time.Microsecond
)

// group is this rank's part in a group: the queue of calls that it began, of which the first is under way.
type group struct {
	world   *World
	name    string
	ranks   []int // of the world
	rank    int
	tag     int
	patient bool  // see World.Group
	calls   int64 // that all its ranks take part in
	queue   []*bound
	all     []*bound
}

// Rank is the place in the group.
func (g *group) Rank() int { return g.rank }

// Size is the number of ranks.
func (g *group) Size() int { return len(g.ranks) }

// Bind prepares a call, or several that are one.
func (g *group) Bind(calls ...collectives.Call) (collectives.Collective, error) {
	if err := collectives.CheckAll(calls, g.rank, g.Size()); err != nil {
		return nil, fmt.Errorf("group %s: %w", g.name, err)
	}
	w := g.world
	w.mu.Lock()
	defer w.mu.Unlock()
	b := &bound{group: g, calls: slices.Clone(calls)}
	b.header = headerOf(b.calls)
	b.done.Store(true)
	p := &preparation{bound: b}
	if err := p.prepare(); err != nil {
		b.free()
		return nil, fmt.Errorf("group %s: %v of %d %v: %w", g.name, calls[0].Op, calls[0].Count, calls[0].DType, err)
	}
	g.all = append(g.all, b)
	g.queue = slices.Grow(g.queue, len(g.all)) // room for all that may be started at a time
	w.active = slices.Grow(w.active, len(w.names))
	return b, nil
}

// Close frees what the group's calls hold, when none is under way.
func (g *group) Close() error {
	g.world.mu.Lock()
	defer g.world.mu.Unlock()
	if g.world.failure.Load() != nil || len(g.queue) > 0 {
		return nil // MPI may still write
	}
	for _, b := range g.all {
		b.free()
	}
	g.all = nil
	return nil
}

// next takes the call that is done off the queue, and gives the one behind it.
func (g *group) next() *bound {
	g.queue = append(g.queue[:0], g.queue[1:]...)
	if len(g.queue) == 0 {
		return nil
	}
	return g.queue[0]
}

// bound is a bound call, or several that are one.
type bound struct {
	group    *group
	calls    []collectives.Call
	header   header // but for the number of the call
	rounds   []round
	headers  []header // this rank's, then what came from each
	requests []C.MPI_Request
	types    []C.MPI_Datatype
	memory   []unsafe.Pointer // of C

	at    int       // the round under way
	begun time.Time // the call
	done  atomic.Bool
	err   error
	ended time.Time
}

// Ended is when a call that was started and waited for was done.
func (b *bound) Ended() time.Time { return b.ended }

// Run takes part, after what was started before.
func (b *bound) Run() error {
	b.Start()
	return b.Wait()
}

// Start begins to take part, or will when the group's calls before this one are done.
func (b *bound) Start() {
	g := b.group
	w := g.world
	w.mu.Lock()
	defer w.mu.Unlock()
	b.done.Store(false)
	b.err = nil
	if err := w.Err(); err != nil {
		b.finish(err)
		return
	}
	g.queue = append(g.queue, b)
	if len(g.queue) == 1 {
		w.active = append(w.active, b)
		b.begin()
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Wait gets the world's calls on until this one is done.
func (b *bound) Wait() error {
	w := b.group.world
	w.waiters.Add(1)
	defer w.waiters.Add(-1)
	for i := 0; !b.done.Load(); i++ {
		if w.mu.TryLock() {
			w.poll()
			w.mu.Unlock()
		}
		switch {
		case i < w.spins:
		case i < w.spins+yields:
			C.gsc_yield()
			goruntime.Gosched()
		default:
			w.await(b)
			time.Sleep(nap)
		}
	}
	w.waiting.CompareAndSwap(b, nil)
	return b.err
}

// await notes what the rank waits for: its steps before its files.
func (w *World) await(b *bound) {
	if !b.group.patient {
		w.waiting.Store(b)
	} else {
		w.waiting.CompareAndSwap(nil, b)
	}
}

// finish notes that the call is over. Only then may the group's next one begin.
func (b *bound) finish(err error) {
	b.err, b.ended = err, time.Now()
	b.done.Store(true)
}

// poll gets every call on that a message came for.
func (w *World) poll() {
	for i := 0; i < len(w.active); {
		b := w.active[i]
		over, err := b.advance()
		if err != nil {
			w.fail(w.rank, err)
			return
		}
		if !over {
			i++
			continue
		}
		next := b.group.next()
		b.finish(nil)
		if next == nil {
			w.active = append(w.active[:i], w.active[i+1:]...)
			continue
		}
		w.active[i] = next
		next.begin()
	}
}

// begin posts the first round.
func (b *bound) begin() {
	b.at, b.begun = 0, time.Now()
	clear(b.headers)
	b.headers[0] = b.header
	if op := b.calls[0].Op; op == collectives.Send || op == collectives.Receive {
		b.headers[0].Calls = 1 // the pair's; others of the group have other calls
	} else {
		b.group.calls++
		b.headers[0].Calls = b.group.calls
	}
	b.err = b.post()
}

// post hands the round's messages to MPI.
func (b *bound) post() error {
	if b.at == len(b.rounds) {
		return nil
	}
	g := b.group
	for i := range b.rounds[b.at].messages {
		m := &b.rounds[b.at].messages[i]
		at, rank, tag := C.uintptr_t(m.at), C.int(g.ranks[m.peer]), C.int(g.tag)
		var code C.int
		if m.send {
			code = C.gsc_send(at, m.count, m.kind, rank, tag, &b.requests[i])
		} else {
			code = C.gsc_receive(at, m.count, m.kind, rank, tag, &b.requests[i])
		}
		if err := wrong(code); err != nil {
			return fmt.Errorf("group %s, %v with rank %d: %w", g.name, b.calls[0].Op, rank, err)
		}
	}
	return nil
}

// agree holds the headers that came against this rank's.
func (b *bound) agree() error {
	mine := b.headers[0]
	for q, theirs := range b.headers[1:] {
		if theirs != mine && theirs.Calls != 0 {
			return fmt.Errorf("group %s: it comes to %v, rank %d of the group to %v", b.group.name, mine, q, theirs)
		}
	}
	return nil
}

// advance goes on to the next round when the messages of one have come and gone; over says that there is none.
func (b *bound) advance() (over bool, err error) {
	if b.err != nil { // of begin
		return false, b.err
	}
	for b.at < len(b.rounds) {
		r := &b.rounds[b.at]
		if len(r.messages) > 0 {
			var done C.int
			if err := wrong(C.gsc_done(C.int(len(r.messages)), &b.requests[0], &done)); err != nil {
				if different := b.agree(); different != nil {
					return false, different
				}
				return false, fmt.Errorf("group %s, %v: %w", b.group.name, b.calls[0].Op, err)
			}
			if done == 0 {
				return false, nil
			}
		}
		if b.at == 0 {
			if err := b.agree(); err != nil {
				return false, err
			}
		}
		if r.after != nil {
			r.after()
		}
		b.at++
		if err := b.post(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// missing is the world's rank that a message of the round under way has not come from or gone to; −1: none.
func (b *bound) missing() int {
	if b.at >= len(b.rounds) {
		return -1
	}
	for i, m := range b.rounds[b.at].messages {
		var done C.int
		if b.requests[i] != C.gsc_none() && C.gsc_one_done(&b.requests[i], &done) == C.MPI_SUCCESS && done == 0 {
			return b.group.ranks[m.peer]
		}
	}
	return -1
}

// free gives up what the call holds.
func (b *bound) free() {
	for i := range b.types {
		C.gsc_free(&b.types[i])
	}
	for _, p := range b.memory {
		C.free(p)
	}
	b.types, b.memory = nil, nil
}
