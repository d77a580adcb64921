package cpu

import (
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gsc-project/gsc/kernels"
)

// memory is an anonymous mapping, which the garbage collector neither scans nor moves.
type memory struct{ bytes []byte }

// Alloc maps zeroed pages.
func (d *Device) Alloc(space kernels.Space, sizeBytes int64) (kernels.Memory, error) {
	bytes, err := mapPages(sizeBytes)
	if err != nil {
		return nil, fmt.Errorf("cpu: %v memory of %d bytes: %w", space, sizeBytes, err)
	}
	return &memory{bytes}, nil
}

// mapPages maps zeroed pages, in huge ones where the system has them: the panels
// of a large product touch more small pages than the processor's tables hold.
func mapPages(sizeBytes int64) ([]byte, error) {
	if sizeBytes == 0 {
		return nil, nil
	}
	bytes, err := unix.Mmap(-1, 0, int(sizeBytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	adviseHuge(bytes)
	return bytes, nil
}

func (m *memory) SizeBytes() int64 { return int64(len(m.bytes)) }

func (m *memory) Pointer(offset int64) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(m.bytes[offset:])) // the end, too: an empty tensor may lie there
}

func (m *memory) ReadAt(p []byte, offset int64) (int, error) {
	n := copy(p, m.bytes[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) WriteAt(p []byte, offset int64) (int, error) {
	n := copy(m.bytes[offset:], p)
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func (m *memory) Close() error {
	if m.bytes == nil {
		return nil
	}
	err := unix.Munmap(m.bytes)
	m.bytes = nil
	return err
}

func bytesAsFloats(bytes []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(bytes))), len(bytes)/4)
}
