package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Store is the checkpoints folder of a run, opened by the one process that
// writes it. Its methods may be called from several goroutines at a time.
type Store struct {
	dir     string
	keep    int
	storage storage
	limit   int64     // bytes of weights in one file
	peers   Processes // that save together; nil: this process does alone

	mu      sync.Mutex
	refused map[int64]bool // steps whose checkpoints [Store.Newest] found damaged
}

// Open opens the folder for writing, makes it where there is none, and finishes
// what a killed process left half done. Of the checkpoints, the newest
// keep and the best are kept; all where keep is 0. Only one process may have
// a folder open; others look at it through [Newest] and [Best].
func Open(dir string, keep int) (*Store, error) {
	if keep < 0 {
		return nil, fmt.Errorf("checkpoints to keep: %d is negative", keep)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, keep: keep, storage: disk{}, limit: shardBytes, refused: map[int64]bool{}}
	if err := s.storage.sync(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	if err := s.tidy(); err != nil {
		return nil, err
	}
	return s, nil
}

// A checkpoint's folder, and the names that it bears on its way in and out.
func stepName(step int64) string      { return fmt.Sprintf("step-%08d", step) }
func (s *Store) place(n int64) string { return filepath.Join(s.dir, stepName(n)) }

func (s *Store) hidden(step int64, suffix string) string {
	return filepath.Join(s.dir, "."+stepName(step)+suffix)
}

// The suffixes of hidden folders.
const (
	writing  = ".writing"  // not yet a checkpoint
	replaced = ".replaced" // the old one of a step that is saved again; still good until the new one is in place
	removed  = ".removed"  // no longer a checkpoint
)

var hiddenName = regexp.MustCompile(`^\.step-(\d{8,})(\.writing|\.replaced|\.removed)$`)

// tidy finishes what a killed process left: a replaced checkpoint whose
// successor never came is put back, and other hidden folders go.
func (s *Store) tidy() error {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		parts := hiddenName.FindStringSubmatch(e.Name())
		if parts == nil {
			continue
		}
		path := filepath.Join(s.dir, e.Name())
		place := filepath.Join(s.dir, strings.TrimSuffix(e.Name(), parts[2])[1:])
		if _, missing := os.Stat(place); parts[2] == replaced && errors.Is(missing, os.ErrNotExist) {
			err = s.storage.rename(path, place)
		} else {
			err = s.storage.remove(path)
		}
		if err != nil {
			return fmt.Errorf("tidy up after an interrupted save: %w", err)
		}
	}
	return nil
}

// Save makes snap a checkpoint. When it returns without an error, the
// checkpoint is durable, and those no longer kept are gone. Otherwise, the checkpoints
// that were there are as they were, and nothing of the new one is left.
func (s *Store) Save(snap Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := snap.check(); err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", snap.Step, err)
	}
	save := s.save
	if s.peers != nil {
		save = s.saveTogether
	}
	if err := save(&snap); err != nil {
		return fmt.Errorf("checkpoint of step %d was not saved (earlier ones are intact): %w%s", snap.Step, err, s.advice(err))
	}
	delete(s.refused, snap.Step)
	if s.peers != nil && s.peers.Rank() != 0 {
		return nil
	}
	if err := errors.Join(s.storage.remove(s.hidden(snap.Step, replaced)), s.prune(snap.Step)); err != nil {
		return fmt.Errorf("checkpoint of step %d was saved, but an old one could not be removed: %w", snap.Step, err)
	}
	return nil
}

// advice is how to mend an error, where that is known.
func (s *Store) advice(err error) string {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Sprintf("\n    make room for %s, or keep fewer checkpoints (checkpoint.keep)", s.dir)
	}
	return ""
}

// save writes a checkpoint and puts it in place.
func (s *Store) save(snap *Snapshot) error {
	temporary := s.hidden(snap.Step, writing)
	if err := s.storage.remove(temporary); err != nil {
		return err
	}
	w := folderWriter{storage: s.storage, path: temporary, limit: s.limit}
	err := w.write(snap)
	if err == nil {
		err = s.publish(temporary, snap.Step)
	}
	if err != nil {
		return errors.Join(err, s.storage.remove(temporary))
	}
	return nil
}

// publish moves a finished checkpoint to its place. One that is there already
// (of a run that went back to before it) is set aside until the new one is durable.
func (s *Store) publish(temporary string, step int64) error {
	place, old := s.place(step), s.hidden(step, replaced)
	_, err := os.Stat(place)
	again := err == nil
	if again {
		if err := s.storage.remove(old); err != nil {
			return err
		}
		if err := s.storage.rename(place, old); err != nil {
			return err
		}
	}
	err = s.storage.rename(temporary, place)
	if err == nil {
		if err = s.storage.sync(s.dir); err == nil {
			return nil
		}
		err = errors.Join(err, s.storage.rename(place, temporary))
	}
	if again {
		err = errors.Join(err, s.storage.rename(old, place))
	}
	return err
}

// prune removes the checkpoints that are no longer kept, now that the one of
// step newest is durable. Damaged ones do not count as kept.
func (s *Store) prune(newest int64) error {
	if s.keep == 0 {
		return nil
	}
	steps, err := listSteps(s.dir)
	if err != nil {
		return err
	}
	kept, best := 0, false
	for _, step := range steps {
		switch {
		case step > newest:
			continue
		case !s.refused[step] && kept < s.keep:
			kept++
			best = best || s.isBest(step)
			continue
		case kept < s.keep:
			continue
		case !best && !s.refused[step] && s.isBest(step):
			best = true
			continue
		}
		if err := s.discard(step); err != nil {
			return err
		}
	}
	return nil
}

// isBest says whether a checkpoint was the best when it was saved. The newest
// such is the best of all.
func (s *Store) isBest(step int64) bool {
	m, err := readManifest(s.place(step))
	return err == nil && m.Best
}

// discard removes a checkpoint, in such a way that no half of it is ever seen.
func (s *Store) discard(step int64) error {
	hidden := s.hidden(step, removed)
	if err := s.storage.remove(hidden); err != nil {
		return err
	}
	if err := s.storage.rename(s.place(step), hidden); err != nil {
		return err
	}
	delete(s.refused, step)
	return s.storage.remove(hidden)
}

var visibleName = regexp.MustCompile(`^step-(\d{8,})$`)

// listSteps is the steps that a folder has checkpoints of, newest first.
func listSteps(dir string) ([]int64, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var steps []int64
	for _, e := range list {
		parts := visibleName.FindStringSubmatch(e.Name())
		if parts == nil || !e.IsDir() {
			continue
		}
		step, err := strconv.ParseInt(parts[1], 10, 64)
		if err == nil && stepName(step) == e.Name() {
			steps = append(steps, step)
		}
	}
	slices.Sort(steps)
	slices.Reverse(steps)
	return steps, nil
}
