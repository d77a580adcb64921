//go:build mpi

package mpi

import "golang.org/x/sys/unix"

// processors are those that this process may use, a bit each.
type processors = unix.CPUSet

func thisProcessors() (p processors) {
	if unix.SchedGetaffinity(0, &p) != nil {
		p.Set(0)
	}
	return p
}
