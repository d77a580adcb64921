package local

import (
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/kernels"
)

// sumBlock is the number of elements that are added up at a time: the sums stay in the first cache until they are handed out.
const sumBlock = 2048

// workOf is a rank's share of a call, when all have come; nil: nothing. k is the call's place among those that are one.
func (m *member) workOf(c *collectives.Call, k int) func([]post) {
	switch c.Op {
	case collectives.AllReduce, collectives.ReduceScatter:
		switch c.DType {
		case kernels.F32:
			return sumOf(m, c, k, m.team.world.options.Add)
		case kernels.F64:
			return sumOf(m, c, k, collectives.Add[float64])
		case kernels.I32:
			return sumOf(m, c, k, collectives.Add[int32])
		case kernels.I64:
			return sumOf(m, c, k, collectives.Add[int64])
		}
	case collectives.AllGather: // each rank hands its own part out
		size, ranks := c.Count*c.DType.Size(), m.Size()
		return func(posts []post) {
			for q := range posts {
				for w := range rows(c) {
					copy(bytesAt(posts[q].calls[k].Out, (w*ranks+m.rank)*size, size), bytesAt(c.In, w*size, size))
				}
			}
		}
	case collectives.Broadcast:
		size := c.Count * c.DType.Size()
		if c.Peer == m.rank && c.In == c.Out { // others read it
			return nil
		}
		return func(posts []post) { copy(bytesAt(c.Out, 0, size), bytesAt(posts[c.Peer].calls[k].In, 0, size)) }
	case collectives.RingShift:
		size, before := c.Count*c.DType.Size(), (m.rank+m.Size()-1)%m.Size()
		return func(posts []post) { copy(bytesAt(c.Out, 0, size), bytesAt(posts[before].calls[k].In, 0, size)) }
	case collectives.AllToAll:
		return m.exchange(c, k)
	}
	return nil
}

// rows is how many rows a call has.
func rows(c *collectives.Call) int { return max(1, c.Rows) }

// sumOf adds up the rank's part, block by block, and hands it out: to all in an all_reduce.
func sumOf[T collectives.Number](m *member, c *collectives.Call, k int, add func(z, x, y []T)) func([]post) {
	s := &summer[T]{call: c, place: k, ranks: m.Size(), add: add}
	from, n := m.rank*c.Count, c.Count // in the inputs
	if c.Op == collectives.AllReduce {
		from, n = collectives.Share(c.Count, m.rank, s.ranks)
	}
	s.block = make([]T, min(n, sumBlock))
	return func(posts []post) {
		for w := range rows(c) {
			s.row(posts, from+w*s.ranks*c.Count, w*c.Count, n)
		}
	}
}

// summer adds up the inputs of all ranks.
type summer[T collectives.Number] struct {
	call  *collectives.Call
	place int // of the call among those that are one
	ranks int
	add   func(z, x, y []T)
	block []T
}

// row adds up n elements from one on; to is where a reduce_scatter puts them.
func (s *summer[T]) row(posts []post, from, to, n int) {
	for at := 0; at < n; at += sumBlock {
		sum := s.block[:min(sumBlock, n-at)]
		in := func(q int) []T { return collectives.Elements[T](posts[q].calls[s.place].In, from+at, len(sum)) }
		if s.ranks == 1 {
			copy(sum, in(0))
		} else {
			s.add(sum, in(0), in(1))
		}
		for q := 2; q < s.ranks; q++ {
			s.add(sum, sum, in(q))
		}
		s.hand(posts, sum, from+at, to+at)
	}
}

func (s *summer[T]) hand(posts []post, sum []T, from, to int) {
	switch out := s.call.Out; {
	case s.call.Op == collectives.AllReduce:
		for q := range posts {
			copy(collectives.Elements[T](posts[q].calls[s.place].Out, from, len(sum)), sum)
		}
	case s.call.Add:
		z := collectives.Elements[T](out, to, len(sum))
		s.add(z, z, sum)
	default:
		copy(collectives.Elements[T](out, to, len(sum)), sum)
	}
}

// exchange takes this rank's parts from all others; in place it swaps parts with those behind it.
func (m *member) exchange(c *collectives.Call, k int) func([]post) {
	size := c.Count * c.DType.Size()
	if c.In != c.Out {
		return func(posts []post) { m.takeParts(c, k, posts) }
	}
	aside := make([]byte, min(size, 1<<14))
	return func(posts []post) {
		for q := m.rank + 1; q < len(posts); q++ {
			mine, theirs := bytesAt(c.Out, q*size, size), bytesAt(posts[q].calls[k].Out, m.rank*size, size)
			for at := 0; at < size; at += len(aside) {
				n := min(len(aside), size-at)
				copy(aside[:n], mine[at:])
				copy(mine[at:at+n], theirs[at:])
				copy(theirs[at:at+n], aside)
			}
		}
	}
}

// takeParts copies from every rank the part that is this rank's, run by run.
func (m *member) takeParts(c *collectives.Call, k int, posts []post) {
	size, ranks, mid := c.Count*c.DType.Size(), m.Size(), max(1, c.Mid)
	for q := range posts {
		for w := range rows(c) {
			for i := range mid {
				to, from := (w*ranks+q)*mid+i, (w*mid+i)*ranks+m.rank
				if c.Swap {
					to, from = (w*mid+i)*ranks+q, (w*ranks+m.rank)*mid+i
				}
				copy(bytesAt(c.Out, to*size, size), bytesAt(posts[q].calls[k].In, from*size, size))
			}
		}
	}
}

func bytesAt(p unsafe.Pointer, at, n int) []byte { return collectives.Elements[byte](p, at, n) }
