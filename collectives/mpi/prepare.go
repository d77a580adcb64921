//go:build mpi

package mpi

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"hash/fnv"
	"math"
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/kernels"
)

// round is messages that are under way together.
type round struct {
	messages []message
	after    func() // when all have come and gone; nil: nothing
}

// message is one between this rank and another.
type message struct {
	send  bool
	peer  int     // of the group
	at    uintptr // memory that the call keeps, or that is no Go memory: it stays where it is
	kind  C.MPI_Datatype
	count C.int
}

// header is what a rank tells the others of a call.
type header struct {
	Calls            int64 // of the group so far, with this one
	Op, DType        int32
	Swap, Peer       int32 // Peer: of a broadcast
	Count, Rows, Mid int64
	Joined           int64  // calls that are one
	Others           uint64 // what the others of them are, as a hash
}

// headerOf is the header but for the number of the call.
func headerOf(list []collectives.Call) header {
	c := &list[0]
	h := header{Joined: int64(len(list)), Op: int32(c.Op), DType: int32(c.DType), Count: int64(c.Count), Rows: int64(max(1, c.Rows)), Mid: int64(max(1, c.Mid))}
	if c.Op == collectives.Receive {
		h.Op = int32(collectives.Send)
	}
	if c.Op == collectives.Broadcast {
		h.Peer = int32(c.Peer)
	}
	if c.Swap {
		h.Swap = 1
	}
	hash := fnv.New64a()
	for _, c := range list[1:] {
		fmt.Fprintln(hash, c.Op, c.DType, c.Count, c.Rows, c.Mid)
	}
	h.Others = hash.Sum64()
	return h
}

func (h header) String() string {
	if h.Joined > 1 {
		return fmt.Sprintf("%d calls that are one, %v of %d %v the first (call %d)", h.Joined, collectives.Op(h.Op), h.Count, kernels.DType(h.DType), h.Calls)
	}
	return fmt.Sprintf("%v of %d × %d × %d %v (call %d)", collectives.Op(h.Op), h.Rows, h.Mid, h.Count, kernels.DType(h.DType), h.Calls)
}

// preparation makes the rounds of calls that are one.
type preparation struct {
	bound *bound
	call  *collectives.Call // that is prepared
	next  int               // round of it
	err   error
}

// prepare makes the rounds, the headers in the first. What moves elements joins them, and what moves those of other calls: each is one exchange.
func (p *preparation) prepare() error {
	b := p.bound
	n := b.group.Size()
	b.headers = unsafe.Slice((*header)(p.allocate((1+n)*int(unsafe.Sizeof(header{})))), 1+n)
	for i := range b.calls {
		p.call, p.next = &b.calls[i], 0
		if i == 0 {
			p.add(p.first())
			p.next = 0
		}
		p.moves()
	}
	if p.err != nil {
		return p.err
	}
	most := 0
	for i := range b.rounds {
		most = max(most, len(b.rounds[i].messages))
	}
	var request C.MPI_Request
	b.requests = unsafe.Slice((*C.MPI_Request)(p.allocate(most*int(unsafe.Sizeof(request)))), most)
	for i := range b.requests {
		b.requests[i] = C.gsc_none()
	}
	return nil
}

// moves makes the rounds of the call's elements.
func (p *preparation) moves() {
	c := p.call
	switch c.Op {
	case collectives.AllReduce, collectives.ReduceScatter:
		p.sums()
	case collectives.AllGather:
		p.gather()
	case collectives.Broadcast:
		p.broadcast()
	case collectives.AllToAll:
		if c.In == c.Out {
			p.exchangeInPlace()
		} else {
			p.exchange()
		}
	case collectives.RingShift:
		p.shift()
	case collectives.Send:
		p.add(round{messages: []message{p.message(true, c.Peer, c.In, run(c.Count))}})
	case collectives.Receive:
		p.add(round{messages: []message{p.message(false, c.Peer, c.Out, run(c.Count))}})
	}
}

// add adds the call's next round to what goes on at that time.
func (p *preparation) add(r round) {
	rounds := &p.bound.rounds
	if p.next == len(*rounds) {
		*rounds = append(*rounds, round{})
	}
	with := &(*rounds)[p.next]
	with.messages = append(with.messages, r.messages...)
	switch before := with.after; {
	case before == nil:
		with.after = r.after
	case r.after != nil:
		with.after = func() { before(); r.after() }
	}
	p.next++
}

// first is the headers.
func (p *preparation) first() (r round) {
	b, c := p.bound, p.call
	for q := range b.group.Size() {
		sends, receives := q != b.group.rank, q != b.group.rank
		switch c.Op {
		case collectives.Send:
			sends, receives = q == c.Peer, false
		case collectives.Receive:
			sends, receives = false, q == c.Peer
		case collectives.Broadcast:
			sends, receives = sends && b.group.rank == c.Peer, receives && q == c.Peer
		}
		if receives {
			r.messages = append(r.messages, p.header(false, q, 1+q))
		}
		if sends {
			r.messages = append(r.messages, p.header(true, q, 0))
		}
	}
	return r
}

