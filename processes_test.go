package gsc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/data"
	"github.com/gsc-project/gsc/runtime/monitor"
)

// peer is a process of a job, played by a goroutine: it holds one rank, and sees nothing of the others' memory but by collectives.
type peer struct {
	*local.World
	rank, size int
	failed     chan struct{}
	once       *sync.Once
}

func (p *peer) Rank() int               { return p.rank }
func (p *peer) Size() int               { return p.size }
func (p *peer) Failed() <-chan struct{} { return p.failed }

func (p *peer) Fail(rank int, cause error) {
	p.World.Fail(rank, cause)
	p.once.Do(func() { close(p.failed) })
}

// quiet records nothing; it ends a context after so many steps.
type quiet struct {
	steps int
	stop  func()
}

func (q *quiet) Step(*monitor.Record) error {
	if q.steps--; q.steps == 0 {
		q.stop()
	}
	return nil
}
func (*quiet) Note(string, ...any) {}
func (*quiet) Sync() error         { return nil }

// played is a job of goroutines.
type played struct {
	plan   *plan.Plan
	dir    string
	stop   int                                             // the steps after which a process is told to stop; 0: it is not
	told   int                                             // which
	device func(d kernels.Device, rank int) kernels.Device // nil: the rank's own
	group  func(g collectives.Group, rank int) collectives.Group
	limit  time.Duration              // for which a rank may hang
	after  func(*runtime.Ranks) error // what each process does in the end; nil: nothing

	machines []atomic.Pointer[runtime.Machine]
}

// run trains with a process for each rank, and gives how each ended.
func (j *played) run(t *testing.T) ([]runtime.Summary, []error) {
	t.Helper()
	n := j.plan.Ranks()
	j.machines = make([]atomic.Pointer[runtime.Machine], n)
	world, failed, once := local.NewWorld(n, local.Options{Deadline: j.limit, Look: j.look}), make(chan struct{}), &sync.Once{}
	ends, errs := make([]runtime.Summary, n), make([]error, n)
	var all sync.WaitGroup
	for rank := range n {
		me := &peer{world, rank, n, failed, once}
		all.Go(func() {
			ends[rank], errs[rank] = j.process(me)
			if errs[rank] != nil { // the process ends, and with it the job
				me.Fail(rank, errs[rank])
			}
		})
	}
	all.Wait()
	return ends, errs
}

func (j *played) look(rank int) (int64, string) {
	if m := j.machines[rank].Load(); m != nil {
		return m.Look()
	}
	return 0, ""
}

