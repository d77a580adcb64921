package cpu

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is what the process has used.
func processorTime(t testing.TB) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestIdlePoolUsesNoProcessor: between jobs, as while data load, workers sleep. One that spun would use all the time there is.
func TestIdlePoolUsesNoProcessor(t *testing.T) {
	p := newPool(4)
	defer p.close()
	p.run(8, func(int, int) {})
	time.Sleep(5 * time.Millisecond) // they spin before they sleep
	const idle = 200 * time.Millisecond
	before := processorTime(t)
	time.Sleep(idle)
	if used := processorTime(t) - before; used > idle/4 {
		t.Errorf("an idle pool of 4 used %v of processors in %v", used, idle)
	}
}

// BenchmarkPool measures what handing out a short job costs: to workers that look for one, and to those that sleep. In the second
// each of two pieces waits for the other, so a run lasts until a worker is awake.
func BenchmarkPool(b *testing.B) {
	p := newPool(2)
	defer p.close()
	b.Run("awake", func(b *testing.B) {
		job := func(int, int) {}
		for b.Loop() {
			p.run(8, job)
		}
	})
	b.Run("asleep", func(b *testing.B) {
		var begun atomic.Int32
		meet := func(int, int) {
			begun.Add(1)
			p.await(&begun, 2)
		}
		var woken time.Duration
		for b.Loop() {
			time.Sleep(time.Millisecond)
			begun.Store(0)
			start := time.Now()
			p.run(2, meet)
			woken += time.Since(start)
		}
		b.ReportMetric(float64(woken.Nanoseconds())/float64(b.N), "ns/wake")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("idle", func(b *testing.B) {
		before := processorTime(b)
		for b.Loop() {
			time.Sleep(100 * time.Millisecond)
		}
		used := processorTime(b) - before
		b.ReportMetric(float64(used.Microseconds())/b.Elapsed().Seconds(), "cpu-µs/s")
		b.ReportMetric(0, "ns/op")
	})
}
