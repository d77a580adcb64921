package kernels

import "slices"

// Kind is what the compiler must know of a device kind to plan for it. It is
// data: planning for a kind needs no such device.
type Kind struct {
	Name       string
	Compute    DType // the type that floats are kept and computed in
	AlignBytes int64 // of every buffer
	Workspace  func(op Op, s Sizes, a Attrs) int64
	Fuse       []Op // that MatMul can take in as its epilogue
	Narrow     []Op // contractions that a narrower compute type pays for; the others keep the storage type

	// Stores are the halves that the kind can keep weights, activations and gradients in, where the compute type is one of them. What a contract
	// calls wide stays in Compute, and beside the weights lies a master of that type, which the optimizer updates. None: floats are kept in
	// Compute, and products round what they multiply.
	Stores []DType

	// Separate says that device memory is not the host's: what the process and the data layer take is no part of it.
	Separate bool
}

// Keeps says whether the kind can keep floats in a type.
func (k Kind) Keeps(d DType) bool {
	return d == k.Compute || slices.Contains(k.Stores, d)
}

// products gain by narrow operands on a processor; attention rounds more than it multiplies.
var products = []Op{MatMul, NewtonSchulz}

// Kinds are the device kinds that plans can be made for. This version has devices of the kinds cpu and ref.
var Kinds = map[string]Kind{
	"cpu": {Name: "cpu", Compute: F32, AlignBytes: 64, Workspace: cpuWorkspace, Fuse: epilogues, Narrow: products},
	"ref": {Name: "ref", Compute: F64, AlignBytes: 64, Workspace: func(Op, Sizes, Attrs) int64 { return 0 }, Fuse: epilogues, Narrow: products},

	// Buffers begin at 256 bytes, as what the CUDA runtime allocates does (CUDA C++ Programming Guide, "Device Memory Accesses"). The epilogues are those of
	// cuBLASLt: an activation with what it is taken of kept beside it, its derivative, a factor, and a matrix that is added.
	"cuda": {Name: "cuda", Compute: F32, AlignBytes: 256, Workspace: cudaWorkspace, Fuse: []Op{Activate, ActivateGrad, Add, Scale}, Narrow: []Op{NewtonSchulz},
		Stores: []DType{BF16, F16}, Separate: true},
}

var epilogues = []Op{Activate, ActivateGrad, Gate, Add, Scale}

// RowPiece is the number of rows that the cpu kind sums into one partial
// result where a gradient sums over rows.
const RowPiece = 64

// TopKCounts is how many numbers the cpu kind counts for each piece of what a top-k code is made of.
const TopKCounts = 1 << 11

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
	case Encode:
		if a.Kind == TopK {
			return int64((s["..."]+SquaresPiece-1)/SquaresPiece) * TopKCounts * 4
		}
	case NewtonSchulz: // x and its successor, A, and B
		small, large := int64(min(s["M"], s["N"])), int64(max(s["M"], s["N"]))
		return (2*small*large + 2*small*small) * float
	}
	return 0
}

// cudaPieces is how many pieces rows are summed in on the cuda kind, one for each of a GPU's multiprocessors or so.
const cudaPieces = 128

// cudaWorkspace is the size in bytes of the operand workspace on the cuda kind: sums are kept in F32, whatever is stored.
func cudaWorkspace(op Op, s Sizes, a Attrs) int64 {
	const float = 4
	pieces := int64(min(cudaPieces, s["..."]))
	switch op {
	case LayerNormGrad:
		return pieces * 2 * int64(s["C"]) * float
	case RMSNormGrad:
		return pieces * int64(s["C"]) * float
	case AttentionGrad: // D_i, and the sum of dq over the blocks of keys (Dao, arXiv:2307.08691, section 3.1)
		return int64(s["B"]*s["H"]*s["T"]) * int64(1+s["D"]) * float
	}
	return cpuWorkspace(op, s, a)
}
