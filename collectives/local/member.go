package local

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gsc-project/gsc/collectives"
)

// team is what the members of a group share.
//
// A rank posts its call, counts itself as come, and waits until all have come; then it does its share of the work on everybody's
// memory, counts itself as gone, and waits until all have gone. Posts of a call are overwritten two calls later, when all have left it.
type team struct {
	world *World
	name  string
	ranks []int // of the world
	come  []counter
	gone  []counter
	posts [2][]post
	pairs map[way]*pair
	mu    sync.Mutex // of pairs, which are made as calls are bound
	spins int        // looks for another rank before a rank offers its processor to others
}

// counter is on cache lines of its own: its rank writes it, and all others look at it.
type counter struct {
	calls atomic.Int64
	_     [120]byte
}

// post is a rank's current call, or those that are one.
type post struct {
	calls []collectives.Call
	at    time.Time // when it was started, with a link
	_     [80]byte
}

// way is from a sender to a receiver.
type way struct{ from, to int }

// pair is what the two ends of a way share.
type pair struct {
	sent, taken counter
	post        post
}

func newTeam(w *World, name string, ranks []int) *team {
	n := len(ranks)
	t := &team{world: w, name: name, ranks: ranks, come: make([]counter, n), gone: make([]counter, n), pairs: map[way]*pair{}}
	if n <= goruntime.GOMAXPROCS(0) {
		t.spins = spins
	}
	for i := range t.posts {
		t.posts[i] = make([]post, n)
	}
	return t
}

// pair is that of a way.
func (t *team) pair(from, to int) *pair {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := way{from, to}
	if t.pairs[w] == nil {
		t.pairs[w] = &pair{}
	}
	return t.pairs[w]
}

// member is a rank's part in a team: the queue of calls that it started, and the goroutine that takes part in them.
type member struct {
	team *team
	rank int

	through time.Time // when the link has carried all calls so far
	calls   int64     // that all ranks take part in, so far
	mu      sync.Mutex
	wake    *sync.Cond
	queue   []*bound
	running bool // whether the goroutine is there
	closed  bool
	pending atomic.Int64 // calls started and not done
}

func newMember(t *team, rank int) *member {
	m := &member{team: t, rank: rank}
	m.wake = sync.NewCond(&m.mu)
	return m
}

// Rank is the place in the group.
func (m *member) Rank() int { return m.rank }

// Size is the number of ranks.
func (m *member) Size() int { return len(m.team.ranks) }

