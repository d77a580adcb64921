package ngram

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// brute is the definition, term by term, over strings.
func brute(text string, context string, w string) float64 {
	lower := 1.0 / 256
	if context != "" {
		lower = brute(text, context[1:], w)
	}
	total, types := 0, 0
	for v := range 256 {
		n := overlapping(text, context+string([]byte{byte(v)}))
		total += n
		if n > 0 {
			types++
		}
	}
	if total == 0 {
		return lower
	}
	return (float64(overlapping(text, context+w)) + float64(types)*lower) / float64(total+types)
}

func overlapping(text, s string) (count int) {
	for i := range text {
		if strings.HasPrefix(text[i:], s) {
			count++
		}
	}
	return count
}

func TestAgainstBruteForce(t *testing.T) {
	texts := []string{"", "a", "ab", "abc", "abcd", "abracadabra abracadabra", "\xff\xff\xff\xff\xfe\xff\xff\xff\xff", strings.Repeat("the cat sat. ", 9)}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 4 {
		text := make([]byte, 300)
		for i := range text {
			text[i] = byte(random.IntN(2+n*n)) + byte(n*80)
		}
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		m, err := Fit([]byte(text), MaxOrder)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			context, w := probe(random, text)
			got := m.Probabilities([]byte(context), w)
			for n := range MaxOrder {
				want := brute(text, context[max(len(context)-n, 0):], string([]byte{w}))
				if math.Abs(got[n]-want) > 1e-12 {
					t.Fatalf("text %q: order %d: P(%q | %q) = %g, want %g", text, n+1, w, context, got[n], want)
				}
			}
		}
	}
}

// probe takes a context and a byte out of text, or makes them up.
func probe(random *rand.Rand, text string) (context string, w byte) {
	if len(text) > 3 && random.IntN(4) > 0 {
		i := random.IntN(len(text))
		return text[max(i-random.IntN(5), 0):i], text[i]
	}
	made := []byte{byte(random.IntN(256)), byte(random.IntN(256)), 'a', 0xff}
	return string(made[:random.IntN(4)]), made[3-random.IntN(2)]
}

func TestProbabilitiesSumToOne(t *testing.T) {
	text := []byte(strings.Repeat("to be or not to be; ", 5))
	m, err := Fit(text, MaxOrder)
	if err != nil {
		t.Fatal(err)
	}
	for _, context := range []string{"", "t", "to", "to ", "or n", "xyz", "; "} {
		var sum [MaxOrder]float64
		for w := range 256 {
			for n, p := range m.Probabilities([]byte(context), byte(w)) {
				sum[n] += p
			}
		}
		for n, s := range sum {
			if math.Abs(s-1) > 1e-12 {
				t.Errorf("order %d after %q: probabilities sum to %g", n+1, context, s)
			}
		}
	}
}

func TestCrossEntropies(t *testing.T) {
	train, held := strings.Repeat("abcabcabd", 30), "abcabdabx"
	for order := 1; order <= MaxOrder; order++ {
		m, err := Fit([]byte(train), order)
		if err != nil {
			t.Fatal(err)
		}
		got := m.CrossEntropies([]byte(held))
		if len(got) != order {
			t.Fatalf("order %d gives %d figures", order, len(got))
		}
		for n := range got {
			want := 0.0
			for i := range held {
				want -= math.Log(brute(train, held[max(i-n, 0):i], held[i:i+1])) / float64(len(held))
			}
			if math.Abs(got[n]-want) > 1e-12 {
				t.Errorf("order %d: %g nats, want %g", n+1, got[n], want)
			}
		}
	}
}

func TestFitRefuses(t *testing.T) {
	for _, order := range []int{-1, 0, MaxOrder + 1} {
		if _, err := Fit(nil, order); err == nil {
			t.Errorf("order %d was taken", order)
		}
	}
}
