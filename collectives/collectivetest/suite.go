// Package collectivetest holds a transport to what package collectives says. Each rank of a group calls [Check], as a goroutine or
// as a process of its own; every rank knows what all others give, and so what it must get.
package collectivetest

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/kernels"
)

// counts are numbers of elements around what transports cut at: lines of a cache, blocks, and so many that links are busy.
var counts = []int{0, 1, 3, 15, 16, 17, 100, 2047, 2048, 2049, 40000}

var types = []kernels.DType{kernels.F32, kernels.F64, kernels.I32, kernels.I64}

// Check makes all calls that a group of its size can make, and returns what is wrong with the first that went wrong. All ranks of the
// group must call it.
func Check(g collectives.Group) error {
	for _, op := range []collectives.Op{collectives.AllReduce, collectives.ReduceScatter, collectives.AllGather, collectives.Broadcast, collectives.AllToAll} {
		for _, dtype := range types {
			for _, count := range counts {
				for _, inPlace := range []bool{false, true} {
					c := &trial{group: g, op: op, dtype: dtype, count: count, inPlace: inPlace, peer: count % g.Size()}
					if err := c.run(); err != nil {
						return fmt.Errorf("%v of %d %v, in place %t, rank %d of %d: %w", op, count, dtype, inPlace, g.Rank(), g.Size(), err)
					}
				}
			}
		}
	}
	for _, check := range []func(collectives.Group) error{checkBits, checkAdd, checkApart, checkJoined, checkShift, checkSends, checkQueue, checkBarrier, checkRefused} {
		if err := check(g); err != nil {
			return fmt.Errorf("rank %d of %d: %w", g.Rank(), g.Size(), err)
		}
	}
	return nil
}

// checkJoined binds calls of several sizes and types as one, and runs it as a call is run.
func checkJoined(g collectives.Group) error {
	for _, op := range []collectives.Op{collectives.AllReduce, collectives.ReduceScatter, collectives.AllGather} {
		var trials []*trial
		var calls []collectives.Call
		for i, count := range []int{17, 0, 40000, 1, 2049} {
			c := &trial{group: g, op: op, dtype: types[i%len(types)], count: count, inPlace: i%2 == 0}
			trials, calls = append(trials, c), append(calls, c.call())
		}
		bound, err := g.Bind(calls...)
		if err != nil {
			return fmt.Errorf("%v of several: %w", op, err)
		}
		for round := range 3 {
			for _, c := range trials {
				c.fill(round)
			}
			if err := perform(bound, round); err != nil {
				return fmt.Errorf("%v of several, round %d: %w", op, round, err)
			}
			for _, c := range trials {
				if err := c.compare(round); err != nil {
					return fmt.Errorf("%v of %d %v among several, round %d: %w", op, c.count, c.dtype, round, err)
				}
			}
		}
	}
	return nil
}

// perform runs a call, in the second round by starting it and waiting for it.
func perform(c collectives.Collective, round int) error {
	if round != 1 {
		return c.Run()
	}
	c.Start()
	return c.Wait()
}

// given is what rank gives as element i in a round: small whole numbers, whose sums are exact in every type.
func given(rank, i, round int) float64 { return float64((rank*31+i*7+round*13)%101 - 50) }

// trial is a call in some rounds.
type trial struct {
	group   collectives.Group
	op      collectives.Op
	dtype   kernels.DType
	count   int
	inPlace bool
	peer    int

	in, out array
}

// call is the trial's call, with memory of its own.
func (t *trial) call() collectives.Call {
	call := collectives.Call{Op: t.op, DType: t.dtype, Count: t.count, Peer: t.peer}
	n, rank := t.group.Size(), t.group.Rank()
	t.out = newArray(t.dtype, call.OutLen(n))
	t.in = newArray(t.dtype, call.InLen(n))
	if t.inPlace {
		switch { // the smaller one is the rank's part of the larger
		case t.in.n > t.out.n:
			t.out = t.in.part(rank*t.count, t.count)
		case t.in.n < t.out.n:
			t.in = t.out.part(rank*t.count, t.count)
		default:
			t.in = t.out
		}
	}
	call.In, call.Out = t.in.pointer(), t.out.pointer()
	return call
}

