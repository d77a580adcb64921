// Package ngram fits byte models of a fixed order, the yardstick that a trained model has to beat.
//
// A model of order n gives the probability of a byte w after the n−1 bytes h before it, by interpolated
// Witten–Bell smoothing:
//
//	P(w | h) = (c(h w) + t(h)·P(w | h')) / (c(h) + t(h))
//
// where c(h w) counts how often h w stands in the training text, c(h) = Σ_w c(h w), t(h) is how many different bytes follow
// h there, and h' is h without its first byte. After a context that training never saw followed, it is P(w | h'). Below
// the empty context stands 1/256. Order 3 is the trigram, with two bytes of context.
//
// Source: Witten and Bell, The Zero-Frequency Problem (IEEE Transactions on Information Theory, 1991),
// method C; interpolated as in Chen and Goodman, An Empirical Study of Smoothing Techniques for Language Modeling (1998), section 2.
package ngram

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// MaxOrder is the highest order.
const MaxOrder = 4

// contexts is how many strings of three bytes there are.
const contexts = 1 << 24

// Model is a fitted model. It may be used by several goroutines at once.
//
// The bytes that follow each string of three are held side by side and sorted, so that memory does not depend on how many different
// strings of four there are: 80 MiB for the strings of three, and from order 4 on a byte for each byte of the text.
type Model struct {
	order int
	one   []uint32          // how often each byte stands in the text
	two   []uint32          // how often each string of two does
	start []uint32          // by string of three: where what follows it begins in next; the end is the start of the string after it
	next  []byte            // what follows each string of three, sorted within each; nil below order 4
	tail  [3]int            // the strings of one, two and three bytes that end the text, which nothing follows there; −1: none
	types [MaxOrder][]uint8 // by context of 0 … 3 bytes: t(h) − 1, where c(h) is not 0
	size  uint64            // bytes of the text
}

// Fit fits models of all orders from 1 to order, which is at most [MaxOrder].
func Fit(text []byte, order int) (*Model, error) {
	switch {
	case order < 1 || order > MaxOrder:
		return nil, fmt.Errorf("byte models are of order 1 to %d, not %d", MaxOrder, order)
	case uint64(len(text)) > math.MaxUint32:
		return nil, fmt.Errorf("a byte model takes at most %d bytes of text, not %d", uint32(math.MaxUint32), len(text))
	}
	m := &Model{order: order, size: uint64(len(text)), one: make([]uint32, 1<<8), two: make([]uint32, 1<<16)}
	m.count(text)
	m.countTypes()
	if order == MaxOrder {
		m.gather(text)
	}
	return m, nil
}

// count counts the strings of one, two and three bytes; start ends up as the sums of the counts of followed strings of three.
func (m *Model) count(text []byte) {
	m.start = make([]uint32, contexts+1)
	h := 0
	m.tail = [3]int{-1, -1, -1}
	for i, w := range text {
		h = h<<8&(contexts-1) | int(w)
		m.one[w]++
		if i >= 1 {
			m.two[h&0xffff]++
		}
		if i >= 2 {
			m.start[h]++
		}
	}
	for k := range min(len(text), len(m.tail)) {
		m.tail[k] = h & (1<<(8*(k+1)) - 1)
	}
	if m.tail[2] >= 0 {
		m.start[m.tail[2]]--
	}
	sum := uint32(0)
	for i, n := range m.start {
		m.start[i] = sum
		sum += n
	}
}

// occurrences is how often string s of n bytes stands in the text.
func (m *Model) occurrences(s, n int) uint32 {
	switch n {
	case 1:
		return m.one[s]
	case 2:
		return m.two[s]
	}
	count := m.start[s+1] - m.start[s]
	if s == m.tail[2] {
		count++
	}
	return count
}

// followed is c(h): how often something follows string h of n bytes, n from 0 to 3.
func (m *Model) followed(h, n int) uint64 {
	if n == 0 {
		return m.size
	}
	count := uint64(m.occurrences(h, n))
	if h == m.tail[n-1] {
		count--
	}
	return count
}

// countTypes counts the types of the contexts of up to two bytes.
func (m *Model) countTypes() {
	for n := range 3 {
		m.types[n] = make([]uint8, 1<<(8*n))
		for h := range m.types[n] {
			if m.followed(h, n) == 0 {
				continue
			}
			different := 0
			for w := range 256 {
				if m.occurrences(h<<8|w, n+1) > 0 {
					different++
				}
			}
			m.types[n][h] = uint8(different - 1)
		}
	}
}

