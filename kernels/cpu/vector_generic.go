package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// genericVector is the table in plain Go, and what the assembly is tested against.
var genericVector = vectorTable{
	add: addGeneric, mul: mulGeneric, scale: scaleGeneric, carry: carryGeneric,
	max: maxGeneric, sum: sumGeneric, moments: momentsGeneric, accumulate: accumulateGeneric,
	expSum: expSumGeneric, expScale: expScaleGeneric,
	value: [activations]func(y, x []float32){
		relu: valueOf(reluBoth), gelu: valueOf(geluBoth), geluTanh: valueOf(geluTanhBoth),
		silu: valueOf(siluBoth), sigmoid: valueOf(sigmoidBoth), tanh: valueOf(tanhBoth),
	},
	both: [activations]func(y, dy, x []float32){
		relu: bothOf(reluBoth), gelu: bothOf(geluBoth), geluTanh: bothOf(geluTanhBoth),
		silu: bothOf(siluBoth), sigmoid: bothOf(sigmoidBoth), tanh: bothOf(tanhBoth),
	},
	layerNorm: layerNormGeneric, rmsNorm: rmsNormGeneric, normSums: normSumsGeneric, layerGrad: layerGradGeneric, rmsGrad: rmsGradGeneric,
	rotate: rotateGeneric, dropout: dropoutGeneric, adam: adamGeneric, lion: lionGeneric,
	roundBF16: roundOf(kernels.RoundBF16), roundF16: roundOf(kernels.RoundF16),
	widenBF16: widenGeneric, narrowBF16: narrowGeneric, narrowByWords: narrowByWordsGeneric,
}

func roundOf(f func(float32) float32) roundFunc {
	return func(y, x []float32) {
		x = x[:len(y)]
		for i := range y {
			y[i] = f(x[i])
		}
	}
}

func addGeneric(z, x, y []float32) {
	x, y = x[:len(z)], y[:len(z)]
	for i := range z {
		z[i] = x[i] + y[i]
	}
}

func mulGeneric(z, x, y []float32) {
	x, y = x[:len(z)], y[:len(z)]
	for i := range z {
		z[i] = x[i] * y[i]
	}
}

func scaleGeneric(y, x []float32, alpha float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = alpha * x[i]
	}
}

func carryGeneric(y, x []float32, alpha float32) float64 {
	x = x[:len(y)]
	var a, b float64 // one sum would wait for itself
	for ; len(y) >= 2; x, y = x[2:], y[2:] {
		a, b = a+float64(x[0]), b+float64(x[1])
		y[0], y[1] = alpha*x[0], alpha*x[1]
	}
	if len(y) > 0 {
		a += float64(x[0])
		y[0] = alpha * x[0]
	}
	return a + b
}

func maxGeneric(x []float32) float32 {
	top := float32(math.Inf(-1))
	for _, v := range x {
		if v > top {
			top = v
		}
	}
	return top
}

func sumGeneric(x []float32) float64 {
	var s0, s1 float64
	for ; len(x) >= 2; x = x[2:] {
		s0 += float64(x[0])
		s1 += float64(x[1])
	}
	if len(x) > 0 {
		s0 += float64(x[0])
	}
	return s0 + s1
}

func momentsGeneric(x []float32) (sum, squares float64) {
	var s0, s1, q0, q1 float64
	for ; len(x) >= 2; x = x[2:] {
		a, b := float64(x[0]), float64(x[1])
		s0, s1 = s0+a, s1+b
		q0 += a * a
		q1 += b * b
	}
	if len(x) > 0 {
		a := float64(x[0])
		s0 += a
		q0 += a * a
	}
	return s0 + s1, q0 + q1
}

func accumulateGeneric(sums []float64, x []float32) {
	x = x[:len(sums)]
	for i := range sums {
		sums[i] += float64(x[i])
	}
}

func expSumGeneric(x []float32, shift float32) float64 {
	s := 0.0
	for _, v := range x {
		s += exp(float64(v) - float64(shift))
	}
	return s
}

func expScaleGeneric(y, x []float32, shift, k, b float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = float32(float64(k)*exp(float64(x[i])-float64(shift)) + float64(b))
	}
}

func valueOf(f func(x float64) (y, dy float64)) func(y, x []float32) {
	return func(y, x []float32) {
		x = x[:len(y)]
		for i := range y {
			v, _ := f(float64(x[i]))
			y[i] = float32(v)
		}
	}
}

func bothOf(f func(x float64) (y, dy float64)) func(y, dy, x []float32) {
	return func(y, dy, x []float32) {
		x, dy = x[:len(y)], dy[:len(y)]
		for i := range y {
			a, b := f(float64(x[i]))
			y[i], dy[i] = float32(a), float32(b)
		}
	}
}

func layerNormGeneric(y, x, w, b []float32, mean, rstd float32) {
	x, w, b = x[:len(y)], w[:len(y)], b[:len(y)]
	for i := range y {
		y[i] = (x[i]-mean)*rstd*w[i] + b[i]
	}
}

