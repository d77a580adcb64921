package cpu

import "unsafe"

// Carry sets y = alpha·x, and says whether all of x is finite. Where it is long until y is read, far has it written past the caches.
func (d *Device) Carry(y, x []float32, alpha float32, far bool) (finite bool) {
	v, x := d.vector(), x[:len(y)]
	if !far || v.streamLanes == 0 || len(y) < 2*v.streamLanes {
		return isFinite(v.carry(y, x, alpha))
	}
	head := unaligned(y, v.streamLanes)
	sum := v.carry(y[:head], x[:head], alpha)
	y, x = y[head:], x[head:]
	whole := len(y) / v.streamLanes * v.streamLanes
	sum += v.stream(y[:whole], x[:whole], alpha)
	return isFinite(sum + v.carry(y[whole:], x[whole:], alpha))
}

// unaligned is how many elements there are before one that a vector may begin at.
func unaligned(y []float32, lanes int) int {
	at := int(uintptr(unsafe.Pointer(unsafe.SliceData(y))) / 4)
	return (lanes - at%lanes) % lanes
}