// gather lays what follows each string of three side by side, sorts it, and counts its types.
func (m *Model) gather(text []byte) {
	m.next = make([]byte, max(len(text)-3, 0))
	h := 0
	for i, w := range text {
		if i >= 3 {
			m.next[m.start[h]] = w
			m.start[h]++
		}
		h = h<<8&(contexts-1) | int(w)
	}
	copy(m.start[1:], m.start) // each start has moved on to its end
	m.start[0] = 0
	m.types[3] = make([]uint8, contexts)
	const pieces = 64
	parallel(pieces, func(piece int) {
		for h := piece * (contexts / pieces); h < (piece+1)*(contexts/pieces); h++ {
			if list := m.next[m.start[h]:m.start[h+1]]; len(list) > 0 {
				m.types[3][h] = uint8(sortBytes(list) - 1)
			}
		}
	})
}

// sortBytes sorts list and says how many different bytes it holds.
func sortBytes(list []byte) (different int) {
	if len(list) < 64 {
		slices.Sort(list)
		for i, w := range list {
			if i == 0 || w != list[i-1] {
				different++
			}
		}
		return different
	}
	var counts [256]int
	for _, w := range list {
		counts[w]++
	}
	at := 0
	for w, n := range counts {
		if n > 0 {
			different++
		}
		for range n {
			list[at] = byte(w)
			at++
		}
	}
	return different
}

// CrossEntropies are the mean −ln P over the bytes of text in nats, by order: element n−1 is that of order n. Each byte is
// predicted from those before it, as many as there are and the order takes.
func (m *Model) CrossEntropies(text []byte) []float64 {
	const pieceBytes = 1 << 16
	pieces := (len(text) + pieceBytes - 1) / pieceBytes
	sums := make([][MaxOrder]float64, pieces)
	parallel(pieces, func(piece int) {
		from := piece * pieceBytes
		sums[piece] = m.surprise(text, from, min(from+pieceBytes, len(text)))
	})
	mean := make([]float64, m.order)
	for _, sum := range sums {
		for n := range mean {
			mean[n] += sum[n] / float64(len(text))
		}
	}
	return mean
}

// surprise is Σ −ln P over the bytes from … to−1, by order.
func (m *Model) surprise(text []byte, from, to int) (sum [MaxOrder]float64) {
	for i := from; i < to; i++ {
		p := m.Probabilities(text[max(i-MaxOrder+1, 0):i], text[i])
		for n := range m.order {
			sum[n] -= math.Log(p[n])
		}
	}
	return sum
}

// Probabilities are P(w | context) by order: element n−1 is that of order n, which takes the last n−1 bytes of
// context, or all of it where it is shorter.
func (m *Model) Probabilities(context []byte, w byte) (p [MaxOrder]float64) {
	lower, h := 1.0/256, 0
	for n := range m.order {
		if n <= len(context) {
			if n > 0 {
				h |= int(context[len(context)-n]) << (8 * (n - 1))
			}
			lower = m.interpolate(h, n, w, lower)
		}
		p[n] = lower
	}
	return p
}

// interpolate is P(w | h) for context h of n bytes, from P(w | h').
func (m *Model) interpolate(h, n int, w byte, lower float64) float64 {
	total := m.followed(h, n)
	if total == 0 {
		return lower
	}
	types := float64(m.types[n][h]) + 1
	return (float64(m.after(h, n, w)) + types*lower) / (float64(total) + types)
}

// after is c(h w) for context h of n bytes.
func (m *Model) after(h, n int, w byte) int {
	if n < 3 {
		return int(m.occurrences(h<<8|int(w), n+1))
	}
	list := m.next[m.start[h]:m.start[h+1]]
	first, _ := slices.BinarySearch(list, w)
	if w == math.MaxUint8 {
		return len(list) - first
	}
	end, _ := slices.BinarySearch(list[first:], w+1)
	return end
}

// parallel calls do for each piece, on as many goroutines as it pays.
func parallel(pieces int, do func(piece int)) {
	var group sync.WaitGroup
	var lock sync.Mutex
	next := 0
	for range 4 {
		group.Go(func() {
			for {
				lock.Lock()
				piece := next
				next++
				lock.Unlock()
				if piece >= pieces {
					return
				}
				do(piece)
			}
		})
	}
	group.Wait()
}
