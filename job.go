package gsc

import (
	"fmt"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gsc-project/gsc/collectives/mpi"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime"
)

// transport joins the processes of a job.
type transport interface {
	runtime.Peers
	Local() int      // ranks on this machine
	Processors() int // that these may use together
	// Serve settles what holds for the plan that is bound next.
	Serve(deadline time.Duration, look func() (int64, string), add func(z, x, y []float32))
	Close() error
	End(err error, tell func(error))
}

// job is what this process is a part of when a launcher of MPI started it as one of several; each holds one rank. A process is part of one job at most,
// from its start to its end.
var job struct {
	transport transport // nil: the process is alone
	processes *runtime.Processes
	threads   int // of all processes together
}

// Join makes this process a rank of the job that a launcher of MPI (mpirun, srun) started it for, if one did. It comes before all else; [Leave] ends it.
func Join() error {
	_, size := mpi.Launched()
	if size == 1 {
		return nil
	}
	t, err := startTransport(size)
	if err != nil {
		return err
	}
	job.transport = t
	if job.processes, err = runtime.NewProcesses(t, "job"); err != nil {
		return err
	}
	all, err := Once(func() (string, error) { return strconv.Itoa(t.Processors() * size / t.Local()), nil })
	if err == nil {
		job.threads, err = strconv.Atoi(all)
	}
	signal.Ignore(syscall.SIGTERM) // sent when a rank is gone, with a second to say so; what can be interrupted still listens to it
	return err
}

// First says whether this process keeps the run folder and speaks for the job: one that is alone does.
func First() bool {
	rank, _ := mpi.Launched()
	return rank == 0
}

// Joined says whether this process is one of several.
func Joined() bool { return job.transport != nil }

// Leave ends this process's part in the job: when all have come to their end; or at once for all where one could not go on, after it was told why, once.
func Leave(err error, tell func(error)) error {
	switch {
	case job.transport == nil && !First(): // without MPI none of them has begun, and the first one says so
		return nil
	case job.transport == nil && err != nil:
		tell(err)
	case job.transport != nil:
		if err == nil {
			err = job.transport.Close()
		}
		if err != nil {
			job.transport.End(err, tell)
		}
	}
	return err
}

// Once has the first process of the job do something, and gives all what it gives.
func Once(do func() (string, error)) (string, error) {
	got, err := job.processes.Once(func() ([]byte, error) {
		text, err := do()
		return []byte(text), err
	})
	return string(got), err
}

// bindRank binds this process's rank of a plan, which all processes of the job must have alike.
func (s *session) bindRank(threads int) error {
	t := job.transport
	if err := s.checkJob(); err != nil {
		return err
	}
	device, err := s.open(s.plan.RankThreads(processors(threads)))
	if err != nil {
		return err
	}
	var machine atomic.Pointer[runtime.Machine]
	t.Serve(deadline(s.plan, device, processors(threads), t.Local()/t.Processors()), func() (int64, string) {
		if m := machine.Load(); m != nil {
			return m.Look()
		}
		return 0, ""
	}, adder(device))
	m, err := s.bind(device, runtime.Rank{Number: t.Rank(), Join: t.Group})
	if err != nil {
		return err
	}
	machine.Store(m)
	s.ranks, err = runtime.NewRank(m, job.processes)
	return err
}

// checkJob refuses a plan that is not for so many processes, or not the same in all.
func (s *session) checkJob() error {
	n, ranks := job.processes.Size(), s.plan.Ranks()
	if n != ranks {
		return fmt.Errorf("the plan has %s, and %d processes were started for them: start as many as ranks (mpirun -np %d), or change parallel.mesh", several(ranks, "rank"), n, ranks)
	}
	digests, err := job.processes.Gather([]byte(s.plan.Digest()))
	if err != nil {
		return err
	}
	for rank, d := range digests {
		if string(d) != string(digests[0]) {
			return fmt.Errorf("rank %d made another plan (%.12s) than rank 0 (%.12s): the strategy's files, its data, the options or gsc itself differ where they run", rank, d, digests[0])
		}
	}
	return nil
}

func several(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// heldBytes is the memory that this process takes at most.
func heldBytes(p *plan.Plan) int64 {
	if Joined() {
		return p.PeakBytes()
	}
	return p.ProcessBytes()
}
