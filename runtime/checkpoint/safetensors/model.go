package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The files of a model folder.
const (
	ModelFile = "model.safetensors"
	IndexFile = "model.safetensors.index.json"
)

// Model is the tensors of a model folder, which may be split into several
// files (shards). Its methods may be called from several goroutines at a time.
type Model struct {
	folder string
	files  []*File
	where  map[string]*File
	infos  []Info
}

// OpenModel opens model.safetensors in folder or, where there is none, every
// shard that model.safetensors.index.json names. The index and the shards must
// agree: each shard is there and intact, it holds each tensor that the index
// seeks in it, and no tensor lies in two shards. A tensor that the index does
// not mention counts all the same, as it does for other loaders.
func OpenModel(folder string) (*Model, error) {
	path := filepath.Join(folder, ModelFile)
	if _, err := os.Stat(path); err == nil {
		return openShards(folder, map[string][]string{ModelFile: nil})
	}
	shards, err := readIndex(filepath.Join(folder, IndexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noModel(folder)
	}
	if err != nil {
		return nil, err
	}
	return openShards(folder, shards)
}

// noModel says what a folder lacks.
func noModel(folder string) error {
	if _, err := os.Stat(folder); err != nil {
		return err
	}
	others, _ := filepath.Glob(filepath.Join(folder, "*.bin"))
	if len(others) > 0 {
		return fmt.Errorf("%s: holds %s but no %s: convert it to safetensors first",
			folder, filepath.Base(others[0]), ModelFile)
	}
	return fmt.Errorf("%s: holds neither %s nor %s", folder, ModelFile, IndexFile)
}

// readIndex is the shards that an index names, each with its tensors.
func readIndex(path string) (map[string][]string, error) {
	text, err := readLimited(path, maxHeaderBytes)
	if err != nil {
		return nil, err
	}
	shards, err := parseIndex(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return shards, nil
}

// readLimited reads a file of a bounded size.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s: longer than %d bytes", path, limit)
	}
	return text, err
}

// parseIndex reads {"metadata": …, "weight_map": {tensor: shard}}; what else
// stands in it is not looked at.
func parseIndex(text []byte) (map[string][]string, error) {
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	var shards map[string][]string
	err := object(numbers(text), func(dec *json.Decoder, key string) (err error) {
		if key != "weight_map" {
			var ignored json.RawMessage
			return dec.Decode(&ignored)
		}
		shards, err = parseWeightMap(dec)
		return err
	})
	if err == nil && len(shards) == 0 {
		err = errors.New("weight_map is missing or empty")
	}
	return shards, err
}

func parseWeightMap(dec *json.Decoder) (map[string][]string, error) {
	shards := map[string][]string{}
	err := object(dec, func(dec *json.Decoder, tensor string) error {
		file, err := text(dec)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", tensor, err)
		}
		if !filepath.IsLocal(file) || strings.ContainsAny(file, `/\`) {
			return fmt.Errorf("tensor %q: %q is not the name of a file in the folder", tensor, file)
		}
		shards[file] = append(shards[file], tensor)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("weight_map: %w", err)
	}
	return shards, nil
}

// openShards opens files, each of which must hold the tensors listed for it.
func openShards(folder string, shards map[string][]string) (*Model, error) {
	m := &Model{folder: folder, where: map[string]*File{}}
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(shards)) {
		f, err := Open(filepath.Join(folder, name))
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		m.files = append(m.files, f)
		wrong = append(wrong, m.add(f), holds(f, shards[name]))
	}
	if err := errors.Join(wrong...); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// add takes up a shard's tensors.
func (m *Model) add(f *File) error {
	var wrong []error
	for _, info := range f.Tensors() {
		if other := m.where[info.Name]; other != nil {
			wrong = append(wrong, fmt.Errorf("%s: tensor %q lies in %s too", f.Name(), info.Name, filepath.Base(other.Name())))
			continue
		}
		m.where[info.Name] = f
		m.infos = append(m.infos, info)
	}
	return errors.Join(wrong...)
}

// holds checks that a shard holds what the index seeks in it.
func holds(f *File, tensors []string) error {
	var wrong []error
	for _, name := range tensors {
		if _, ok := f.Lookup(name); !ok {
			wrong = append(wrong, fmt.Errorf("%s: lacks tensor %q, which %s seeks there", f.Name(), name, IndexFile))
		}
	}
	return errors.Join(wrong...)
}

// Close closes the files.
func (m *Model) Close() error {
	var wrong []error
	for _, f := range m.files {
		wrong = append(wrong, f.Close())
	}
	return errors.Join(wrong...)
}

// Name is the folder.
func (m *Model) Name() string { return m.folder }

// Tensors lists the tensors, file after file, each in the order of its data.
// The list belongs to the model.
func (m *Model) Tensors() []Info { return m.infos }

// Lookup finds a tensor. Its offset is that in its file.
func (m *Model) Lookup(name string) (Info, bool) {
	f := m.where[name]
	if f == nil {
		return Info{}, false
	}
	return f.Lookup(name)
}

// Section is the bytes of a tensor.
func (m *Model) Section(name string) (*io.SectionReader, error) {
	f := m.where[name]
	if f == nil {
		return nil, fmt.Errorf("%s: holds no tensor %q", m.folder, name)
	}
	return f.Section(name)
}

// ReadFloat32 reads a whole tensor, as [Read] does.
func (m *Model) ReadFloat32(name string, dst []float32) error { return readWhole(m, name, dst) }

// ReadFloat64 reads a whole tensor, as [Read] does.
func (m *Model) ReadFloat64(name string, dst []float64) error { return readWhole(m, name, dst) }

// ReadInt32 reads a whole tensor, as [Read] does.
func (m *Model) ReadInt32(name string, dst []int32) error { return readWhole(m, name, dst) }

// ReadInt64 reads a whole tensor, as [Read] does.
func (m *Model) ReadInt64(name string, dst []int64) error { return readWhole(m, name, dst) }
