package kernels

import (
	"fmt"
	"io"
	"unsafe"
)

// Space is a memory that a plan places buffers in.
type Space uint8

// The spaces.
const (
	DeviceMemory Space = iota // where kernels work
	PinnedMemory              // host memory that a device copies from without a detour
	HostMemory
	DiskMemory
)

var spaceNames = [...]string{"device", "pinned", "host", "disk"}

func (s Space) String() string {
	if int(s) >= len(spaceNames) {
		return fmt.Sprintf("space(%d)", uint8(s))
	}
	return spaceNames[s]
}

// MarshalText writes the name.
func (s Space) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *Space) UnmarshalText(text []byte) error {
	for i, name := range spaceNames {
		if name == string(text) {
			*s = Space(i)
			return nil
		}
	}
	return fmt.Errorf("unknown memory space %q", text)
}

// Call is an operation with its operands in place, in the order of the
// contract's Params; the zero Tensor stands for an absent optional operand.
type Call struct {
	Op     Op
	Attrs  Attrs
	Args   []Tensor
	Stream int
}

// Kernel runs one bound call. It allocates nothing and starts no goroutine.
type Kernel func()

// Device runs operations. Binding does all checking, dispatch and slicing of
// work once; what it returns may be called any number of times, from one goroutine at a time.
type Device interface {
	// Kind is the device kind whose plans it runs: a name in Kinds.
	Kind() string
	// Alloc reserves zeroed memory in a space. It is called once for each arena of a plan.
	Alloc(space Space, sizeBytes int64) (Memory, error)
	// Bind prepares a call, or says why the device cannot run it.
	Bind(call Call) (Kernel, error)
	// Close ends the device's workers. Its memories must be closed before.
	Close() error
}

// Progressive is a device whose kernels tell that they get on.
type Progressive interface {
	Device
	// Progress is a number that changes at least every second while a kernel runs. It may be asked for at any time.
	Progress() int64
}

// Spreader is a device that lends its threads to what is done on the host while none of its kernels runs.
type Spreader interface {
	Threads() int
	// Spread calls job once for each piece, on threads that are numbered as workers, and returns when all are done.
	Spread(pieces int, job func(piece, worker int))
}

// Vectors is a device that lends its loops over runs of numbers, too.
type Vectors interface {
	// Carry sets y = alpha·x, and says whether all of x is finite; far: y is not read soon.
	Carry(y, x []float32, alpha float32, far bool) (finite bool)
}

// Memory is one arena. ReadAt and WriteAt copy between it and the host, at byte
// offsets, while no kernel that uses those bytes runs.
type Memory interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Pointer is the address of a byte offset, for Tensor.Data.
	Pointer(offset int64) unsafe.Pointer
	SizeBytes() int64
}
