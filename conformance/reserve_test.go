package conformance_test

import (
	"testing"

	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/kernels/cpu"
)

// The plan's line for kernel scratch is data of the profile; what the device takes must be within it.
func TestTheProfileReservesTheScratchOfTheDevice(t *testing.T) {
	for _, threads := range []int{1, 2, 4, 64} {
		p := compiler.Profiles["cpu"]
		reserved, taken := p.ScratchBytes+p.ThreadBytes*int64(threads), cpu.ScratchBytes(threads)
		if taken > reserved || reserved > taken+taken/4 {
			t.Errorf("%d threads take %d bytes of scratch, the profile reserves %d", threads, taken, reserved)
		}
	}
}