// process is what one of them does.
func (j *played) process(me *peer) (end runtime.Summary, err error) {
	device, err := gsc.NewDevice(j.plan.Device, 1)
	if err != nil {
		return end, err
	}
	if j.device != nil {
		device = j.device(device, me.rank)
	}
	m, err := runtime.Bind(j.plan, device, runtime.Rank{Number: me.rank, Join: func(axis string, ranks []int, rank int) (collectives.Group, error) {
		g, err := me.Group(axis, ranks, rank)
		if j.group != nil {
			g = j.group(g, rank)
		}
		return g, err
	}})
	if err != nil {
		return end, err
	}
	j.machines[me.rank].Store(m)
	together, err := runtime.NewProcesses(me, "job")
	if err != nil {
		return end, err
	}
	ranks, err := runtime.NewRank(m, together)
	if err != nil {
		return end, err
	}
	set, err := data.Open(j.plan.Data)
	if err != nil {
		return end, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	record := &quiet{stop: cancel}
	if me.rank == j.told {
		record.steps = j.stop
	}
	trainer, err := runtime.NewTrainer(ranks, set, j.dir, record)
	if err != nil {
		return end, err
	}
	if end, err = trainer.Run(ctx); err == nil && j.after != nil {
		err = j.after(ranks)
	}
	if !ranks.Stuck() {
		ranks.Close()
		err = errors.Join(err, m.Close(), device.Close())
	}
	return end, err
}

// jobMeshes are ways for four ranks to keep tensors: whole, cut, in parts, and both.
var jobMeshes = [][]string{
	{mesh(4), "parallel.zero=3"},
	{mesh(2), "parallel.mesh.tensor=2", "parallel.zero=1"},
	{"parallel.mesh.tensor=2", "parallel.mesh.sequence=2"},
}

// What is read of each rank's machine comes to every process, whatever others have less of.
func TestProcessesGatherWhatRanksRead(t *testing.T) {
	p := planOf(t, write(t, llama, stream), "batch.sequences=8", "schedule.steps=2", "evaluate.every=0", mesh(4))
	var mu sync.Mutex
	read, found := map[int][]float64{}, [][][]float64{}
	_, errs := (&played{plan: p, dir: t.TempDir(), after: func(r *runtime.Ranks) error {
		parts, err := r.Gather(func(m *runtime.Machine) []float64 {
			mu.Lock()
			defer mu.Unlock()
			values := make([]float64, len(read)) // the first has none
			for i := range values {
				values[i] = float64(10*len(read) + i)
			}
			read[r.Apart().Rank()] = values
			return values
		})
		mu.Lock()
		defer mu.Unlock()
		found = append(found, parts)
		return err
	}}).run(t)
	if err := errors.Join(errs...); err != nil || len(found) != 4 {
		t.Fatal(len(found), err)
	}
	for _, parts := range found {
		for rank, want := range read {
			if !slices.Equal(parts[rank], want) {
				t.Errorf("of rank %d came %v, not %v", rank, parts[rank], want)
			}
		}
	}
}

// Processes that hold a rank each save, piece by piece and in the background too, what one process with all ranks saves; they stop where any is told to, and
// go on to the same end.
func TestProcessesSaveWhatOneSaves(t *testing.T) {
	path := write(t, llama, stream)
	for i, m := range jobMeshes {
		p := planOf(t, path, append([]string{"batch.sequences=8", "schedule.steps=6", "checkpoint.every=2", "evaluate.every=3"}, m...)...)
		dir := t.TempDir()
		alone, joined := filepath.Join(dir, "alone"), filepath.Join(dir, "joined")
		l := newLab(t, p, 1)
		trainer, err := runtime.NewTrainer(l.ranks, l.set, alone, &quiet{})
		l.check(err)
		want, err := trainer.Run(t.Context())
		l.check(err)
		for _, stop := range []int{3, 0} {
			ends, errs := (&played{plan: p, dir: joined, stop: stop, told: i % p.Ranks()}).run(t)
			if err := errors.Join(errs...); err != nil {
				t.Fatalf("%v: %v", m, err)
			}
			for rank, end := range ends {
				if wrong := stop > 0 && (end.Step != int64(stop) || end.Stopped != "interrupted"); wrong || stop == 0 && (end.Step != want.Step || end.Loss != want.Loss || !slices.Equal(end.Validation, want.Validation)) {
					t.Errorf("%v: rank %d ended with %+v, one process with %+v", m, rank, end, want)
				}
			}
		}
		last := filepath.Join(runtime.CheckpointsDir, "step-00000006")
		if a, b := read(t, filepath.Join(alone, last)), read(t, filepath.Join(joined, last)); a != b {
			t.Errorf("%v: the last checkpoints differ", m)
		}
	}
}

// read is the names and bytes of a folder's files.
func read(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(e.Name() + "\n" + string(text))
	}
	return all.String()
}

// What ends one process ends all, at once, and each says of which rank it was; one that hangs is left behind by its own process, too.
func TestProcessesFailTogether(t *testing.T) {
	p := planOf(t, write(t, gpt2, stream), mesh(2))
	for _, c := range []struct {
		job  played
		want string
	}{
		{played{group: func(g collectives.Group, rank int) collectives.Group {
			if rank == 1 {
				return broken{g}
			}
			return g
		}}, "step 1: rank 1: reduce."},
		{played{limit: 200 * time.Millisecond, device: func(d kernels.Device, rank int) kernels.Device {
			return newOdd(d, hangs(rank == 1))
		}}, "step 1: rank 1: at h.1.ln_2 (layer_norm, gsc/gpt2.cue:"},
	} {
		begin := time.Now()
		c.job.plan, c.job.dir = p, t.TempDir()
		_, errs := c.job.run(t)
		for rank, err := range errs {
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("process %d: %v: want %s", rank, err, c.want)
			}
		}
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}
