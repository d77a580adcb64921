package safetensors

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// File is an open safetensors file whose header has been checked. Its methods
// may be called from several goroutines at a time.
type File struct {
	name   string
	data   io.ReaderAt
	closer io.Closer
	header *header
	byName map[string]int
}

// Open opens and checks the file at path.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	stat, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	file, err := New(path, f, stat.Size())
	if err != nil {
		f.Close()
		return nil, err
	}
	file.closer = f
	return file, nil
}

// New checks the sizeBytes bytes of data as a file; errors call it name.
func New(name string, data io.ReaderAt, sizeBytes int64) (*File, error) {
	h, err := readHeader(data, sizeBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := &File{name: name, data: data, header: h, byName: make(map[string]int, len(h.tensors))}
	for i, t := range h.tensors {
		f.byName[t.Name] = i
	}
	return f, nil
}

// readHeader reads and checks the first part of a file.
func readHeader(data io.ReaderAt, fileBytes int64) (*header, error) {
	const prefixBytes = 8
	if fileBytes < prefixBytes {
		return nil, fmt.Errorf("not a safetensors file: %d bytes are too few", fileBytes)
	}
	var prefix [prefixBytes]byte
	if _, err := io.ReadFull(io.NewSectionReader(data, 0, prefixBytes), prefix[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	if n > maxHeaderBytes {
		return nil, fmt.Errorf("not a safetensors file: its header would be %d bytes long, more than %d", n, maxHeaderBytes)
	}
	if n > uint64(fileBytes-prefixBytes) {
		return nil, fmt.Errorf("header: %d bytes long, but the file holds %d: it is cut short, or no safetensors file", n, fileBytes)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(data, prefixBytes, int64(n)), text); err != nil {
		return nil, err
	}
	dataOffset := prefixBytes + int64(n)
	return parseHeader(text, dataOffset, fileBytes-dataOffset)
}

// Close closes the file.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Name is the path that the file was opened by.
func (f *File) Name() string { return f.name }

// Tensors lists the tensors in the order of their data. The list belongs to
// the file.
func (f *File) Tensors() []Info { return f.header.tensors }

// Metadata is the file's __metadata__, nil where it has none.
func (f *File) Metadata() map[string]string { return f.header.metadata }

// Lookup finds a tensor.
func (f *File) Lookup(name string) (Info, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Info{}, false
	}
	return f.header.tensors[i], true
}

// Section is the bytes of a tensor.
func (f *File) Section(name string) (*io.SectionReader, error) {
	info, ok := f.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("%s: holds no tensor %q", f.name, name)
	}
	return io.NewSectionReader(f.data, info.Offset, info.SizeBytes), nil
}

// ReadFloat32 reads a whole tensor, as [Read] does.
func (f *File) ReadFloat32(name string, dst []float32) error { return readWhole(f, name, dst) }

// ReadFloat64 reads a whole tensor, as [Read] does.
func (f *File) ReadFloat64(name string, dst []float64) error { return readWhole(f, name, dst) }

// ReadInt32 reads a whole tensor, as [Read] does.
func (f *File) ReadInt32(name string, dst []int32) error { return readWhole(f, name, dst) }

// ReadInt64 reads a whole tensor, as [Read] does.
func (f *File) ReadInt64(name string, dst []int64) error { return readWhole(f, name, dst) }
