package compiler

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// Profile is what the estimate knows of a device. The built-in ones have a few rates that programs reach on
// common machines; one that gsc calibrate wrote has tables of what this machine took. A profile says how long a
// plan takes, never what it does: what the strategy leaves open is chosen by the built-in one of the device kind.
type Profile struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`    // of the device
	Threads int    `json:"threads"` // that the ceilings were measured with; 0 in the built-in ones

	// Ceilings, beside which achieved rates are shown.
	PeakFlops          float64 `json:"peak_flops"`            // multiply-adds in registers, all threads
	ReadBytesPerSecond float64 `json:"read_bytes_per_second"` // of memory that no cache holds, all threads

	// Rates for what no table covers.
	MatMulFlops    float64            `json:"matmul_flops"`            // floating-point operations a second in contractions, a thread
	ComputeFlops   map[string]float64 `json:"compute_flops,omitempty"` // likewise, by compute type where that changes it
	OtherFlops     float64            `json:"other_flops"`             // and elsewhere
	BytesPerSecond float64            `json:"bytes_per_second"`        // of memory, all threads together
	CallSeconds    float64            `json:"call_seconds"`            // cost of an instruction beside its work

	CacheBytes int64   `json:"cache_bytes"` // what was used within so many bytes of traffic is found in a cache
	Tables     []Table `json:"tables"`

	// Memory is the same on every machine of a kind, so a file does not hold it.
	ProcessBytes int64 `json:"-"` // what the process itself takes: code, runtime, buffers of the operating system
	ScratchBytes int64 `json:"-"` // scratch of the kernels, common to all threads
	ThreadBytes  int64 `json:"-"` // and for each thread
}

// Profiles are the built-in device profiles, by device kind.
var Profiles = map[string]Profile{
	"cpu":  {Name: "cpu", Kind: "cpu", MatMulFlops: 70e9, ComputeFlops: map[string]float64{"bf16": 125e9, "f16": 66e9}, OtherFlops: 4e9, BytesPerSecond: 14e9, CallSeconds: 4e-6, ProcessBytes: 56 << 20, ScratchBytes: 8 << 20, ThreadBytes: 1 << 20},
	"cuda": {Name: "cuda", Kind: "cuda", MatMulFlops: 500e12, OtherFlops: 40e12, BytesPerSecond: 3e12, CallSeconds: 4e-6},
	"ref":  {Name: "ref", Kind: "ref", MatMulFlops: 0.5e9, OtherFlops: 0.2e9, BytesPerSecond: 8e9, CallSeconds: 4e-6, ProcessBytes: 56 << 20},
}

// profile is the built-in device profile that the strategy names: "host", and a file of measured rates, stand
// for that of the device kind.
func (u *unitOfWork) profile() (*Profile, error) {
	name := u.strategy.Devices.Profile
	if name == "host" || IsProfileFile(name) {
		name = u.kind.Name
	}
	if p, ok := Profiles[name]; ok {
		return &p, nil
	}
	known := slices.Sorted(maps.Keys(Profiles))
	return nil, u.strategy.Wrong("devices.profile", fmt.Sprintf("unknown device profile %q", name), "use one of host, "+strings.Join(known, ", ")+", or a file that gsc calibrate wrote")
}

// IsProfileFile says whether the name of a profile is that of a file.
func IsProfileFile(name string) bool { return strings.HasSuffix(name, ".json") }

// contractions run at the rate of matrix products.
var contractions = []kernels.Op{kernels.MatMul, kernels.Attention, kernels.AttentionGrad, kernels.NewtonSchulz, kernels.MatMulInt8}

// Call is one call of an operation, as a profile prices it.
type Call struct {
	Op    kernels.Op
	Attrs kernels.Attrs
	Args  []kernels.Tensor
	Sizes kernels.Sizes
	Cold  float64 // share of the bytes it touches that no cache holds, from 0 to 1
}

// Seconds is the time of one call with so many threads: that of the profile's table for it or, without one, the
// larger of its arithmetic and its memory traffic, and a fixed cost.
func (p *Profile) Seconds(threads int, c Call) float64 {
	if seconds, ok := p.tabled(threads, c); ok {
		return seconds
	}
	rate := p.OtherFlops
	if slices.Contains(contractions, c.Op) {
		rate = p.MatMulFlops
		if own, ok := p.ComputeFlops[c.Attrs.Compute]; ok {
			rate = own
		}
	}
	flops, bytes := kernels.FlopsOf(c.Op, c.Sizes, c.Attrs), kernels.TrafficBytes(c.Op, c.Attrs, c.Args)
	return p.CallSeconds + math.Max(flops/(rate*float64(threads)), float64(bytes)/p.BytesPerSecond)
}
