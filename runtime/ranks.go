package runtime

import (
	"bytes"
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

// Ranks are the machines of all ranks of a plan in one process, or of the one rank that each process of a job holds. In a step each runs on
// a goroutine of its own; what the first one holds afterwards, loss, norm and predictions, is that of all.
type Ranks struct {
	machines []*Machine
	steppers []*Stepper
	fail     func(rank int, cause error)
	apart    *Processes // that hold a rank each; nil: this one holds all
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
	return newRanks(machines, fail, nil)
}

// NewRank takes the machine of the rank that this process holds.
func NewRank(m *Machine, apart *Processes) (*Ranks, error) {
	return newRanks([]*Machine{m}, apart.peers.Fail, apart)
}

func newRanks(machines []*Machine, fail func(rank int, cause error), apart *Processes) (*Ranks, error) {
	r := &Ranks{machines: machines, fail: fail, apart: apart, results: make([]Result, len(machines)), found: make([]string, len(machines)), errs: make([]error, len(machines))}
	for _, m := range machines {
		s, err := NewStepper(m)
		if err != nil {
			return nil, err
		}
		r.steppers = append(r.steppers, s)
	}
	r.ended, r.over = make(chan int, len(machines)), make([]bool, len(machines))
	if len(machines) > 1 || apart != nil {
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
	s.machine.at.Store(nil)
	if r.errs[rank] != nil && r.fail != nil {
		if r.fail(s.machine.rank.Number, r.errs[rank]); r.apart == nil {
			s.machine.drain() // others' memory goes when all have ended
		}
	}
}

// For how long ranks are waited for that do not end after another one failed, in this process or, where the job may end soon, in another.
const (
	grace      = time.Second
	graceApart = 300 * time.Millisecond
)

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
	failed := r.apart.failed()
	for left := len(r.machines); left > 0; {
		select {
		case rank := <-r.ended:
			left--
			r.over[rank] = true
			if r.errs[rank] != nil && late == nil {
				late = time.After(grace)
			}
		case <-failed:
			failed, late = nil, time.After(graceApart)
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

// Apart are the processes that hold a rank each; nil where this one holds all.
func (r *Ranks) Apart() *Processes { return r.apart }

// First is the machine of the first rank in this process.
func (r *Ranks) First() *Machine { return r.machines[0] }

// Stepper is its stepper.
func (r *Ranks) Stepper() *Stepper { return r.steppers[0] }

// BeforeUpdate sets [Stepper.BeforeUpdate] of all ranks, each of which calls it on its own goroutine.
func (r *Ranks) BeforeUpdate(f func(*Machine)) {
	for _, s := range r.steppers {
		s.BeforeUpdate = f
	}
}

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
	first := r.apart.err()
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
	if len(r.machines) == 1 && r.apart == nil {
		return err
	}
	return fmt.Errorf("rank %d: %w", r.machines[rank].rank.Number, err)
}

// Locate is [Stepper.Locate] on all ranks, and what the first that finds something finds.
func (r *Ranks) Locate(b *data.Batch, step int64) (string, error) {
	if _, err := r.together(work{kind: locates, batch: b, step: step}); err != nil {
		return "", err
	}
	all := r.found
	if r.apart != nil {
		texts, err := r.apart.Gather([]byte(r.found[0]))
		if err != nil {
			return "", err
		}
		all = nil
		for _, text := range texts {
			all = append(all, string(text))
		}
	}
	for rank, found := range all {
		if found != "" && len(all) > 1 {
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

// reader reads a whole tensor, whose elements several ranks may keep; of ranks in other processes, what they keep is not there.
func (r *Ranks) reader(t *plan.Tensor) *joined {
	j := &joined{plan: r.First().Plan, tensor: t, kept: make([]io.ReaderAt, r.First().Plan.Ranks())}
	for _, m := range r.machines {
		if own := m.kept(t); own != nil {
			j.kept[m.rank.Number] = m.part(own)
		}
	}
	return j
}

// part is what the rank keeps of a tensor of its stage.
func (m *Machine) part(t *plan.Tensor) io.ReaderAt {
	b := &m.stage.Buffers[t.Buffer]
	return io.NewSectionReader(m.memories[b.Space], b.Offset, int64(m.Plan.PartLen(t)*t.DType.Size()))
}

// joined is a tensor as one row of bytes.
type joined struct {
	plan   *plan.Plan
	tensor *plan.Tensor
	kept   []io.ReaderAt // by rank
}

// ReadAt reads whole elements, from as many ranks as it takes.
func (j *joined) ReadAt(p []byte, off int64) (n int, err error) {
	width, total := int64(j.tensor.DType.Size()), int64(kernels.Elements(j.tensor.Shape()))
	for n < len(p) {
		element, rest := (off+int64(n))/width, (off+int64(n))%width
		if element >= total {
			return n, io.EOF
		}
		rank, at, together := j.plan.Keeper(j.tensor, element)
		if j.kept[rank] == nil {
			return n, fmt.Errorf("element %d of %s is kept by rank %d, in another process", element, j.tensor.Name, rank)
		}
		most := min(int64(len(p)-n), together*width-rest)
		read, err := j.kept[rank].ReadAt(p[n:n+int(most)], at*width+rest)
		n += read
		if err != nil && int64(read) < most {
			return n, err
		}
	}
	return n, nil
}

// Tensor is a whole tensor's values, of which every process gets a copy.
func (r *Ranks) Tensor(name string) ([]float64, error) {
	t := r.First().Plan.Tensor(name)
	if t == nil {
		return r.First().Tensor(name)
	}
	all := r.reader(t)
	if r.apart != nil {
		var mine []byte
		if own := r.First().kept(t); own != nil {
			mine = make([]byte, r.First().Plan.PartLen(t)*t.DType.Size())
			if _, err := r.First().part(own).ReadAt(mine, 0); err != nil {
				return nil, err
			}
		}
		parts, err := r.apart.Gather(mine)
		if err != nil {
			return nil, err
		}
		for rank, part := range parts {
			all.kept[rank] = bytes.NewReader(part)
		}
	}
	raw := make([]byte, kernels.Elements(t.Shape())*t.DType.Size())
	if _, err := all.ReadAt(raw, 0); err != nil {
		return nil, err
	}
	return decode(nil, t.DType, raw), nil
}

// saves are the elements of a tensor that this process saves where each holds a rank: those that its rank keeps, and no earlier one does.
func (r *Ranks) saves(t *plan.Tensor) []plan.Run {
	m := r.First()
	runs := m.runs(t)
	if len(runs) > 0 {
		if keeper, _, _ := m.Plan.Keeper(t, runs[0].First); keeper == m.rank.Number {
			return runs
		}
	}
	return nil
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
