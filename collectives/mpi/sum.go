//go:build mpi

package mpi

import (
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/kernels"
)

const (
	sumBlock  = 2048    // elements that are added up at a time: the sums stay in the first cache until they are stored
	pieceRoom = 8 << 20 // bytes of what came from others and is not yet added up
	pieceMost = 1 << 20 // and of one message
)

// piece is a part of what one rank adds up: rows of n elements, the first of them at an element of the array.
type piece struct{ row, rows, at, n int }

// pieces cuts rows of n elements each.
func pieces(rows, n, most int) (list []piece) {
	if n == 0 {
		return nil
	}
	if group := most / n; group > 1 {
		for w := 0; w < rows; w += group {
			list = append(list, piece{w, min(group, rows-w), 0, n})
		}
		return list
	}
	for w := range rows {
		for at := 0; at < n; at += most {
			list = append(list, piece{w, 1, at, min(most, n-at)})
		}
	}
	return list
}

// sums: each rank takes everybody's elements of its own part, piece by piece, and adds them up. In an all_reduce it sends the sums to all.
func (p *preparation) sums() {
	switch p.call.DType {
	case kernels.F32:
		add := p.bound.group.world.options.Add
		if add == nil {
			add = collectives.Add[float32]
		}
		sumOf(p, add)
	case kernels.F64:
		sumOf(p, collectives.Add[float64])
	case kernels.I32:
		sumOf(p, collectives.Add[int32])
	case kernels.I64:
		sumOf(p, collectives.Add[int64])
	}
}

// summer adds up what came from the ranks.
type summer[T collectives.Number] struct {
	*preparation
	call   *collectives.Call // which the preparation goes on from
	add    func(z, x, y []T)
	rank   int
	ranks  int
	stride int              // between rows of the ranks' inputs
	came   []unsafe.Pointer // by rank: a piece
	block  []T
}

func sumOf[T collectives.Number](p *preparation, add func(z, x, y []T)) {
	b, c := p.bound, p.call
	s := &summer[T]{preparation: p, call: c, add: add, rank: b.group.rank, ranks: b.group.Size(), block: make([]T, sumBlock)}
	s.stride = s.ranks * c.Count
	most := min(pieceMost, max(pieceRoom/s.ranks, sumBlock*8)) / c.DType.Size()
	parts, rounds := make([][]piece, s.ranks), 0
	for q := range parts {
		parts[q] = pieces(max(1, c.Rows), c.Count, most)
		if c.Op == collectives.AllReduce {
			_, n := collectives.Share(c.Count, q, s.ranks)
			parts[q] = pieces(1, n, most)
		}
		rounds = max(rounds, len(parts[q]))
	}
	s.came = make([]unsafe.Pointer, s.ranks)
	for q := range s.came {
		if mine := parts[s.rank]; q != s.rank && len(mine) > 0 {
			s.came[q] = p.allocate(mine[0].rows * mine[0].n * c.DType.Size())
		}
	}
	for k := range rounds {
		p.add(s.round(parts, k))
	}
	if rounds == 0 {
		p.add(round{})
	}
	if c.Op == collectives.AllReduce {
		p.add(s.hand())
	}
}

// from is the first element of a rank's part in the inputs.
func (s *summer[T]) from(rank int) int {
	if s.call.Op == collectives.AllReduce {
		from, _ := collectives.Share(s.call.Count, rank, s.ranks)
		return from
	}
	return rank * s.call.Count
}

// round moves the piece k of every rank's part.
func (s *summer[T]) round(parts [][]piece, k int) (r round) {
	c := s.call
	for q := range parts {
		if q == s.rank {
			continue
		}
		if k < len(parts[s.rank]) {
			e := parts[s.rank][k]
			r.messages = append(r.messages, s.message(false, q, s.came[q], run(e.rows*e.n)))
		}
		if k < len(parts[q]) {
			e := parts[q][k]
			r.messages = append(r.messages, s.message(true, q, s.element(c.In, s.from(q)+e.row*s.stride+e.at), part{e.rows, e.n, s.stride}))
		}
	}
	if k < len(parts[s.rank]) {
		e := parts[s.rank][k]
		r.after = func() { s.sum(e) }
	}
	return r
}

// sum adds up a piece, the first rank's elements first.
func (s *summer[T]) sum(e piece) {
	c := s.call
	for w := range e.rows {
		mine := s.from(s.rank) + (e.row+w)*s.stride + e.at
		to := (e.row+w)*c.Count + e.at
		if c.Op == collectives.AllReduce {
			to = mine
		}
		for at := 0; at < e.n; at += sumBlock {
			n := min(sumBlock, e.n-at)
			s.store(to+at, s.total(n, mine+at, w*e.n+at))
		}
	}
}

// total is the sum of n elements, which stand at one place in this rank's array, and at another in what came.
func (s *summer[T]) total(n, mine, came int) []T {
	in := func(q int) []T {
		if q == s.rank {
			return collectives.Elements[T](s.call.In, mine, n)
		}
		return collectives.Elements[T](s.came[q], came, n)
	}
	sum := s.block[:n]
	if s.ranks == 1 {
		copy(sum, in(0))
		return sum
	}
	s.add(sum, in(0), in(1))
	for q := 2; q < s.ranks; q++ {
		s.add(sum, sum, in(q))
	}
	return sum
}

func (s *summer[T]) store(to int, sum []T) {
	z := collectives.Elements[T](s.call.Out, to, len(sum))
	if s.call.Add {
		s.add(z, z, sum)
	} else {
		copy(z, sum)
	}
}

// hand is the round in which every rank hands its sums out.
func (s *summer[T]) hand() (r round) {
	c := s.call
	for q := range s.ranks {
		if q == s.rank {
			continue
		}
		if from, n := collectives.Share(c.Count, q, s.ranks); n > 0 {
			r.messages = append(r.messages, s.message(false, q, s.element(c.Out, from), run(n)))
		}
		if from, n := collectives.Share(c.Count, s.rank, s.ranks); n > 0 {
			r.messages = append(r.messages, s.message(true, q, s.element(c.Out, from), run(n)))
		}
	}
	return r
}

// exchangeInPlace swaps parts with every other rank, piece by piece.
func (p *preparation) exchangeInPlace() {
	b, c := p.bound, p.call
	size, ranks := c.DType.Size(), b.group.Size()
	list := pieces(1, c.Count, min(pieceMost, max(pieceRoom/ranks, sumBlock*8))/size)
	came := make([]unsafe.Pointer, ranks)
	for q := range came {
		if len(list) > 0 && q != b.group.rank {
			came[q] = p.allocate(list[0].n * size)
		}
	}
	for _, e := range list {
		var r round
		for q := range came {
			if q != b.group.rank {
				at := p.element(c.Out, q*c.Count+e.at)
				r.messages = append(r.messages, p.message(false, q, came[q], run(e.n)), p.message(true, q, at, run(e.n)))
			}
		}
		r.after = func() {
			for q := range came {
				if q != b.group.rank {
					copy(collectives.Elements[byte](c.Out, (q*c.Count+e.at)*size, e.n*size), collectives.Elements[byte](came[q], 0, e.n*size))
				}
			}
		}
		p.add(r)
	}
}
