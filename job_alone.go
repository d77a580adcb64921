//go:build !mpi

package gsc

import "fmt"

func startTransport(size int) (transport, error) {
	return nil, fmt.Errorf("%d processes were started (mpirun, srun), but this gsc was built without MPI, and each would do all of the work: build it with make build-mpi, or start it once", size)
}
