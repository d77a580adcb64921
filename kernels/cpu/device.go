package cpu

import (
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gsc-project/gsc/kernels"
)

// Device is the cpu device.
type Device struct {
	pool  *pool
	level level
}

// New makes a cpu device that works with the given number of threads, the
// caller's own included.
func New(threads int) (*Device, error) {
	if threads < 1 {
		return nil, fmt.Errorf("cpu: %d threads: use at least 1", threads)
	}
	l, err := chooseLevel()
	if err != nil {
		return nil, err
	}
	return &Device{pool: newPool(threads), level: l}, nil
}

// Kind is "cpu".
func (d *Device) Kind() string { return "cpu" }

// Close ends the workers.
func (d *Device) Close() error {
	d.pool.close()
	return nil
}

// binder prepares one operation. The call has passed [kernels.Check]; sizes are
// what the check returned.
type binder func(d *Device, c kernels.Call, sizes kernels.Sizes) (kernels.Kernel, error)

// Bind checks the call and prepares its kernel.
func (d *Device) Bind(c kernels.Call) (kernels.Kernel, error) {
	sizes, err := kernels.Check(c.Op, c.Attrs, c.Args)
	if err != nil {
		return nil, err
	}
	for i, arg := range c.Args {
		if p := kernels.Contracts[c.Op].Params[i]; p.Class == kernels.Float && !arg.Absent() && arg.DType != kernels.F32 {
			return nil, fmt.Errorf("%v: operand %s: the cpu device computes in f32, not %v", c.Op, p.Name, arg.DType)
		}
	}
	bind := binders[c.Op]
	if bind == nil {
		return nil, fmt.Errorf("%v: the cpu device has no kernel for it", c.Op)
	}
	return bind(d, c, sizes)
}

// memory is an anonymous mapping, which the garbage collector neither scans nor moves.
type memory struct{ bytes []byte }

// Alloc maps zeroed pages.
func (d *Device) Alloc(space kernels.Space, sizeBytes int64) (kernels.Memory, error) {
	if sizeBytes == 0 {
		return &memory{}, nil
	}
	bytes, err := unix.Mmap(-1, 0, int(sizeBytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("cpu: %v memory of %d bytes: %w", space, sizeBytes, err)
	}
	return &memory{bytes}, nil
}

func (m *memory) SizeBytes() int64 { return int64(len(m.bytes)) }

func (m *memory) Pointer(offset int64) unsafe.Pointer { return unsafe.Pointer(&m.bytes[offset]) }

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