func rmsNormGeneric(y, x, w []float32, rstd, offset float32) {
	x, w = x[:len(y)], w[:len(y)]
	for i := range y {
		y[i] = x[i] * rstd * (w[i] + offset)
	}
}

func normSumsGeneric(dy, x, w []float32, mean, rstd, offset float32) (sg, sgx float64) {
	x, w = x[:len(dy)], w[:len(dy)]
	for i := range dy {
		g := dy[i] * (w[i] + offset)
		sg += float64(g)
		sgx += float64(g * ((x[i] - mean) * rstd))
	}
	return sg, sgx
}

func layerGradGeneric(dx, dy, x, w, dw, db []float32, mean, rstd, a, b float32) {
	n := len(dx)
	dy, x, w, dw, db = dy[:n], x[:n], w[:n], dw[:n], db[:n]
	for i := range dx {
		xhat, grad := (x[i]-mean)*rstd, dy[i]
		dx[i] = rstd * (grad*w[i] - a - xhat*b)
		dw[i] += grad * xhat
		db[i] += grad
	}
}

func rmsGradGeneric(dx, dy, x, w, dw []float32, rstd, offset, b float32) {
	n := len(dx)
	dy, x, w, dw = dy[:n], x[:n], w[:n], dw[:n]
	for i := range dx {
		xhat, grad := x[i]*rstd, dy[i]
		dx[i] = rstd * (grad*(w[i]+offset) - xhat*b)
		dw[i] += grad * xhat
	}
}

func rotateGeneric(y1, y2, x1, x2, cos, sin []float32, sign float32) {
	n := len(y1)
	y2, x1, x2, cos, sin = y2[:n], x1[:n], x2[:n], cos[:n], sin[:n]
	for i := range y1 {
		a, b, c, s := x1[i], x2[i], cos[i], sin[i]*sign
		y1[i] = a*c - b*s
		y2[i] = b*c + a*s
	}
}

func dropoutGeneric(y, x []float32, p *dropoutParams, block uint64) {
	x = x[:len(y)]
	for i := 0; i < len(y); i += 4 {
		words := p.words(block + uint64(i/4))
		for j := range min(4, len(y)-i) {
			y[i+j] = p.drop(x[i+j], words[j])
		}
	}
}

func (p *dropoutParams) drop(x float32, word uint32) float32 {
	if word < p.threshold {
		return 0
	}
	return x * p.scale
}

func adamGeneric(w, g, m, v []float32, p *adamParams) {
	n := len(w)
	g, m, v = g[:n], m[:n], v[:n]
	for i := range w {
		grad := p.factor*g[i] + p.coupled*w[i]
		m[i] += p.take1 * (grad - m[i])
		v[i] += p.take2 * (grad*grad - v[i])
		root := float32(math.Sqrt(float64(v[i] * p.unbias)))
		w[i] -= p.decay*w[i] + p.rate*m[i]/(root+p.epsilon)
	}
}

func lionGeneric(w, g, m []float32, p *lionParams) {
	g, m = g[:len(w)], m[:len(w)]
	for i, x := range w {
		step := p.factor*g[i] - m[i]
		w[i] = x - p.rate*(sign(m[i]+p.take1*step)+p.decay*x)
		m[i] += p.take2 * step
	}
}

// sign is −1, 0 or 1; that of a NaN is the NaN.
func sign(x float32) float32 {
	if x == 0 || x != x {
		return x
	}
	const signBit, one = 1 << 31, 0x3F800000
	return math.Float32frombits(math.Float32bits(x)&signBit | one)
}

func widenGeneric(y []float32, x []uint16) {
	x = x[:len(y)]
	for i := range y {
		y[i] = math.Float32frombits(uint32(x[i]) << 16)
	}
}

func narrowGeneric(y []uint16, x []float32) {
	x = x[:len(y)]
	for i, v := range x {
		bits := math.Float32bits(v)
		y[i] = upperHalf(v, bits+0x7FFF+bits>>16&1)
	}
}

func narrowByWordsGeneric(y []uint16, x []float32, p *philoxParams, block uint64) {
	x = x[:len(y)]
	for i := 0; i < len(y); i += 4 {
		words := p.words(block + uint64(i/4))
		for j := range min(4, len(y)-i) {
			y[i+j] = roundByWord(x[i+j], words[j])
		}
	}
}

// roundByWord adds the word to the bits that are cut off: what carries over moves the value away from 0.
func roundByWord(x float32, word uint32) uint16 {
	return upperHalf(x, math.Float32bits(x)+word&0xFFFF)
}

// upperHalf is that of the rounded bits, or where x is a NaN its own, with the bit that keeps it one.
func upperHalf(x float32, rounded uint32) uint16 {
	if x != x {
		return uint16(math.Float32bits(x)>>16) | 0x40
	}
	return uint16(rounded >> 16)
}
