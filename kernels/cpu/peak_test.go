package cpu

import (
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// TestCeilings: a product reaches less than the ceiling of its level, and each level's ceiling is plausible.
func TestCeilings(t *testing.T) {
	for _, d := range everyLevel(t, 1) {
		peak := d.PeakFlops(kernels.F32)
		if (peak > 0) != (peakLoops[d.level] != nil) || peak < 0 || peak > 1e12 {
			t.Errorf("%v: %v floating-point operations a second on one thread", d.level, peak)
		}
		sustained := d.SustainedFlops(kernels.F32)
		for range 10 { // a machine that others use shows its peak at times
			if sustained > 1.2*peak {
				peak = max(peak, d.PeakFlops(kernels.F32))
			}
		}
		if (sustained > 0) != (peak > 0) || sustained > 1.2*peak {
			t.Errorf("%v: %v sustained, of a peak of %v", d.level, sustained, peak)
		}
		if other := d.PeakFlops(kernels.F64); other != 0 {
			t.Errorf("%v: a peak of %v for a type it does not compute in", d.level, other)
		}
	}
	read, err := everyLevel(t, 2)[0].ReadBytesPerSecond()
	if err != nil || read < 1e8 || read > 1e13 {
		t.Errorf("memory is read at %v bytes a second (%v)", read, err)
	}
}
