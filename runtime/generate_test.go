package runtime

import (
	"cmp"
	"math"
	"slices"
	"testing"
)

// frequencies draws many times, by numbers spread evenly over (0, 1).
func frequencies(s Sampling, logits []float64) []float64 {
	const draws = 10000
	share := make([]float64, len(logits))
	draw := &sampler{Sampling: s}
	for i := range draws {
		share[draw.pick(logits, (float64(i)+0.5)/draws)] += 1. / draws
	}
	return share
}

// Tokens are drawn by the softmax of logits/temperature, of the k likeliest, of
// the fewest likeliest that reach probability p.
func TestSamplingFollowsTheSoftmax(t *testing.T) {
	logits := []float64{math.Log(2), math.Log(5), math.Log(1), math.Log(2)} // shares 0.2, 0.5, 0.1, 0.2
	for _, c := range []struct {
		name     string
		sampling Sampling
		want     []float64
	}{
		{"all", Sampling{Temperature: 1}, []float64{0.2, 0.5, 0.1, 0.2}},
		{"hot", Sampling{Temperature: 1e9}, []float64{0.25, 0.25, 0.25, 0.25}},
		{"half the temperature", Sampling{Temperature: 0.5}, []float64{4. / 34, 25. / 34, 1. / 34, 4. / 34}},
		{"likeliest", Sampling{}, []float64{0, 1, 0, 0}},
		{"one of one", Sampling{Temperature: 1, TopK: 1}, []float64{0, 1, 0, 0}},
		{"two, the first of equals", Sampling{Temperature: 1, TopK: 2}, []float64{2. / 7, 5. / 7, 0, 0}},
		{"more than there are", Sampling{Temperature: 1, TopK: 9}, []float64{0.2, 0.5, 0.1, 0.2}},
		{"half", Sampling{Temperature: 1, TopP: 0.45}, []float64{0, 1, 0, 0}},
		{"two thirds", Sampling{Temperature: 1, TopP: 0.66}, []float64{2. / 7, 5. / 7, 0, 0}},
		{"all but a bit", Sampling{Temperature: 1, TopP: 0.95}, []float64{0.2, 0.5, 0.1, 0.2}},
		{"all of it", Sampling{Temperature: 1, TopP: 1}, []float64{0.2, 0.5, 0.1, 0.2}},
		{"both", Sampling{Temperature: 1, TopK: 3, TopP: 0.7}, []float64{2. / 7, 5. / 7, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for id, got := range frequencies(c.sampling, logits) {
				if math.Abs(got-c.want[id]) > 2e-4 {
					t.Errorf("token %d: share %.4f, want %.4f", id, got, c.want[id])
				}
			}
		})
	}
}

// Of a large vocabulary, where most tokens are left out before the rest are sorted, the shares are those of a plain softmax.
func TestSamplingFromALargeVocabulary(t *testing.T) {
	const n = 3000
	logits, shares, total := make([]float64, n), make([]float64, n), 0.0
	for i := range logits {
		logits[i] = 4 * math.Sin(float64(i*i))
		shares[i] = math.Exp(logits[i])
		total += shares[i]
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(shares[b], shares[a]) })
	for _, s := range []Sampling{{Temperature: 1, TopP: 0.3}, {Temperature: 1, TopP: 0.9}, {Temperature: 1, TopK: 50}, {Temperature: 1, TopK: 50, TopP: 0.5}} {
		kept, sum, all := 0, 0.0, total
		if s.TopK > 0 {
			all = 0
			for _, id := range order[:s.TopK] {
				all += shares[id]
			}
		}
		for kept < n && (s.TopK == 0 || kept < s.TopK) && (s.TopP == 0 || sum < s.TopP*all) {
			sum += shares[order[kept]]
			kept++
		}
		draw := &sampler{Sampling: s}
		at := 0.0
		for _, id := range order[:kept] {
			at += shares[id] / sum
			if got := draw.pick(logits, at-shares[id]/sum/2); got != int32(id) {
				t.Fatalf("%+v: token %d, want %d of %d", s, got, id, kept)
			}
		}
	}
}

// The exponential of shares is the library's.
func TestExponential(t *testing.T) {
	for x := float64(negligible); x <= 0; x += 0.00917 {
		if got, want := exponential(x), math.Exp(x); math.Abs(got-want) > 1e-11*want {
			t.Errorf("e^%v = %v, want %v", x, got, want)
		}
	}
	if exponential(0) != 1 {
		t.Errorf("e^0 = %v", exponential(0))
	}
}

func TestSamplingWithoutAMeaningIsRefused(t *testing.T) {
	for _, s := range []Sampling{{Temperature: -1}, {Temperature: math.NaN()}, {Temperature: math.Inf(1)}, {TopK: -1}, {TopP: -0.1}, {TopP: 1.1}, {TopP: math.NaN()}} {
		if s.Check() == nil {
			t.Errorf("%+v is taken", s)
		}
	}
	if err := (Sampling{Temperature: 0.8, TopK: 40, TopP: 0.9}).Check(); err != nil {
		t.Error(err)
	}
}
