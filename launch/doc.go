// Package launch writes the jobs that start a run on a cluster, and hands them over to the cluster's own client: a script for
// Slurm's sbatch, or a manifest for Kubernetes, a JobSet where one process runs all ranks and an MPIJob of the Kubeflow MPI operator where each
// rank is a process.
//
// A job is a command that may be begun again at any time and then goes on from its newest checkpoint. So both kinds of
// job are written to be begun again:
//
//   - The command saves and ends with the status [Interrupted] when it is asked to terminate: by Slurm some time before
//     the job's own ends, by Kubernetes when a pod is evicted. Such a job queues again.
//   - What the cluster breaks off (a node that fails, a preemption) queues again too.
//   - An error of the command's own (status 1) would only come again, and ends the job.
//
// Whatever stands in a [Job] arrives as it is: the writers quote for bash, for the lines that sbatch reads, and for YAML, and
// refuse what one of these cannot hold. The package knows neither strategies nor plans.
package launch

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Interrupted is the status by which a command says that it was interrupted, has saved, and can go on: sysexits' EX_TEMPFAIL.
const Interrupted = 75

// Job is a command, and the places it takes.
type Job struct {
	Name        string   // letters, digits, dots, dashes and underscores
	Command     []string // program and arguments
	Environment map[string]string

	Nodes       int
	PerNode     int           // processes of each node
	MPI         bool          // the processes are one program's ranks, that meet by MPI
	Threads     int           // of each process
	GPUs        int           // of each node
	MemoryBytes int64         // of each node
	Grace       time.Duration // that the command has to save itself
}

// Processes is how many there are in all.
func (j *Job) Processes() int { return j.Nodes * j.PerNode }

// check refuses what neither a process nor YAML can be given.
func (j *Job) check() error {
	for _, s := range slices.Concat(j.Command, j.variables()) {
		if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
			return fmt.Errorf("%q cannot be passed to a job: it must be UTF-8 without zero bytes", s)
		}
	}
	return nil
}

// variables are the environment, sorted, each NAME=VALUE.
func (j *Job) variables() []string {
	list := make([]string, 0, len(j.Environment))
	for name, value := range j.Environment {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// mebibytes is a size in whole MiB, rounded up.
func mebibytes(size int64) int64 { return (size + 1<<20 - 1) >> 20 }

func seconds(d time.Duration) int { return int(d.Round(time.Second) / time.Second) }
