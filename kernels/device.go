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

// Kind is what the compiler must know of a device kind to plan for it. It is
// data: planning for a kind needs no such device.
type Kind struct {
	Name       string
	Compute    DType // the type that floats are kept and computed in
	AlignBytes int64 // of every buffer
	Workspace  func(op Op, s Sizes, a Attrs) int64
	Fuse       []Op // that MatMul can take in as its epilogue
	Narrow     []Op // contractions that a narrower compute type pays for; the others keep the storage type
}

// products gain by narrow operands on a processor; attention rounds more than it multiplies.
var products = []Op{MatMul, NewtonSchulz}

// Kinds are the device kinds that plans can be made for.
var Kinds = map[string]Kind{
	"cpu": {Name: "cpu", Compute: F32, AlignBytes: 64, Workspace: cpuWorkspace, Fuse: epilogues, Narrow: products},
	"ref": {Name: "ref", Compute: F64, AlignBytes: 64, Workspace: func(Op, Sizes, Attrs) int64 { return 0 }, Fuse: epilogues, Narrow: products},
}

var epilogues = []Op{Activate, ActivateGrad, Gate, Add, Scale}

// RowPiece is the number of rows that the cpu kind sums into one partial
// result where a gradient sums over rows.
const RowPiece = 64

// cpuWorkspace is the size in bytes of the operand workspace on the cpu kind.
func cpuWorkspace(op Op, s Sizes, a Attrs) int64 {
	const float = 4
	switch op {
	case LayerNormGrad: // a partial dweight and dbias for each piece of rows
		return int64((s["..."]+RowPiece-1)/RowPiece) * 2 * int64(s["C"]) * float
	case RMSNormGrad:
		return int64((s["..."]+RowPiece-1)/RowPiece) * int64(s["C"]) * float
	case AttentionGrad: // D_i for each query and head
		return int64(s["B"]*s["H"]*s["T"]) * float
	case NewtonSchulz: // x and its successor, A, and B
		small, large := int64(min(s["M"], s["N"])), int64(max(s["M"], s["N"]))
		return (2*small*large + 2*small*small) * float
	}
	return 0
}
