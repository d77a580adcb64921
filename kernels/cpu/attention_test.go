package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/ref"
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
	m := make([]kernels.Tensor, 8)
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
	args = append(args, random(r, x.b, x.t, x.h, x.d), random(r, x.b, x.h, x.t), kernels.Tensor{}, kernels.Tensor{}, kernels.Tensor{})
	return kernels.Call{Op: kernels.Attention, Attrs: x.attrs(), Args: args}
}

// backward has random o and lse: the rules of the gradient hold for any.
func (x attentionCase) backward(r *rand.Rand) kernels.Call {
	f := x.forward(r)
	args := []kernels.Tensor{random(r, x.b, x.t, x.h, x.d), f.Args[0], f.Args[1], f.Args[2], f.Args[11], f.Args[12]}
	args = append(args, x.masks()...)
	for i, v := range floats(f.Args[12]) {
		floats(f.Args[12])[i] = 5 + v
	}
	args = append(args, random(r, x.b, x.t, x.h, x.d), random(r, x.b, x.keys(), x.g, x.d), random(r, x.b, x.keys(), x.g, x.d), kernels.Tensor{}, kernels.Tensor{})
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
	for _, l := range levels()[1:] {
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

// inDouble is the same call on copies of its operands in float64, for ref.
func inDouble(c kernels.Call) kernels.Call {
	c.Args = slices.Clone(c.Args)
	for i, arg := range c.Args {
		if arg.DType != kernels.F32 {
			continue
		}
		data := make([]float64, max(1, arg.Extent()))
		for j, v := range floats(arg) {
			data[j] = float64(v)
		}
		c.Args[i].DType, c.Args[i].Data = kernels.F64, unsafe.Pointer(&data[0])
	}
	return c
}

// checkAgainstRef runs the call on ref and on each device, and compares the outputs, from the one with index first on, to
// the largest value of each.
func checkAgainstRef(t *testing.T, devices []*Device, c kernels.Call, first int) {
	t.Helper()
	want := inDouble(c)
	exact, err := ref.New().Bind(want)
	if err != nil {
		t.Fatal(err)
	}
	exact()
	for _, d := range devices {
		mustBind(t, d, c)()
		for i := first; i < len(c.Args); i++ {
			if !c.Args[i].Absent() {
				compare(t, fmt.Sprint(d.level, " ", kernels.Contracts[c.Op].Params[i].Name), floats(c.Args[i]), kernels.Slice[float64](want.Args[i]))
			}
		}
	}
}

func compare(t *testing.T, name string, got []float32, want []float64) {
	t.Helper()
	largest := 0.0
	for _, w := range want {
		if !math.IsInf(w, 0) {
			largest = max(largest, math.Abs(w))
		}
	}
	for i, w := range want {
		if g := float64(got[i]); g != w && !(math.Abs(g-w) <= 1e-5*largest) {
			t.Fatalf("%s: element %d: %v, want %v", name, i, g, w)
		}
	}
}

// everyLevel opens a device of every level that the processor has.
func everyLevel(t *testing.T, threads int) (devices []*Device) {
	for _, l := range levels() {
		devices = append(devices, openLevel(t, threads, l))
	}
	return devices
}

// TestAttentionLarge takes what the suite's small cases do not reach: several blocks of keys, groups of tiles, heads
// whose rows lie 1024 apart, and the two ways of sharing out the gradient.
func TestAttentionLarge(t *testing.T) {
	cases := []attentionCase{
		{b: 1, t: 600, h: 2, g: 1, d: 20}, {b: 8, t: 300, h: 2, g: 1, d: 16}, {b: 1, t: 40, s: 700, h: 16, g: 16, d: 64},
		{b: 1, t: 300, s: 301, h: 32, g: 8, d: 32}, {b: 2, t: 1, s: 700, h: 4, g: 2, d: 64}, {b: 1, t: 5, s: 300, h: 2, g: 2, d: 40},
		{b: 1, t: 300, h: 1, g: 1, d: 300}, {b: 2, t: 280, h: 2, g: 2, d: 8, segments: 30}, {b: 1, t: 270, h: 2, g: 1, d: 24, rate: 0.3},
		{b: 2, t: 2, s: 530, h: 2, g: 1, d: 24, rate: 0.3, segments: 100},
	}
	changes := []func(c *kernels.Call, lengths int){
		func(*kernels.Call, int) {},
		func(c *kernels.Call, _ int) { c.Attrs.Window = 270 },
		func(c *kernels.Call, _ int) { c.Attrs.Causal, c.Attrs.Window = false, 70 },
		func(c *kernels.Call, _ int) { c.Attrs.Causal, c.Attrs.Cap = false, 3 },
		func(c *kernels.Call, at int) {
			c.Args[at] = indices(c.Args[0].Shape[:1], func(i int) int { return 290 * i })
		},
	}
	devices := everyLevel(t, 2)
	for i, x := range cases {
		for j, change := range changes {
			if testing.Short() && i != 2*j {
				continue
			}
			r := rand.New(rand.NewPCG(uint64(i), uint64(j)))
			c, g := x.forward(r), x.backward(r)
			change(&c, 3)
			checkAgainstRef(t, devices, c, 11)
			change(&g, 6)
			copy(g.Args, []kernels.Tensor{random(r, c.Args[0].Shape...), c.Args[0], c.Args[1], c.Args[2], c.Args[11], c.Args[12]})
			checkAgainstRef(t, devices, g, 14)
		}
	}
}

// TestAttentionGradSharedOut holds the two ways of sharing out the gradient to the same bits: which of them is taken depends on
// the number of threads.
func TestAttentionGradSharedOut(t *testing.T) {
	cases := []attentionCase{
		{b: 2, t: 300, h: 4, g: 2, d: 24}, {b: 1, t: 70, s: 600, h: 4, g: 4, d: 64}, {b: 4, t: 290, h: 1, g: 1, d: 20, rate: 0.2, segments: 60},
	}
	for _, x := range cases {
		heads := x.b * x.g
		if !inWhole(heads, 1) || inWhole(heads, 3) {
			t.Fatalf("%d heads are not shared out in two ways", heads)
		}
		c := x.backward(rand.New(rand.NewPCG(7, uint64(heads))))
		for _, l := range levels() {
			var want [][]float32
			for _, threads := range []int{1, 3} {
				mustBind(t, openLevel(t, threads, l), c)()
				for i := 13; i < 16; i++ {
					got := floats(c.Args[i])
					if threads == 1 {
						want = append(want, slices.Clone(got))
					} else if !slices.Equal(got, want[i-13]) {
						t.Errorf("%v, %v: output %d differs between 1 and %d threads", l, x, i, threads)
					}
				}
			}
		}
	}
}
