package compiler

import (
	"slices"
	"testing"
)

// makespan plays stages whose programs take so long, and gives when the last ends; 0 where one waits for ever.
func makespan(all [][]turn, forward, back, weigh float64) float64 {
	n := len(all)
	type done map[int]float64
	forwards, backs := make([]done, n), make([]done, n)
	at, now := make([]int, n), make([]float64, n)
	for i := range all {
		forwards[i], backs[i] = done{}, done{}
	}
	for progress := true; progress; {
		progress = false
		for i := range all {
			for at[i] < len(all[i]) {
				t, ready, ok := all[i][at[i]], now[i], true
				var came float64
				switch {
				case t.kind == goesForward && i > 0:
					came, ok = forwards[i-1][t.micro]
				case t.kind == goesBack && i < n-1:
					came, ok = backs[i+1][t.micro]
				}
				if !ok {
					break
				}
				now[i] = max(ready, came) + [...]float64{goesForward: forward, goesBack: back, weighs: weigh}[t.kind]
				switch t.kind {
				case goesForward:
					forwards[i][t.micro] = now[i]
				case goesBack:
					backs[i][t.micro] = now[i]
				}
				at[i]++
				progress = true
			}
		}
	}
	last := 0.0
	for i := range all {
		if at[i] < len(all[i]) {
			return 0
		}
		last = max(last, now[i])
	}
	return last
}

// Each schedule takes every micro-batch of every stage forward and back once, and as long as its paper says: with M micro-batches and P stages, where going
// back takes twice as long, 1f1b and gpipe take 3·(M + P − 1), and zero-bubble a bubble of P − 1 at best (Qi et al., arXiv:2401.10241, table 2).
func TestTurnsTakeAsLong(t *testing.T) {
	for _, stages := range []int{2, 4, 8} {
		for _, micro := range []int{1, stages, 4 * stages} {
			var one, all [][]turn
			for i := range stages {
				one, all = append(one, rounds(micro, stages-i, 1, 1)), append(all, rounds(micro, micro, 1, 1))
			}
			want := float64(3 * (micro + stages - 1))
			if got := makespan(one, 1, 2, 0); got != want {
				t.Errorf("1f1b, %d stages, %d micro-batches: %v, want %v", stages, micro, got, want)
			}
			if got := makespan(all, 1, 2, 0); got != want {
				t.Errorf("gpipe, %d stages, %d micro-batches: %v, want %v", stages, micro, got, want)
			}
			zero := zeroBubble(slices.Repeat([]durations{{1, 1, 1}}, stages), micro)
			if got := makespan(zero, 1, 1, 1); got < float64(3*micro+stages-1) || got > want {
				t.Errorf("zero-bubble, %d stages, %d micro-batches: %v, want at most %v", stages, micro, got, want)
			}
			for i := range stages {
				if len(one[i]) != 2*micro || len(all[i]) != 2*micro || len(zero[i]) != 3*micro {
					t.Errorf("stage %d has %d, %d and %d turns", i, len(one[i]), len(all[i]), len(zero[i]))
				}
			}
		}
	}
}

// The largest sum of a chunk is the least there can be: held against all ways to cut.
func TestBalance(t *testing.T) {
	for _, costs := range [][]float64{{1, 1, 1, 1, 1}, {0, 1, 1, 1, 1, 3}, {5, 1, 1}, {0, 2, 2, 2, 2, 2, 2, 0.7}} {
		for chunks := 1; chunks <= len(costs); chunks++ {
			of := balance(costs, chunks)
			sums := make([]float64, chunks)
			for i, c := range of {
				if i > 0 && (c < of[i-1] || c > of[i-1]+1) || i == 0 && c != 0 {
					t.Errorf("%v: chunks %v", costs, of)
				}
				sums[c] += costs[i]
			}
			worst := 0.0
			for _, s := range sums {
				worst = max(worst, s)
			}
			if best := leastWorst(costs, chunks); worst > best*(1+1e-9) || of[len(of)-1] != chunks-1 {
				t.Errorf("%v in %d: %v, of which the largest is %v, can be %v", costs, chunks, of, worst, best)
			}
		}
	}
}

func leastWorst(costs []float64, chunks int) float64 {
	total := 0.0
	if chunks == 1 {
		for _, c := range costs {
			total += c
		}
		return total
	}
	best := -1.0
	for i := 1; i <= len(costs)-chunks+1; i++ {
		total += costs[i-1]
		if worst := max(total, leastWorst(costs[i:], chunks-1)); best < 0 || worst < best {
			best = worst
		}
	}
	return best
}
