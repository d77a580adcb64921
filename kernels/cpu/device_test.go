package cpu

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/kerneltest"
)

// eachLevel runs f with a device of every level that the processor has.
func eachLevel(t *testing.T, threads int, f func(t *testing.T, d *Device)) {
	for _, l := range levels() {
		t.Run(l.String(), func(t *testing.T) { f(t, openLevel(t, threads, l)) })
	}
}

func openLevel(t testing.TB, threads int, l level) *Device {
	d, err := newDevice(threads, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// random is a dense tensor of normal values.
func random(r *rand.Rand, shape ...int) kernels.Tensor {
	data := make([]float32, max(1, kernels.Elements(shape)))
	for i := range data {
		data[i] = float32(r.NormFloat64())
	}
	return kernels.Tensor{DType: kernels.F32, Shape: shape, Data: unsafe.Pointer(&data[0])}
}

func counter(n int64) kernels.Tensor {
	return kernels.Tensor{DType: kernels.I64, Data: unsafe.Pointer(&n)}
}

func indices(shape []int, f func(i int) int) kernels.Tensor {
	data := make([]int32, kernels.Elements(shape))
	for i := range data {
		data[i] = int32(f(i))
	}
	return kernels.Tensor{DType: kernels.I32, Shape: shape, Data: unsafe.Pointer(&data[0])}
}

func mustBind(t testing.TB, d *Device, c kernels.Call) kernels.Kernel {
	t.Helper()
	k, err := d.Bind(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// onDevice moves the operands to memory of the device, as a plan has them.
func onDevice(t testing.TB, d *Device, c kernels.Call) kernels.Call {
	c.Args = slices.Clone(c.Args)
	for i, arg := range c.Args {
		if arg.Absent() {
			continue
		}
		m, err := d.Alloc(kernels.DeviceMemory, int64(arg.Extent()*arg.DType.Size()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		m.WriteAt(unsafe.Slice((*byte)(arg.Data), m.SizeBytes()), 0)
		c.Args[i].Data = m.Pointer(0)
	}
	return c
}

// TestConformance holds every level, with one and with several threads, to the contract; in short mode a few calls only.
func TestConformance(t *testing.T) {
	for _, threads := range []int{1, 3} {
		cases := 8 * threads
		if testing.Short() {
			cases = threads
		}
		eachLevel(t, threads, func(t *testing.T, d *Device) {
			for _, r := range kerneltest.Run(d, kerneltest.Options{Seed: int64(threads), CasesPerOp: cases}) {
				if !r.Pass() {
					t.Error(r)
				}
			}
		})
	}
}

// TestEpilogues holds products with all that may follow them to the contract.
func TestEpilogues(t *testing.T) {
	cases := 150
	if testing.Short() {
		cases = 20
	}
	eachLevel(t, 2, func(t *testing.T, d *Device) {
		for _, r := range kerneltest.Run(d, kerneltest.Options{Seed: 7, CasesPerOp: cases, Ops: []kernels.Op{kernels.MatMul}}) {
			if !r.Pass() {
				t.Error(r)
			}
		}
	})
}

// TestChooseLevel: GSC_CPU forces a level, and is refused where it names none.
func TestChooseLevel(t *testing.T) {
	t.Setenv("GSC_CPU", "generic")
	d, err := New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.level != generic {
		t.Errorf("level %v", d.level)
	}
	t.Setenv("GSC_CPU", "mmx")
	if _, err := New(1); err == nil || !strings.Contains(err.Error(), "use generic") {
		t.Errorf("GSC_CPU=mmx: %v", err)
	}
}

// large are calls of some size, with their outputs.
var large = map[string]func(r *rand.Rand) (kernels.Call, []int){
	"matmul": func(r *rand.Rand) (kernels.Call, []int) {
		return matmulCase{m: 300, n: 700, k: 500, bias: true}.call(r), []int{3}
	},
	"skinny matmul": func(r *rand.Rand) (kernels.Call, []int) {
		return matmulCase{m: 3, n: 700, k: 900, transB: true}.call(r), []int{3}
	},
	"int8 matmul": func(r *rand.Rand) (kernels.Call, []int) {
		return int8Case{m: 70, n: 501, k: 900}.call(r), []int{4}
	},
	"int8 matmul of one row": func(r *rand.Rand) (kernels.Call, []int) {
		return int8Case{m: 1, n: 2001, k: 900}.call(r), []int{4}
	},
	"attention": func(r *rand.Rand) (kernels.Call, []int) {
		return attentionCase{b: 2, t: 100, h: 4, g: 2, d: 24}.forward(r), []int{10, 11}
	},
	"decoding": func(r *rand.Rand) (kernels.Call, []int) {
		return attentionCase{b: 2, t: 1, s: 700, h: 4, g: 2, d: 24}.forward(r), []int{10, 11}
	},
	"attention_grad": func(r *rand.Rand) (kernels.Call, []int) {
		return attentionCase{b: 2, t: 100, h: 8, g: 4, d: 24}.backward(r), []int{13, 14, 15}
	},
	"attention_grad of few heads": func(r *rand.Rand) (kernels.Call, []int) {
		return attentionCase{b: 1, t: 300, h: 4, g: 1, d: 24}.backward(r), []int{13, 14, 15}
	},
	"newton_schulz": func(r *rand.Rand) (kernels.Call, []int) {
		return kernels.Call{Op: kernels.NewtonSchulz, Args: []kernels.Tensor{random(r, 200, 90), random(r, 200, 90), {}},
			Attrs: kernels.Attrs{Steps: 5, Epsilon: 1e-7}}, []int{1}
	},
}

// TestThreads: the number of threads changes no bit.
func TestThreads(t *testing.T) {
	for name, call := range large {
		for _, l := range levels() {
			t.Run(name+"/"+l.String(), func(t *testing.T) {
				var first []uint32
				for _, threads := range []int{1, 2, 4} {
					c, outputs := call(rand.New(rand.NewPCG(1, 2)))
					mustBind(t, openLevel(t, threads, l), c)()
					got := bitsOf(c, outputs)
					if first == nil {
						first = got
					}
					for i := range got {
						if got[i] != first[i] {
							t.Fatalf("%d threads: value %d differs from that with one", threads, i)
						}
					}
				}
			})
		}
	}
}

func bitsOf(c kernels.Call, outputs []int) []uint32 {
	var bits []uint32
	for _, i := range outputs {
		for _, v := range floats(c.Args[i]) {
			bits = append(bits, math.Float32bits(v))
		}
	}
	return bits
}

// TestRunsAllocateNothing: a bound kernel takes its memory when it is bound.
func TestRunsAllocateNothing(t *testing.T) {
	for name, call := range large {
		eachLevel(t, 2, func(t *testing.T, d *Device) {
			c, _ := call(rand.New(rand.NewPCG(1, 2)))
			if n := testing.AllocsPerRun(5, mustBind(t, d, c)); n != 0 {
				t.Errorf("%s: %v allocations a run", name, n)
			}
		})
	}
}

// Kernels that take long show that they get on, on one thread as on several.
func TestProgressWhileKernelsRun(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 1024
	c := kernels.Call{Op: kernels.MatMul, Args: []kernels.Tensor{random(r, n, n), random(r, n, n), {}, random(r, n, n), {}, {}, {}}}
	for _, threads := range []int{1, 2} {
		d := openLevel(t, threads, levels()[0])
		run, err := d.Bind(c)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			run()
			close(done)
		}()
		seen := map[int64]bool{}
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			default:
				seen[d.Progress()] = true
			}
		}
		if len(seen) < 5 {
			t.Errorf("%d threads: %d numbers were seen during a product", threads, len(seen))
		}
	}
}
