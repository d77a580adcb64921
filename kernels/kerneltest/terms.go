package kerneltest

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// before is what an output held that is added to or updated.
func (s *sample) before(output string) float64 { return norm(s.floats(output)) }

// termsOf is for outputs whose terms are the elements of some inputs.
func termsOf(inputs ...string) func(*sample, string) float64 {
	return func(s *sample, output string) float64 {
		total := s.before(output)
		for _, input := range inputs {
			total += norm(s.floats(input))
		}
		return total
	}
}

// productTerms is for outputs whose terms are elementwise products of two inputs.
func productTerms(x, y string) func(*sample, string) float64 {
	return func(s *sample, _ string) float64 {
		total := 0.0
		for i, v := range s.floats(x) {
			total += square(v * s.floats(y)[i])
		}
		return math.Sqrt(total)
	}
}

func square(x float64) float64 { return x * x }

func gateGradTerms(s *sample, output string) float64 {
	if output == "dgate" {
		return productTerms("dy", "up")(s, output)
	}
	return productTerms("dy", "gate")(s, output)
}

// matMulTerms: those of v, which an activation hardly stretches and its value at x multiplies; and the residual.
func matMulTerms(s *sample, output string) float64 {
	total := productSum(s)
	if output == "pre" {
		return total
	}
	if x := s.floats("x"); x != nil && !s.attrs.Derivative {
		total *= 1 + rms(x)
	}
	return 1.2*total + norm(s.floats("residual")) + s.before(output)
}

// productSum: Σ over m, n and k of (a·b)² is the sum over k of the squared norm of a's column times that of b's row.
func productSum(s *sample) float64 {
	a, b := inner(s, "a", !s.attrs.TransA), inner(s, "b", s.attrs.TransB)
	if s.op == kernels.MatMulInt8 {
		b = scaledInner(s)
	}
	total := 0.0
	for k := range a {
		total += a[k] * b[k]
	}
	if s.attrs.Alpha != 0 {
		total *= square(s.attrs.Alpha)
	}
	rows := float64(len(s.floats("a")) / len(a))
	return math.Sqrt(total + rows*square(norm(s.floats("bias"))))
}

// scaledInner is inner for the int8 rows of b, each times its scale.
func scaledInner(s *sample) []float64 {
	scale, width := s.floats("scale"), s.width("b")
	squares := make([]float64, width)
	for i, v := range s.operand("b").ints {
		squares[i%width] += square(scale[i/width] * float64(v))
	}
	return squares
}

// inner is, for each k, the sum of squares of what a matrix holds at that k; last says that k is its last dim.
func inner(s *sample, name string, last bool) []float64 {
	x, width := s.floats(name), s.width(name)
	n := width
	if !last {
		n = len(x) / width
	}
	squares := make([]float64, n)
	for i, v := range x {
		k := i / width
		if last {
			k = i % width
		}
		squares[k] += v * v
	}
	return squares
}

// normTerms: y is made of x·rstd·weight, which is large beside y where the row's mean is far from 0; a mean of
// elements as large as x; and rstd moves by rstd²·|x|·u where x is rounded.
func normTerms(s *sample, output string) float64 {
	width := float64(s.width("x"))
	weight := rms(s.floats("weight")) + math.Abs(s.attrs.Offset)
	if s.operand("weight") == nil {
		weight = 1
	}
	total := 0.0
	s.eachRow("x", func(_ int, x []float64) {
		r := 1 / math.Sqrt(variance(x, s.op == kernels.LayerNorm)+s.attrs.Epsilon)
		switch size := rms(x); output {
		case "y":
			total += square(size*r*weight) * width * (1 + square(size*r))
			total += square(norm(s.floats("bias")))
		case "mean":
			total += square(size)
		case "rstd":
			total += square(r + r*r*size)
		}
	})
	return math.Sqrt(total)
}

func variance(x []float64, centred bool) float64 {
	mean := 0.0
	for _, v := range x {
		if centred {
			mean += v / float64(len(x))
		}
	}
	total := 0.0
	for _, v := range x {
		total += square(v-mean) / float64(len(x))
	}
	return total
}

