package cpu

import (
	"sync/atomic"
	"testing"
	"time"
)

// TestPoolRunsEachPieceOnce changes the job and the number of pieces from run to
// run, with pauses in which workers fall asleep.
func TestPoolRunsEachPieceOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		p := newPool(threads)
		var counts [3][100]atomic.Int32
		var jobs [3]func(piece, worker int)
		for k := range jobs {
			jobs[k] = func(piece, worker int) {
				if worker < 0 || worker >= threads {
					t.Errorf("worker %d of %d", worker, threads)
				}
				counts[k][piece].Add(1)
			}
		}
		for n := range 3000 {
			pieces, k := n%len(counts[0]), n%len(jobs)
			p.run(pieces, jobs[k])
			for i := range counts[k] {
				if got := counts[k][i].Swap(0); got != 0 != (i < pieces) || got > 1 {
					t.Fatalf("%d threads, run %d of %d pieces: piece %d ran %d times", threads, n, pieces, i, got)
				}
			}
			if n%500 == 0 {
				time.Sleep(2 * time.Millisecond)
			}
		}
		p.close()
	}
}

// TestPoolOrdersMemory: what one run wrote plainly, the next run and the caller read.
func TestPoolOrdersMemory(t *testing.T) {
	p := newPool(4)
	defer p.close()
	var a, b [64]int
	fill := func(piece, _ int) { a[piece]++ }
	move := func(piece, _ int) { b[piece] = a[63-piece] }
	for n := 1; n <= 2000; n++ {
		p.run(len(a), fill)
		p.run(len(b), move)
		for i, got := range b {
			if got != n {
				t.Fatalf("run %d: piece %d saw %d", n, i, got)
			}
		}
	}
}

// TestPoolWaitsForSlowPieces: the caller may sleep until the last piece is done.
func TestPoolWaitsForSlowPieces(t *testing.T) {
	p := newPool(2)
	defer p.close()
	var done atomic.Int32
	for range 20 {
		done.Store(0)
		p.run(2, func(_, worker int) {
			if worker == 1 {
				time.Sleep(3 * time.Millisecond)
			}
			done.Add(1)
		})
		if done.Load() != 2 {
			t.Fatal("run returned before its pieces were done")
		}
	}
}
