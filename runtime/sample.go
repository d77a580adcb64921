package runtime

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Sampling says how the next token is drawn.
type Sampling struct {
	Temperature float64 // 0: always the likeliest token
	TopK        int     // only the k likeliest; 0: all
	TopP        float64 // only the likeliest that together reach this probability; 0 or 1: all
	Seed        uint64
}

// Check refuses settings without a meaning.
func (s Sampling) Check() error {
	switch {
	case !(s.Temperature >= 0) || math.IsInf(s.Temperature, 0):
		return fmt.Errorf("temperature %v: use 0 or more", s.Temperature)
	case s.TopK < 0:
		return fmt.Errorf("top-k %d: use 0 for all tokens, or how many", s.TopK)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return fmt.Errorf("top-p %v: use a probability from 0 to 1", s.TopP)
	}
	return nil
}

// sampler draws tokens. It sorts no more of them than it must: a vocabulary has tens of thousands, and a token's time is milliseconds.
type sampler struct {
	Sampling
	order  []int32   // of the tokens that may be drawn; empty: all as they stand
	shares []float64 // of each of them, not normalised
}

// negligible is the logarithm of a share, relative to the largest, that no draw can hit: those of a million tokens
// together are less than the step of a random number of 32 bits.
const negligible = -40

// pick draws a token by a number u in (0, 1).
func (s *sampler) pick(logits []float64, u float64) int32 {
	if s.Temperature == 0 {
		return likeliest(logits)
	}
	s.order = s.order[:0]
	if s.TopK > 0 && s.TopK < len(logits) {
		s.keepLargest(logits)
	}
	u *= s.nucleus(s.share(logits))
	last := 0
	for i, share := range s.shares {
		if share == 0 {
			continue
		}
		last = i
		if u -= share; u < 0 {
			break
		}
	}
	return s.token(last)
}

// token is the one with share i.
func (s *sampler) token(i int) int32 {
	if len(s.order) == 0 {
		return int32(i)
	}
	return s.order[i]
}

// likeliest is the first token with the largest logit; one that is no number is never it.
func likeliest(logits []float64) int32 {
	top, at := math.Inf(-1), 0
	for i, z := range logits {
		if z > top {
			top, at = z, i
		}
	}
	return int32(at)
}

// keepLargest keeps the TopK largest logits, of equals the first, in descending order.
func (s *sampler) keepLargest(logits []float64) {
	for i, z := range logits {
		switch {
		case len(s.order) < s.TopK:
		case z > logits[s.order[s.TopK-1]]:
			s.order = s.order[:s.TopK-1]
		default:
			continue
		}
		at, _ := slices.BinarySearchFunc(s.order, z, func(id int32, z float64) int {
			if logits[id] >= z {
				return -1
			}
			return 1
		})
		s.order = slices.Insert(s.order, at, int32(i))
	}
}

// share computes the shares of the tokens that were kept, and their sum.
func (s *sampler) share(logits []float64) (total float64) {
	s.shares = append(s.shares[:0], logits...)
	if len(s.order) > 0 {
		s.shares = s.shares[:len(s.order)]
		for i, id := range s.order {
			s.shares[i] = logits[id]
		}
	}
	top := math.Inf(-1)
	for _, z := range s.shares {
		if z > top {
			top = z
		}
	}
	for i, z := range s.shares {
		s.shares[i] = 0
		if x := (z - top) / s.Temperature; x > negligible {
			s.shares[i] = exponential(x)
			total += s.shares[i]
		}
	}
	return total
}

// exponential is eˣ to ten digits, for x from negligible to 0: 2 to the whole part of x·log₂e, times 2 to its first eight bits
// behind the point, from a table, times a cubic. The library's takes three times as long.
func exponential(x float64) float64 {
	x *= math.Log2E * 256
	whole := math.Floor(x)
	d := (x - whole) * (math.Ln2 / 256)
	k := int(whole)
	power := math.Float64frombits(uint64(1023+k>>8) << 52)
	return power * powers[k&255] * (1 + d*(1+d*(1./2+d*(1./6))))
}

// powers are 2^(i/256).
var powers = func() (p [256]float64) {
	for i := range p {
		p[i] = math.Exp2(float64(i) / 256)
	}
	return p
}()

// nucleus keeps the fewest of the largest shares that reach TopP of the total, and gives their sum. What is below the
// average of what may be left out cannot be among them: all such shares together are less than that.
func (s *sampler) nucleus(total float64) float64 {
	if s.TopP == 0 || s.TopP == 1 {
		return total
	}
	for i := len(s.order); i < len(s.shares); i++ {
		s.order = append(s.order, int32(i))
	}
	least, n := (1-s.TopP)*total/float64(len(s.shares)), 0
	for i, share := range s.shares {
		if share >= least {
			s.order[n], s.shares[n] = s.order[i], share
			n++
		}
	}
	s.order, s.shares = s.order[:n], s.shares[:n]
	s.sort()
	sum := 0.0
	for i, share := range s.shares {
		if sum += share; sum >= s.TopP*total {
			s.order, s.shares = s.order[:i+1], s.shares[:i+1]
			break
		}
	}
	return sum
}

// sort orders the tokens by their shares, the largest first, and equals as they stood.
func (s *sampler) sort() {
	type pair struct {
		id    int32
		share float64
	}
	pairs := make([]pair, len(s.order))
	for i, id := range s.order {
		pairs[i] = pair{id, s.shares[i]}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.share, a.share) })
	for i, p := range pairs {
		s.order[i], s.shares[i] = p.id, p.share
	}
}
