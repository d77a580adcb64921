package cpu

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gsc-project/gsc/kernels"
)

// BenchmarkPages times the products of a vocabulary-wide head with operands and scratch in huge pages and in small
// ones, by turns, and reports the medians and their ratio.
func BenchmarkPages(b *testing.B) {
	for _, x := range []matmulCase{
		{m: 256, n: 50257, k: 768, transB: true}, {m: 256, n: 768, k: 50257}, {m: 50257, n: 768, k: 256, transA: true, accumulate: true},
	} {
		b.Run(x.String(), func(b *testing.B) {
			small := inPages(b, x, unix.MADV_NOHUGEPAGE)
			if hugeMiB(b) > 64 {
				b.Fatal("memory that asked for small pages lies in huge ones")
			}
			huge := inPages(b, x, unix.MADV_HUGEPAGE)
			if hugeMiB(b) < 64 {
				b.Skip("this system gives no huge pages")
			}
			var times [2][]float64
			for b.Loop() {
				for i, run := range []kernels.Kernel{huge, small} {
					start := time.Now()
					run()
					times[i] = append(times[i], time.Since(start).Seconds())
				}
			}
			for i := range times {
				slices.Sort(times[i])
			}
			median := func(i int) float64 { return 1000 * times[i][len(times[i])/2] }
			b.ReportMetric(median(0), "huge-ms")
			b.ReportMetric(median(1), "small-ms")
			b.ReportMetric(median(1)/median(0), "small/huge")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// inPages prepares a product whose operands and scratch have an advice, and runs it once.
func inPages(b *testing.B, x matmulCase, advice int) kernels.Kernel {
	all := levels()
	d := openLevel(b, 2, all[len(all)-1])
	advise(b, d.scratch.bytes, advice)
	run := mustBind(b, d, moved(b, x.call(rand.New(rand.NewPCG(1, 2))), advice))
	run()
	return run
}

// hugeMiB is what of the process's memory lies in huge pages.
func hugeMiB(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "AnonHugePages: %f kB", &kib); err == nil {
			return kib / 1024
		}
	}
	return 0
}

func advise(b *testing.B, bytes []byte, advice int) {
	if err := unix.Madvise(bytes, advice); err != nil {
		b.Skip("this system has no such advice: ", err)
	}
}

// moved brings the operands to fresh memory with an advice.
func moved(b *testing.B, c kernels.Call, advice int) kernels.Call {
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
