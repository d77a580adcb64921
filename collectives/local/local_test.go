package local

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/collectives/collectivetest"
	"github.com/gsc-project/gsc/kernels"
)

// eachRank runs f for every rank of a group of so many, each in a goroutine, and gives their errors.
func eachRank(t testing.TB, w *World, n int, f func(g collectives.Group) error) []error {
	t.Helper()
	ranks := make([]int, n)
	for r := range ranks {
		ranks[r] = r
	}
	errs := make([]error, n)
	var all sync.WaitGroup
	for r := range ranks {
		g, err := w.Group("all", ranks, r)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() { errs[r] = errors.Join(f(g), g.Close()) })
	}
	all.Wait()
	return errs
}

func TestSuite(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 8} {
		for _, err := range eachRank(t, NewWorld(n, Options{}), n, collectivetest.Check) {
			if err != nil {
				t.Error(err)
			}
		}
	}
}

func floats(n int) ([]float32, unsafe.Pointer) {
	x := make([]float32, n)
	return x, unsafe.Pointer(&x[0])
}

// Ranks that come to different calls all fail, and the error says with what.
func TestMismatch(t *testing.T) {
	for _, err := range eachRank(t, NewWorld(2, Options{}), 2, func(g collectives.Group) error {
		_, x := floats(8)
		b, err := g.Bind(collectives.Call{Op: collectives.AllReduce, DType: kernels.F32, Count: 4 + g.Rank(), In: x, Out: x})
		if err != nil {
			return err
		}
		return b.Run()
	}) {
		if err == nil || !strings.Contains(err.Error(), "all_reduce of 4 f32") || !strings.Contains(err.Error(), "all_reduce of 5 f32") {
			t.Error(err)
		}
	}
}

// A rank that does not come within the deadline is named by all that wait for it; one that fails ends their waiting at once.
func TestFailure(t *testing.T) {
	barrier := func(g collectives.Group) error {
		b, err := g.Bind(collectives.Call{Op: collectives.Barrier})
		if err != nil {
			return err
		}
		return b.Run()
	}
	var failure *collectives.Failure
	for r, err := range eachRank(t, NewWorld(3, Options{Deadline: 100 * time.Millisecond}), 3, func(g collectives.Group) error {
		if g.Rank() == 1 {
			return nil
		}
		return barrier(g)
	}) {
		if r != 1 && (!errors.As(err, &failure) || failure.Rank != 1) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	w, cause := NewWorld(3, Options{}), errors.New("out of paper")
	begin := time.Now()
	for r, err := range eachRank(t, w, 3, func(g collectives.Group) error {
		if g.Rank() == 2 {
			w.Fail(2, cause)
			return nil
		}
		return barrier(g)
	}) {
		if r != 2 && (!errors.Is(err, cause) || !strings.Contains(err.Error(), "rank 2")) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Groups that overlap do not disturb each other, and a rank that is not in a group has no part in it.
func TestGroups(t *testing.T) {
	w := NewWorld(4, Options{})
	if _, err := w.Group("rows", []int{0, 1}, 2); err == nil {
		t.Error("rank 2 is in a group of ranks 0 and 1")
	}
	if _, err := w.Group("rows", []int{0, 9}, 0); err == nil {
		t.Error("a world of 4 has a rank 9")
	}
	var all sync.WaitGroup
	for r := range 4 {
		row, err := w.Group("rows", []int{r / 2 * 2, r/2*2 + 1}, r)
		if err != nil {
			t.Fatal(err)
		}
		column, err := w.Group("columns", []int{r % 2, r%2 + 2}, r)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			x, p := floats(100)
			x[99] = float32(r)
			for _, g := range []collectives.Group{row, column} {
				b, err := g.Bind(collectives.Call{Op: collectives.AllReduce, DType: kernels.F32, Count: 100, In: p, Out: p})
				if err == nil {
					err = b.Run()
				}
				if err != nil {
					t.Error(err)
				}
			}
			if x[99] != 6 {
				t.Errorf("rank %d: the sum over rows and columns is %v", r, x[99])
			}
		})
	}
	all.Wait()
}

// With a link, a call takes its time, the rank's processor is free meanwhile, and calls of a group follow each other.
func TestLink(t *testing.T) {
	link := &collectives.Link{Latency: 5 * time.Millisecond, BytesPerSecond: 4e6}
	for _, err := range eachRank(t, NewWorld(2, Options{Link: link}), 2, func(g collectives.Group) error {
		_, p := floats(20000)
		b, err := g.Bind(collectives.Call{Op: collectives.AllReduce, DType: kernels.F32, Count: 20000, In: p, Out: p})
		if err != nil {
			return err
		}
		begin := time.Now()
		b.Start()
		if d := time.Since(begin); d > 20*time.Millisecond {
			t.Errorf("to start a call took %v", d)
		}
		if err := b.Wait(); err != nil {
			return err
		}
		if d := time.Since(begin); d < 25*time.Millisecond || d > 250*time.Millisecond { // 5 ms, and 80 kB at 4 MB/s
			t.Errorf("the call took %v", d)
		}
		return nil
	}) {
		if err != nil {
			t.Error(err)
		}
	}
}

// A call allocates nothing, whether it is run or started.
func TestNoAllocation(t *testing.T) {
	const calls = 200
	w := NewWorld(2, Options{})
	var group [2]collectives.Collective
	for r := range group {
		g, err := w.Group("all", []int{0, 1}, r)
		if err != nil {
			t.Fatal(err)
		}
		_, p := floats(5000)
		if group[r], err = g.Bind(collectives.Call{Op: collectives.AllReduce, DType: kernels.F32, Count: 5000, In: p, Out: p}); err != nil {
			t.Fatal(err)
		}
	}
	turn := func(b collectives.Collective) error {
		b.Start()
		return errors.Join(b.Wait(), b.Run())
	}
	done := make(chan error)
	go func() {
		var err error
		for range 1 + calls + 1 {
			err = errors.Join(err, turn(group[1]))
		}
		done <- err
	}()
	if err := turn(group[0]); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(calls, func() {
		if err := turn(group[0]); err != nil {
			t.Error(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations a turn", n)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
