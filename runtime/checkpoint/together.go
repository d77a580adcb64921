package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// Processes save a checkpoint together, on a file system that they share. What one of them does here, all do, in the same order.
type Processes interface {
	Rank() int // of this one; 0: the first
	Size() int
	Gather(mine []byte) ([][]byte, error)
	Agree(mine error) error // nil when no process has an error
}

// OpenTogether is [Open] for processes that save together: the first opens the folder, and all that it says of one process's duties is that one's.
func OpenTogether(dir string, keep int, peers Processes) (s *Store, err error) {
	if peers.Rank() == 0 {
		s, err = Open(dir, keep)
	} else {
		s = &Store{dir: dir, keep: keep, storage: disk{}, limit: shardBytes, refused: map[int64]bool{}}
	}
	if err = peers.Agree(err); err != nil {
		return nil, err
	}
	s.peers = peers
	return s, nil
}

// saveTogether is save on several processes. The first makes the files, with all but the tensors' bytes; each writes what it keeps at its place and
// brings it to the disk; the files' digests, for which they are read again, are shared out among all; then the first writes the manifest, and
// moves the folder to its place. Nobody goes on before all have come so far.
func (s *Store) saveTogether(snap *Snapshot) error {
	temporary := s.hidden(snap.Step, writing)
	w := &sharedWriter{folderWriter: folderWriter{storage: s.storage, path: temporary, limit: s.limit}, peers: s.peers}
	err := s.peers.Agree(w.begin(snap))
	if err == nil {
		err = s.peers.Agree(w.parts())
	}
	if err == nil {
		err = w.digests()
	}
	if err == nil {
		err = s.peers.Agree(s.finish(w, snap, temporary))
	}
	if err != nil && s.peers.Rank() == 0 {
		return errors.Join(err, s.storage.remove(temporary))
	}
	return err
}

// finish is the first process's: it puts the checkpoint in place.
func (s *Store) finish(w *sharedWriter, snap *Snapshot, temporary string) error {
	if s.peers.Rank() != 0 {
		return nil
	}
	if err := w.manifest(snap); err != nil {
		return err
	}
	return s.publish(temporary, snap.Step)
}

// sharedWriter writes a process's share of the files of a checkpoint.
type sharedWriter struct {
	folderWriter
	peers  Processes
	files  []tensorFile
	placed [][]safetensors.Info // by file
}

// begin lays the files out; the first process makes them.
func (w *sharedWriter) begin(snap *Snapshot) error {
	files, index, err := weightsOf(snap, w.limit)
	if err != nil {
		return err
	}
	w.files = append(files, stateOf(snap))
	for _, f := range w.files {
		placed, err := safetensors.Layout(f.metadata, f.infos())
		if err != nil {
			return err
		}
		w.placed = append(w.placed, placed)
	}
	if w.peers.Rank() != 0 {
		return nil
	}
	if err := w.storage.remove(w.path); err != nil {
		return err
	}
	if err := w.storage.mkdir(w.path); err != nil {
		return err
	}
	if err := w.small(snap); err != nil {
		return err
	}
	for i := range w.files {
		if err := w.header(&w.files[i]); err != nil {
			return err
		}
	}
	return w.index(index)
}

// header makes a file of tensors with all but their bytes. It is no entry yet.
func (w *sharedWriter) header(f *tensorFile) error {
	n := len(w.entries)
	err := w.file(f.name, func(out io.Writer) error {
		_, err := safetensors.WriteHeader(out, f.metadata, f.infos())
		return err
	})
	w.entries = w.entries[:n]
	return err
}

// parts writes what this process keeps.
func (w *sharedWriter) parts() error {
	w.buf = make([]byte, pieceBytes)
	for i := range w.files {
		if err := w.part(&w.files[i], w.placed[i]); err != nil {
			return fmt.Errorf("%s: %w", w.files[i].name, err)
		}
	}
	return nil
}

func (w *sharedWriter) part(f *tensorFile, placed []safetensors.Info) error {
	out, err := w.storage.reopen(filepath.Join(w.path, f.name))
	if err != nil {
		return err
	}
	for _, info := range placed {
		t := f.tensor(info.Name)
		width := int64(t.DType.Size())
		for _, r := range t.Runs {
			if err = copyRange(out, info.Offset+r.First*width, t.Data, r.First*width, r.N*width, w.buf); err != nil {
				return errors.Join(fmt.Errorf("tensor %q: %w", info.Name, err), out.Close())
			}
		}
	}
	return errors.Join(out.Sync(), out.Close())
}

// digests has every process read some of the files, and all note what all found.
func (w *sharedWriter) digests() error {
	var mine []entry
	var err error
	for i := w.peers.Rank(); i < len(w.files) && err == nil; i += w.peers.Size() {
		var e entry
		e, err = digestOf(filepath.Join(w.path, w.files[i].name))
		mine = append(mine, e)
	}
	if err = w.peers.Agree(err); err != nil {
		return err
	}
	text, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	all, err := w.peers.Gather(text)
	if err != nil {
		return err
	}
	for _, text := range all {
		var theirs []entry
		if err := json.Unmarshal(text, &theirs); err != nil {
			return err
		}
		w.entries = append(w.entries, theirs...)
	}
	return nil
}
