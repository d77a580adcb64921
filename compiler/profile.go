package compiler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// Profile is what the estimate knows of a device: rates that real programs
// reach, for one thread of a processor or one whole accelerator.
type Profile struct {
	Name           string
	MatMulFlops    float64 // floating-point operations a second in contractions
	OtherFlops     float64 // and elsewhere
	BytesPerSecond float64 // of memory, all threads together
	CallSeconds    float64 // cost of an instruction beside its work
	ProcessBytes   int64   // what the process itself takes: code, runtime, buffers of the operating system
	ThreadBytes    int64   // scratch of the kernels, a thread
}

// Profiles are the built-in device profiles.
var Profiles = map[string]Profile{
	"cpu": {Name: "cpu", MatMulFlops: 70e9, OtherFlops: 4e9, BytesPerSecond: 14e9, CallSeconds: 4e-6, ProcessBytes: 40 << 20, ThreadBytes: 4 << 20},
	"ref": {Name: "ref", MatMulFlops: 0.5e9, OtherFlops: 0.2e9, BytesPerSecond: 8e9, CallSeconds: 4e-6, ProcessBytes: 40 << 20},
}

// profile finds a profile by name; "host" is the built-in one of the device kind.
func profile(name, kind string) (Profile, error) {
	if name == "host" {
		name = kind
	}
	if p, ok := Profiles[name]; ok {
		return p, nil
	}
	known := slices.Sorted(maps.Keys(Profiles))
	return Profile{}, fmt.Errorf("unknown device profile %q: use one of %s", name, strings.Join(known, ", "))
}

// contractions run at the rate of matrix products.
var contractions = []kernels.Op{kernels.MatMul, kernels.Attention, kernels.AttentionGrad, kernels.NewtonSchulz}

// seconds is the time of one call: the larger of its arithmetic and its memory traffic, and a fixed cost.
func (p Profile) seconds(threads int, op kernels.Op, flops float64, bytes int64) float64 {
	rate := p.OtherFlops
	if slices.Contains(contractions, op) {
		rate = p.MatMulFlops
	}
	return p.CallSeconds + max(flops/(rate*float64(threads)), float64(bytes)/p.BytesPerSecond)
}
