package cpu

import "math"

// exp is e^x with a relative error below 3e-10: enough for a result that is
// rounded to float32. It is 0 below −700, and x is at most 700; a NaN stays one.
//
// e^x = 2ⁿ·e^r with n the integer nearest to x/ln 2, and e^r by [expm1r].
func exp(x float64) float64 {
	if x < -700 {
		return 0
	}
	if x > 700 {
		x = 700
	}
	r, power := reduce(x)
	return power + power*expm1r(r)
}

// expm1 is e^x − 1, relative to its own size as exact as exp is.
func expm1(x float64) float64 {
	r, power := reduce(x)
	return power*expm1r(r) + (power - 1)
}

// reduce gives r and 2ⁿ with x = n·ln 2 + r, |r| ≤ ln 2/2, for |x| ≤ 700.
func reduce(x float64) (r, power float64) {
	const (
		round = 3 << 51 // adding it leaves no bits behind the point
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
	)
	t := float64(x*math.Log2E) + round
	n := t - round
	r = x - n*ln2Hi - n*ln2Lo
	return r, math.Float64frombits((math.Float64bits(t) + 1023) << 52)
}

// expm1r is e^r − 1 for |r| ≤ ln 2/2, by Taylor's series up to r⁸/8!.
func expm1r(r float64) float64 {
	p := 1.0/40320*r + 1.0/5040
	p = p*r + 1.0/720
	p = p*r + 1.0/120
	p = p*r + 1.0/24
	p = p*r + 1.0/6
	p = p*r + 1.0/2
	return p*r*r + r
}

// The coefficients of Φ(−a)·e^(a²/2) ≈ t·(phi[0] + phi[1]·t + … + phi[8]·t⁸), t = 1/(1 + phiPole·a), for 0 ≤ a ≤ 13.5
// with a relative error below 1.2e-8: a minimax fit made for gsc, in the form of Abramowitz and Stegun, Handbook of
// Mathematical Functions, 26.2.17.
const phiPole = 0.265

var phi = [...]float64{
	0.1057421235213599, 0.10523707895376821, 0.1027701141298936, 0.060038585857431666, 0.13861052185021008,
	-0.1173365842040119, 0.21868844939781865, -0.14466309140554315, 0.030912807399833597,
}

// normal gives Φ(x), the normal distribution, and φ(x), its density.
func normal(x float64) (cumulative, density float64) {
	e := exp(-x * x / 2)
	t := 1 / (1 + phiPole*math.Abs(x))
	tail := phi[8]
	for i := 7; i >= 0; i-- {
		tail = tail*t + phi[i]
	}
	tail *= t * e
	if x > 0 {
		tail = 1 - tail
	}
	return tail, e * (1 / math.Sqrt2 / math.SqrtPi)
}

// logistic gives s = 1/(1 + e⁻ˣ) and 1 − s, both exact relative to their own size.
func logistic(x float64) (s, complement float64) {
	e := exp(-x)
	s = 1 / (1 + e)
	return s, s * e
}

// clamp brings x into [−limit, limit]; a NaN stays one.
func clamp(x, limit float64) float64 {
	if x > limit {
		return limit
	}
	if x < -limit {
		return -limit
	}
	return x
}

// The functions below give f(x) and f′(x) of an activation.

func reluBoth(x float64) (y, dy float64) {
	if x > 0 {
		return x, 1
	}
	return max(x, 0), 0 // a NaN stays one
}

// Φ(x) + x·φ(x) is the derivative of x·Φ(x).
func geluBoth(x float64) (y, dy float64) {
	cumulative, density := normal(x)
	return x * cumulative, cumulative + x*density
}

// x/2·(1 + tanh u) = x·s(2u), s the logistic function, whose derivative is s·(1−s).
func geluTanhBoth(x float64) (y, dy float64) {
	const a, b = 2 * 0.79788456080286535588, 0.044715 // 2√(2/π)
	z := clamp(x, 10)                                 // beyond, s is 0 or 1
	s, c := logistic(a * z * (1 + b*z*z))
	return x * s, s + z*s*c*a*(1+3*b*z*z)
}

func siluBoth(x float64) (y, dy float64) {
	s, c := logistic(x)
	return x * s, s + x*s*c
}

func sigmoidBoth(x float64) (y, dy float64) {
	s, c := logistic(x)
	return s, s * c
}

// tanh x = t/(t+2) and 1 − tanh² x = 4·(t+1)/(t+2)² with t = e^(2x) − 1.
func tanhBoth(x float64) (y, dy float64) {
	t := expm1(2 * clamp(x, 20))
	return t / (t + 2), 4 * (t + 1) / ((t + 2) * (t + 2))
}