func (p *preparation) header(send bool, peer, at int) message {
	m := message{send: send, peer: peer, at: uintptr(unsafe.Pointer(&p.bound.headers[at])), count: C.int(unsafe.Sizeof(header{}))}
	p.note(wrong(C.gsc_element(1, &m.kind)))
	return m
}

// part is where elements lie: rows of n of them, each stride after the one before.
type part struct{ rows, n, stride int }

// run is elements that follow each other.
func run(n int) part { return part{1, n, n} }

// message is one of elements from an address on.
func (p *preparation) message(send bool, peer int, at unsafe.Pointer, e part) message {
	m := message{send: send, peer: peer, at: uintptr(at), count: 1}
	width := p.call.DType.Size()
	if e.rows == 1 || e.n == e.stride {
		e = run(e.rows * e.n)
		m.count = C.int(e.n)
		p.note(wrong(C.gsc_element(C.int(width), &m.kind)))
	} else {
		p.note(wrong(C.gsc_rows(C.int(width), C.int(e.rows), C.int(e.n), C.int64_t(e.stride), &m.kind)))
		p.bound.types = append(p.bound.types, m.kind)
	}
	if e.rows > math.MaxInt32 || e.n > math.MaxInt32 {
		p.note(fmt.Errorf("a message of more than 2³¹ elements: MPI counts with 32 bits"))
	}
	return m
}

// note keeps the first error.
func (p *preparation) note(err error) {
	if p.err == nil {
		p.err = err
	}
}

// allocate is zeroed memory that MPI may write to while Go does other things.
func (p *preparation) allocate(bytes int) unsafe.Pointer {
	m := C.calloc(C.size_t(max(1, bytes)), 1)
	p.bound.memory = append(p.bound.memory, m)
	return m
}

// element is the address of one.
func (p *preparation) element(base unsafe.Pointer, i int) unsafe.Pointer {
	return unsafe.Add(base, i*p.call.DType.Size())
}

// gather: each rank sends its part to all, and takes theirs.
func (p *preparation) gather() {
	b, c := p.bound, p.call
	me, n := b.group.rank, b.group.Size()
	mine, theirs := run(c.Part()), part{max(1, c.Rows), c.Count, n * c.Count}
	var r round
	if c.Count > 0 {
		for q := range n {
			if q != me {
				r.messages = append(r.messages, p.message(false, q, p.element(c.Out, q*c.Count), theirs), p.message(true, q, c.In, mine))
			}
		}
		size := c.Count * c.DType.Size()
		r.after = func() {
			for w := range theirs.rows {
				copy(collectives.Elements[byte](c.Out, (w*n+me)*size, size), collectives.Elements[byte](c.In, w*size, size))
			}
		}
	}
	p.add(r)
}

func (p *preparation) broadcast() {
	b, c := p.bound, p.call
	var r round
	switch {
	case c.Count == 0:
	case b.group.rank != c.Peer:
		r.messages = append(r.messages, p.message(false, c.Peer, c.Out, run(c.Count)))
	default:
		for q := range b.group.Size() {
			if q != c.Peer {
				r.messages = append(r.messages, p.message(true, q, c.In, run(c.Count)))
			}
		}
		size := c.Count * c.DType.Size()
		r.after = func() { copy(collectives.Elements[byte](c.Out, 0, size), collectives.Elements[byte](c.In, 0, size)) }
	}
	p.add(r)
}

// shift: each rank sends to the one behind it, and takes what the one before sends.
func (p *preparation) shift() {
	c, me, n := p.call, p.bound.group.rank, p.bound.group.Size()
	var r round
	if c.Count > 0 && n > 1 {
		r.messages = append(r.messages, p.message(false, (me+n-1)%n, c.Out, run(c.Count)), p.message(true, (me+1)%n, c.In, run(c.Count)))
	}
	p.add(r)
}

// exchange: parts that lie apart in one way leave, and come to lie apart in another.
func (p *preparation) exchange() {
	b, c := p.bound, p.call
	me, n := b.group.rank, b.group.Size()
	rows, mid := max(1, c.Rows), max(1, c.Mid)
	apart := part{rows * mid, c.Count, n * c.Count}          // [row][mid][rank][i]
	together := part{rows, mid * c.Count, n * mid * c.Count} // [row][rank][mid][i]
	from, to := apart, together
	if c.Swap {
		from, to = together, apart
	}
	var r round
	if c.Part() > 0 {
		for q := range n {
			if q != me {
				r.messages = append(r.messages, p.message(false, q, p.element(c.Out, q*to.n), to), p.message(true, q, p.element(c.In, q*from.n), from))
			}
		}
		size := c.Count * c.DType.Size()
		r.after = func() {
			for i := range rows * mid { // the rank's own part, run by run
				apart, together := i*n+me, (i/mid*n+me)*mid+i%mid
				to, from := together, apart
				if c.Swap {
					to, from = apart, together
				}
				copy(collectives.Elements[byte](c.Out, to*size, size), collectives.Elements[byte](c.In, from*size, size))
			}
		}
	}
	p.add(r)
}
