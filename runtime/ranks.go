package runtime

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/runtime/data"
)

// Ranks are the machines of all ranks of a plan, in one process. In a step each runs on a goroutine of its own; what the first one holds
// afterwards, loss, norm and weights, all hold.
type Ranks struct {
	machines []*Machine
	steppers []*Stepper
	fail     func(rank int, cause error)
	begin    []chan work
	ended    sync.WaitGroup
	results  []Result
	errs     []error
}

// work is a step to do.
type work struct {
	batch *data.Batch
	step  int64
	rate  float64
}

// NewRanks takes the machines of ranks 0, 1, …. fail, which may be nil for one rank, ends the waiting of all others for a rank that cannot go on.
func NewRanks(machines []*Machine, fail func(rank int, cause error)) (*Ranks, error) {
	r := &Ranks{machines: machines, fail: fail, results: make([]Result, len(machines)), errs: make([]error, len(machines))}
	for _, m := range machines {
		s, err := NewStepper(m)
		if err != nil {
			return nil, err
		}
		r.steppers = append(r.steppers, s)
	}
	for rank := range machines[1:] {
		begin := make(chan work)
		r.begin = append(r.begin, begin)
		go r.serve(rank+1, begin)
	}
	return r, nil
}

// serve does the steps of a rank.
func (r *Ranks) serve(rank int, begin <-chan work) {
	for w := range begin {
		r.train(rank, w)
		r.ended.Done()
	}
}

func (r *Ranks) train(rank int, w work) {
	r.results[rank], r.errs[rank] = r.steppers[rank].Train(w.batch, w.step, w.rate)
	if r.errs[rank] != nil && r.fail != nil {
		r.fail(rank, r.errs[rank])
	}
}

// Close ends the goroutines. The machines are their makers' to close.
func (r *Ranks) Close() {
	for _, begin := range r.begin {
		close(begin)
	}
}

// First is the machine of rank 0.
func (r *Ranks) First() *Machine { return r.machines[0] }

// Stepper is that of rank 0.
func (r *Ranks) Stepper() *Stepper { return r.steppers[0] }

// Train is [Stepper.Train] on all ranks.
func (r *Ranks) Train(b *data.Batch, step int64, rate float64) (Result, error) {
	w := work{b, step, rate}
	r.ended.Add(len(r.begin))
	for _, begin := range r.begin {
		begin <- w
	}
	r.train(0, w)
	r.ended.Wait()
	for _, err := range r.errs {
		if err != nil {
			return Result{}, fmt.Errorf("step %d: %w", step, r.failure())
		}
	}
	return r.results[0], nil
}

// failure is what went wrong first: not what others say that only waited for the rank to which it happened.
func (r *Ranks) failure() error {
	var told *collectives.Failure
	var first error
	for rank, err := range r.errs {
		switch {
		case err == nil:
		case !errors.As(err, &told):
			return r.cause(rank, err)
		case first == nil:
			first = told
		}
	}
	return first
}

// cause names the rank where there are several.
func (r *Ranks) cause(rank int, err error) error {
	if len(r.machines) == 1 {
		return err
	}
	return fmt.Errorf("rank %d: %w", rank, err)
}

// Locate is [Stepper.Locate], of the first rank that finds something.
func (r *Ranks) Locate(b *data.Batch, step int64) (string, error) {
	for rank, s := range r.steppers {
		found, err := s.Locate(b, step)
		if err != nil {
			return "", r.cause(rank, err)
		}
		if found != "" && len(r.machines) > 1 {
			return fmt.Sprintf("rank %d: %s", rank, found), nil
		}
		if found != "" {
			return found, nil
		}
	}
	return "", nil
}

// Start is [Machine.Start] of all ranks.
func (r *Ranks) Start() error { return r.each((*Machine).Start) }

// Load is [Machine.Load] of all ranks.
func (r *Ranks) Load(saved *checkpoint.Saved) error {
	return r.each(func(m *Machine) error { return m.Load(saved) })
}

// SetScaler is [Machine.SetScaler] of all ranks.
func (r *Ranks) SetScaler(s Scaler) {
	for _, m := range r.machines {
		m.SetScaler(s)
	}
}

// reader reads a whole tensor, whose parts lie with the ranks along its axis, those of the first one's group.
func (r *Ranks) reader(t *plan.Tensor) io.ReaderAt {
	section := func(m *Machine) io.ReaderAt {
		b := &m.stage.Buffers[t.Buffer]
		return io.NewSectionReader(m.memories[b.Space], b.Offset, b.SizeBytes())
	}
	if t.Part == "" {
		return section(r.First())
	}
	list := &joined{size: int64(r.First().Plan.PartLen(t)) * int64(t.DType.Size())}
	for _, rank := range r.First().Plan.Group(0, t.Part) {
		list.parts = append(list.parts, section(r.machines[rank]))
	}
	return list
}

// joined is parts of one size, one after another.
type joined struct {
	parts []io.ReaderAt
	size  int64
}

// ReadAt reads from as many parts as it takes.
func (j *joined) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		part := (off + int64(n)) / j.size
		if part >= int64(len(j.parts)) {
			return n, io.EOF
		}
		at := off + int64(n) - part*j.size
		most := min(int64(len(p)-n), j.size-at)
		read, err := j.parts[part].ReadAt(p[n:n+int(most)], at)
		n += read
		if int64(read) < most {
			return n, err
		}
	}
	return n, nil
}

// Tensor is a whole tensor's values.
func (r *Ranks) Tensor(name string) ([]float64, error) {
	t := r.First().Plan.Tensor(name)
	if t == nil || t.Part == "" {
		return r.First().Tensor(name)
	}
	var values []float64
	for _, rank := range r.First().Plan.Group(0, t.Part) {
		part, err := r.machines[rank].Tensor(name)
		if err != nil {
			return nil, err
		}
		values = append(values, part...)
	}
	return values, nil
}

func (r *Ranks) each(f func(*Machine) error) error {
	var errs []error
	for rank, m := range r.machines {
		if err := f(m); err != nil {
			errs = append(errs, r.cause(rank, err))
		}
	}
	return errors.Join(errs...)
}
