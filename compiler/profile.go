package compiler

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// Profile is what the estimate knows of a device. The built-in ones have a few rates that programs reach on
// common machines; one that gsc calibrate wrote has tables of what this machine took. A profile says how long a
// plan takes, never what it does: what the strategy leaves open is chosen by a built-in one, or one of the strategy's own.
type Profile struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`    // of the device
	Threads int    `json:"threads"` // that the ceilings were measured with; 0 in the built-in ones

	// Ceilings, beside which achieved rates are shown.
	PeakFlops          float64 `json:"peak_flops"`                // multiply-adds in registers, all threads, at their best moment
	SustainedFlops     float64 `json:"sustained_flops,omitempty"` // and over a third of a second, the best of many
	ReadBytesPerSecond float64 `json:"read_bytes_per_second"`     // of memory that no cache holds, all threads

	// Rates for what no table covers.
	MatMulFlops    float64            `json:"matmul_flops"`            // floating-point operations a second in contractions, a thread
	ComputeFlops   map[string]float64 `json:"compute_flops,omitempty"` // likewise, by compute type where that changes it
	OtherFlops     float64            `json:"other_flops"`             // and elsewhere
	BytesPerSecond float64            `json:"bytes_per_second"`        // of memory, all threads together
	CallSeconds    float64            `json:"call_seconds"`            // cost of an instruction beside its work

	CacheBytes int64   `json:"cache_bytes"` // what was used within so many bytes of traffic is found in a cache
	Tables     []Table `json:"tables"`

	// What a file does not hold. Of devices of their own: how fast products are by their sizes, how ranks are joined, the memory of one, what is
	// taken of that beside the arena, and for each axis of the mesh.
	Matrix      *Matrix `json:"-"`
	Topology    `json:"-"`
	MemoryBytes int64          `json:"-"` // 0: that of the machine, which is not known
	Reserved    []plan.Reserve `json:"-"`
	GroupBytes  int64          `json:"-"`

	// Memory of the process is the same on every machine of a kind.
	ProcessBytes int64 `json:"-"` // what the process itself takes: code, runtime, buffers of the operating system
	ScratchBytes int64 `json:"-"` // scratch of the kernels, common to all threads
	ThreadBytes  int64 `json:"-"` // and for each thread
}

// ProfileOf is the device profile that prices what the compiler chooses for a strategy.
func ProfileOf(s *schema.Strategy) (*Profile, error) {
	return (&unitOfWork{strategy: s, kind: kernels.Kinds[s.Devices.Kind]}).profile()
}

// profile is the device profile that the strategy names: one of its own, or a built-in one. "host", and a file of measured rates, stand
// for that of the device kind.
func (u *unitOfWork) profile() (*Profile, error) {
	p, err := u.profileOf()
	if d := &u.strategy.Devices; err == nil && d.Nodes+d.PerNode > 0 && p.PerNode > 0 {
		_, p.PerNode = u.strategy.Nodes()
	}
	return p, err
}

// profileOf is the profile as it stands.
func (u *unitOfWork) profileOf() (*Profile, error) {
	d := &u.strategy.Devices
	if own, ok := d.Profiles[d.Profile]; ok {
		return u.ownProfile(d.Profile, own)
	}
	if d.Profile == "host" || IsProfileFile(d.Profile) {
		return BuiltIn(u.kind.Name, ""), nil
	}
	return u.named("devices.profile", d.Profile)
}

// named is a built-in profile that the strategy names at a path.
func (u *unitOfWork) named(path, name string) (*Profile, error) {
	p, ok := Profiles[name]
	if !ok {
		known := slices.Concat(slices.Sorted(maps.Keys(Profiles)), slices.Sorted(maps.Keys(u.strategy.Devices.Profiles)))
		return nil, u.strategy.Wrong(path, fmt.Sprintf("unknown device profile %q", name), "use one of host, "+strings.Join(known, ", ")+", or a file that gsc calibrate wrote")
	}
	if kernels.Kinds[p.Kind].Separate != u.kind.Separate {
		return nil, u.strategy.Wrong(path, fmt.Sprintf("%s is of devices of the kind %s, and devices.kind is %q", name, p.Kind, u.kind.Name), fmt.Sprintf("use devices.profile: \"host\", or devices.kind: %q", p.Kind))
	}
	return &p, nil
}

// IsProfileFile says whether the name of a profile is that of a file.
func IsProfileFile(name string) bool { return strings.HasSuffix(name, ".json") }

// contracts says whether an operation runs at the rate of matrix products.
func contracts(op kernels.Op) bool { return slices.Contains(contractions, op) }

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
	flops, bytes := kernels.FlopsOf(c.Op, c.Sizes, c.Attrs), kernels.TrafficBytes(c.Op, c.Attrs, c.Args)
	return p.CallSeconds + math.Max(flops/p.rate(threads, c), float64(bytes)/p.BytesPerSecond) + p.scores(c)
}

// scores is the time in which attention's scores go through memory.
func (p *Profile) scores(c Call) float64 {
	if p.Matrix == nil || p.Matrix.Scores == 0 || c.Op != kernels.Attention && c.Op != kernels.AttentionGrad {
		return 0
	}
	passes := p.Matrix.Scores
	if c.Op == kernels.AttentionGrad {
		passes *= 1.5
	}
	elements := float64(c.Sizes["B"]) * float64(c.Sizes["H"]) * float64(c.Sizes["T"]) * float64(c.Sizes["S"])
	return passes * elements * float64(c.Args[0].DType.Size()) / p.BytesPerSecond
}
