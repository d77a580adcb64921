//go:build mpi

package mpi

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/collectives/collectivetest"
	"github.com/gsc-project/gsc/kernels"
)

// What the ranks of a test do is in this variable: the tests start mpirun with their own program, whose processes find it.
const role = "GSC_MPI_TEST"

func TestMain(m *testing.M) {
	do := roles[os.Getenv(role)]
	if do == nil {
		os.Exit(m.Run())
	}
	signal.Ignore(syscall.SIGTERM) // mpirun sends it when a rank is gone, and gives the others a second
	w, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	w.Set(Options{Deadline: 2 * time.Second, Look: func() (int64, string) { return 7, "the instruction" }})
	if err = do(w); err == nil {
		err = w.Close()
	}
	if err != nil {
		w.End(err, func(err error) { fmt.Println("told:", err) })
	}
}

// launch runs a part on ranks that mpirun starts, and gives what they said, and how long it took.
func launch(t testing.TB, ranks int, do string) (said string, took time.Duration, err error) {
	t.Helper()
	mpirun, missing := exec.LookPath("mpirun")
	if missing != nil {
		t.Skip("SKIPPED: no mpirun here: install an MPI (on Debian: apt-get install libopenmpi-dev openmpi-bin)")
	}
	args := []string{"-np", fmt.Sprint(ranks), "-disable-auto-cleanup"} // which would give nobody the time to tell what happened
	if version, _ := exec.Command(mpirun, "--version").Output(); strings.Contains(string(version), "Open MPI") {
		args = append(args[:2], "--oversubscribe", "--allow-run-as-root")
	}
	cmd := exec.Command(mpirun, append(args, os.Args[0])...)
	cmd.Env = append(os.Environ(), role+"="+do)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	return string(out), time.Since(begin), err
}

// roles are what ranks do.
var roles = map[string]func(w *World) error{
	"suite": func(w *World) error {
		all, err := w.all("all")
		if err != nil {
			return err
		}
		if err := collectivetest.Check(all); err != nil || w.size < 4 {
			return errors.Join(err, all.Close())
		}
		row, err := w.Group("pairs", []int{w.rank / 2 * 2, w.rank/2*2 + 1}, w.rank)
		if err != nil {
			return err
		}
		column, err := w.Group("pairs", []int{w.rank % 2, w.rank%2 + 2}, w.rank)
		if err != nil {
			return err
		}
		return errors.Join(collectivetest.Check(row), collectivetest.Check(column))
	},
	"overlap": overlap,
	"time":    timeSums,
	"large":   large,
	// One rank comes to another call.
	"mismatch": func(w *World) error {
		n := 100
		if w.rank == 1 {
			n = 200
		}
		return w.sum("all", n)
	},
	"error": func(w *World) error {
		if w.rank == 1 {
			return errors.New("out of paper")
		}
		return w.sum("all", 10)
	},
	"kill":       func(w *World) error { return w.kill(1) },
	"kill first": func(w *World) error { return w.kill(0) },
	// Rank 2 does nothing; the others wait for it, 0 for 1 and 1 for 2.
	"hang": func(w *World) error {
		switch w.rank {
		case 0:
			return w.sumOf("chain", 10, 0, 1)
		case 1:
			return errors.Join(w.sumOf("chain", 10, 1, 2), w.sumOf("chain", 10, 0, 1))
		}
		select {}
	},
	"stop": func(w *World) error {
		if w.rank == 1 {
			return syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		}
		return w.sum("all", 10)
	},
	"stop in files": func(w *World) error {
		if w.rank == 0 {
			return syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		}
		return w.sum(".files", 10)
	},
	// A group whose work has no length waits as long as it takes.
	"patience": func(w *World) error {
		if w.rank == 1 {
			time.Sleep(4 * time.Second)
		}
		return w.sum(".files", 10)
	},
}

