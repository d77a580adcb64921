package local

import (
	"fmt"
	goruntime "runtime"
	"sync/atomic"
	"time"
)

const (
	spins  = 20000 // looks before a rank offers its processor to others, where each has one
	yields = 20000 // and before it sleeps between looks: some milliseconds, since who sleeps may wake on another core, far from its data
	nap    = 50 * time.Microsecond
)

// await returns when another rank's counter has come to n, or the world has failed.
func (m *member) await(counter *atomic.Int64, n int64, rank int) error {
	for range m.team.spins {
		if counter.Load() >= n {
			return nil
		}
	}
	return m.awaitLong(counter, n, rank)
}

func (m *member) awaitLong(counter *atomic.Int64, n int64, rank int) error {
	w := m.team.world
	me, other := m.team.ranks[m.rank], m.team.ranks[rank]
	w.waits[me].Store(int32(other) + 1)
	defer w.waits[me].Store(0)
	var seen int64
	for begin, i := time.Now(), 0; ; i++ {
		if counter.Load() >= n {
			return nil
		}
		if err := w.Err(); err != nil {
			return err
		}
		if i < yields {
			goruntime.Gosched()
			continue
		}
		idle := w.idle(other)
		progress, at := w.look(idle)
		if progress != seen {
			seen, begin = progress, time.Now()
		}
		if limit := w.options.Deadline; limit > 0 && time.Since(begin) > limit {
			if at != "" {
				at = "at " + at + ": "
			}
			w.Fail(idle, fmt.Errorf("%sit has done nothing for %v, and others wait for it in group %s", at, limit, m.team.name))
			return w.Err()
		}
		time.Sleep(nap)
	}
}
