// Package collectives is what the ranks of a group do together, and the interface that every transport of it has.
//
// A group is an ordered set of ranks. What its ranks run must be the same calls in the same order; a rank's calls of one group
// never overtake each other. Like a kernel, a call is bound once, with its memory, and run any number of times without allocating.
//
// With N ranks, r of them this one, i < Count, and for parts that lie apart w < Rows and m < Mid:
//
//	all_reduce      out[i] = Σ_q in_q[i]
//	reduce_scatter  out[w][i] = Σ_q in_q[w][r][i], or that added to it
//	all_gather      out[w][q][i] = in_q[w][i]
//	broadcast       out[i] = in_Peer[i]
//	all_to_all      out[w][q][m][i] = in_q[w][m][r][i], or with Swap out[w][m][q][i] = in_q[w][r][m][i]
//	ring_shift      out[i] = in_p[i], p being r−1, or the last rank where r is the first
//	send, receive   the receiver's out[i] = the sender's in[i]; the sends of a pair of ranks meet its receives in their order
//	barrier         no rank leaves before all have come
//
// Sums are taken in rank order, ((in_0 + in_1) + in_2) + …, in the type of the elements: the same bits in every rank, and an
// all_reduce gives those of a reduce_scatter followed by an all_gather. in and out may be the same memory but in a ring_shift, and in a
// reduce_scatter or an all_gather the smaller of the two may be the rank's own part of the larger, where parts do not lie apart.
package collectives

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
)

// Op is a kind of collective.
type Op uint8

// The kinds.
const (
	AllReduce Op = iota
	ReduceScatter
	AllGather
	Broadcast
	AllToAll
	RingShift
	Send
	Receive
	Barrier
)

var opNames = [...]string{"all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all", "ring_shift", "send", "receive", "barrier"}

func (o Op) String() string {
	if int(o) >= len(opNames) {
		return fmt.Sprintf("op(%d)", uint8(o))
	}
	return opNames[o]
}

// Sums says whether the kind adds elements up.
func (o Op) Sums() bool { return o == AllReduce || o == ReduceScatter }

// Joins says whether calls of the kind may be bound together.
func (o Op) Joins() bool { return o == AllReduce || o == ReduceScatter || o == AllGather }

// Call is a collective as one rank takes part in it.
type Call struct {
	Op      Op
	DType   kernels.DType // of the elements; of those that are added up F32, F64, I32 or I64
	Count   int           // elements, see the package comment
	In, Out unsafe.Pointer
	Peer    int  // the other rank of send and receive; the one that a broadcast is from
	Add     bool // of a reduce_scatter: the sum is added to what Out holds
	Rows    int  // see the package comment; 0 stands for 1
	Mid     int
	Swap    bool
}

// InLen and OutLen are the elements that In and Out hold, in a group of so many ranks.
func (c Call) InLen(ranks int) int {
	switch c.Op {
	case ReduceScatter, AllToAll:
		return ranks * c.Part()
	case Receive, Barrier:
		return 0
	}
	return c.Part()
}

// OutLen is that of Out.
func (c Call) OutLen(ranks int) int {
	switch c.Op {
	case AllGather, AllToAll:
		return ranks * c.Part()
	case Send, Barrier:
		return 0
	}
	return c.Part()
}

// Part is the elements that two ranks exchange: all rows of them.
func (c Call) Part() int { return c.Count * max(1, c.Rows) * max(1, c.Mid) }

