package gsc_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gsc-project/gsc/runtime"
)

// The gradient of a whole model is the derivative of its loss: along a random
// direction through all weights, and through those of each tensor alone, with dropout, micro-batches and recomputation.
func TestGradientsAreTheDerivativeOfTheLoss(t *testing.T) {
	cases := append(architectures[:len(architectures):len(architectures)],
		struct{ name, model, data string }{"gpt2-packed", gpt2, packed},
		struct{ name, model, data string }{"llama-padded", llama, padded})
	for _, a := range cases {
		t.Run(a.name, func(t *testing.T) {
			p := planOf(t, write(t, a.model, a.data), `devices.kind="ref"`, "batch={sequences: 2, micro_batches: 2}", "data.length=16", `memory.recompute="selective"`,
				`optimizer={kind: "sgd"}`, `objective.smoothing=0.1`)
			l := newLab(t, p, 1)
			gradients := l.gradients()
			random := newRandom()
			l.compare(gradients, l.direction(random, l.weights()...))
			for _, name := range l.weights() {
				l.compare(gradients, l.direction(random, name))
			}
		})
	}
}

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// gradients runs step 1 without moving the weights, and gives their gradients.
func (l *lab) gradients() map[string][]float64 {
	l.t.Helper()
	gradients := map[string][]float64{}
	l.stepper.BeforeUpdate = func(m *runtime.Machine) {
		for _, name := range l.weights() {
			gradients[name] = m.Gradient(name)
		}
	}
	l.step(1, 0)
	l.stepper.BeforeUpdate = nil
	return gradients
}

// direction is a random vector through the named weights, of their size.
func (l *lab) direction(random *rand.Rand, names ...string) map[string][]float64 {
	vector := map[string][]float64{}
	for _, name := range names {
		v := make([]float64, len(l.tensor(name)))
		for i := range v {
			v[i] = random.NormFloat64()
		}
		vector[name] = v
	}
	return vector
}

// compare holds the slope of step 1's loss along a direction against the gradients.
func (l *lab) compare(gradients, direction map[string][]float64) {
	l.t.Helper()
	const h = 1e-5
	slope, size, name := 0.0, 0.0, "all weights"
	for n, v := range direction {
		for i := range v {
			slope += gradients[n][i] * v[i]
			size += gradients[n][i] * gradients[n][i]
		}
		if len(direction) == 1 {
			name = n
		}
	}
	difference := func(h float64) float64 { return l.lossAlong(direction, h) - l.lossAlong(direction, -h) }
	want := (8*difference(h) - difference(2*h)) / (12 * h) // what is left out is of the order of h⁴
	// Where a gradient is zero but for rounding, the difference of two losses is rounding too.
	if far := math.Abs(slope - want); far > 1e-6*math.Max(math.Sqrt(size), 1e-4) {
		l.t.Errorf("%s: the gradient gives the slope %.12g, the losses %.12g", name, slope, want)
	}
}

// lossAlong is step 1's loss with the weights moved a little, and moves them back.
func (l *lab) lossAlong(direction map[string][]float64, h float64) float64 {
	l.t.Helper()
	for name, v := range direction {
		kept := l.tensor(name)
		defer l.setTensor(name, kept)
		moved := make([]float64, len(v))
		for i := range v {
			moved[i] = kept[i] + h*v[i]
		}
		l.setTensor(name, moved)
	}
	return l.step(1, 0).Loss
}
