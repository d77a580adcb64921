package runtime

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/runtime/data"
)

// Ranks are the machines of all ranks of a plan, in one process. In a step each runs on a goroutine of its own; what the first one holds
// afterwards, loss, norm and predictions, is that of all.
type Ranks struct {
	machines []*Machine
	steppers []*Stepper
	fail     func(rank int, cause error)
	begin    []chan work
	ended    chan int // ranks whose work is done
	over     []bool   // of the current work
	stuck    bool     // a rank does not end
	results  []Result
	found    []string
	errs     []error
}

// work is what all ranks do at a time.
type work struct {
	kind       workKind
	batch      *data.Batch
	step       int64
	rate       float64
	microBatch int
}

type workKind int

const (
	trains workKind = iota
	evaluates
	locates
)

// NewRanks takes the machines of ranks 0, 1, …. fail, which may be nil for one rank, ends the waiting of all others for a rank that cannot go on.
func NewRanks(machines []*Machine, fail func(rank int, cause error)) (*Ranks, error) {
	r := &Ranks{machines: machines, fail: fail, results: make([]Result, len(machines)), found: make([]string, len(machines)), errs: make([]error, len(machines))}
	for _, m := range machines {
		s, err := NewStepper(m)
		if err != nil {
			return nil, err
		}
		r.steppers = append(r.steppers, s)
	}
	r.ended, r.over = make(chan int, len(machines)), make([]bool, len(machines))
	if len(machines) > 1 {
		for rank := range machines {
			begin := make(chan work)
			r.begin = append(r.begin, begin)
			go r.serve(rank, begin)
		}
	}
	return r, nil
}

// serve does the work of a rank.
func (r *Ranks) serve(rank int, begin <-chan work) {
	for w := range begin {
		r.do(rank, w)
		r.ended <- rank
	}
}

func (r *Ranks) do(rank int, w work) {
	s := r.steppers[rank]
	switch w.kind {
	case trains:
		r.results[rank], r.errs[rank] = s.Train(w.batch, w.step, w.rate)
	case evaluates:
		r.results[rank].Loss, r.errs[rank] = s.Evaluate(w.batch, w.microBatch)
	case locates:
		r.found[rank], r.errs[rank] = s.Locate(w.batch, w.step)
	}
	if r.errs[rank] != nil && r.fail != nil {
		r.fail(rank, r.errs[rank])
	}
}

// grace is for how long ranks are waited for that do not end after another one failed.
const grace = time.Second

// together has all ranks do the same work, and gives the first one's result. A rank that does not end once another has failed is left behind.
func (r *Ranks) together(w work) (Result, error) {
	if len(r.begin) == 0 {
		r.do(0, w)
		return r.results[0], r.errs[0]
	}
	for _, begin := range r.begin {
		begin <- w
	}
	clear(r.over)
	var late <-chan time.Time
	for range r.machines {
		select {
		case rank := <-r.ended:
			r.over[rank] = true
			if r.errs[rank] != nil && late == nil {
				late = time.After(grace)
			}
		case <-late:
			r.stuck = true
			return Result{}, r.failure()
		}
	}
	if late != nil {
		return Result{}, r.failure()
	}
	return r.results[0], nil
}

// Stuck says whether a rank was left behind: its memory must stay.
func (r *Ranks) Stuck() bool { return r.stuck }

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
	result, err := r.together(work{batch: b, step: step, rate: rate})
	if err != nil {
		err = fmt.Errorf("step %d: %w", step, err)
	}
	return result, err
}

// Evaluate is [Stepper.Evaluate] on all ranks.
func (r *Ranks) Evaluate(b *data.Batch, microBatch int) (float64, error) {
	result, err := r.together(work{kind: evaluates, batch: b, microBatch: microBatch})
	return result.Loss, err
}

// failure is what went wrong first: not what others say that only waited for the rank to which it happened.
func (r *Ranks) failure() error {
	var told *collectives.Failure
	var first error
	for rank, over := range r.over {
		if !over {
			continue
		}
		switch err := r.errs[rank]; {
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

// Locate is [Stepper.Locate] on all ranks, and what the first that finds something finds.
func (r *Ranks) Locate(b *data.Batch, step int64) (string, error) {
	if _, err := r.together(work{kind: locates, batch: b, step: step}); err != nil {
		return "", err
	}
	for rank, found := range r.found {
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

// reader reads a whole tensor, whose elements several ranks may keep.
func (r *Ranks) reader(t *plan.Tensor) io.ReaderAt { return &joined{ranks: r, tensor: t} }

// joined is a tensor as one row of bytes.
type joined struct {
	ranks  *Ranks
	tensor *plan.Tensor
}

// ReadAt reads whole elements, from as many ranks as it takes.
func (j *joined) ReadAt(p []byte, off int64) (n int, err error) {
	width, total := int64(j.tensor.DType.Size()), int64(kernels.Elements(j.tensor.Shape()))
	for n < len(p) {
		element, rest := (off+int64(n))/width, (off+int64(n))%width
		if element >= total {
			return n, io.EOF
		}
		rank, at, together := j.ranks.First().Plan.Keeper(j.tensor, element)
		m := j.ranks.machines[rank]
		b := &m.stage.Buffers[j.tensor.Buffer] // the keeper is of the tensor's own stage
		most := min(int64(len(p)-n), together*width-rest)
		read, err := m.memories[b.Space].ReadAt(p[n:n+int(most)], b.Offset+at*width+rest)
		n += read
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Tensor is a whole tensor's values.
func (r *Ranks) Tensor(name string) ([]float64, error) {
	t := r.First().Plan.Tensor(name)
	if t == nil {
		return r.First().Tensor(name)
	}
	raw := make([]byte, kernels.Elements(t.Shape())*t.DType.Size())
	if _, err := r.reader(t).ReadAt(raw, 0); err != nil {
		return nil, err
	}
	return decode(nil, t.DType, raw), nil
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
