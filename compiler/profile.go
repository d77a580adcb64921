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
	ScratchBytes   int64   // scratch of the kernels, common to all threads
	ThreadBytes    int64   // and for each thread
}

// Profiles are the built-in device profiles.
var Profiles = map[string]Profile{
	"cpu": {Name: "cpu", MatMulFlops: 70e9, OtherFlops: 4e9, BytesPerSecond: 14e9, CallSeconds: 4e-6, ProcessBytes: 56 << 20, ScratchBytes: 8 << 20, ThreadBytes: 1 << 20},
	"ref": {Name: "ref", MatMulFlops: 0.5e9, OtherFlops: 0.2e9, BytesPerSecond: 8e9, CallSeconds: 4e-6, ProcessBytes: 56 << 20},
}

// profile is the strategy's device profile; "host" is the built-in one of the device kind.
func (u *unitOfWork) profile() (Profile, error) {
	name := u.strategy.Devices.Profile
	if name == "host" {
		name = u.kind.Name
	}
	if p, ok := Profiles[name]; ok {
		return p, nil
	}
	known := slices.Sorted(maps.Keys(Profiles))
	return Profile{}, u.strategy.Wrong("devices.profile", fmt.Sprintf("unknown device profile %q", name), "use one of host, "+strings.Join(known, ", "))
}

// contractions run at the rate of matrix products.
var contractions = []kernels.Op{kernels.MatMul, kernels.Attention, kernels.AttentionGrad, kernels.NewtonSchulz, kernels.MatMulInt8}

// seconds is the time of one call: the larger of its arithmetic and its memory traffic, and a fixed cost.
func (p Profile) seconds(threads int, op kernels.Op, flops float64, bytes int64) float64 {
	rate := p.OtherFlops
	if slices.Contains(contractions, op) {
		rate = p.MatMulFlops
	}
	return p.CallSeconds + max(flops/(rate*float64(threads)), float64(bytes)/p.BytesPerSecond)
}
