package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/timeline"
)

// Peers join the processes of a job, each of which holds one rank of a plan.
type Peers interface {
	Rank() int // this process's
	Size() int
	// Group gives this rank's part in a group. A name that begins with a dot is that of one whose calls wait for work of any length.
	Group(name string, ranks []int, rank int) (collectives.Group, error)
	// Fail makes all calls of all processes return an error that names the rank.
	Fail(rank int, cause error)
	Failed() <-chan struct{}
	Err() error
}

// Processes are those of a job, as one of them sees them. What they do together all must do, in the same order. nil stands for one
// process that holds all ranks: it agrees with itself.
type Processes struct {
	peers   Peers
	flag    []int64
	tell    collectives.Collective // adds up everybody's flags
	lengths []int64                // this one's at its place, and everybody's
	measure collectives.Collective
	in, out []byte // a piece of what this one gives, and of what all do
	gather  collectives.Collective
}

// gathered is how many bytes each process gives at a time.
const gathered = 4096

// NewProcesses joins the processes for what is done together under a name.
func NewProcesses(peers Peers, name string) (*Processes, error) {
	n := peers.Size()
	p := &Processes{peers: peers, flag: make([]int64, 1), lengths: make([]int64, n), in: make([]byte, gathered), out: make([]byte, n*gathered)}
	ranks := make([]int, n)
	for rank := range ranks {
		ranks[rank] = rank
	}
	g, err := peers.Group("."+name, ranks, peers.Rank())
	if err != nil {
		return nil, err
	}
	flag, length := unsafe.Pointer(&p.flag[0]), unsafe.Pointer(&p.lengths[peers.Rank()])
	for _, c := range []struct {
		bound *collectives.Collective
		call  collectives.Call
	}{
		{&p.tell, collectives.Call{Op: collectives.AllReduce, DType: kernels.I64, Count: 1, In: flag, Out: flag}},
		{&p.measure, collectives.Call{Op: collectives.AllGather, DType: kernels.I64, Count: 1, In: length, Out: unsafe.Pointer(&p.lengths[0])}},
		{&p.gather, collectives.Call{Op: collectives.AllGather, DType: kernels.U8, Count: gathered, In: unsafe.Pointer(&p.in[0]), Out: unsafe.Pointer(&p.out[0])}},
	} {
		if *c.bound, err = g.Bind(c.call); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// First says whether this process is the one that keeps the run folder and speaks for all.
func (p *Processes) First() bool { return p.Rank() == 0 }

// Rank is this process's.
func (p *Processes) Rank() int {
	if p == nil {
		return 0
	}
	return p.peers.Rank()
}

// Size is the number of processes.
func (p *Processes) Size() int {
	if p == nil {
		return 1
	}
	return len(p.lengths)
}

// failed is closed when a process cannot go on.
func (p *Processes) failed() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.peers.Failed()
}

// err is why one cannot.
func (p *Processes) err() error {
	if p == nil {
		return nil
	}
	return p.peers.Err()
}

// Gather gives everybody what each process gives, by rank.
func (p *Processes) Gather(mine []byte) ([][]byte, error) {
	if p == nil {
		return [][]byte{mine}, nil
	}
	p.lengths[p.Rank()] = int64(len(mine))
	if err := p.measure.Run(); err != nil {
		return nil, err
	}
	all := make([][]byte, p.Size())
	for at, longest := 0, int(slices.Max(p.lengths)); at < longest; at += gathered {
		copy(p.in, mine[min(at, len(mine)):])
		if err := p.gather.Run(); err != nil {
			return nil, err
		}
		for rank := range all {
			left := min(gathered, max(0, int(p.lengths[rank])-at))
			all[rank] = append(all[rank], p.out[rank*gathered:][:left]...)
		}
	}
	return all, nil
}

// Agree is nil when no process has an error; otherwise each has one, its own or that of the first rank with one.
func (p *Processes) Agree(mine error) error {
	if p == nil {
		return mine
	}
	text := ""
	if mine != nil {
		text = mine.Error()
	}
	all, err := p.Gather([]byte(text))
	if mine != nil || err != nil {
		return errors.Join(mine, err)
	}
	for rank, said := range all {
		if len(said) > 0 {
			return fmt.Errorf("rank %d: %s", rank, said)
		}
	}
	return nil
}

// Once has the first process do something, and gives all what it gives.
func (p *Processes) Once(do func() ([]byte, error)) ([]byte, error) {
	if p == nil {
		return do()
	}
	var mine []byte
	var err error
	if p.First() {
		mine, err = do()
	}
	if err = p.Agree(err); err != nil {
		return nil, err
	}
	all, err := p.Gather(mine)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Stopped is the error of a context that has ended, whichever process's, so that all stop at the same place.
func (p *Processes) Stopped(ctx context.Context) error {
	if p == nil {
		return ctx.Err()
	}
	p.flag[0] = 0
	if ctx.Err() != nil {
		p.flag[0] = 1
	}
	err := p.tell.Run()
	if err == nil && p.flag[0] != 0 {
		err = context.Canceled
	}
	return err
}

// interrupted says whether an error is that of a context that has ended.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Open has the first process find a checkpoint in a folder, which reads all of it, and all processes open it.
func (p *Processes) Open(dir string, find func() (*checkpoint.Saved, []checkpoint.Refused, error)) (saved *checkpoint.Saved, refused []checkpoint.Refused, err error) {
	step, err := p.Once(func() ([]byte, error) {
		if saved, refused, err = find(); saved == nil || err != nil {
			return nil, err
		}
		return json.Marshal(saved.Step)
	})
	if err != nil || p.First() || len(step) == 0 {
		return saved, refused, err
	}
	var at int64
	if err := json.Unmarshal(step, &at); err != nil {
		return nil, nil, err
	}
	saved, err = checkpoint.At(dir, at)
	return saved, nil, err
}

// events are what all ranks recorded.
func (p *Processes) events(mine []timeline.Event) ([]timeline.Event, error) {
	if p == nil {
		return mine, nil
	}
	text, err := json.Marshal(mine)
	if err != nil {
		return nil, err
	}
	parts, err := p.Gather(text)
	if err != nil {
		return nil, err
	}
	var all []timeline.Event
	for _, part := range parts {
		var events []timeline.Event
		if err := json.Unmarshal(part, &events); err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	return all, nil
}