// kill has a rank end in the middle of its work.
func (w *World) kill(rank int) error {
	if err := w.sum("all", 10); err != nil {
		return err
	}
	if w.rank == rank {
		time.Sleep(200 * time.Millisecond)
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return w.sum("all", 10)
}

func (w *World) all(name string) (collectives.Group, error) {
	ranks := make([]int, w.size)
	for r := range ranks {
		ranks[r] = r
	}
	return w.Group(name, ranks, w.rank)
}

func (w *World) sum(name string, n int) error {
	ranks := make([]int, w.size)
	for r := range ranks {
		ranks[r] = r
	}
	return w.sumOf(name, n, ranks...)
}

// sumOf adds n ones up.
func (w *World) sumOf(name string, n int, ranks ...int) error {
	g, err := w.Group(name, ranks, w.rank)
	if err != nil {
		return err
	}
	x := make([]float64, n)
	for i := range x {
		x[i] = 1
	}
	c, err := g.Bind(collectives.Call{Op: collectives.AllReduce, DType: kernels.F64, Count: n, In: unsafe.Pointer(&x[0]), Out: unsafe.Pointer(&x[0])})
	if err == nil {
		err = c.Run()
	}
	if err == nil && x[n-1] != float64(len(ranks)) {
		err = fmt.Errorf("%d ones are %v", len(ranks), x[n-1])
	}
	return errors.Join(err, g.Close())
}

// overlap has two groups of the same ranks exchange at a time, one beside what is computed.
func overlap(w *World) error {
	const n = 300000
	beside, err := w.all("beside")
	if err != nil {
		return err
	}
	x := make([]float64, n)
	c, err := beside.Bind(collectives.Call{Op: collectives.AllReduce, DType: kernels.F64, Count: n, In: unsafe.Pointer(&x[0]), Out: unsafe.Pointer(&x[0])})
	if err != nil {
		return err
	}
	for round := range 20 {
		for i := range x {
			x[i] = float64(round + i%7)
		}
		c.Start()
		if err := w.sum("all", 1000+round); err != nil {
			return err
		}
		if err := c.Wait(); err != nil {
			return err
		}
		for i, v := range x {
			if v != float64(w.size*(round+i%7)) {
				return fmt.Errorf("round %d: sum %d is %v", round, i, v)
			}
		}
	}
	return nil
}

// large exchanges more than goes into one piece, in rows and in place.
func large(w *World) error {
	g, err := w.all("all")
	if err != nil {
		return err
	}
	const rows, each = 3, 400_000
	in, out := make([]float32, rows*w.size*each), make([]float32, rows*each)
	for i := range in {
		in[i] = float32(i%1000 + w.rank)
	}
	sum, err := g.Bind(collectives.Call{Op: collectives.ReduceScatter, DType: kernels.F32, Rows: rows, Count: each, In: unsafe.Pointer(&in[0]), Out: unsafe.Pointer(&out[0])})
	if err == nil {
		err = sum.Run()
	}
	if err != nil {
		return err
	}
	for i := range out {
		at := i/each*w.size*each + w.rank*each + i%each
		if want := float32(w.size*(at%1000) + w.size*(w.size-1)/2); out[i] != want {
			return fmt.Errorf("sum %d is %v, not %v", i, out[i], want)
		}
	}
	swap, err := g.Bind(collectives.Call{Op: collectives.AllToAll, DType: kernels.F32, Count: each * rows, In: unsafe.Pointer(&in[0]), Out: unsafe.Pointer(&in[0])})
	if err == nil {
		err = swap.Run()
	}
	if err != nil {
		return err
	}
	for i := range in {
		q, at := i/(each*rows), w.rank*each*rows+i%(each*rows)
		if want := float32(at%1000 + q); in[i] != want {
			return fmt.Errorf("element %d is %v, not %v", i, in[i], want)
		}
	}
	return nil
}

// timeSums times sums of some sizes, a median of each, which the first rank tells.
func timeSums(w *World) error {
	g, err := w.all("all")
	if err != nil {
		return err
	}
	for _, bytes := range []int{4 << 10, 1 << 20, 16 << 20} {
		x := make([]float32, bytes/4)
		c, err := g.Bind(collectives.Call{Op: collectives.AllReduce, DType: kernels.F32, Count: len(x), In: unsafe.Pointer(&x[0]), Out: unsafe.Pointer(&x[0])})
		if err != nil {
			return err
		}
		var times []time.Duration
		for range max(11, min(1001, (64<<20)/bytes)) {
			begin := time.Now()
			if err := c.Run(); err != nil {
				return err
			}
			times = append(times, time.Since(begin))
		}
		slices.Sort(times)
		if median := times[len(times)/2]; w.rank == 0 {
			fmt.Printf("all_reduce of %d KiB on %d ranks: %v, %.2f GB/s\n", bytes>>10, w.size, median, float64(bytes)/median.Seconds()/1e9)
		}
	}
	return nil
}

// BenchmarkSums logs what sums among two processes take.
func BenchmarkSums(b *testing.B) {
	said, _, err := launch(b, 2, "time")
	if err != nil {
		b.Fatalf("%v\n%s", err, said)
	}
	b.Logf("\n%s", said)
}

func TestRanks(t *testing.T) {
	for _, do := range []string{"suite", "overlap", "large"} {
		for _, ranks := range []int{2, 3, 4} {
			if said, _, err := launch(t, ranks, do); err != nil {
				t.Errorf("%s on %d ranks: %v\n%s", do, ranks, err, said)
			}
		}
	}
	if said, took, err := launch(t, 2, "patience"); err != nil {
		t.Errorf("%v after %v\n%s", err, took, said)
	}
}

// A rank that cannot go on, in whatever way, ends the job, and one message names it and says why.
func TestFailure(t *testing.T) {
	for _, c := range []struct{ do, want string }{
		{"mismatch", "comes to all_reduce of 1 × 1 × "},
		{"error", "rank 1: out of paper"},
		{"kill", "rank 1: it was killed, or ended without a word; rank "},
		{"kill first", "rank 0: it was killed, or ended without a word; rank "},
		{"hang", "rank 2: at the instruction: it has done nothing for 2s"},
		{"stop", "rank 1: it has not answered for 2s"},
		{"stop in files", "rank 0: it has not answered for 2s"},
	} {
		said, took, err := launch(t, 3, c.do)
		if err == nil || strings.Count(said, "told:") != 1 || !strings.Contains(said, c.want) || took > 8*time.Second {
			t.Errorf("%s: %v after %v: want one message with %q\n%s", c.do, err, took, c.want, said)
		}
	}
}
