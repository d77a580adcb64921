package calibrate

import (
	"context"

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

// sustainedEvery is how many parts are measured before the device is asked again what it sustains.
const sustainedEvery = 12

// bench measures calls on one device.
type bench struct {
	device  Device
	kind    kernels.Kind
	memory  kernels.Memory
	options Options
	threads int
	flush   kernels.Kernel // fills the caches with other things
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
	parts := b.parts(first)
	count := rounds
	if o.Quick {
		count = 2
	}
	for i := range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		o.Note("%d threads: round %d of %d", threads, i+1, count)
		if first {
			if err := b.general(p); err != nil {
				return err
			}
		}
		for j, part := range parts {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := b.measure(part); err != nil {
				return err
			}
			if first && j%sustainedEvery == 0 {
				p.SustainedFlops = max(p.SustainedFlops, round(b.device.SustainedFlops(b.kind.Compute)))
			}
		}
	}
	for _, part := range parts {
		if !part.out {
			p.Tables = append(p.Tables, *part.settle())
		}
	}
	return nil
}

// general measures the ceilings, and the rates for what no table covers; of several rounds the best counts.
func (b *bench) general(p *compiler.Profile) error {
	p.Kind, p.Threads = b.device.Kind(), b.threads
	p.PeakFlops = max(p.PeakFlops, round(b.device.PeakFlops(b.kind.Compute)))
	read, err := b.device.ReadBytesPerSecond()
	if err != nil {
		return err
	}
	p.ReadBytesPerSecond = max(p.ReadBytesPerSecond, round(read))
	n := 1 << 22
	copySeconds, err := b.cold(b.request(kernels.Copy, kernels.Attrs{}, n, 1))
	if err != nil {
		return err
	}
	p.BytesPerSecond = max(p.BytesPerSecond, round(float64(8*n)/quartile(copySeconds)))
	call, err := b.warm(b.request(kernels.Copy, kernels.Attrs{}, 16, 1))
	if err != nil {
		return err
	}
	if least := round(quartile(call)); p.CallSeconds == 0 || least < p.CallSeconds {
		p.CallSeconds = least
	}
	product, err := b.warm(b.product(kernels.MatMul, kernels.Attrs{}, []float64{512, 512, 512}))
	if err != nil {
		return err
	}
	p.MatMulFlops = max(p.MatMulFlops, round(2*512*512*512/quartile(product)/float64(b.threads)))
	gelu, err := b.warm(b.request(kernels.Activate, kernels.Attrs{Kind: "gelu"}, 1<<16, 1))
	if err != nil {
		return err
	}
	p.OtherFlops = max(p.OtherFlops, round(10*(1<<16)/quartile(gelu)/float64(b.threads)))
	if p.CacheBytes == 0 {
		p.CacheBytes, err = b.cacheBytes()
	}
	return err
}

// cacheBytes is the most that is copied at clearly more than the speed of memory.
func (b *bench) cacheBytes() (int64, error) {
	rate := func(bytes int64) (float64, error) {
		n := int(bytes / 8)
		seconds, err := b.warm(b.request(kernels.Copy, kernels.Attrs{}, n, 1))
		if err != nil {
			return 0, err
		}
		return float64(bytes) / quartile(seconds), nil
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
