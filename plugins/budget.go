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
	mostSlice  = 1 << 21 // of instructions that each miss every cache it takes a tenth of a second or two
)

// longestSlice is what a slice counts for at most: one that took longer was most likely not running, in a process that was stopped or on a machine with
// much else to do.
const longestSlice = 100 * time.Millisecond

// errSpent ends a guest from within.
var errSpent = errors.New("the time or the fuel is used up")

// budget is the time and the fuel of a call. Its instance's calls all have the same context, which holds it.
type budget struct {
	limits Limits
	of     context.Context // ends the call where it is done
	used   time.Duration
	fuel   int64             // that is left of a call's, before what was handed out
	tank   api.MutableGlobal // the instance's count; nil until there is one, and where fuel has no bound
	slice  int64             // wanted
	handed int64             // what was handed out of it
	since  time.Time         // it was last looked at the clock; zero: not in this call
	began  time.Time         // the slice began; zero: none was handed out in this call
	spent  error             // what ended the call
	asked  *atomic.Int64     // counts all askings of a host
}

type budgetKey struct{}

func newBudget(ctx context.Context, limits Limits, asked *atomic.Int64) (*budget, context.Context) {
	b := &budget{limits: limits, of: ctx, slice: firstSlice, asked: asked}
	return b, context.WithValue(ctx, budgetKey{}, b)
}

// begin gives a call all its time, which counts from when it asks first: most calls never do, and looking at the clock would take longer than to call. Of fuel that is bounded nothing is left of the call before, since a call would end sooner or later for what came before it.
func (b *budget) begin() {
	b.used, b.spent, b.since, b.began, b.fuel, b.handed = 0, nil, time.Time{}, time.Time{}, b.limits.Fuel, 0
	if b.tank != nil {
		b.tank.Set(0)
	}
}

// ask looks at the clock, and ends the guest where its time is used up.
func (b *budget) ask() {
	b.asked.Add(1)
	now := time.Now()
	if !b.since.IsZero() {
		b.used += min(now.Sub(b.since), longestSlice)
	}
	if b.since = now; b.used > b.limits.Time {
		b.end(TimeError{b.limits.Time})
	}
	if err := b.of.Err(); err != nil {
		b.end(err)
	}
}

// refill is what the rewritten module calls, with what is left, a negative number. It is the place where Go's scheduler and collector get hold of the goroutine.
func refill(ctx context.Context, _ api.Module, stack []uint64) {
	b := ctx.Value(budgetKey{}).(*budget)
	b.ask()
	if !b.began.IsZero() {
		b.resize(b.since.Sub(b.began))
	}
	b.handed = b.hand(b.handed - int64(stack[0]))
	b.began = b.since
	stack[0] = uint64(b.handed)
}

// hand is what the next slice holds, after so much fuel was taken.
func (b *budget) hand(taken int64) int64 {
	if b.limits.Fuel == 0 {
		return b.slice
	}
	if b.fuel -= taken; b.fuel < 0 {
		b.end(FuelError{b.limits.Fuel})
	}
	return min(b.slice, b.fuel)
}

func (b *budget) end(why error) {
	b.spent = why
	panic(errSpent)
}

// resize lets the next slice take about sliceTime, if it is like the last. It grows by half at most, since a short slice may be what was left of another call's.
func (b *budget) resize(took time.Duration) {
	switch {
	case took > 2*sliceTime:
		b.slice = max(leastSlice, b.slice/2)
		if took > 8*sliceTime {
			b.slice = max(leastSlice, b.slice/4)
		}
	case took < sliceTime/2:
		b.slice = min(mostSlice, b.slice+b.slice/2)
	}
}
