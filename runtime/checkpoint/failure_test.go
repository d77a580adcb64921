package checkpoint

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// faulty is a disk on which one operation after the other goes wrong. left
// counts the operations until then. A full disk takes nothing more, but can remove and rename but for the failed
// operation itself; a killed process does nothing any more, and files not yet synced lose their end.
type faulty struct {
	disk
	left   int
	killed bool // else full
	open   map[string]bool
}

var errKilled = errors.New("killed")

// step is nil while the disk works; more says that the operation needs room.
func (f *faulty) step(more bool) error {
	f.left--
	switch {
	case f.left >= 0:
		return nil
	case f.killed:
		return errKilled
	case more || f.left == -1:
		return &os.PathError{Op: "write", Path: "disk", Err: syscall.ENOSPC}
	}
	return nil
}

func (f *faulty) create(path string) (output, error) {
	if err := f.step(true); err != nil {
		return nil, err
	}
	out, err := f.disk.create(path)
	f.open[path] = true
	return &faultyFile{output: out, disk: f, path: path}, err
}

func (f *faulty) reopen(path string) (parts, error) {
	if err := f.step(true); err != nil {
		return nil, err
	}
	out, err := f.disk.reopen(path)
	return &faultyParts{out, f}, err
}

type faultyParts struct {
	parts
	disk *faulty
}

func (f *faultyParts) WriteAt(p []byte, at int64) (int, error) {
	if err := f.disk.step(true); err != nil {
		return 0, err
	}
	return f.parts.WriteAt(p, at)
}

func (f *faultyParts) Sync() error { return f.disk.step(true) }

func (f *faulty) mkdir(path string) error {
	return errors.Join(f.step(true), f.unless(func() error { return f.disk.mkdir(path) }))
}

func (f *faulty) rename(from, to string) error {
	return errors.Join(f.step(false), f.unless(func() error {
		for path := range f.open {
			if name, ok := strings.CutPrefix(path, from); ok {
				delete(f.open, path)
				f.open[to+name] = true
			}
		}
		return f.disk.rename(from, to)
	}))
}

func (f *faulty) remove(path string) error {
	return errors.Join(f.step(false), f.unless(func() error { return f.disk.remove(path) }))
}

func (f *faulty) sync(folder string) error { return f.step(true) }

// unless does an operation unless it is the one that fails, or the process is dead.
func (f *faulty) unless(do func() error) error {
	if f.left == -1 || f.left < 0 && f.killed {
		return nil
	}
	return do()
}

// crash loses what a power cut may lose.
func (f *faulty) crash(t *testing.T) {
	for path := range f.open {
		if stat, err := os.Stat(path); err == nil && stat.Size() > 0 {
			if err := os.Truncate(path, rand.Int64N(stat.Size())); err != nil {
				t.Fatal(err)
			}
		}
	}
}

type faultyFile struct {
	output
	disk *faulty
	path string
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.disk.step(true); err != nil {
		n := 0
		if f.disk.left == -1 {
			n, _ = f.output.Write(p[:len(p)/2])
		}
		return n, err
	}
	return f.output.Write(p)
}

func (f *faultyFile) Sync() error {
	err := f.disk.step(true)
	if err == nil {
		delete(f.disk.open, f.path)
	}
	return err
}

// until runs a save with the first, second, … operation failing, until nothing fails.
func until(t *testing.T, killed bool, try func(f *faulty, n int) (done bool)) {
	for n := range 1000 {
		if try(&faulty{left: n, killed: killed, open: map[string]bool{}}, n) {
			if n < 20 {
				t.Errorf("only %d operations were made to fail", n)
			}
			return
		}
	}
	t.Fatal("no end of failures")
}

