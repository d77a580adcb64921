package local

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/kernels"
)

// twoRanks runs two goroutines in rounds: before rewrites each one's array, and each then does its part of the work, which alone is timed, from when the
// first begins it to when both are done.
type twoRanks struct {
	arrays [2][]float32
	come   [2]atomic.Int64
}

// meet returns when both have come so many times.
func (t *twoRanks) meet(rank int, n int64) {
	t.come[rank].Store(n)
	for t.come[1-rank].Load() < n {
	}
}

// rounds gives the median time of a round of work.
func (t *twoRanks) rounds(n int, work func(rank int)) time.Duration {
	times := make([]time.Duration, n)
	var all sync.WaitGroup
	for rank := range 2 {
		all.Go(func() {
			for round := range n {
				for i := range t.arrays[rank] {
					t.arrays[rank][i] = float32(i&1023 + rank + round&1)
				}
				t.meet(rank, int64(2*round+1))
				begin := time.Now()
				work(rank)
				t.meet(rank, int64(2*round+2))
				if rank == 0 {
					times[round] = time.Since(begin)
				}
			}
		})
	}
	all.Wait()
	t.come[0].Store(0)
	t.come[1].Store(0)
	slices.Sort(times)
	return times[n/2]
}

// BenchmarkAllReduce compares two ranks that add up arrays with two goroutines that do the same to the same arrays in memory: each sums a half, and
// writes the sums to both.
func BenchmarkAllReduce(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20, 4 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			n := size / 4
			t := &twoRanks{arrays: [2][]float32{make([]float32, n), make([]float32, n)}}
			w := NewWorld(2, Options{})
			var calls [2]collectives.Collective
			for rank := range 2 {
				g, err := w.Group("pair", []int{0, 1}, rank)
				if err != nil {
					b.Fatal(err)
				}
				p := pointerTo(t.arrays[rank])
				if calls[rank], err = g.Bind(collectives.Call{Op: collectives.AllReduce, DType: kernels.F32, Count: n, In: p, Out: p}); err != nil {
					b.Fatal(err)
				}
			}
			half := n / 2
			byHand := func(rank int) {
				x, y := t.arrays[0][rank*half:][:half], t.arrays[1][rank*half:][:half]
				block := make([]float32, sumBlock)
				for at := 0; at < half; at += sumBlock {
					sum := block[:min(sumBlock, half-at)]
					collectives.Add(sum, x[at:], y[at:])
					copy(x[at:], sum)
					copy(y[at:], sum)
				}
			}
			rounds := max(41, min(4001, (64<<20)/size))
			var ratios []float64
			var own time.Duration
			for range max(3, b.N) {
				hand := t.rounds(rounds, byHand)
				own = t.rounds(rounds, func(rank int) { _ = calls[rank].Run() })
				ratios = append(ratios, hand.Seconds()/own.Seconds())
			}
			slices.Sort(ratios)
			b.ReportMetric(100*ratios[len(ratios)/2], "%-of-memory")
			b.ReportMetric(float64(own.Nanoseconds())/1e3, "µs/call")
		})
	}
}

func pointerTo(x []float32) unsafe.Pointer { return unsafe.Pointer(&x[0]) }
