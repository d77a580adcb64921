//go:build mpi && !linux

package mpi

import "runtime"

// processors are those that this process may use, a bit each: where processes are not bound to some, the first ones.
type processors [16]uint64

func thisProcessors() (p processors) {
	for i := range min(runtime.NumCPU(), 64*len(p)) {
		p[i/64] |= 1 << (i % 64)
	}
	return p
}
