package plugins

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// A module asks whenever it has used up a slice, which is as many instructions as took about sliceTime the last time. While a slice lasts nothing can stop the goroutine that it runs on, Go's
// garbage collector included, so it is short; asking takes well under a microsecond.
const (
	sliceTime  = 2 * time.Millisecond
	firstSlice = 1 << 18
	leastSlice = 1 << 13
	mostSlice  = 1 << 24
)

// longestSlice is what a slice counts for at most: one that took longer was most likely not running, in a process that was stopped or on a machine with
// much else to do.
const longestSlice = 100 * time.Millisecond

// errSpent ends a guest from within.
var errSpent = errors.New("the time is used up")

// budget is the time of a call. Its instance's calls all have the same context, which holds it.
type budget struct {
	limit time.Duration
	used  time.Duration
	slice int64
	since time.Time // it was last looked at the clock
	began time.Time // the slice began
	spent bool
	asked *atomic.Int64 // counts all askings of a host
}

type budgetKey struct{}

func newBudget(ctx context.Context, limit time.Duration, asked *atomic.Int64) (*budget, context.Context) {
	b := &budget{limit: limit, slice: firstSlice, asked: asked}
	return b, context.WithValue(ctx, budgetKey{}, b)
}

// begin gives a call all its time.
func (b *budget) begin() {
	b.used, b.spent, b.since = 0, false, time.Now()
	b.began = b.since
}

// ask looks at the clock, and ends the guest where its time is used up.
func (b *budget) ask() {
	b.asked.Add(1)
	now := time.Now()
	b.used += min(now.Sub(b.since), longestSlice)
	b.since = now
	if b.used > b.limit {
		b.spent = true
		panic(errSpent)
	}
}

// refill is what the rewritten module calls. It is the place where Go's scheduler and collector get hold of the goroutine.
func refill(ctx context.Context, _ api.Module, stack []uint64) {
	b := ctx.Value(budgetKey{}).(*budget)
	b.ask()
	b.resize(b.since.Sub(b.began))
	b.began = b.since
	stack[0] = uint64(b.slice)
}

// resize lets the next slice take about sliceTime, if it is like the last. It grows by half at most, since a short slice may be what was left of another call's.
func (b *budget) resize(took time.Duration) {
	switch {
	case took > 2*sliceTime:
		b.slice = max(leastSlice, b.slice/2)
		if took > 8*sliceTime {
			b.slice = max(leastSlice, b.slice/4)
		}
	case took < sliceTime/2 && b.slice < mostSlice:
		b.slice += b.slice / 2
	}
}