// Wherever the disk becomes full: the checkpoints before are intact, nothing
// of the new one is left, and the error says what to do.
func TestFullDisk(t *testing.T) {
	for _, again := range []bool{false, true} { // a step that has a checkpoint already
		step := map[bool]int64{false: 3, true: 2}[again]
		until(t, false, func(f *faulty, n int) bool {
			s := store(t, 0, 1, 2)
			s.storage = f
			err := s.Save(snapshot(step))
			saved, refused := newest(t, s.dir)
			if len(refused) > 0 {
				t.Fatalf("operation %d: refused %v", n, refused)
			}
			if err == nil {
				holds(t, saved, step)
				return true
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("operation %d: got %v", n, err)
			}
			if strings.Contains(err.Error(), "was not saved") {
				holds(t, saved, 2)
				if !strings.Contains(err.Error(), "keep fewer checkpoints") {
					t.Errorf("operation %d: no advice in %v", n, err)
				}
			} else { // only the old one of the same step could not be removed
				holds(t, saved, step)
			}
			s.storage = hasty{}
			save(t, s, step)
			if got := names(t, s.dir); got != "01 02" && got != "01 02 03" {
				t.Errorf("operation %d: left %s", n, got)
			}
			return false
		})
	}
}

// Nothing of a failed save stays behind.
func TestFullDiskLeavesNothing(t *testing.T) {
	until(t, false, func(f *faulty, n int) bool {
		s := store(t, 0, 1)
		s.storage = f
		err := s.Save(snapshot(2))
		want := "01"
		if err == nil || strings.Contains(err.Error(), "was saved") {
			want = "01 02"
		}
		if got := names(t, s.dir); got != want {
			t.Errorf("operation %d: left %s after %v", n, got, err)
		}
		return err == nil
	})
}

// Wherever the process is killed: the next one finds the old checkpoint or the
// new one, intact, and nothing half done. With one checkpoint kept there is no other to fall back on.
func TestKilled(t *testing.T) {
	for _, step := range []int64{2, 1} {
		until(t, true, func(f *faulty, n int) bool {
			s := store(t, 1, 1)
			s.storage = f
			err := s.Save(snapshot(step))
			f.crash(t)
			next, openErr := Open(s.dir, 1)
			if openErr != nil {
				t.Fatal(openErr)
			}
			saved, refused := newest(t, next.dir)
			if len(refused) > 0 || saved == nil {
				t.Fatalf("operation %d: found %v, refused %v", n, saved, refused)
			}
			if err == nil {
				holds(t, saved, step)
			}
			holds(t, saved, saved.Step)
			if got := names(t, next.dir); strings.Contains(got, ".") {
				t.Errorf("operation %d: left %s", n, got)
			}
			return err == nil
		})
	}
}

const childVariable = "GSC_TEST_CHECKPOINT_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		saveForever(dir)
	}
	os.Exit(m.Run())
}

// saveForever goes on from the newest checkpoint, as a run does.
func saveForever(dir string) {
	s, err := Open(dir, 2)
	if err != nil {
		panic(err)
	}
	saved, refused, err := s.Newest()
	if err != nil || len(refused) > 0 {
		panic(errors.Join(err, errors.New("a checkpoint was refused")))
	}
	step := int64(0)
	if saved != nil {
		step = saved.Step
	}
	for {
		step++
		if err := s.Save(snapshot(step)); err != nil {
			panic(err)
		}
	}
}

// Processes that save without pause are killed at random; each goes on where
// the one before was, without a checkpoint refused.
func TestKill9(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "checkpoints")
	last := int64(0)
	for range 8 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childVariable+"="+dir)
		var stderr strings.Builder
		child.Stderr = &stderr
		if err := child.Start(); err != nil {
			t.Skipf("SKIP: cannot start a process: %v", err)
		}
		time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
		_ = child.Process.Kill()
		_ = child.Wait()
		if stderr.Len() > 0 {
			t.Fatal(stderr.String())
		}
		saved, refused := newest(t, dir)
		if len(refused) > 0 || saved == nil && last > 0 {
			t.Fatalf("after step %d: found %v, refused %v", last, saved, refused)
		}
		if saved == nil {
			continue
		}
		holds(t, saved, saved.Step)
		if saved.Step < last {
			t.Errorf("step %d after %d", saved.Step, last)
		}
		last = saved.Step
	}
	if last == 0 {
		t.Skip("SKIP: too slow a machine: no process saved anything before it was killed")
	}
}
