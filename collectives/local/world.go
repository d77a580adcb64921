// Package local is the transport between ranks that are goroutines of one process: they read and write each other's memory.
package local

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gsc-project/gsc/collectives"
)

// Options are the settings of a world.
type Options struct {
	Link     *collectives.Link // makes calls take the time that this link would, without using a processor; nil: none
	Deadline time.Duration     // for how long a rank waits for another that does nothing before all fail; 0: for ever

	// Look, when set, tells how far a rank is, a number that grows with all it does, and in words what it is at. Without it a rank that does not come
	// is taken to do nothing.
	Look func(rank int) (progress int64, at string)
	// Add, when set, is what float32 are added up with: z = x + y, z being x or memory that overlaps neither.
	Add func(z, x, y []float32)
}

// World is a set of ranks, 0 … size−1, and the groups among them.
type World struct {
	size    int
	options Options
	mu      sync.Mutex
	teams   map[string]*team
	failure atomic.Pointer[collectives.Failure]
	waits   []atomic.Int32 // by rank: 1 + the rank that it has been waiting for, for long; 0: none
}

// NewWorld makes a world of so many ranks.
func NewWorld(size int, o Options) *World {
	if o.Add == nil {
		o.Add = collectives.Add[float32]
	}
	return &World{size: size, options: o, teams: map[string]*team{}, waits: make([]atomic.Int32, size)}
}

// Fail makes every call of every rank return an error that names this rank and the cause. The first failure counts.
func (w *World) Fail(rank int, cause error) {
	w.failure.CompareAndSwap(nil, &collectives.Failure{Rank: rank, Cause: cause})
}

// idle is the rank that others wait for in the end, beginning with one.
func (w *World) idle(rank int) int {
	for range w.size {
		next := int(w.waits[rank].Load()) - 1
		if next < 0 {
			break
		}
		rank = next
	}
	return rank
}

// look is how far a rank is.
func (w *World) look(rank int) (progress int64, at string) {
	if w.options.Look == nil {
		return 0, ""
	}
	return w.options.Look(rank)
}

// Err is the failure of the world; nil as long as there is none.
func (w *World) Err() error {
	if f := w.failure.Load(); f != nil {
		return f
	}
	return nil
}

// Group is a rank's part in the group of these ranks, in their order. Groups of the same ranks are the same group when their
// names are.
func (w *World) Group(name string, ranks []int, rank int) (collectives.Group, error) {
	place := slices.Index(ranks, rank)
	if place < 0 {
		return nil, fmt.Errorf("rank %d is not in the group %s of ranks %v", rank, name, ranks)
	}
	for _, r := range ranks {
		if r < 0 || r >= w.size {
			return nil, fmt.Errorf("group %s: rank %d is not one of the world's %d", name, r, w.size)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := fmt.Sprint(name, ranks)
	t := w.teams[key]
	if t == nil {
		t = newTeam(w, name, slices.Clone(ranks))
		w.teams[key] = t
	}
	return newMember(t, place), nil
}
