package kerneltest

import (
	"cmp"
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// attributes draws each attribute by its name, for whatever operation takes it. What an operation
// demands beyond stands in its recipe.
var attributes = map[string]func(g *generator, a *kernels.Attrs){
	"trans_a":    func(g *generator, a *kernels.Attrs) { a.TransA = g.coin() },
	"trans_b":    func(g *generator, a *kernels.Attrs) { a.TransB = g.coin() },
	"accumulate": func(g *generator, a *kernels.Attrs) { a.Accumulate = g.extent == full && g.coin() },
	"compute":    func(g *generator, a *kernels.Attrs) { a.Compute = g.compute() },
	"rounding":   func(g *generator, a *kernels.Attrs) { a.Rounding = pick(g, "", "stochastic") },
	"alpha":      func(g *generator, a *kernels.Attrs) { a.Alpha = float64(float32(g.NormFloat64())) },
	"kind":       func(g *generator, a *kernels.Attrs) { a.Kind = pick(g, kernels.Activations...) },
	"derivative": func(g *generator, a *kernels.Attrs) { a.Derivative = g.coin() },
	"cap":        func(g *generator, a *kernels.Attrs) { a.Cap = pick(g, 0, g.between(0.5, 30)) },
	"epsilon":    func(g *generator, a *kernels.Attrs) { a.Epsilon = pick(g, 1e-3, 1e-5, 1e-6, 1e-8) },
	"offset":     func(g *generator, a *kernels.Attrs) { a.Offset = pick(g, 0, 1, 0.5) },
	"index":      func(g *generator, a *kernels.Attrs) { a.Index = g.IntN(max(1, g.sizes["T"])) },
	"rate":       func(g *generator, a *kernels.Attrs) { a.Rate = pick(g, 0, 0.1, 0.5, 0.9) },
	"key":        func(g *generator, a *kernels.Attrs) { a.Key = g.Uint32() },
	"causal":     func(g *generator, a *kernels.Attrs) { a.Causal = g.coin() },
	"window":     func(g *generator, a *kernels.Attrs) { a.Window = pick(g, 0, 1+g.IntN(g.sizes["S"]+2)) },
	"scale": func(g *generator, a *kernels.Attrs) {
		a.Scale = pick(g, 1/math.Sqrt(float64(g.sizes["D"])), g.between(0.01, 0.5))
	},
	"interleaved": func(g *generator, a *kernels.Attrs) { a.Interleaved = g.coin() },
	"inverse":     func(g *generator, a *kernels.Attrs) { a.Inverse = g.coin() },

	"theta":         func(g *generator, a *kernels.Attrs) { a.Theta = pick(g, 100.0, 10000, 500000) },
	"rope_scaling":  func(g *generator, a *kernels.Attrs) { a.RopeScaling = pick(g, "", "linear", "llama3") },
	"rope_factor":   func(g *generator, a *kernels.Attrs) { a.RopeFactor = pick(g, 2.0, 8, 32) },
	"rope_low":      func(g *generator, a *kernels.Attrs) { a.RopeLow = 1 },
	"rope_high":     func(g *generator, a *kernels.Attrs) { a.RopeHigh = pick(g, 4.0, 16) },
	"rope_original": func(g *generator, a *kernels.Attrs) { a.RopeOriginal = pick(g, 256.0, 8192) },

	"share": func(g *generator, a *kernels.Attrs) { a.Share = pick(g, 0.01, 0.3, 1) },

	"ignore_index": func(g *generator, a *kernels.Attrs) { a.IgnoreIndex = pick(g, -100, -1, 0, g.sizes["V"]-1) },
	"smoothing":    func(g *generator, a *kernels.Attrs) { a.Smoothing = pick(g, 0, 0.1, 0.5) },

	"beta1":           func(g *generator, a *kernels.Attrs) { a.Beta1 = pick(g, 0, 0.5, 0.9, 0.95) },
	"beta2":           func(g *generator, a *kernels.Attrs) { a.Beta2 = pick(g, 0.9, 0.95, 0.99, 0.999) },
	"variance_steps":  func(g *generator, a *kernels.Attrs) { a.VarianceSteps = pick(g, 0, 0, 1, 3, 1000) },
	"momentum":        func(g *generator, a *kernels.Attrs) { a.Momentum = pick(g, 0, 0.5, 0.9, 0.99) },
	"nesterov":        func(g *generator, a *kernels.Attrs) { a.Nesterov = g.coin() },
	"decay":           func(g *generator, a *kernels.Attrs) { a.Decay = pick(g, 0, 0.01, 0.3) },
	"rate_scale":      func(g *generator, a *kernels.Attrs) { a.RateScale = pick(g, 1, 1, 0.5, 2) },
	"max_norm":        func(g *generator, a *kernels.Attrs) { a.MaxNorm = pick(g, 0, 0.5, 1, 100) },
	"growth":          func(g *generator, a *kernels.Attrs) { a.Growth = pick(g, 1, 2, 1.5) },
	"backoff":         func(g *generator, a *kernels.Attrs) { a.Backoff = pick(g, 0.25, 0.5, 0.75) },
	"growth_interval": func(g *generator, a *kernels.Attrs) { a.GrowthInterval = g.IntN(5) },
	"max_rms":         func(g *generator, a *kernels.Attrs) { a.MaxRMS = pick(g, 0.5, 1, 2) },
	"epsilon2":        func(g *generator, a *kernels.Attrs) { a.Epsilon2 = pick(g, 1e-3, 0.5) },
	"pattern":         func(g *generator, a *kernels.Attrs) { a.Pattern = pick(g, kernels.Patterns...) },
	"group":           func(g *generator, a *kernels.Attrs) { a.Group = g.sizes["K"] / max(1, g.sizes["G"]) },
	"bits":            func(g *generator, a *kernels.Attrs) { a.Bits = pick(g, 8, 8, 4, 2+g.IntN(7)) },
	"symmetric":       func(g *generator, a *kernels.Attrs) { a.Symmetric = g.coin() },
	"steps":           func(g *generator, a *kernels.Attrs) { a.Steps = g.IntN(7) },
	"dim":             func(g *generator, a *kernels.Attrs) { a.Dim = 1 },
	"classes":         func(g *generator, a *kernels.Attrs) { a.Classes = 1 + g.IntN(50) },
	"of":              func(g *generator, a *kernels.Attrs) { a.Of = pick(g, 0, 1+g.IntN(200)) },
	"length":          func(g *generator, a *kernels.Attrs) { a.Length = pick(g, 0, 1+g.IntN(100)) },
}

// floatsByName draws operands of the compute type that are not just normal values.
var floatsByName = map[string]func(g *generator) float64{
	"v":           (*generator).positive, // second moments; attention's v is normal by its recipe
	"row":         (*generator).positive,
	"column":      (*generator).positive,
	"variance":    (*generator).positive,
	"scale":       (*generator).positive, // of quantised rows
	"row_weights": func(g *generator) float64 { return max(0, g.between(-0.3, 2)) },
	"targets":     func(g *generator) float64 { return min(1, max(0, g.between(-0.3, 1.3))) },
}

// scalarsByName draws scalars.
var scalarsByName = map[string]func(g *generator) float64{
	"rate":   func(g *generator) float64 { return g.between(0.01, 0.5) },
	"factor": func(g *generator) float64 { return pick(g, 1, g.between(0.05, 1)) },
	"weight": func(g *generator) float64 { return g.between(0.5, 50) },
	"norms":  func(g *generator) float64 { return pick(g, 0, g.between(0.01, 10), g.between(100, 1000)) },
	"scale":  func(g *generator) float64 { return pick(g, 1, 0.5, 1024, 65536) },
	"loss":   func(g *generator) float64 { return pick(g, 1, 1, 3.5, math.NaN(), math.Inf(1)) },
	"total":  func(g *generator) float64 { return math.Abs(g.NormFloat64()) },

	"sparsity": func(g *generator) float64 { return pick(g, 0, 0.5, 0.75, 1, g.Float64()) },
}

// integersByName draws indices and counters.
var integersByName = map[string]func(g *generator) int64{
	"x":          func(g *generator) int64 { return int64(int32(g.Uint32())) },
	"codes":      func(g *generator) int64 { return 0 }, // made by the recipe
	"ids":        func(g *generator) int64 { return g.index("V", -1, math.MinInt32) },
	"labels":     func(g *generator) int64 { return g.label() },
	"positions":  func(g *generator) int64 { return int64(pick(g, g.IntN(10), g.IntN(200000))) },
	"lengths":    func(g *generator) int64 { return int64(g.IntN(g.sizes["S"] + 1)) },
	"q_segments": func(g *generator) int64 { return 1 }, // sorted by the recipe
	"k_segments": func(g *generator) int64 { return int64(g.IntN(2)) },
	"offset":     func(g *generator) int64 { return int64(g.IntN(g.sizes["S"]+3)) - int64(min(g.sizes["S"], 2)) },
	"first_key":  func(g *generator) int64 { return int64(pick(g, 0, g.IntN(g.sizes["S"]+3))) },
	"seed":       func(g *generator) int64 { return int64(g.Uint64()) },
	"step":       func(g *generator) int64 { return int64(pick(g, 1, 2, 1+g.IntN(30), 1+g.IntN(100000))) },
	"origin":     func(g *generator) int64 { return int64(g.IntN(70)) },
	"place":      func(g *generator) int64 { return int64(g.IntN(5)) },
	"finite":     func(g *generator) int64 { return int64(min(1, g.IntN(4))) },
	"good":       func(g *generator) int64 { return int64(g.IntN(5)) },
	"on":         func(g *generator) int64 { return int64(min(1, g.IntN(4))) },
	"updates":    func(g *generator) int64 { return int64(g.IntN(1000)) },
}

// compute is a type of products; finite differences see none, since rounding is no smooth function.
func (g *generator) compute() string {
	if g.extent == small {
		return ""
	}
	return pick(g, "", "", "bf16", "f16")
}

// quantised is any int8; −128 is none that quantize_rows makes, but one that a kernel may be given.
func (g *generator) quantised() int64 { return int64(g.IntN(256)) - 128 }

func (g *generator) positive() float64 { return math.Abs(g.NormFloat64()) + 1e-3 }

// label is that of a class of any part; now and then of none.
func (g *generator) label() int64 {
	classes := cmp.Or(g.sample.attrs.Classes, g.sizes["V"])
	if g.oneIn(8) {
		return pick(g, int64(g.sample.attrs.IgnoreIndex), -7, int64(classes), int64(classes)+5)
	}
	return int64(g.IntN(classes))
}

// index is one below the size of a letter; now and then one that is not.
func (g *generator) index(letter string, others ...int64) int64 {
	if g.oneIn(8) {
		return pick(g, append(others, int64(g.sizes[letter]), int64(g.sizes[letter])+5)...)
	}
	return int64(g.IntN(g.sizes[letter]))
}