// Bind prepares a call, or several that are one.
func (m *member) Bind(calls ...collectives.Call) (collectives.Collective, error) {
	if err := collectives.CheckAll(calls, m.rank, m.Size()); err != nil {
		return nil, fmt.Errorf("group %s: %w", m.team.name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := &bound{member: m, calls: slices.Clone(calls)}
	b.wake = sync.NewCond(&b.mu)
	switch c := &b.calls[0]; c.Op {
	case collectives.Send:
		b.pair = m.team.pair(m.rank, c.Peer)
	case collectives.Receive:
		b.pair = m.team.pair(c.Peer, m.rank)
	}
	for i := range b.calls {
		if work := m.workOf(&b.calls[i], i); work != nil {
			b.work = append(b.work, work)
		}
	}
	m.queue = append(make([]*bound, 0, cap(m.queue)+1), m.queue...) // room for all that may be started at a time
	return b, nil
}

// Close ends the goroutine, after what was started.
func (m *member) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.wake.Signal()
	return nil
}

// bound is a bound call, or several that are one.
type bound struct {
	member *member
	calls  []collectives.Call
	pair   *pair                // of a call between two
	work   []func(posts []post) // this rank's share, when all have come
	start  time.Time
	done   atomic.Bool
	err    error
	ended  time.Time // when it was done, if it was started
	mu     sync.Mutex
	wake   *sync.Cond
	waits  bool
}

// Ended is when a call that was started and waited for was done.
func (b *bound) Ended() time.Time { return b.ended }

// Run takes part at once, unless calls that were started before are to come first.
func (b *bound) Run() error {
	if b.member.pending.Load() > 0 {
		b.Start()
		return b.Wait()
	}
	b.start = b.member.now()
	return b.take()
}

// Start hands the call to the member's goroutine.
func (b *bound) Start() {
	m := b.member
	b.done.Store(false)
	b.start = m.now()
	m.pending.Add(1)
	m.mu.Lock()
	m.queue = append(m.queue, b)
	if !m.running {
		m.running = true
		go m.serve()
	}
	m.mu.Unlock()
	m.wake.Signal()
}

// Wait returns when the goroutine is done with the call.
func (b *bound) Wait() error {
	for range b.member.team.spins {
		if b.done.Load() {
			return b.err
		}
	}
	b.mu.Lock()
	b.waits = true
	for !b.done.Load() {
		b.wake.Wait()
	}
	b.waits = false
	b.mu.Unlock()
	return b.err
}

// serve takes part in what was started, in that order.
func (m *member) serve() {
	for {
		m.mu.Lock()
		for len(m.queue) == 0 && !m.closed {
			m.wake.Wait()
		}
		if len(m.queue) == 0 {
			m.running = false
			m.mu.Unlock()
			return
		}
		b := m.queue[0]
		m.queue = append(m.queue[:0], m.queue[1:]...)
		m.mu.Unlock()
		b.err = b.take()
		b.ended = time.Now()
		m.pending.Add(-1)
		b.mu.Lock()
		b.done.Store(true)
		if b.waits {
			b.wake.Signal()
		}
		b.mu.Unlock()
	}
}

// now is the time, where a link needs it.
func (m *member) now() time.Time {
	if m.team.world.options.Link == nil {
		return time.Time{}
	}
	return time.Now()
}

// take takes part in the call.
func (b *bound) take() error {
	m, t := b.member, b.member.team
	switch c := &b.calls[0]; c.Op {
	case collectives.Send:
		return b.send(b.pair, c.Peer)
	case collectives.Receive:
		return b.receive(b.pair, c)
	}
	posts := t.posts[m.calls%2]
	posts[m.rank].calls, posts[m.rank].at = b.calls, b.start
	m.calls++
	t.come[m.rank].calls.Store(m.calls)
	if err := m.awaitAll(t.come); err != nil {
		return err
	}
	if err := b.agree(posts); err != nil {
		t.world.Fail(t.ranks[m.rank], err)
		return t.world.Err()
	}
	for _, work := range b.work {
		work(posts)
	}
	m.delay(b.calls, posts...)
	t.gone[m.rank].calls.Store(m.calls)
	return m.awaitAll(t.gone)
}

// awaitAll returns when every rank has counted as many calls as this one.
func (m *member) awaitAll(counters []counter) error {
	for rank := range counters {
		if err := m.await(&counters[rank].calls, m.calls, rank); err != nil {
			return err
		}
	}
	return nil
}

// agree holds the ranks' calls against each other.
func (b *bound) agree(posts []post) error {
	for rank := range posts {
		if theirs := posts[rank].calls; len(theirs) != len(b.calls) {
			return fmt.Errorf("group %s: it comes to %d calls that are one, rank %d of the group to %d", b.member.team.name, len(b.calls), rank, len(theirs))
		}
		for i := range b.calls {
			c, mine := &posts[rank].calls[i], &b.calls[i]
			if c.Op != mine.Op || c.Part() != mine.Part() || c.Count != mine.Count || c.DType != mine.DType || c.Op == collectives.Broadcast && c.Peer != mine.Peer {
				return fmt.Errorf("group %s: it comes to %v of %d %v, rank %d of the group to %v of %d %v",
					b.member.team.name, mine.Op, mine.Count, mine.DType, rank, c.Op, c.Count, c.DType)
			}
		}
	}
	return nil
}

// send offers memory to the receiver, and waits until it was copied.
func (b *bound) send(p *pair, to int) error {
	m := b.member
	n := p.sent.calls.Load() + 1
	p.post.calls, p.post.at = b.calls, b.start
	p.sent.calls.Store(n)
	return m.await(&p.taken.calls, n, to)
}

// receive copies what the sender offers.
func (b *bound) receive(p *pair, mine *collectives.Call) error {
	m := b.member
	n := p.taken.calls.Load() + 1
	if err := m.await(&p.sent.calls, n, mine.Peer); err != nil {
		return err
	}
	c := &p.post.calls[0]
	if c.Count != mine.Count || c.DType != mine.DType {
		m.team.world.Fail(m.team.ranks[m.rank], fmt.Errorf("group %s: it receives %d %v from rank %d of the group, which sends %d %v",
			m.team.name, mine.Count, mine.DType, mine.Peer, c.Count, c.DType))
		return m.team.world.Err()
	}
	size := mine.Count * mine.DType.Size()
	copy(bytesAt(mine.Out, 0, size), bytesAt(c.In, 0, size))
	m.delay(b.calls, p.post)
	p.taken.calls.Store(n)
	return nil
}

// delay sleeps until the link would have carried the call: it begins when the last rank has come, and what the rank sent before is through.
func (m *member) delay(calls []collectives.Call, posts ...post) {
	link := m.team.world.options.Link
	if link == nil {
		return
	}
	begin := m.through
	for i := range posts {
		if posts[i].at.After(begin) {
			begin = posts[i].at
		}
	}
	m.through = begin.Add(link.Duration(calls, m.Size()))
	for {
		left := time.Until(m.through)
		if left <= 0 {
			return
		}
		sleep(left)
	}
}