func (t *trial) run() error {
	bound, err := t.group.Bind(t.call())
	if err != nil {
		return err
	}
	for round := range 3 {
		t.fill(round)
		err := perform(bound, round)
		if err == nil {
			err = t.compare(round)
		}
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	return nil
}

func (t *trial) fill(round int) {
	for i := range t.out.n {
		t.out.set(i, -1000)
	}
	for i := range t.in.n {
		t.in.set(i, given(t.group.Rank(), i, round))
	}
}

func (t *trial) compare(round int) error {
	for i := range t.out.n {
		if got, want := t.out.at(i), t.want(i, round); got != want {
			return fmt.Errorf("element %d is %v, want %v", i, got, want)
		}
	}
	return nil
}

// want is element i of what the rank gets.
func (t *trial) want(i, round int) float64 {
	rank := t.group.Rank()
	switch t.op {
	case collectives.AllGather:
		return given(i/t.count, i%t.count, round)
	case collectives.Broadcast:
		return given(t.peer, i, round)
	case collectives.AllToAll:
		return given(i/t.count, rank*t.count+i%t.count, round)
	case collectives.ReduceScatter:
		i += rank * t.count
	}
	sum := 0.0
	for q := range t.group.Size() {
		sum += given(q, i, round)
	}
	return sum
}

// checkBits wants sums in rank order, in float32, whose bits another order would change; the same from an all_reduce and from a
// reduce_scatter and an all_gather.
func checkBits(g collectives.Group) error {
	const each = 1000
	n, rank := g.Size(), g.Rank()
	value := func(q, i int) float32 { return float32(int32(uint32(q*7919+i*104729)*2654435761)) * (1 + float32(q*q)) }
	in, out, whole, part := newArray(kernels.F32, n*each), newArray(kernels.F32, n*each), newArray(kernels.F32, n*each), newArray(kernels.F32, each)
	for i := range in.floats() {
		in.floats()[i] = value(rank, i)
	}
	for _, c := range []collectives.Call{
		{Op: collectives.AllReduce, DType: kernels.F32, Count: n * each, In: in.pointer(), Out: out.pointer()},
		{Op: collectives.ReduceScatter, DType: kernels.F32, Count: each, In: in.pointer(), Out: part.pointer()},
		{Op: collectives.AllGather, DType: kernels.F32, Count: each, In: part.pointer(), Out: whole.pointer()},
	} {
		b, err := g.Bind(c)
		if err != nil {
			return err
		}
		if err := b.Run(); err != nil {
			return err
		}
	}
	for i := range n * each {
		want := value(0, i)
		for q := 1; q < n; q++ {
			want += value(q, i)
		}
		if out.floats()[i] != want || whole.floats()[i] != want {
			return fmt.Errorf("sum %d: all_reduce gives %v, reduce_scatter and all_gather %v, want %v", i, out.floats()[i], whole.floats()[i], want)
		}
	}
	return nil
}

// checkAdd adds two sums up in the rank's part.
func checkAdd(g collectives.Group) error {
	const each = 5000
	n, rank := g.Size(), g.Rank()
	in, out := newArray(kernels.F32, n*each), newArray(kernels.F32, each)
	b, err := g.Bind(collectives.Call{Op: collectives.ReduceScatter, DType: kernels.F32, Count: each, In: in.pointer(), Out: out.pointer(), Add: true})
	if err != nil {
		return err
	}
	for round := range 2 {
		for i := range in.n {
			in.set(i, given(rank, i, round))
		}
		if err := b.Run(); err != nil {
			return err
		}
	}
	for i := range each {
		want := 0.0
		for q := range n {
			want += given(q, rank*each+i, 0) + given(q, rank*each+i, 1)
		}
		if got := out.at(i); got != want {
			return fmt.Errorf("two sums added up: element %d is %v, want %v", i, got, want)
		}
	}
	return nil
}

// checkApart exchanges parts whose elements lie apart.
func checkApart(g collectives.Group) error {
	const rows, mid, count = 3, 2, 5
	n, rank := g.Size(), g.Rank()
	// at is the place of an index in row-major order: pairs of index and length.
	at := func(index ...int) (i int) {
		for k := 0; k < len(index); k += 2 {
			i = i*index[k+1] + index[k]
		}
		return i
	}
	for _, c := range []collectives.Call{
		{Op: collectives.AllGather, Rows: rows, Mid: 1}, {Op: collectives.ReduceScatter, Rows: rows, Mid: 1},
		{Op: collectives.AllToAll, Rows: rows, Mid: mid}, {Op: collectives.AllToAll, Rows: rows, Mid: mid, Swap: true},
	} {
		c.Count, c.DType = count, kernels.F32
		in, out := newArray(kernels.F32, c.InLen(n)), newArray(kernels.F32, c.OutLen(n))
		c.In, c.Out = in.pointer(), out.pointer()
		for i := range in.n {
			in.set(i, given(rank, i, 0))
		}
		b, err := g.Bind(c)
		if err == nil {
			err = b.Run()
		}
		if err != nil {
			return err
		}
		for w := range rows {
			for q := range n {
				for m := range c.Mid {
					for i := range count {
						var got, want float64
						switch {
						case c.Op == collectives.AllGather:
							got, want = out.at(at(w, rows, q, n, i, count)), given(q, at(w, rows, i, count), 0)
						case c.Op == collectives.ReduceScatter:
							got = out.at(at(w, rows, i, count))
							for p := range n {
								want += given(p, at(w, rows, rank, n, i, count), 0)
							}
						case c.Swap:
							got, want = out.at(at(w, rows, m, mid, q, n, i, count)), given(q, at(w, rows, rank, n, m, mid, i, count), 0)
						default:
							got, want = out.at(at(w, rows, q, n, m, mid, i, count)), given(q, at(w, rows, m, mid, rank, n, i, count), 0)
						}
						if got != want {
							return fmt.Errorf("%v of parts that lie apart (swap %t): row %d, rank %d, %d, %d: %v, want %v", c.Op, c.Swap, w, q, m, i, got, want)
						}
					}
				}
			}
		}
	}
	return nil
}

// checkShift passes arrays all the way round, each call giving on what the one before brought, started before that is waited for.
func checkShift(g collectives.Group) error {
	n, rank := g.Size(), g.Rank()
	for _, dtype := range types {
		for _, count := range counts {
			hops := []array{newArray(dtype, count)}
			for i := range count {
				hops[0].set(i, given(rank, i, 0))
			}
			var calls []collectives.Collective
			for hop := range n {
				hops = append(hops, newArray(dtype, count))
				b, err := g.Bind(collectives.Call{Op: collectives.RingShift, DType: dtype, Count: count, In: hops[hop].pointer(), Out: hops[hop+1].pointer()})
				if err != nil {
					return err
				}
				b.Start()
				calls = append(calls, b)
			}
			for hop, b := range calls {
				if err := b.Wait(); err != nil {
					return err
				}
				from := (rank + n - hop - 1) % n
				for i := range count {
					if got, want := hops[hop+1].at(i), given(from, i, 0); got != want {
						return fmt.Errorf("ring_shift %d of %d %v: element %d is %v, want %v of rank %d", hop+1, count, dtype, i, got, want, from)
					}
				}
			}
			for hop, b := range calls { // again, one after another
				if err := b.Run(); err != nil {
					return err
				}
				if last := count - 1; last >= 0 && hops[hop+1].at(last) != given((rank+n-hop-1)%n, last, 0) {
					return fmt.Errorf("ring_shift %d of %d %v is another when it runs again", hop+1, count, dtype)
				}
			}
		}
	}
	return nil
}

// checkSends passes tokens round, in both directions and several at a time.
func checkSends(g collectives.Group) error {
	n, rank := g.Size(), g.Rank()
	if n == 1 {
		return nil
	}
	const rounds = 3
	next, last := (rank+1)%n, (rank+n-1)%n
	var sends, receives []collectives.Collective
	var got []array
	for round := range rounds {
		x, y := newArray(kernels.F64, 500+round), newArray(kernels.F64, 500+round)
		for i := range x.n {
			x.set(i, given(rank, i, round))
		}
		send, err := g.Bind(collectives.Call{Op: collectives.Send, DType: kernels.F64, Count: x.n, In: x.pointer(), Peer: next})
		if err != nil {
			return err
		}
		receive, err := g.Bind(collectives.Call{Op: collectives.Receive, DType: kernels.F64, Count: y.n, Out: y.pointer(), Peer: last})
		if err != nil {
			return err
		}
		sends, receives, got = append(sends, send), append(receives, receive), append(got, y)
	}
	// The even ranks send first; in an odd ring the last rank, even too, would wait for the first one, so it receives first.
	sendsFirst := rank%2 == 0 && !(n%2 == 1 && rank == n-1)
	for round := range rounds {
		order := []collectives.Collective{receives[round], sends[round]}
		if sendsFirst {
			order = []collectives.Collective{sends[round], receives[round]}
		}
		for _, c := range order {
			c.Start()
		}
		for _, c := range order {
			if err := c.Wait(); err != nil {
				return err
			}
		}
		for i := range got[round].n {
			if v, want := got[round].at(i), given(last, i, round); v != want {
				return fmt.Errorf("receive %d: element %d is %v, want %v", round, i, v, want)
			}
		}
	}
	return nil
}

// checkQueue starts several calls that depend on each other's results before it waits for any.
func checkQueue(g collectives.Group) error {
	const n = 3000
	x := newArray(kernels.F64, n)
	b, err := g.Bind(collectives.Call{Op: collectives.AllReduce, DType: kernels.F64, Count: n, In: x.pointer(), Out: x.pointer()})
	if err != nil {
		return err
	}
	again, err := g.Bind(collectives.Call{Op: collectives.AllReduce, DType: kernels.F64, Count: n, In: x.pointer(), Out: x.pointer()})
	if err != nil {
		return err
	}
	for i := range n {
		x.set(i, 1)
	}
	b.Start()
	again.Start()
	if err := b.Wait(); err != nil {
		return err
	}
	if err := again.Wait(); err != nil {
		return err
	}
	if err := b.Run(); err != nil {
		return err
	}
	size := float64(g.Size())
	if got := x.at(n - 1); got != size*size*size {
		return fmt.Errorf("three all_reduce of ones give %v, want %v", got, size*size*size)
	}
	return nil
}

// checkBarrier has one rank after another come late, and wants the others to leave no sooner. The ranks' clocks must agree: a suite runs on one machine.
func checkBarrier(g collectives.Group) error {
	n, rank := g.Size(), g.Rank()
	came, all := newArray(kernels.F64, 1), newArray(kernels.F64, n)
	barrier, err := g.Bind(collectives.Call{Op: collectives.Barrier})
	if err != nil {
		return err
	}
	gather, err := g.Bind(collectives.Call{Op: collectives.AllGather, DType: kernels.F64, Count: 1, In: came.pointer(), Out: all.pointer()})
	if err != nil {
		return err
	}
	micros := func() float64 { return float64(time.Now().UnixMicro()) }
	for late := range n {
		if rank == late {
			time.Sleep(5 * time.Millisecond)
		}
		came.set(0, micros())
		if err := barrier.Run(); err != nil {
			return err
		}
		left := micros()
		if err := gather.Run(); err != nil {
			return err
		}
		if last := all.at(late); left < last {
			return fmt.Errorf("rank %d left a barrier %v µs before rank %d came", rank, last-left, late)
		}
	}
	return nil
}

// checkRefused binds calls without a meaning.
func checkRefused(g collectives.Group) error {
	x := newArray(kernels.F32, 10)
	for _, c := range []collectives.Call{
		{Op: 77, DType: kernels.F32, Count: 1, In: x.pointer(), Out: x.pointer()},
		{Op: collectives.AllReduce, DType: kernels.F32, Count: -1, In: x.pointer(), Out: x.pointer()},
		{Op: collectives.AllReduce, DType: kernels.BF16, Count: 4, In: x.pointer(), Out: x.pointer()},
		{Op: collectives.AllGather, DType: kernels.F32, Count: 1, In: x.pointer(), Out: x.pointer(), Add: true},
		{Op: collectives.AllReduce, DType: kernels.F32, Count: 2, Rows: 2, In: x.pointer(), Out: x.pointer()},
		{Op: collectives.AllGather, DType: kernels.F32, Count: 1, Mid: 2, In: x.pointer(), Out: x.pointer()},
		{Op: collectives.AllReduce, DType: kernels.F32, Count: 4, Out: x.pointer()},
		{Op: collectives.RingShift, DType: kernels.F32, Count: 4, In: x.pointer(), Out: x.pointer()},
		{Op: collectives.Send, DType: kernels.F32, Count: 4, In: x.pointer(), Peer: g.Rank()},
		{Op: collectives.Receive, DType: kernels.F32, Count: 4, Out: x.pointer(), Peer: g.Size()},
		{Op: collectives.Broadcast, DType: kernels.F32, Count: 4, In: x.pointer(), Out: x.pointer(), Peer: -1},
	} {
		if _, err := g.Bind(c); err == nil {
			return fmt.Errorf("%v of %d %v with rank %d is bound", c.Op, c.Count, c.DType, c.Peer)
		}
	}
	sum := collectives.Call{Op: collectives.AllReduce, DType: kernels.F32, Count: 2, In: x.pointer(), Out: x.pointer()}
	barrier := collectives.Call{Op: collectives.Barrier}
	for _, joined := range [][]collectives.Call{nil, {sum, barrier}, {barrier, barrier}} {
		if _, err := g.Bind(joined...); err == nil {
			return fmt.Errorf("%d calls that cannot be one are bound", len(joined))
		}
	}
	return nil
}

// array is elements of any type that is added up.
type array struct {
	dtype kernels.DType
	n     int
	words []float64 // their memory
	from  int       // elements into it
}

func newArray(dtype kernels.DType, n int) array {
	return array{dtype: dtype, n: n, words: make([]float64, n*dtype.Size()/8+1)}
}

func (a array) part(from, n int) array {
	a.from, a.n = a.from+from, n
	return a
}

func (a array) pointer() unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(&a.words[0]), a.from*a.dtype.Size())
}

func slice[T any](a array) []T { return unsafe.Slice((*T)(a.pointer()), a.n) }

func (a array) floats() []float32 { return slice[float32](a) }

func (a array) at(i int) float64 {
	switch a.dtype {
	case kernels.F32:
		return float64(slice[float32](a)[i])
	case kernels.I32:
		return float64(slice[int32](a)[i])
	case kernels.I64:
		return float64(slice[int64](a)[i])
	}
	return slice[float64](a)[i]
}

func (a array) set(i int, v float64) {
	switch a.dtype {
	case kernels.F32:
		slice[float32](a)[i] = float32(v)
	case kernels.I32:
		slice[int32](a)[i] = int32(v)
	case kernels.I64:
		slice[int64](a)[i] = int64(v)
	default:
		slice[float64](a)[i] = v
	}
}
