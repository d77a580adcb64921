package ref

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// sumPieces is Σ f(i) over i < n, summed by pieces that are combined in order.
func sumPieces(n int, f func(i int) float64) float64 {
	total := 0.0
	for start := 0; start < n; start += kernels.SquaresPiece {
		piece := 0.0
		for i := start; i < min(n, start+kernels.SquaresPiece); i++ {
			piece += f(i)
		}
		total += piece
	}
	return total
}

func square(x float64) float64 { return x * x }

func sumSquares(c *call) {
	x, total := c.floats("x"), c.sums("total")
	total.data[0] += sumPieces(x.len(), func(i int) float64 { return square(x.data[i]) })
}

func clipFactor(c *call) {
	scale := c.floats("scale").or(0, 1)
	norm, factor, finite := math.Sqrt(sum(c.floats("total").data))/scale, 1.0, int64(1)
	if c.MaxNorm != 0 {
		factor = min(1, c.MaxNorm/(norm+1e-6))
	}
	if !isFinite(norm) {
		finite = 0
	}
	c.floats("norm").data[0], c.floats("factor").data[0] = norm, factor/scale
	kernels.Slice[int64](c.tensor("finite"))[0] = finite
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func lossScale(c *call) {
	scale, good, updates := c.floats("scale").data, kernels.Slice[int64](c.tensor("good")), kernels.Slice[int64](c.tensor("updates"))
	if c.counter("finite") == 0 || !isFinite(c.scalar("loss")) {
		scale[0] *= c.Backoff
		good[0] = 0
		return
	}
	updates[0]++
	good[0]++
	if good[0] == int64(c.GrowthInterval) {
		scale[0] *= c.Growth
		good[0] = 0
	}
}

// eta is η, the rate of this tensor.
func (c *call) eta() float64 { return c.scalar("rate") * c.RateScale }

// gradient is g: grad, multiplied by factor.
func (c *call) gradient() func(i int) float64 {
	grad, factor := c.floats("grad").data, c.scalar("factor")
	return func(i int) float64 { return grad[i] * factor }
}

func sgd(c *call) {
	w, m, gradient, eta := c.floats("weight").data, c.floats("m"), c.gradient(), c.eta()
	for i := range w {
		g := gradient(i) + c.Decay*w[i]
		switch {
		case m.absent():
			w[i] -= eta * g
		case c.Nesterov:
			m.data[i] = c.Momentum*m.data[i] + g
			w[i] -= eta * (g + c.Momentum*m.data[i])
		default:
			m.data[i] = c.Momentum*m.data[i] + g
			w[i] -= eta * m.data[i]
		}
	}
}

// moments are m and v of Adam and its kin.
type moments struct {
	m, v                     []float64
	beta1, beta2, epsilon    float64
	correction1, correction2 float64 // 1 − βᵗ
	frozen                   bool    // v is
}

func (c *call) moments() moments {
	t := c.counter("step")
	s := c.VarianceStep(t)
	return moments{
		m: c.floats("m").data, v: c.floats("v").data, beta1: c.Beta1, beta2: c.Beta2, epsilon: c.Epsilon,
		correction1: 1 - math.Pow(c.Beta1, float64(t)), correction2: 1 - math.Pow(c.Beta2, float64(s)), frozen: s < t,
	}
}

// update takes in the gradient of element i.
func (s *moments) update(i int, g float64) {
	s.m[i] = s.beta1*s.m[i] + (1-s.beta1)*g
	if s.frozen {
		s.v[i] = max(s.v[i], s.correction2*g*g/(kernels.SpreadLimit*kernels.SpreadLimit))
	} else {
		s.v[i] = s.beta2*s.v[i] + (1-s.beta2)*g*g
	}
}

// direction is m̂/(√v̂ + epsilon) of element i.
func (s *moments) direction(i int) float64 {
	return s.m[i] / s.correction1 / (math.Sqrt(s.v[i]/s.correction2) + s.epsilon)
}

func adam(c *call) {
	w, state, gradient, eta := c.floats("weight").data, c.moments(), c.gradient(), c.eta()
	for i := range w {
		state.update(i, gradient(i)+c.Decay*w[i])
		w[i] -= eta * state.direction(i)
	}
}

func adamW(c *call) {
	w, state, gradient, eta := c.floats("weight").data, c.moments(), c.gradient(), c.eta()
	for i := range w {
		w[i] -= eta * c.Decay * w[i]
		state.update(i, gradient(i))
		w[i] -= eta * state.direction(i)
	}
}

func lion(c *call) {
	w, m, gradient, eta := c.floats("weight").data, c.floats("m").data, c.gradient(), c.eta()
	for i := range w {
		g := gradient(i)
		u := sign(c.Beta1*m[i] + (1-c.Beta1)*g)
		w[i] -= eta * (u + c.Decay*w[i])
		m[i] = c.Beta2*m[i] + (1-c.Beta2)*g
	}
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

func lambMoments(c *call) {
	w, state, gradient, norms := c.floats("weight").data, c.moments(), c.gradient(), c.floats("norms").data
	for i := range w {
		state.update(i, gradient(i))
	}
	norms[0] = sumPieces(len(w), func(i int) float64 { return square(w[i]) })
	norms[1] = sumPieces(len(w), func(i int) float64 { return square(state.direction(i) + c.Decay*w[i]) })
}

func lambApply(c *call) {
	w, state, norms, eta := c.floats("weight").data, c.moments(), c.floats("norms").data, c.eta()
	ratio := 1.0
	if norms[0] != 0 && norms[1] != 0 {
		ratio = math.Sqrt(norms[0]) / math.Sqrt(norms[1])
	}
	for i := range w {
		r := state.direction(i) + c.Decay*w[i]
		w[i] -= eta * ratio * r
	}
}
