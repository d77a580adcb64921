//go:build mpi

package mpi

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/bits"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
)

// Options are the settings of a world. They hold for what is bound after they were set.
type Options struct {
	Deadline time.Duration // for how long a rank may be at an instruction while another waits for it, or be silent; 0: for ever

	// Look, when set, tells how far this rank is, a number that grows with all it does, and in words what it is at; nothing between steps. It may be
	// called at any time.
	Look func() (progress int64, at string)
	// Add, when set, is what float32 are added up with: z = x + y, z being x or memory that overlaps neither.
	Add func(z, x, y []float32)
}

// World is all ranks of the job, seen by one of them.
type World struct {
	rank, size int
	tags       int    // the largest
	places     []host // by rank
	local      int    // ranks on this machine
	processors int    // that these may use together
	spins      int    // looks for a message before a rank offers its processor to others

	mu       sync.Mutex // around MPI, and all that follows
	options  Options
	active   []*bound // the call that each group is at
	names    map[int]string
	notes    []*sent
	room     [2 * most]byte // for a note that comes
	heard    map[int]heard  // by rank, what it told last
	gone     []bool
	failure  atomic.Pointer[collectives.Failure]
	failed   chan struct{}
	waiters  atomic.Int32          // goroutines that get calls on
	waiting  atomic.Pointer[bound] // what the rank has been waiting for
	wake     chan struct{}
	ends     atomic.Bool // no rank that is gone is missed any more
	leave    chan struct{}
	finished chan error
}

// Start joins the job, which a process does once.
func Start() (*World, error) {
	w := &World{names: map[int]string{}, heard: map[int]heard{}, failed: make(chan struct{}), wake: make(chan struct{}, 1),
		leave: make(chan struct{}), finished: make(chan error, 1)}
	begun := make(chan error)
	go w.serve(begun)
	return w, <-begun
}

// begin starts MPI, and learns of the other ranks.
func (w *World) begin() error {
	var rank, size, tags C.int
	if err := wrong(C.gsc_init(&rank, &size, &tags)); err != nil {
		return fmt.Errorf("starting MPI: %w", err)
	}
	w.rank, w.size, w.tags = int(rank), int(size), int(tags)
	w.gone = make([]bool, w.size)
	w.places = make([]host, w.size)
	me := thisHost()
	if err := wrong(C.gsc_gather(unsafe.Pointer(&me), unsafe.Pointer(&w.places[0]), C.int(unsafe.Sizeof(me)))); err != nil {
		return fmt.Errorf("the first message to all ranks: %w", err)
	}
	var shared processors
	for _, h := range w.places {
		if h.name != me.name {
			continue
		}
		w.local++
		for i, word := range h.processors {
			shared[i] |= word
		}
	}
	for _, word := range shared {
		w.processors += bits.OnesCount64(uint64(word))
	}
	if w.local <= w.processors {
		w.spins = spins
	}
	return nil
}

// host is where a process runs: the same name on the same machine, where processes see each other by their numbers.
type host struct {
	name       uint64
	pid        int64
	processors processors
}

func thisHost() host {
	h := fnv.New64a()
	name, _ := os.Hostname()
	space, _ := os.Readlink("/proc/self/ns/pid") // of containers; empty on other systems
	h.Write([]byte(name + "\n" + space))
	return host{h.Sum64(), int64(os.Getpid()), thisProcessors()}
}

// Rank is this process's.
func (w *World) Rank() int { return w.rank }

// Size is the number of ranks.
func (w *World) Size() int { return w.size }

// Local is the number of ranks on this machine.
func (w *World) Local() int { return w.local }

// Processors is how many these may use together, whatever each is bound to.
func (w *World) Processors() int { return w.processors }

// Set changes the settings.
func (w *World) Set(o Options) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.options = o
}

