package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// report adds the rate and the share of the peak, measured in the same run.
func report(b *testing.B, l level, threads int, flops float64) {
	rate := flops * float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate/1e9, "GFLOP/s")
	b.ReportMetric(0, "ns/op")
	d := openLevel(b, threads, l)
	if peak := d.PeakFlops(kernels.F32); peak > 0 {
		b.ReportMetric(100*rate/peak, "%peak")
	}
}

func BenchmarkMatMul(b *testing.B) {
	shapes := []matmulCase{
		{m: 1024, n: 1024, k: 1024}, {m: 1024, n: 1024, k: 1024, transB: true}, {m: 1024, n: 1024, k: 1024, transA: true},
		{m: 768, n: 384, k: 128}, {m: 768, n: 384, k: 128, transB: true}, {m: 128, n: 384, k: 768, transA: true, accumulate: true},
		{m: 16384, n: 65, k: 384}, {m: 384, n: 65, k: 16384, transA: true, accumulate: true}, {m: 16384, n: 384, k: 65, transB: true},
		{m: 256, n: 50257, k: 768, transB: true}, {m: 256, n: 768, k: 50257}, {m: 50257, n: 768, k: 256, transA: true, accumulate: true},
		{m: 256, n: 3072, k: 768}, {m: 256, n: 3072, k: 768, transA: true}, {m: 256, n: 768, k: 3072}, {m: 256, n: 768, k: 3072, transB: true},
		{m: 1024, n: 3072, k: 768, bias: true}, {m: 1024, n: 768, k: 3072, bias: true},
		{m: 1, n: 3072, k: 768}, {m: 1, n: 3072, k: 768, transB: true}, {m: 4, n: 3072, k: 768, transB: true}, {m: 1, n: 50257, k: 768, transB: true},
		{m: 64, n: 64, k: 64}, {m: 16, n: 768, k: 768}, {m: 4096, n: 2, k: 768, transB: true},
	}
	for _, l := range levels()[1:] {
		for _, threads := range []int{1, 2} {
			for _, x := range shapes {
				b.Run(fmt.Sprintf("%v/threads=%d/%v", l, threads, x), func(b *testing.B) {
					d := openLevel(b, threads, l)
					run := mustBind(b, d, onDevice(b, d, x.call(rand.New(rand.NewPCG(1, 2)))))
					run()
					b.ResetTimer()
					for b.Loop() {
						run()
					}
					report(b, l, threads, 2*float64(x.m)*float64(x.n)*float64(x.k))
				})
			}
		}
	}
}
