package calibrate

import (
	"context"
	"slices"
	"time"

	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/kernels"
)

// Options say what is measured.
type Options struct {
	Name    string                           // of the profile
	Open    func(int) (Device, error)        // a device with so many threads
	Threads []int                            // to measure with, ascending; the last is what programs use
	Note    func(format string, args ...any) // is told what is being measured
	Quick   bool                             // a few points of each grid, for tests
}

// Device is a device that knows its ceilings.
type Device interface {
	kernels.Device
	PeakFlops(kernels.DType) float64
	SustainedFlops(kernels.DType) float64
	ReadBytesPerSecond() (float64, error)
}

// arenaBytes is the memory that operands of floats are placed in: it is
// several times a last-level cache.
const (
	arenaBytes = 320 << 20
	otherBytes = 8 << 20  // for indices and scalars
	flushBytes = 96 << 20 // read, they leave nothing else in a cache
)

// bench measures calls on one device.
type bench struct {
	device  Device
	kind    kernels.Kind
	memory  kernels.Memory
	options Options
	threads int
	flush   kernels.Kernel // fills the caches with other things

	sustained []float64 // what the device gave of its peak, before each part
}

// Measure runs the device through all of it.
func Measure(ctx context.Context, o Options) (*compiler.Profile, error) {
	p := &compiler.Profile{Name: o.Name}
	for i := len(o.Threads) - 1; i >= 0; i-- {
		if err := measureWith(ctx, p, o, o.Threads[i], i == len(o.Threads)-1); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// measureWith adds the tables for a number of threads; those of the first also say how things are in general.
func measureWith(ctx context.Context, p *compiler.Profile, o Options, threads int, first bool) (err error) {
	d, err := o.Open(threads)
	if err != nil {
		return err
	}
	defer d.Close()
	b := &bench{device: d, kind: kernels.Kinds[d.Kind()], options: o, threads: threads}
	if b.memory, err = d.Alloc(kernels.DeviceMemory, arenaBytes+otherBytes); err != nil {
		return err
	}
	defer b.memory.Close()
	if err := b.fill(); err != nil {
		return err
	}
	if b.flush, err = b.bind(b.request(kernels.SumSquares, kernels.Attrs{}, flushBytes/b.kind.Compute.Size(), 1), arenaBytes-flushBytes-alignment); err != nil {
		return err
	}
	if first {
		if err := b.general(p); err != nil {
			return err
		}
	}
	for _, part := range b.parts(first) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if first {
			b.sustained = append(b.sustained, b.device.SustainedFlops(b.kind.Compute))
		}
		start := time.Now()
		table, err := b.table(part)
		if err != nil {
			return err
		}
		if table != nil {
			p.Tables = append(p.Tables, *table)
			o.Note("%s with %d threads: %d points in %.1f s", part.name(), threads, len(table.Warm), time.Since(start).Seconds())
		}
	}
	if first {
		slices.Sort(b.sustained)
		p.SustainedFlops = round(b.sustained[len(b.sustained)/2])
	}
	return nil
}

// general measures the ceilings, and the rates for what no table covers.
func (b *bench) general(p *compiler.Profile) (err error) {
	p.Kind, p.Threads = b.device.Kind(), b.threads
	b.options.Note("ceilings with %d threads", b.threads)
	p.PeakFlops = round(b.device.PeakFlops(b.kind.Compute))
	read, err := b.device.ReadBytesPerSecond()
	if err != nil {
		return err
	}
	p.ReadBytesPerSecond = round(read)
	n := 1 << 22
	copySeconds, err := b.cold(b.request(kernels.Copy, kernels.Attrs{}, n, 1))
	if err != nil {
		return err
	}
	p.BytesPerSecond = round(float64(8*n) / copySeconds)
	call, err := b.warm(b.request(kernels.Copy, kernels.Attrs{}, 16, 1))
	if err != nil {
		return err
	}
	p.CallSeconds = round(call)
	product, err := b.warm(b.product(kernels.MatMul, kernels.Attrs{}, []float64{512, 512, 512}))
	if err != nil {
		return err
	}
	p.MatMulFlops = round(2 * 512 * 512 * 512 / product / float64(b.threads))
	gelu, err := b.warm(b.request(kernels.Activate, kernels.Attrs{Kind: "gelu"}, 1<<16, 1))
	if err != nil {
		return err
	}
	p.OtherFlops = round(10 * (1 << 16) / gelu / float64(b.threads))
	p.CacheBytes, err = b.cacheBytes()
	return err
}

// cacheBytes is the most that is copied at clearly more than the speed of memory.
func (b *bench) cacheBytes() (int64, error) {
	rate := func(bytes int64) (float64, error) {
		n := int(bytes / 8)
		seconds, err := b.warm(b.request(kernels.Copy, kernels.Attrs{}, n, 1))
		return float64(bytes) / seconds, err
	}
	slow, err := rate(arenaBytes / 2)
	if err != nil {
		return 0, err
	}
	for size := int64(arenaBytes / 4); size > 1<<20; size = size * 4 / 5 {
		fast, err := rate(size)
		if err != nil {
			return 0, err
		}
		if fast > 1.5*slow {
			return size, nil
		}
	}
	return 1 << 20, nil
}
