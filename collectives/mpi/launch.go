// Package mpi is the transport between ranks that are processes, on one machine or on many: an MPI (Open MPI, MPICH) that mpirun started them with.
//
// It is built with the tag mpi, by cgo and that MPI's compiler (CC=mpicc). Without the tag the package only tells whether an MPI started the process.
//
// # What MPI does, and what not
//
// MPI moves bytes between pairs of ranks (nonblocking sends and receives, derived types for parts that lie apart); sums are taken here, in rank order, so that
// they have the bits of every other transport. A call is cut into rounds of messages. The first message of a call is its header, which each rank holds
// against its own call; a barrier is nothing but headers. So a rank knows which other rank it waits for, and can say so.
//
// # Threads
//
// One mutex is around all of MPI (MPI_THREAD_SERIALIZED). Whoever waits for a call takes it and gets all calls on; a goroutine on a thread of its own
// does so when nobody waits, answers what other ranks ask, and looks for ranks that are gone.
//
// # Failure
//
// A rank that waits for another for long asks it how far it is, and whom it waits for. One that has done nothing for the deadline, or does not answer, or is
// gone from the same machine, fails the job. Each rank that finds a failure tells the first rank that lives, which says it once and ends the job.
package mpi

import (
	"os"
	"strconv"
)

// Launched is this process's place among the processes that a launcher of MPI (mpirun, mpiexec, srun) started together, and how many these are; 0 of 1 where none did.
func Launched() (rank, size int) {
	for _, v := range [][2]string{{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, {"PMI_RANK", "PMI_SIZE"}, {"PMIX_RANK", "SLURM_NTASKS"}} {
		rank, err := strconv.Atoi(os.Getenv(v[0]))
		size, failed := strconv.Atoi(os.Getenv(v[1]))
		if err == nil && failed == nil && size > 1 {
			return rank, size
		}
	}
	return 0, 1
}
