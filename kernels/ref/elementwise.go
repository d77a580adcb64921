package ref

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

func addBias(c *call) {
	x, bias, y := c.floats("x"), c.floats("bias"), c.floats("y")
	for i := range x.len() {
		*y.flat(i) = *x.flat(i) + *bias.flat(i % bias.len())
	}
}

func add(c *call) {
	x, y, z := c.floats("x"), c.floats("y"), c.floats("z")
	for i := range z.len() {
		*z.flat(i) = *x.flat(i) + *y.flat(i)
	}
}

func scale(c *call) {
	x, y := c.floats("x"), c.floats("y")
	for i := range y.len() {
		*y.flat(i) = c.Alpha * *x.flat(i)
	}
}

func activate(c *call) {
	x, y, f := c.floats("x"), c.floats("y"), activations[c.Kind].value
	for i := range y.len() {
		*y.flat(i) = f(*x.flat(i), c.Cap)
	}
}

func activateGrad(c *call) {
	dy, x, dx, slope := c.floats("dy"), c.floats("x"), c.floats("dx"), activations[c.Kind].slope
	for i := range dx.len() {
		*dx.flat(i) = *dy.flat(i) * slope(*x.flat(i), c.Cap)
	}
}

func gate(c *call) {
	gate, up, y, f := c.floats("gate"), c.floats("up"), c.floats("y"), activations[c.Kind].value
	for i := range y.len() {
		*y.flat(i) = f(*gate.flat(i), c.Cap) * *up.flat(i)
	}
}

func gateGrad(c *call) {
	dy, gate, up, f := c.floats("dy"), c.floats("gate"), c.floats("up"), activations[c.Kind]
	dgate, dup := c.floats("dgate"), c.floats("dup")
	for i := range dy.len() {
		d, g, u := *dy.flat(i), *gate.flat(i), *up.flat(i)
		*dgate.flat(i) = d * u * f.slope(g, c.Cap)
		*dup.flat(i) = d * f.value(g, c.Cap)
	}
}

// activations holds f and f′ for each kind; the second argument is the soft cap.
var activations = map[string]struct {
	value, slope func(x, limit float64) float64
}{
	"relu":      {relu, reluSlope},
	"gelu":      {gelu, geluSlope},
	"gelu_tanh": {geluTanh, geluTanhSlope},
	"silu":      {silu, siluSlope},
	"sigmoid":   {sigmoid, sigmoidSlope},
	"tanh":      {tanh, tanhSlope},
	"soft_cap":  {softCap, softCapSlope},
}

func relu(x, _ float64) float64 { return max(x, 0) }

func reluSlope(x, _ float64) float64 {
	if x > 0 {
		return 1
	}
	return 0
}

// normal is Φ, the standard normal distribution function, by erfc so that its lower tail keeps its digits.
func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

func gelu(x, _ float64) float64 { return x * normal(x) }

func geluSlope(x, _ float64) float64 {
	return normal(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
}

const geluCubic = 0.044715

var geluRate = math.Sqrt(2 / math.Pi)

func geluTanh(x, _ float64) float64 {
	return x / 2 * (1 + math.Tanh(geluRate*(x+geluCubic*x*x*x)))
}

func geluTanhSlope(x, _ float64) float64 {
	t := math.Tanh(geluRate * (x + geluCubic*x*x*x))
	return (1+t)/2 + x/2*(1-t*t)*geluRate*(1+3*geluCubic*x*x)
}

func silu(x, _ float64) float64 { return x / (1 + math.Exp(-x)) }

func siluSlope(x, _ float64) float64 {
	s := sigmoid(x, 0)
	return s * (1 + x*(1-s))
}

func sigmoid(x, _ float64) float64 { return 1 / (1 + math.Exp(-x)) }

func sigmoidSlope(x, _ float64) float64 {
	s := sigmoid(x, 0)
	return s * (1 - s)
}

func tanh(x, _ float64) float64 { return math.Tanh(x) }

func tanhSlope(x, _ float64) float64 {
	t := math.Tanh(x)
	return 1 - t*t
}

func softCap(x, limit float64) float64 { return limit * math.Tanh(x/limit) }

func softCapSlope(x, limit float64) float64 { return tanhSlope(x/limit, 0) }

func dropout(c *call) {
	x, y, drop := c.floats("x"), c.floats("y"), c.dropper()
	entry := 1
	if len(x.shape) > 0 {
		entry = kernels.Elements(x.shape[1:])
	}
	first := uint64(c.counter("origin")) * uint64(entry)
	for i := range y.len() {
		at := first + uint64(i)
		if c.Of > 0 {
			n, inner := uint64(kernels.Elements(x.shape[c.Dim:])), uint64(kernels.Elements(x.shape[c.Dim+1:]))
			at = at/n*uint64(c.Of)*inner + uint64(c.counter("place"))*n + at%n
		}
		*y.flat(i) = drop.apply(*x.flat(i), at)
	}
}

// dropper is Dropout's rule, for any element of one logical tensor.
type dropper struct {
	rate      float64
	threshold uint32
	seed      uint64
	step, key uint32
}

func (c *call) dropper() dropper {
	return dropper{c.Rate, kernels.DropThreshold(c.Rate), uint64(c.counter("seed")), uint32(c.counter("step")), c.Key}
}

// apply gives x/(1−rate) where element i of the logical tensor is kept, else 0.
func (d dropper) apply(x float64, i uint64) float64 {
	if d.rate == 0 {
		return x
	}
	if kernels.Philox(d.seed, i/4, d.step, d.key)[i%4] < d.threshold {
		return 0
	}
	return x / (1 - d.rate)
}
