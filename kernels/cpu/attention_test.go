package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// attentionCase is a causal attention over t queries and s keys (0: t), the queries being the last.
type attentionCase struct {
	b, t, s, h, g, d int
	rate             float64
	segments         int // length of a document; 0: no segments
}

func (x attentionCase) keys() int {
	if x.s == 0 {
		return x.t
	}
	return x.s
}

func (x attentionCase) String() string {
	return fmt.Sprintf("B%d T%d S%d H%d G%d D%d rate=%v segments=%d", x.b, x.t, x.keys(), x.h, x.g, x.d, x.rate, x.segments)
}

func (x attentionCase) attrs() kernels.Attrs {
	return kernels.Attrs{Causal: true, Scale: 0.2, Rate: x.rate}
}

func (x attentionCase) masks() []kernels.Tensor {
	m := make([]kernels.Tensor, 7)
	m[3] = counter(int64(x.keys() - x.t))
	if x.segments > 0 {
		m[1] = indices([]int{x.b, x.t}, func(i int) int { return i % x.t / x.segments })
		m[2] = indices([]int{x.b, x.keys()}, func(i int) int { return i % x.keys() / x.segments })
	}
	if x.rate > 0 {
		m[4], m[5], m[6] = counter(1), counter(2), counter(3)
	}
	return m
}

func (x attentionCase) forward(r *rand.Rand) kernels.Call {
	args := []kernels.Tensor{random(r, x.b, x.t, x.h, x.d), random(r, x.b, x.keys(), x.g, x.d), random(r, x.b, x.keys(), x.g, x.d)}
	args = append(args, x.masks()...)
	args = append(args, random(r, x.b, x.t, x.h, x.d), random(r, x.b, x.h, x.t))
	return kernels.Call{Op: kernels.Attention, Attrs: x.attrs(), Args: args}
}

// backward has random o and lse: the rules of the gradient hold for any.
func (x attentionCase) backward(r *rand.Rand) kernels.Call {
	f := x.forward(r)
	args := []kernels.Tensor{random(r, x.b, x.t, x.h, x.d), f.Args[0], f.Args[1], f.Args[2], f.Args[10], f.Args[11]}
	args = append(args, x.masks()...)
	for i, v := range floats(f.Args[11]) {
		floats(f.Args[11])[i] = 5 + v
	}
	args = append(args, random(r, x.b, x.t, x.h, x.d), random(r, x.b, x.keys(), x.g, x.d), random(r, x.b, x.keys(), x.g, x.d), kernels.Tensor{})
	return kernels.Call{Op: kernels.AttentionGrad, Attrs: x.attrs(), Args: args}
}

var attentionBenchmarks = []attentionCase{
	{b: 16, t: 256, h: 6, g: 6, d: 64}, {b: 1, t: 1024, h: 12, g: 12, d: 64}, {b: 8, t: 64, h: 4, g: 4, d: 32}, {b: 1, t: 2048, h: 8, g: 2, d: 128},
	{b: 1, t: 1024, h: 12, g: 12, d: 64, rate: 0.1}, {b: 1, t: 1024, h: 12, g: 12, d: 64, segments: 100},
	{b: 1, t: 1, s: 1024, h: 12, g: 12, d: 64}, {b: 8, t: 1, s: 1024, h: 32, g: 8, d: 64},
}

func BenchmarkAttention(b *testing.B) {
	benchmarkAttention(b, func(x attentionCase) kernels.Call { return x.forward(rand.New(rand.NewPCG(1, 2))) })
}

func BenchmarkAttentionGrad(b *testing.B) {
	benchmarkAttention(b, func(x attentionCase) kernels.Call { return x.backward(rand.New(rand.NewPCG(1, 2))) })
}

func benchmarkAttention(b *testing.B, call func(attentionCase) kernels.Call) {
	best, _ := chooseLevel()
	for l := best; l >= avx2; l-- {
		for _, threads := range []int{1, 2} {
			for _, x := range attentionBenchmarks {
				b.Run(fmt.Sprintf("%v/threads=%d/%v", l, threads, x), func(b *testing.B) {
					c := call(x)
					s, err := kernels.Check(c.Op, c.Attrs, c.Args)
					if err != nil {
						b.Fatal(err)
					}
					d := openLevel(b, threads, l)
					run := mustBind(b, d, onDevice(b, d, c))
					run()
					b.ResetTimer()
					for b.Loop() {
						run()
					}
					report(b, l, threads, kernels.FlopsOf(c.Op, s, c.Attrs))
				})
			}
		}
	}
}