// Check refuses a call that no rank of a group of so many could make.
func (c Call) Check(rank, ranks int) error {
	switch {
	case int(c.Op) >= len(opNames):
		return fmt.Errorf("unknown collective %v", c.Op)
	case c.Count < 0 || c.Rows < 0 || c.Mid < 0:
		return fmt.Errorf("%v of %d × %d × %d elements", c.Op, c.Rows, c.Mid, c.Count)
	case c.Rows > 1 && c.Op != ReduceScatter && c.Op != AllGather && c.Op != AllToAll, c.Mid > 1 && c.Op != AllToAll:
		return fmt.Errorf("%v of parts that lie apart", c.Op)
	case c.Op == Barrier:
		return nil
	case c.DType.Size() == 0:
		return fmt.Errorf("%v of the type %v", c.Op, c.DType)
	case c.Op == AllToAll && c.In == c.Out && c.In != nil && c.Part() != c.Count:
		return fmt.Errorf("%v in place of parts that lie apart", c.Op)
	case c.Op == RingShift && c.In == c.Out && c.In != nil:
		return fmt.Errorf("%v in place", c.Op)
	case c.Add && c.Op != ReduceScatter:
		return fmt.Errorf("%v does not add to what is there", c.Op)
	case c.Op.Sums() && !summable(c.DType):
		return fmt.Errorf("%v cannot add up %v: use f32, f64, i32 or i64", c.Op, c.DType)
	case c.InLen(ranks) > 0 && c.In == nil || c.OutLen(ranks) > 0 && c.Out == nil:
		return fmt.Errorf("%v of %d elements without memory", c.Op, c.Count)
	case (c.Op == Send || c.Op == Receive) && c.Peer == rank:
		return fmt.Errorf("%v between rank %d and itself", c.Op, rank)
	case (c.Op == Send || c.Op == Receive || c.Op == Broadcast) && (c.Peer < 0 || c.Peer >= ranks):
		return fmt.Errorf("%v with rank %d of %d", c.Op, c.Peer, ranks)
	}
	return nil
}

// CheckAll refuses calls that cannot be bound together.
func CheckAll(calls []Call, rank, ranks int) error {
	if len(calls) == 0 {
		return fmt.Errorf("no call")
	}
	for _, c := range calls {
		if err := c.Check(rank, ranks); err != nil {
			return err
		}
		if len(calls) > 1 && (!c.Op.Joins() || c.Op != calls[0].Op) {
			return fmt.Errorf("%v and %v are not one call", calls[0].Op, c.Op)
		}
	}
	return nil
}

func summable(t kernels.DType) bool {
	return t == kernels.F32 || t == kernels.F64 || t == kernels.I32 || t == kernels.I64
}

// Group is one rank's part in a group. It is used by one goroutine at a time.
type Group interface {
	Rank() int // its place in the group
	Size() int
	// Bind prepares a call, or says what is wrong with it. Several, of kinds that [Op.Joins] allows, are one: they begin together, at the price of one, and none is over
	// before all are. No rank's memory that one of them writes is another's of them.
	Bind(...Call) (Collective, error)
	Close() error
}

// Collective is a bound call.
type Collective interface {
	// Run takes part and returns when the rank's part is done: its In may be written again, and its Out read.
	Run() error
	// Start begins to take part, and Wait returns when the rank's part is done. Between the two the rank does other things,
	// and leaves In and Out alone. A call that was started is waited for before it is started again.
	Start()
	Wait() error
}

// Failure is the error of every rank of a group when one of them cannot go on.
type Failure struct {
	Rank  int // in the world
	Cause error
}

func (f *Failure) Error() string { return fmt.Sprintf("rank %d: %v", f.Rank, f.Cause) }

func (f *Failure) Unwrap() error { return f.Cause }

// Link is a model of what connects ranks, for transports that have no real one: a call takes at least Latency and the time that
// the bytes it moves out of or into a rank, whichever are more, take at BytesPerSecond.
type Link struct {
	Latency        time.Duration
	BytesPerSecond float64 // 0: without a limit
}

// Duration is the least time of calls that are one, in a group of so many ranks, by the bytes that a ring of them moves.
func (l Link) Duration(calls []Call, ranks int) time.Duration {
	d := l.Latency
	for _, c := range calls {
		if l.BytesPerSecond > 0 {
			d += time.Duration(float64(c.Traffic(ranks)) / l.BytesPerSecond * 1e9)
		}
	}
	return d
}

// Traffic is the bytes that a rank sends, by the algorithms that move the least: rings for what is added up or gathered.
func (c Call) Traffic(ranks int) int64 {
	bytes, n := int64(c.Part())*int64(c.DType.Size()), int64(ranks)
	switch c.Op {
	case AllReduce:
		return 2 * bytes * (n - 1) / n
	case ReduceScatter, AllGather, AllToAll:
		return bytes * (n - 1)
	case Broadcast, RingShift, Send, Receive:
		return bytes
	}
	return 0
}
