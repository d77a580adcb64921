package checkpoint

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
)

// Saver saves in the background. Save copies the tensors into a buffer that was
// reserved for it and returns; writing goes on while the run does. One goroutine may use a Saver.
type Saver struct {
	store    *Store
	reserved []byte
	pending  chan error // of the save under way; nil: none
}

// NewSaver makes a Saver for a store. The reserved buffer takes the tensors of
// one snapshot; nothing else may use it before Close returns.
func NewSaver(store *Store, reserved []byte) *Saver {
	return &Saver{store: store, reserved: reserved}
}

// Save starts to save snap. It waits until the save before is done; if that
// one failed, its error is returned and nothing is started. After Save returns the tensors may
// change; what else snap refers to must not.
func (s *Saver) Save(snap Snapshot) error {
	if err := s.Wait(); err != nil {
		return err
	}
	tensors, err := s.copy(snap.Tensors)
	if err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", snap.Step, err)
	}
	snap.Tensors = tensors
	pending := make(chan error, 1)
	s.pending = pending
	go func() { pending <- s.store.Save(snap) }()
	return nil
}

// Wait waits until nothing is being saved, and says what became of the last
// save, once.
func (s *Saver) Wait() error {
	if s.pending == nil {
		return nil
	}
	err := <-s.pending
	s.pending = nil
	return err
}

// Close waits as Wait does. The buffer is the caller's again.
func (s *Saver) Close() error { return s.Wait() }

// copy copies the tensors' data into the buffer, one after another.
func (s *Saver) copy(tensors []Tensor) ([]Tensor, error) {
	copies := slices.Clone(tensors)
	left := s.reserved
	for i := range copies {
		t := &copies[i]
		size := t.SizeBytes()
		if size > int64(len(left)) {
			return nil, fmt.Errorf("tensor %q: the buffer of %d bytes is too small for the snapshot", t.Name, len(s.reserved))
		}
		place := left[:size]
		left = left[size:]
		width := int64(t.DType.Size())
		runs := t.Runs
		if s.store.peers == nil {
			runs = []plan.Run{{First: 0, N: size / width}}
		}
		for _, r := range runs {
			part := place[r.First*width:][:r.N*width]
			if n, err := t.Data.ReadAt(part, r.First*width); n < len(part) {
				return nil, fmt.Errorf("tensor %q: byte %d of %d: %w", t.Name, r.First*width+int64(n), size, orEnd(err))
			}
		}
		t.Data = bytes.NewReader(place)
	}
	return copies, nil
}

// orEnd is err, or that the data ended where there is none.
func orEnd(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
