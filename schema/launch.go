package schema

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Launch is how a run is started on a cluster. It is no part of what the run is.
type Launch struct {
	Processes   string // "one", "ranks" or "", which follows from the nodes
	MemoryBytes int64  // of a node; 0: what the plan takes
	Grace       time.Duration
	Program     string // "": the cluster's own
	Environment map[string]string
	Slurm       SlurmLaunch
	Kubernetes  KubernetesLaunch
}

// SlurmLaunch is what Slurm takes beside.
type SlurmLaunch struct {
	Partition, Account, QOS, Constraint string        // "": Slurm's default
	Time                                time.Duration // 0: the partition's
	MPI                                 string
	Setup, Options                      []string
}

// KubernetesLaunch is what Kubernetes takes beside.
type KubernetesLaunch struct {
	Image, Namespace, Folder, Queue string // "": left out
	Volumes                         []Volume
	NodeSelector                    map[string]string
	Retries                         int
}

// Volume is a claim of a volume, and where it is mounted.
type Volume struct{ Claim, Mount string }

// Ranks is how many there are: those of the mesh or, where an axis of it is open, those that devices give it.
func (s *Strategy) Ranks() int {
	if s.Parallel.OpenAxes() > 0 {
		return max(1, s.Devices.Nodes) * max(1, s.Devices.PerNode)
	}
	return s.Parallel.Mesh.Ranks()
}

// Nodes says over how many nodes the ranks are spread, and how many are on each.
func (s *Strategy) Nodes() (nodes, perNode int) {
	switch nodes, perNode = s.Devices.Nodes, s.Devices.PerNode; {
	case perNode == 0:
		nodes = max(1, nodes)
		perNode = max(1, s.Ranks()/nodes)
	case nodes == 0:
		nodes = max(1, s.Ranks()/perNode)
	}
	return nodes, perNode
}

// OneProcess says whether one process runs all ranks.
func (s *Strategy) OneProcess() bool {
	nodes, _ := s.Nodes()
	return s.Launch.Processes == "one" || s.Launch.Processes == "" && nodes == 1
}

type wireLaunch struct {
	Processes   string
	Memory      any
	Grace       int
	Program     string
	Environment map[string]string
	Slurm       struct {
		SlurmLaunch
		Time string
	}
	Kubernetes struct {
		KubernetesLaunch
		NodeSelector map[string]string `json:"node_selector"`
	}
}

func (w *wireLaunch) launch() (Launch, error) {
	l := Launch{
		Processes: w.Processes, Grace: time.Duration(w.Grace) * time.Second, Program: w.Program, Environment: w.Environment,
		Slurm: w.Slurm.SlurmLaunch, Kubernetes: w.Kubernetes.KubernetesLaunch,
	}
	l.Kubernetes.NodeSelector = w.Kubernetes.NodeSelector
	var err error
	if l.MemoryBytes, err = sizeBytes(w.Memory); err != nil {
		return l, fmt.Errorf("devices.launch.memory: %w", err)
	}
	l.Slurm.Time, err = days(w.Slurm.Time)
	return l, err
}

// days is a time such as "1d12h30m"; 0 where there is none.
func days(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	count, rest, ok := strings.Cut(text, "d")
	if !ok {
		count, rest = "0", text
	}
	n, err := strconv.Atoi(count)
	if err != nil || rest == "" {
		return time.Duration(n) * 24 * time.Hour, err
	}
	d, err := time.ParseDuration(rest)
	return time.Duration(n)*24*time.Hour + d, err
}