// eachRow calls f for each row of an operand.
func (s *sample) eachRow(name string, f func(i int, row []float64)) {
	x, width := s.floats(name), s.width(name)
	for i := range len(x) / width {
		f(i, x[i*width:][:width])
	}
}

// normGradTerms: dx is made of rstd·g, dweight of dy·x̂, dbias of dy.
func normGradTerms(s *sample, output string) float64 {
	total := 0.0
	s.eachRow("dy", func(i int, dy []float64) {
		for j, d := range dy {
			gain, r := 1.0, s.floats("rstd")[i]
			if s.operand("weight") != nil {
				gain = math.Abs(s.floats("weight")[j]) + math.Abs(s.attrs.Offset)
			}
			switch output {
			case "dx":
				total += square(r * d * gain)
			case "dweight":
				total += square(d * (s.floats("x")[i*len(dy)+j] - s.or("mean", i, 0)) * r)
			case "dbias":
				total += square(d)
			}
		}
	})
	return math.Sqrt(total) + s.before(output)
}

// attentionTerms: o is a mean of v over about S keys, and of what was known before; lse is a logarithm of a sum of exponentials, of order 1.
func attentionTerms(s *sample, output string) float64 {
	if output == "lse" {
		return math.Sqrt(float64(len(s.floats("q")) / s.width("q")))
	}
	keys := float64(s.operand("k").shape[1])
	return math.Sqrt(float64(len(s.floats("q"))))*rms(s.floats("v"))/math.Sqrt(keys) + norm(s.floats("before"))
}

// attentionGradTerms: with p about 1/S, the terms of ds are p·dp, dp about √D·|do|·|v|, and their sums are random walks.
// A query that sees one key has ds = 0, of terms that are not.
func attentionGradTerms(s *sample, output string) float64 {
	keys, width := float64(s.operand("k").shape[1]), float64(s.width("q"))
	q, k := s.operand("q"), s.operand("k")
	queries := float64(q.shape[1]*q.shape[2]) / float64(k.shape[2]) // that each key's gradient sums over
	do := rms(s.floats("do"))
	dp := s.attrs.Scale * math.Sqrt(width) * do * rms(s.floats("v"))
	switch output {
	case "dq":
		return math.Sqrt(float64(len(q.floats))/keys) * dp * rms(k.floats)
	case "dk":
		return math.Sqrt(float64(len(k.floats))*queries) / keys * dp * rms(q.floats)
	}
	return math.Sqrt(float64(len(k.floats))*queries) / keys * do
}

// lossTerms: a row's loss and lse are made of numbers of the order of 1 and of a logit.
func lossTerms(s *sample, _ string) float64 {
	z := s.floats("logits")
	return math.Sqrt(float64(len(z)/s.width("logits"))) * (1 + rms(z))
}

func crossEntropyTerms(s *sample, output string) float64 {
	if output == "dlogits" {
		return shareTerms(s, output)
	}
	return lossTerms(s, output)
}

// shareTerms: an element of a loss's gradient is scale·w/weight times a difference of two probabilities, over V where the loss is a mean.
func shareTerms(s *sample, _ string) float64 {
	total := 0.0
	width := float64(s.width("logits"))
	s.eachRow("logits", func(i int, _ []float64) {
		w := s.or("scale", 0, 1) * s.or("row_weights", i, 1) / s.scalar("weight")
		if s.operand("targets") != nil {
			w /= math.Sqrt(width)
		}
		total += w * w
	})
	return math.Sqrt(total)
}

// stateTerms: a weight or a moment is what it was before, moved; momentum's u is made of the gradient and of m.
func stateTerms(s *sample, output string) float64 {
	if output == "u" {
		a := s.attrs
		return (1-a.Momentum)*norm(s.floats("grad")) + a.Momentum*a.Momentum*norm(s.floats("m"))
	}
	return s.before(output)
}
