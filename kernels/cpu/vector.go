package cpu

import "github.com/gsc-project/gsc/kernels"

// vectorTable holds, for one level, the loops over runs of consecutive elements
// that the kernels are made of. Slices of one call have the length of the
// first float32 one; outputs may be the same slice as an input.
type vectorTable struct {
	add   func(z, x, y []float32)             // z = x + y
	mul   func(z, x, y []float32)             // z = x·y
	scale func(y, x []float32, alpha float32) // y = alpha·x
	// carry is scale, and gives a number that is finite where all of x are; stream is carry past the caches, for whole vectors that y is aligned to.
	// There is a stream where streamLanes is not 0.
	carry, stream func(y, x []float32, alpha float32) float64
	streamLanes   int

	max func(x []float32) float32 // the largest, NaN left out; −Inf when there is none
	sum func(x []float32) float64 // Σ x
	// moments gives Σ x and Σ x², in float64, where x² is exact.
	moments func(x []float32) (sum, squares float64)
	// accumulate adds x to sums.
	accumulate func(sums []float64, x []float32)

	// expSum gives Σ e^(x−shift); runs of at most sumRun elements are summed in float32 lanes.
	expSum func(x []float32, shift float32) float64
	// expScale sets y = k·e^(x−shift) + b.
	expScale func(y, x []float32, shift, k, b float32)

	// value sets y = f(x); both sets dy = f′(x) as well. They are indexed by activation.
	value [activations]func(y, x []float32)
	both  [activations]func(y, dy, x []float32)

	// layerNorm sets y = (x−mean)·rstd·w + b.
	layerNorm func(y, x, w, b []float32, mean, rstd float32)
	// rmsNorm sets y = x·rstd·(w + offset).
	rmsNorm func(y, x, w []float32, rstd, offset float32)
	// normSums gives Σ g and Σ g·x̂ with g = dy·(w + offset), x̂ = (x−mean)·rstd.
	normSums func(dy, x, w []float32, mean, rstd, offset float32) (sg, sgx float64)
	// layerGrad sets dx = rstd·(g − a − x̂·b), dw += dy·x̂ and db += dy with g = dy·w, x̂ = (x−mean)·rstd.
	layerGrad func(dx, dy, x, w, dw, db []float32, mean, rstd, a, b float32)
	// rmsGrad sets dx = rstd·(g − x̂·b) and dw += dy·x̂ with g = dy·(w + offset), x̂ = x·rstd.
	rmsGrad func(dx, dy, x, w, dw []float32, rstd, offset, b float32)

	// rotate sets y1 = x1·cos − x2·sin, y2 = x2·cos + x1·sin, sin multiplied by sign.
	rotate func(y1, y2, x1, x2, cos, sin []float32, sign float32)
	// dropout sets y = x·scale where the word of the element is at least threshold, else 0. x starts at word 0 of block.
	dropout func(y, x []float32, p *dropoutParams, block uint64)
	// adam updates w, m and v.
	adam func(w, g, m, v []float32, p *adamParams)
	// lion updates w and m.
	lion func(w, g, m []float32, p *lionParams)

	// roundBF16 and roundF16 set y to x rounded to the type.
	roundBF16, roundF16 roundFunc
	// widenBF16 sets y to x, which is bf16; narrowBF16 sets y to x rounded to nearest even. A NaN stays one.
	widenBF16  func(y []float32, x []uint16)
	narrowBF16 func(y []uint16, x []float32)
	// narrowByWords sets y to x rounded stochastically, as roundByWord does. x starts at word 0 of block.
	narrowByWords func(y []uint16, x []float32, p *philoxParams, block uint64)
}

// roundFunc sets y to x rounded to a type that products are computed in.
type roundFunc func(y, x []float32)

// rounding is what operands of products go through at a compute type; nil: nothing.
func (d *Device) rounding(compute string) roundFunc {
	switch compute {
	case "bf16":
		return d.vector().roundBF16
	case "f16":
		return d.vector().roundF16
	}
	return nil
}

// sumRun is the longest run that a sum may add up in float32 lanes before it goes on in float64.
const sumRun = 4096

// activation is the index of a kind of activation in a vectorTable.
type activation int

// The activations that have loops of their own; soft_cap is tanh, scaled.
const (
	relu activation = iota
	gelu
	geluTanh
	silu
	sigmoid
	tanh
	activations
)

var activationNames = map[string]activation{
	"relu": relu, "gelu": gelu, "gelu_tanh": geluTanh, "silu": silu, "sigmoid": sigmoid, "tanh": tanh, "soft_cap": tanh,
}

// philoxParams are what the random words of one operation have in common. Assembly knows the order of its fields.
type philoxParams struct {
	step, stream uint32
	keys         [10][2]uint32 // of the rounds
	seed         uint64
}

// dropoutParams are what the elements of one dropout have in common. Assembly knows the order of its fields.
type dropoutParams struct {
	philoxParams
	threshold uint32
	scale     float32
}

func newDropoutParams(stream uint32, rate float64) dropoutParams {
	return dropoutParams{philoxParams{stream: stream}, kernels.DropThreshold(rate), float32(1 / (1 - rate))}
}

// words are those of a block.
func (p *philoxParams) words(block uint64) [4]uint32 {
	return kernels.Philox(p.seed, block, p.step, p.stream)
}

// set takes in what varies from run to run.
func (p *philoxParams) set(seed uint64, step uint32) {
	p.seed, p.step = seed, step
	for round := range p.keys {
		r := uint32(round)
		p.keys[round] = [2]uint32{uint32(seed) + r*0x9E3779B9, uint32(seed>>32) + r*0xBB67AE85}
	}
}

// adamParams are the scalars of one update, as [kernels.Adam] and [kernels.AdamW] name them:
//
//	g′ = factor·g + coupled·w; m += take1·(g′ − m); v += take2·(g′² − v)
//	w −= decay·w + rate·m/(√(v·unbias) + epsilon)
//
// where take1 = 1−β₁, take2 = 1−β₂, rate = η/(1−β₁ᵗ), unbias = 1/(1−β₂ᵗ), decay = η·λ for AdamW and coupled = λ for Adam.
// The forms with 1−β keep the precision that rounding β to float32 would lose. Assembly knows the order of the fields.
type adamParams struct {
	factor, coupled, take1, take2, decay, rate, unbias, epsilon float32
}

// lionParams are the scalars of one update, as [kernels.Lion] names them, take being 1−β. Assembly knows the order of the fields.
//
//	w −= rate·(sign(m + take1·(factor·g − m)) + decay·w); m += take2·(factor·g − m)
type lionParams struct{ factor, take1, take2, decay, rate float32 }

func (d *Device) vector() *vectorTable { return vectorTables[d.level] }
