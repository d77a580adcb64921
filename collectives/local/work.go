package local

import (
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/kernels"
)

// sumBlock is the number of elements that are added up at a time: the sums stay in the first cache until they are handed out.
const sumBlock = 2048

// number is what can be added up.
type number interface {
	float32 | float64 | int32 | int64
}

func add[T number](z, x, y []T) {
	x, y = x[:len(z)], y[:len(z)]
	for i := range z {
		z[i] = x[i] + y[i]
	}
}

// workOf is a rank's share of a call, when all have come; nil: nothing.
func (m *member) workOf(c *collectives.Call) func([]post) {
	switch c.Op {
	case collectives.AllReduce, collectives.ReduceScatter:
		switch c.DType {
		case kernels.F32:
			return sumOf(m, c, m.team.world.options.Add)
		case kernels.F64:
			return sumOf(m, c, add[float64])
		case kernels.I32:
			return sumOf(m, c, add[int32])
		case kernels.I64:
			return sumOf(m, c, add[int64])
		}
	case collectives.AllGather: // each rank hands its own part out
		size := c.Count * c.DType.Size()
		return func(posts []post) {
			for q := range posts {
				copy(bytesAt(posts[q].call.Out, m.rank*size, size), bytesAt(c.In, 0, size))
			}
		}
	case collectives.Broadcast:
		size := c.Count * c.DType.Size()
		return func(posts []post) { copy(bytesAt(c.Out, 0, size), bytesAt(posts[c.Peer].call.In, 0, size)) }
	case collectives.AllToAll:
		return m.exchange(c)
	}
	return nil
}

// sumOf adds up the rank's part, block by block, and hands it out: to all in an all_reduce.
func sumOf[T number](m *member, c *collectives.Call, add func(z, x, y []T)) func([]post) {
	ranks := m.Size()
	from, n := m.rank*c.Count, c.Count // in the inputs
	if c.Op == collectives.AllReduce {
		from, n = part(c.Count, m.rank, ranks)
	}
	block := make([]T, min(n, sumBlock))
	return func(posts []post) {
		for at := 0; at < n; at += sumBlock {
			sum := block[:min(sumBlock, n-at)]
			in := func(q int) []T { return elements[T](posts[q].call.In, from+at, len(sum)) }
			if ranks == 1 {
				copy(sum, in(0))
			} else {
				add(sum, in(0), in(1))
			}
			for q := 2; q < ranks; q++ {
				add(sum, sum, in(q))
			}
			if c.Op == collectives.ReduceScatter {
				copy(elements[T](c.Out, at, len(sum)), sum)
				continue
			}
			for q := range posts {
				copy(elements[T](posts[q].call.Out, from+at, len(sum)), sum)
			}
		}
	}
}

// part is the run of n elements that a rank adds up: all about as long, cut at whole cache lines.
func part(n, rank, ranks int) (from, length int) {
	const line = 16
	each := (n + ranks - 1) / ranks
	each = (each + line - 1) / line * line
	from = min(n, rank*each)
	return from, min(n, from+each) - from
}

// exchange takes this rank's parts from all others; in place it swaps parts with those behind it.
func (m *member) exchange(c *collectives.Call) func([]post) {
	size := c.Count * c.DType.Size()
	if c.In != c.Out {
		return func(posts []post) {
			for q := range posts {
				copy(bytesAt(c.Out, q*size, size), bytesAt(posts[q].call.In, m.rank*size, size))
			}
		}
	}
	aside := make([]byte, min(size, 1<<14))
	return func(posts []post) {
		for q := m.rank + 1; q < len(posts); q++ {
			mine, theirs := bytesAt(c.Out, q*size, size), bytesAt(posts[q].call.Out, m.rank*size, size)
			for at := 0; at < size; at += len(aside) {
				n := min(len(aside), size-at)
				copy(aside[:n], mine[at:])
				copy(mine[at:at+n], theirs[at:])
				copy(theirs[at:at+n], aside)
			}
		}
	}
}

func elements[T any](p unsafe.Pointer, at, n int) []T {
	if n == 0 {
		return nil
	}
	var x T
	return unsafe.Slice((*T)(unsafe.Add(p, at*int(unsafe.Sizeof(x)))), n)
}

func bytesAt(p unsafe.Pointer, at, n int) []byte { return elements[byte](p, at, n) }
