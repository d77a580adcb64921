package cpu

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gsc-project/gsc/kernels"
)

// BenchmarkPages times the products of a vocabulary-wide head with operands and scratch in huge pages and in small ones.
func BenchmarkPages(b *testing.B) {
	best := levels()[len(levels())-1]
	for _, x := range []matmulCase{
		{m: 256, n: 50257, k: 768, transB: true}, {m: 256, n: 768, k: 50257}, {m: 50257, n: 768, k: 256, transA: true, accumulate: true},
	} {
		for _, pages := range []struct {
			name   string
			advice int
		}{{"huge", unix.MADV_HUGEPAGE}, {"small", unix.MADV_NOHUGEPAGE}} {
			b.Run(pages.name+"/"+x.String(), func(b *testing.B) {
				d := openLevel(b, 2, best)
				advise(b, d.scratch.bytes, pages.advice)
				run := mustBind(b, d, inPages(b, x.call(rand.New(rand.NewPCG(1, 2))), pages.advice))
				run()
				b.ResetTimer()
				for b.Loop() {
					run()
				}
				report(b, best, 2, 2*float64(x.m)*float64(x.n)*float64(x.k))
			})
		}
	}
}

func advise(b *testing.B, bytes []byte, advice int) {
	if err := unix.Madvise(bytes, advice); err != nil {
		b.Skip("this system has no such advice: ", err)
	}
}

// inPages moves the operands to fresh memory with an advice.
func inPages(b *testing.B, c kernels.Call, advice int) kernels.Call {
	for i, arg := range c.Args {
		if arg.Absent() {
			continue
		}
		size := arg.Extent() * arg.DType.Size()
		bytes, err := mapPages(int64(size))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { unix.Munmap(bytes) })
		advise(b, bytes, advice)
		copy(bytes, unsafe.Slice((*byte)(arg.Data), size))
		c.Args[i].Data = unsafe.Pointer(&bytes[0])
	}
	return c
}