// Group is this rank's part in the group of these ranks, in their order. Groups of the same ranks are the same group when their names are; in those
// whose name begins with a dot the deadline does not hold for ranks that say they are alive: what is done there has no length that is known beforehand.
func (w *World) Group(name string, ranks []int, rank int) (collectives.Group, error) {
	place := slices.Index(ranks, w.rank)
	if rank != w.rank || place < 0 {
		return nil, fmt.Errorf("group %s of ranks %v: this process is rank %d", name, ranks, w.rank)
	}
	for _, r := range ranks {
		if r < 0 || r >= w.size {
			return nil, fmt.Errorf("group %s: rank %d is not one of the world's %d", name, r, w.size)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	tag, err := w.tag(fmt.Sprint(name, ranks))
	if err != nil {
		return nil, err
	}
	return &group{world: w, name: name, ranks: slices.Clone(ranks), rank: place, tag: tag, patient: strings.HasPrefix(name, ".")}, nil
}

// tag is the number of a group's messages. Two groups of one rank must not share it; those of others may.
func (w *World) tag(key string) (int, error) {
	h := fnv.New32a()
	h.Write([]byte(key))
	tag := int(h.Sum32() % uint32(w.tags))
	if known, ok := w.names[tag]; ok && known != key {
		return 0, fmt.Errorf("groups %s and %s would have the same tag: give one another name", known, key)
	}
	w.names[tag] = key
	return tag, nil
}

// Fail makes every call of this rank return an error that names the rank that cannot go on and the cause, and tells the rank that speaks for all.
// The first failure counts.
func (w *World) Fail(rank int, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail(rank, cause)
}

func (w *World) fail(rank int, cause error) {
	var told *collectives.Failure
	if errors.As(cause, &told) || !w.failure.CompareAndSwap(nil, &collectives.Failure{Rank: rank, Cause: cause}) {
		return
	}
	close(w.failed)
	for _, b := range w.active {
		for ; b != nil; b = b.group.next() {
			b.finish(w.Err())
		}
	}
	w.active = w.active[:0]
	if speaker := w.speaker(); speaker != w.rank {
		w.send(note{Kind: fails, Rank: rank, Gone: w.gone[rank], Text: cause.Error()}, speaker)
	}
}

// Failed is closed when a rank cannot go on.
func (w *World) Failed() <-chan struct{} { return w.failed }

// Err is the failure of the world; nil as long as there is none.
func (w *World) Err() error {
	if f := w.failure.Load(); f != nil {
		return f
	}
	return nil
}

// speaker is the first rank that lives: it tells what is wrong.
func (w *World) speaker() int { return max(0, slices.Index(w.gone, false)) }

// Close leaves the job when all ranks do. A rank that cannot go on leaves it by [World.End].
func (w *World) Close() error {
	w.ends.Store(true)
	all := make([]int, w.size)
	for r := range all {
		all[r] = r
	}
	g, err := w.Group(".end", all, w.rank)
	if err != nil {
		return err
	}
	last, err := g.Bind(collectives.Call{Op: collectives.Barrier})
	if err == nil {
		err = last.Run()
	}
	if err != nil {
		return err
	}
	close(w.leave)
	return <-w.finished
}

// How long a rank waits for the one that speaks to end the job, before it does so itself, and how long for one that holds MPI.
const (
	patience = 5 * time.Second
	pause    = 20 * time.Millisecond
)

// End ends the job on all ranks since this one cannot go on. The first rank that lives tells why.
func (w *World) End(err error, tell func(error)) {
	w.Fail(w.rank, err)
	for begin := time.Now(); time.Since(begin) < patience+time.Duration(w.rank)*pause; time.Sleep(pause) {
		w.mu.Lock()
		speaker := w.speaker()
		w.mu.Unlock()
		if speaker == w.rank {
			break
		}
	}
	tell(err)
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(pause) {
		if w.mu.TryLock() {
			C.gsc_abort() // does not return
		}
	}
}

// wrong is an error of MPI in words.
func wrong(code C.int) error {
	if code == C.MPI_SUCCESS {
		return nil
	}
	var text [C.MPI_MAX_ERROR_STRING]C.char
	if C.gsc_error(code, &text[0], C.int(len(text))) != C.MPI_SUCCESS {
		return fmt.Errorf("MPI: error %d", code)
	}
	return errors.New("MPI: " + C.GoString(&text[0]))
}
