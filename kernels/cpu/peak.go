package cpu

import (
	"time"

	"github.com/gsc-project/gsc/kernels"
)

// The ceilings that rates are held against: what the processor does when nothing but
// the one thing in question is asked of it.

const (
	peakChains = 12      // multiply-adds that a pass of a peak loop has in flight
	peakPasses = 1 << 19 // of a peak loop in one go: some 10 ms
	peakTries  = 7
)

// lanes are the floats of a vector.
var lanes = [...]int{generic: 1, avx2: 8, avx512: 16, neon: 4}

// PeakFlops measures the floating-point operations a second that all threads do in multiply-adds
// of registers; 0 for a type or a level without such a loop.
func (d *Device) PeakFlops(dtype kernels.DType) float64 {
	loop := peakLoops[d.level]
	if loop == nil || dtype != kernels.F32 {
		return 0
	}
	return d.peakRound() / d.fastest(d.pool.threads, func(int, int) { loop(peakPasses) }).Seconds()
}

// sustainedPasses are goes of a peak loop without a break: some 0.3 s.
const sustainedPasses = 40

// SustainedFlops is the rate at which the loop of [Device.PeakFlops] goes on for as long as a step may take: less than its best
// moment where the processors are shared, or two of them are one core's.
func (d *Device) SustainedFlops(dtype kernels.DType) float64 {
	loop := peakLoops[d.level]
	if loop == nil || dtype != kernels.F32 {
		return 0
	}
	start := time.Now()
	for range sustainedPasses {
		d.pool.run(d.pool.threads, func(int, int) { loop(peakPasses) })
	}
	return sustainedPasses * d.peakRound() / time.Since(start).Seconds()
}

// peakRound is the operations of all threads in one go of a peak loop.
func (d *Device) peakRound() float64 {
	return float64(d.pool.threads) * peakPasses * peakChains * 2 * float64(lanes[d.level])
}

// ReadBytesPerSecond measures how fast all threads together read memory that no cache holds: the best of some passes.
func (d *Device) ReadBytesPerSecond() (float64, error) {
	m, err := openMeter(d.level, d.pool.threads)
	if err != nil {
		return 0, err
	}
	best := 0.0
	for range peakTries {
		best = max(best, m.Pass())
	}
	return best, m.Close()
}

// fastest is the least time that a job took in some tries, the first of which wakes the workers.
func (d *Device) fastest(pieces int, job func(piece, worker int)) time.Duration {
	least := time.Duration(0)
	for try := range peakTries {
		start := time.Now()
		d.pool.run(pieces, job)
		if took := time.Since(start); try > 0 && (least == 0 || took < least) {
			least = took
		}
	}
	return least
}
