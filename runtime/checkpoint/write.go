package checkpoint

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

const (
	pieceBytes = 1 << 20       // copied at a time
	shardBytes = 5_000_000_000 // of weights in one file
)

// folderWriter writes the files of one checkpoint and notes what it wrote.
type folderWriter struct {
	storage storage
	path    string
	limit   int64 // of a file of weights
	entries []entry
	buf     []byte
}

// write makes the folder and everything in it durable.
func (f *folderWriter) write(snap *Snapshot) error {
	if err := f.storage.mkdir(f.path); err != nil {
		return err
	}
	if err := f.model(snap); err != nil {
		return err
	}
	if err := f.tensors(stateOf(snap)); err != nil {
		return err
	}
	return f.manifest(snap)
}

// manifest writes state.json, and makes the folder durable.
func (f *folderWriter) manifest(snap *Snapshot) error {
	slices.SortFunc(f.entries, func(a, b entry) int { return cmp.Compare(a.Name, b.Name) })
	m := manifest{Version: version, Step: snap.Step, Plan: snap.Plan, Best: snap.Best, Run: snap.Run, Pins: snap.Pins, Files: f.entries}
	text, err := m.text()
	if err != nil {
		return err
	}
	if err := f.bytes(manifestFile, text); err != nil {
		return err
	}
	return f.storage.sync(f.path)
}

// model writes the part that other tools load.
func (f *folderWriter) model(snap *Snapshot) error {
	if err := f.small(snap); err != nil {
		return err
	}
	files, index, err := weightsOf(snap, f.limit)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := f.tensors(file); err != nil {
			return err
		}
	}
	return f.index(index)
}

// small writes what holds no tensors.
func (f *folderWriter) small(snap *Snapshot) error {
	if snap.Config != nil {
		if err := f.bytes(configFile, snap.Config); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(snap.Files)) {
		if err := f.bytes(name, snap.Files[name]); err != nil {
			return err
		}
	}
	return nil
}

// index writes the index of shards, where there is one.
func (f *folderWriter) index(text []byte) error {
	if text == nil {
		return nil
	}
	return f.bytes(safetensors.IndexFile, text)
}

// tensorFile is a file of tensors.
type tensorFile struct {
	name     string
	metadata map[string]string
	tensors  []Tensor
}

// infos describe the file's tensors.
func (t *tensorFile) infos() []safetensors.Info {
	infos := make([]safetensors.Info, len(t.tensors))
	for i := range t.tensors {
		infos[i] = t.tensors[i].info()
	}
	return infos
}

// tensor finds one by name.
func (t *tensorFile) tensor(name string) *Tensor {
	return &t.tensors[slices.IndexFunc(t.tensors, func(x Tensor) bool { return x.Name == name })]
}

// stateOf is the file of the optimizer's state.
func stateOf(snap *Snapshot) tensorFile {
	return tensorFile{name: stateFile, tensors: snap.of(plan.State)}
}

// weightsOf are model.safetensors, or shards and the text of their index.
func weightsOf(snap *Snapshot, limit int64) (files []tensorFile, index []byte, err error) {
	metadata := map[string]string{"format": "pt"}
	shards := split(snap.of(plan.Weight), limit)
	if len(shards) == 1 {
		return []tensorFile{{safetensors.ModelFile, metadata, shards[0]}}, nil, nil
	}
	where := map[string]string{}
	total := int64(0)
	for i, shard := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		files = append(files, tensorFile{name, metadata, shard})
		for _, t := range shard {
			where[t.Name] = name
			total += t.SizeBytes()
		}
	}
	text, err := json.MarshalIndent(map[string]any{"metadata": map[string]any{"total_size": total}, "weight_map": where}, "", "  ")
	return files, append(text, '\n'), err
}

// split cuts tensors, in their order, into shards of at most limit bytes; a
// larger tensor has one for itself. There is always one shard.
func split(tensors []Tensor, limit int64) [][]Tensor {
	shards := [][]Tensor{nil}
	size := int64(0)
	for _, t := range tensors {
		last := &shards[len(shards)-1]
		if len(*last) > 0 && size+t.SizeBytes() > limit {
			shards = append(shards, nil)
			last = &shards[len(shards)-1]
			size = 0
		}
		*last = append(*last, t)
		size += t.SizeBytes()
	}
	return shards
}

// tensors writes a safetensors file.
func (f *folderWriter) tensors(t tensorFile) error {
	if f.buf == nil {
		f.buf = make([]byte, pieceBytes)
	}
	data := make(map[string]io.ReaderAt, len(t.tensors))
	for _, tensor := range t.tensors {
		data[tensor.Name] = tensor.Data
	}
	return f.file(t.name, func(w io.Writer) error {
		return safetensors.Write(w, t.metadata, t.infos(), func(info safetensors.Info, w io.Writer) error {
			_, err := io.CopyBuffer(w, struct{ io.Reader }{io.NewSectionReader(data[info.Name], 0, info.SizeBytes)}, f.buf)
			return err
		})
	})
}

func (f *folderWriter) bytes(name string, b []byte) error {
	return f.file(name, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// file writes one file, makes it durable and notes its size and digest.
func (f *folderWriter) file(name string, write func(w io.Writer) error) error {
	out, err := f.storage.create(filepath.Join(f.path, name))
	if err != nil {
		return err
	}
	t := &tally{w: out, digest: xxhash.New()}
	err = write(t)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	f.entries = append(f.entries, entry{Name: name, SizeBytes: t.sizeBytes, Digest: hexadecimal(t.digest)})
	return nil
}

// tally counts and digests what passes through it.
type tally struct {
	w         io.Writer
	digest    hash.Hash64
	sizeBytes int64
}

func (t *tally) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.digest.Write(p[:n])
	t.sizeBytes += int64(n)
	return n, err
}
