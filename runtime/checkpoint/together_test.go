package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// hall is where processes meet, which goroutines play.
type hall struct {
	mu    sync.Mutex
	all   sync.Cond
	came  int
	turn  int
	given [2][][]byte
}

// peer is one of them.
type peer struct {
	*hall
	rank, size int
}

func (p *peer) Rank() int { return p.rank }
func (p *peer) Size() int { return p.size }

// Gather waits for all.
func (p *peer) Gather(mine []byte) ([][]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	turn := p.turn
	given := &p.given[turn%2]
	if p.came == 0 {
		*given = make([][]byte, p.size)
	}
	(*given)[p.rank] = mine
	if p.came++; p.came == p.size {
		p.came = 0
		p.turn++
		p.all.Broadcast()
	}
	for p.turn == turn {
		p.all.Wait()
	}
	return *given, nil
}

// Agree tells all of the first error.
func (p *peer) Agree(mine error) error {
	text := ""
	if mine != nil {
		text = mine.Error()
	}
	all, _ := p.Gather([]byte(text))
	for rank, said := range all {
		if len(said) > 0 && mine == nil {
			mine = fmt.Errorf("rank %d: %s", rank, said)
		}
	}
	return mine
}

// joined runs f for each of so many processes that opened a folder together, and gives their errors.
func joined(t *testing.T, dir string, keep, n int, f func(s *Store, rank int) error) []error {
	t.Helper()
	h := &hall{}
	h.all.L = &h.mu
	errs := make([]error, n)
	var all sync.WaitGroup
	for rank := range n {
		all.Go(func() {
			s, err := OpenTogether(dir, keep, &peer{h, rank, n})
			if err == nil {
				err = f(s, rank)
			}
			errs[rank] = err
		})
	}
	all.Wait()
	return errs
}

// share is a snapshot of which a process has some elements alone: every nth, or, of a tensor with few, all or none.
func share(step int64, rank, n int) Snapshot {
	snap := snapshot(step)
	for i := range snap.Tensors {
		t := &snap.Tensors[i]
		total := int64(kernels.Elements(t.Shape))
		switch {
		case total < 4 && i%n == rank:
			t.Runs = []plan.Run{{First: 0, N: total}}
		case total >= 4:
			for first := int64(rank); first < total; first += int64(n) {
				t.Runs = append(t.Runs, plan.Run{First: first, N: 1})
			}
		}
		t.Data = hidden{t.Data, t.Runs, int64(t.DType.Size())}
	}
	return snap
}

// hidden gives nothing but some elements.
type hidden struct {
	io.ReaderAt
	runs  []plan.Run
	width int64
}

func (h hidden) ReadAt(p []byte, at int64) (int, error) {
	for _, r := range h.runs {
		if at >= r.First*h.width && at+int64(len(p)) <= (r.First+r.N)*h.width {
			return h.ReaderAt.ReadAt(p, at)
		}
	}
	return 0, errors.New("another process has these elements")
}

// Processes that have some elements each save what one process saves, in the background too.
func TestTogether(t *testing.T) {
	alone := store(t, 2, 1, 2, 3)
	for _, background := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "checkpoints")
		for _, err := range joined(t, dir, 2, 3, func(s *Store, rank int) error {
			var errs []error
			for step := range int64(3) {
				snap := share(step+1, rank, 3)
				if !background {
					errs = append(errs, s.Save(snap))
					continue
				}
				saver := NewSaver(s, make([]byte, 1000))
				errs = append(errs, saver.Save(snap), saver.Close())
			}
			return errors.Join(errs...)
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		if got := names(t, dir); got != "02 03" {
			t.Errorf("there are %s", got)
		}
		for _, file := range []string{"model.safetensors", stateFile, manifestFile, configFile, "tokenizer.json"} {
			want, err := os.ReadFile(filepath.Join(alone.place(3), file))
			got, other := os.ReadFile(filepath.Join(dir, stepName(3), file))
			if err != nil || other != nil || !bytes.Equal(got, want) {
				t.Errorf("%s is another one's, or not there: %v, %v", file, err, other)
			}
		}
		saved, err := At(dir, 3)
		if err != nil {
			t.Fatal(err)
		}
		holds(t, saved, 3)
	}
}

// Wherever the disk of one process becomes full, no process takes the checkpoint for saved, nothing of it is left, and the one before is intact.
func TestTogetherOnAFullDisk(t *testing.T) {
	for full := range 2 {
		tried := 0
		for done := false; !done; tried++ {
			dir := filepath.Join(t.TempDir(), "checkpoints")
			errs := joined(t, dir, 0, 2, func(s *Store, rank int) error {
				s.storage = hasty{}
				if err := s.Save(share(1, rank, 2)); err != nil {
					return err
				}
				if rank == full {
					s.storage = &faulty{left: tried, open: map[string]bool{}}
				}
				return s.Save(share(2, rank, 2))
			})
			done = errors.Join(errs...) == nil
			saved, refused := newest(t, dir)
			if len(refused) > 0 {
				t.Fatalf("process %d, operation %d: refused %v", full, tried, refused)
			}
			switch {
			case done:
				holds(t, saved, 2)
			case errs[full] != nil && strings.Contains(errs[full].Error(), "was saved, but"):
				holds(t, saved, 2)
			default:
				holds(t, saved, 1)
				if errs[0] == nil || errs[1] == nil || names(t, dir) != "01" {
					t.Errorf("process %d, operation %d: %v, left %s", full, tried, errs, names(t, dir))
				}
			}
		}
		if least := []int{10, 4}[full]; tried < least {
			t.Errorf("process %d: only %d operations were made to fail", full, tried)
		}
	}
}
