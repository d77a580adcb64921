package compiler

import (
	"cmp"
	"maps"
	"math"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// Matrix is how fast products are on a device, by their sizes. A product is made in tiles of c by as many units as a device has, in waves; the last
// wave is half empty on average, which small products feel. Along K a tile has to be begun and ended, which short sums feel:
//
//	FLOP/s = Peak · Best · MN/(MN + Units·Tile/2) · K/(K + Depth)
type Matrix struct {
	Peak      map[string]float64 // dense FLOP/s, by the type of what is multiplied: f32, bf16, f16
	Best      float64            // share of the peak that large products reach
	Attention float64            // share of the peak that attention reaches
	Scores    float64            // how often its scores go through memory going forward, and half as often again going back; 0: never
	Units     float64            // multiprocessors
	Tile      float64            // elements of c that one of them makes at a time
	Depth     float64            // steps of K that beginning and ending a tile costs
}

// Link carries what ranks send.
type Link struct {
	Name           string
	Seconds        float64 // of each step of a collective
	BytesPerSecond float64 // that one rank sends, while it receives as much
}

// Topology is how ranks are joined. They are numbered node by node.
type Topology struct {
	PerNode int // ranks of a node; 0: all ranks are one process, which its memory joins
	Node    Link
	Network Link // between nodes; each rank has a place on it
}

// tile is what libraries of products make at a time on a multiprocessor.
const tile = 128 * 256

// What is not on a data sheet. cuBLAS alone reaches 270 of 312 TFLOP/s on an A100 with 8,192 rows, columns and steps in bf16, and some 750 of 989 on an
// H100, which its power limits; in the middle of a step, one product after another, a little less. Attention reaches the shares of FlashAttention-2 (Dao,
// arXiv:2307.08691, figures 4 to 6) and -3 (Shah et al., arXiv:2407.08608), forward and backward together; where scores go through
// memory, as before FlashAttention, it reaches 0.08 (figure 4 of the former, and see TestMegatronThroughput). Of memory, copies reach 85 %; of NVLink, NCCL's
// collectives reach 80 %, of InfiniBand 90 %. For the B200, on which little is published, the shares of the H100 are assumed.
const (
	copyShare    = 0.85
	nodeShare    = 0.8
	networkShare = 0.9
)

func nvlink(bytesPerSecond float64) Link {
	return Link{Name: "NVLink", Seconds: 3e-6, BytesPerSecond: nodeShare * bytesPerSecond}
}

func infiniBand(bitsPerSecond float64) Link {
	return Link{Name: "InfiniBand", Seconds: 6e-6, BytesPerSecond: networkShare * bitsPerSecond / 8}
}

// gpu completes a profile with what GPUs have in common: what the driver, the libraries of products and, for each axis of the mesh, the transport
// keep for themselves; and that a kernel begins some microseconds after the one before it.
func gpu(p Profile) Profile {
	p.Kind, p.CallSeconds = "cuda", 3e-6
	p.BytesPerSecond *= copyShare
	p.MatMulFlops = p.Matrix.Peak["f32"]
	p.Reserved = []plan.Reserve{{For: "CUDA context", SizeBytes: 600 << 20}, {For: "workspace of products", SizeBytes: 32 << 20}}
	p.GroupBytes = 384 << 20
	p.ProcessBytes = 56 << 20
	return p
}

// hopper is what the H100 SXM and the H200 share. NVIDIA H100 Tensor Core GPU data sheet (2023): FP32 67 TFLOP/s, BFLOAT16 and FP16 1,979 with
// sparsity, half of it dense; NVLink 900 GB/s, both ways together. DGX H100 data sheet: a ConnectX-7 of 400 Gb/s for each GPU, 8 GPUs.
func hopper(name string, memory int64, bandwidth float64) Profile {
	return gpu(Profile{Name: name, MemoryBytes: memory, BytesPerSecond: bandwidth, OtherFlops: 67e12,
		Matrix:   &Matrix{Peak: map[string]float64{"f32": 67e12, "bf16": 989.4e12, "f16": 989.4e12}, Best: 0.7, Attention: 0.45, Units: 132, Tile: tile, Depth: 256},
		Topology: Topology{PerNode: 8, Node: nvlink(450e9), Network: infiniBand(400e9)}})
}

// Profiles are the built-in device profiles, by name. Peaks, memory and links are those of the data sheets, whose GB are taken for 10⁹ bytes.
var Profiles = map[string]Profile{
	"cpu": {Name: "cpu", Kind: "cpu", MatMulFlops: 95e9, ComputeFlops: map[string]float64{"bf16": 180e9, "f16": 85e9}, OtherFlops: 4e9, BytesPerSecond: 24e9, CallSeconds: 4e-6, ProcessBytes: 56 << 20, ScratchBytes: 8 << 20, ThreadBytes: 1 << 20},
	"ref": {Name: "ref", Kind: "ref", MatMulFlops: 0.5e9, OtherFlops: 0.2e9, BytesPerSecond: 8e9, CallSeconds: 4e-6, ProcessBytes: 56 << 20},

	// NVIDIA A100 Tensor Core GPU data sheet (2021), A100 80GB SXM: FP32 19.5 TFLOP/s, BFLOAT16 and FP16 312; 2,039 GB/s; NVLink 600 GB/s, both
	// ways together; 108 multiprocessors. DGX A100 data sheet: a ConnectX-6 of 200 Gb/s for each GPU, 8 GPUs.
	"a100-80": gpu(Profile{Name: "a100-80", MemoryBytes: 80e9, BytesPerSecond: 2039e9, OtherFlops: 19.5e12,
		Matrix:   &Matrix{Peak: map[string]float64{"f32": 19.5e12, "bf16": 312e12, "f16": 312e12}, Best: 0.8, Attention: 0.55, Units: 108, Tile: tile, Depth: 256},
		Topology: Topology{PerNode: 8, Node: nvlink(300e9), Network: infiniBand(200e9)}}),

	"h100-sxm": hopper("h100-sxm", 80e9, 3.35e12),

	// NVIDIA H200 Tensor Core GPU data sheet (2024): 141 GB, 4.8 TB/s; otherwise as the H100.
	"h200": hopper("h200", 141e9, 4.8e12),

	// NVIDIA Blackwell HGX B200 and DGX B200 data sheets (2025), an eighth of 8 GPUs: 1,440 GB and 64 TB/s of memory; FP16 and BF16 36 PFLOP/s with
	// sparsity, half of it dense; FP32 600 TFLOP/s; NVLink 1.8 TB/s, both ways together; 148 multiprocessors; a ConnectX-7 of 400 Gb/s for each GPU.
	"b200": gpu(Profile{Name: "b200", MemoryBytes: 180e9, BytesPerSecond: 8e12, OtherFlops: 75e12,
		Matrix:   &Matrix{Peak: map[string]float64{"f32": 75e12, "bf16": 2250e12, "f16": 2250e12}, Best: 0.7, Attention: 0.45, Units: 148, Tile: tile, Depth: 256},
		Topology: Topology{PerNode: 8, Node: nvlink(900e9), Network: infiniBand(400e9)}}),
}

// ofKind are the profiles that stand for device kinds.
var ofKind = map[string]string{"cpu": "cpu", "ref": "ref", "cuda": "h100-sxm"}

// BuiltIn is the built-in profile of a device kind that has a name; one that has not, such as "host" or that of a file, stands for the kind's own.
// nil: there is no such kind.
func BuiltIn(kind, name string) *Profile {
	p, ok := Profiles[name]
	if !ok || p.Kind != kind {
		p, ok = Profiles[ofKind[kind]]
	}
	if !ok {
		return nil
	}
	return &p
}

// ownProfile is a device profile of the strategy's own: the one that it is like, but for what it says.
func (u *unitOfWork) ownProfile(name string, own schema.Profile) (*Profile, error) {
	p, err := u.named("devices.profiles."+name+".like", own.Like)
	if err != nil {
		return nil, err
	}
	p.Name = name
	p.MemoryBytes = cmp.Or(own.MemoryBytes, p.MemoryBytes)
	p.BytesPerSecond = cmp.Or(own.Bandwidth, p.BytesPerSecond)
	p.CallSeconds = orElse(own.CallSeconds, p.CallSeconds)
	p.GroupBytes = orElse(own.AxisBytes, p.GroupBytes)
	if own.ReservedBytes != nil {
		p.Reserved = []plan.Reserve{{For: "driver and libraries", SizeBytes: *own.ReservedBytes}}
	}
	m := *p.Matrix
	m.Best, m.Attention, m.Scores, m.Peak = cmp.Or(own.Best, m.Best), cmp.Or(own.Attention, m.Attention), own.Scores, maps.Clone(m.Peak)
	for compute, flops := range own.Flops {
		m.Peak[cmp.Or(computeTypes[compute], compute)] = flops
	}
	p.Matrix = &m
	p.PerNode, p.Node, p.Network = cmp.Or(own.PerNode, p.PerNode), p.Node.with(own.Node), p.Network.with(own.Network)
	return p, nil
}

func (l Link) with(own schema.Link) Link {
	return Link{Name: cmp.Or(own.Name, l.Name), Seconds: orElse(own.Latency, l.Seconds), BytesPerSecond: cmp.Or(own.Bandwidth, l.BytesPerSecond)}
}

func orElse[T any](given *T, or T) T {
	if given != nil {
		return *given
	}
	return or
}

// peak is that of products in the type that a plan keeps its weights in; 0 where it is not known.
func (p *Profile) peak(pl *plan.Plan) float64 {
	if p.Matrix == nil {
		return 0
	}
	for i := range pl.Tensors {
		if t := &pl.Tensors[i]; t.Class == plan.Weight {
			return p.Matrix.Peak[t.DType.String()]
		}
	}
	return 0
}

// rate is the FLOP/s of an operation.
func (p *Profile) rate(threads int, c Call) float64 {
	if p.Matrix != nil {
		return p.Matrix.rate(c, p.OtherFlops)
	}
	rate := p.OtherFlops
	if contracts(c.Op) {
		rate = p.MatMulFlops
		if own, ok := p.ComputeFlops[c.Attrs.Compute]; ok {
			rate = own
		}
	}
	return rate * float64(threads)
}

// rate: what is no contraction runs at another rate.
func (m *Matrix) rate(c Call, other float64) float64 {
	if !contracts(c.Op) {
		return other
	}
	compute := c.Attrs.Compute
	if compute == "" {
		compute = floatType(c.Op, c.Args).String()
	}
	peak := m.Peak[compute]
	if peak == 0 {
		peak = m.Peak[kernels.F32.String()]
	}
	if c.Op == kernels.Attention || c.Op == kernels.AttentionGrad {
		return peak * m.Attention
	}
	rows, columns, steps := float64(c.Sizes["M"]), float64(c.Sizes["N"]), float64(c.Sizes["K"])
	if c.Op == kernels.NewtonSchulz { // the sides of its products are those of the smaller one
		rows, steps = math.Min(rows, columns), math.Max(rows, columns)
		columns = rows
	}
	size := rows * columns
	return peak * m.Best * size / (size + m.Units*m.Tile/2) * steps / (steps + m.Depth)
}
