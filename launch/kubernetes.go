package launch

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Kubernetes is what Kubernetes takes beside the job; what is empty is left to it.
type Kubernetes struct {
	Image        string
	Namespace    string
	Queue        string   // of Kueue
	Volumes      []Volume // at least one
	Folder       string   // that the command is run in; "": the first volume
	NodeSelector map[string]string
	Retries      int // of failures
}

// Volume is a claim of a volume, and where containers see it.
type Volume struct{ Claim, Mount string }

// The custom resources, and the versions that the manifests are of.
const (
	jobSetVersion = "jobset.x-k8s.io/v1alpha2"
	mpiJobVersion = "kubeflow.org/v2beta1"
)

// container is the name of the one container of a pod.
const container = "gsc"

// Manifest is the job for kubectl: a JobSet of one pod, or an MPIJob whose workers are the nodes.
func (j *Job) Manifest(k Kubernetes) ([]byte, error) {
	if k.Image == "" || len(k.Volumes) == 0 {
		return nil, errors.New("a job on Kubernetes needs an image, and a volume that its run outlives it on")
	}
	if err := j.check(); err != nil {
		return nil, err
	}
	version, spec := jobSetVersion, j.jobSet(k)
	if j.MPI {
		version, spec = mpiJobVersion, j.mpiJob(k)
	}
	metadata := mapping{{"name", j.Label()}, {"namespace", orNil(k.Namespace)}, {"labels", mapping{{"kueue.x-k8s.io/queue-name", orNil(k.Queue)}}}}
	m := mapping{{"apiVersion", version}, {"kind", j.resource()}, {"metadata", metadata}, {"spec", spec}}
	return append([]byte("# Written by gsc submit; kubectl create -f FILE submits it.\n"), m.yaml()...), nil
}

// resource is the kind of a job on Kubernetes.
func (j *Job) resource() string {
	if j.MPI {
		return "MPIJob"
	}
	return "JobSet"
}

// Selector is the label that tells the pods whose output is the command's.
func (j *Job) Selector() string {
	if j.MPI {
		return "training.kubeflow.org/job-name=" + j.Label() + ",training.kubeflow.org/job-role=launcher"
	}
	return "jobset.sigs.k8s.io/jobset-name=" + j.Label()
}

// longestLabel leaves room for what controllers append to the name of a pod, 63 letters in all.
const longestLabel = 40

var notInLabels = regexp.MustCompile(`[^a-z0-9]+`)

// Label is the job's name on Kubernetes, where names have small letters, digits and dashes.
func (j *Job) Label() string {
	label := notInLabels.ReplaceAllString(strings.ToLower(j.Name), "-")
	if label = strings.Trim(label[:min(len(label), longestLabel)], "-"); label == "" || label[0] <= '9' {
		label = strings.TrimSuffix("run-"+label, "-")
	}
	return label
}

// jobSet is one pod. It is begun again after an eviction or an interruption as often as there are, after failures some
// times, and not at all after an error of the command's own.
func (j *Job) jobSet(k Kubernetes) mapping {
	onStatus := func(status int) mapping {
		return mapping{{"containerName", container}, {"operator", "In"}, {"values", list{status}}}
	}
	policy := mapping{{"rules", list{
		mapping{{"action", "Ignore"}, {"onPodConditions", list{mapping{{"type", "DisruptionTarget"}, {"status", "True"}}}}},
		mapping{{"action", "Ignore"}, {"onExitCodes", onStatus(Interrupted)}},
		mapping{{"action", "FailJob"}, {"onExitCodes", onStatus(1)}},
	}}}
	pod := j.pod(k, j.Command)
	pod.spec = append(mapping{{"restartPolicy", "Never"}}, pod.spec...)
	pod.container = append(pod.container, field{"resources", j.resources()})
	job := mapping{
		{"parallelism", 1}, {"completions", 1}, {"backoffLimit", k.Retries}, {"podFailurePolicy", policy}, {"template", pod.template()},
	}
	return mapping{
		{"failurePolicy", mapping{{"maxRestarts", 0}}},
		{"replicatedJobs", list{mapping{{"name", "run"}, {"replicas", 1}, {"template", mapping{{"spec", job}}}}}},
	}
}

// mpiJob is a worker for each node, which waits for ranks, and a launcher that begins them.
func (j *Job) mpiJob(k Kubernetes) mapping {
	launcher := j.pod(k, append(j.mpirun(), j.Command...))
	launcher.container = append(launcher.container, field{"resources", resources("500m", 512, 0)})
	worker := j.pod(k, nil) // the operator's own command
	worker.container = append(worker.container, field{"resources", j.resources()})
	worker.shareMemory()
	replica := func(n int, p *pod) mapping {
		return mapping{{"replicas", n}, {"restartPolicy", "OnFailure"}, {"template", p.template()}}
	}
	return mapping{
		{"slotsPerWorker", j.PerNode},
		{"mpiImplementation", "OpenMPI"},
		{"runPolicy", mapping{{"cleanPodPolicy", "Running"}, {"backoffLimit", k.Retries}}},
		{"mpiReplicaSpecs", mapping{{"Launcher", replica(1, launcher)}, {"Worker", replica(j.Nodes, worker)}}},
	}
}

// mpirun begins the ranks, each free to use all of its worker's processors, with the job's environment, which workers do not pass on by themselves.
func (j *Job) mpirun() []string {
	words := []string{"mpirun", "--allow-run-as-root", "--bind-to", "none", "-np", strconv.Itoa(j.Processes())}
	for _, name := range slices.Sorted(maps.Keys(j.Environment)) {
		words = append(words, "-x", name)
	}
	return words
}

// pod is a pod with one container.
type pod struct {
	spec, container mapping
	volumes, mounts list
}

func (j *Job) pod(k Kubernetes, command []string) *pod {
	p := &pod{spec: mapping{{"terminationGracePeriodSeconds", seconds(j.Grace)}, {"nodeSelector", sorted(k.NodeSelector)}}}
	for i, v := range k.Volumes {
		p.mount(fmt.Sprintf("volume-%d", i), v.Mount, field{"persistentVolumeClaim", mapping{{"claimName", v.Claim}}})
	}
	folder := k.Folder
	if folder == "" {
		folder = k.Volumes[0].Mount
	}
	var environment list
	for _, v := range j.variables() {
		name, value, _ := strings.Cut(v, "=")
		environment = append(environment, mapping{{"name", name}, {"value", literal(value)}})
	}
	p.container = mapping{{"name", container}, {"image", k.Image}, {"command", arguments(command)}, {"workingDir", folder}, {"env", environment}}
	return p
}

// mount adds a volume, made by one field of it.
func (p *pod) mount(name, path string, source field) {
	p.volumes = append(p.volumes, mapping{{"name", name}, source})
	p.mounts = append(p.mounts, mapping{{"name", name}, {"mountPath", path}})
}

// shareMemory gives the ranks of a worker as much shared memory as they like; by default it is 64 MiB.
func (p *pod) shareMemory() {
	p.mount("shared-memory", "/dev/shm", field{"emptyDir", mapping{{"medium", "Memory"}}})
}

func (p *pod) template() mapping {
	c := append(slices.Clone(p.container), field{"volumeMounts", p.mounts})
	return mapping{{"spec", append(slices.Clone(p.spec), field{"containers", list{c}}, field{"volumes", p.volumes})}}
}

// resources are a node's.
func (j *Job) resources() mapping {
	return resources(strconv.Itoa(j.Threads*j.PerNode), mebibytes(j.MemoryBytes), j.GPUs)
}

// resources are asked for and are the limit, too: a plan's memory is what it takes.
func resources(cpu string, mebibytes int64, gpus int) mapping {
	all := mapping{{"cpu", cpu}, {"memory", fmt.Sprintf("%dMi", mebibytes)}}
	if gpus > 0 {
		all = append(all, field{"nvidia.com/gpu", strconv.Itoa(gpus)})
	}
	return mapping{{"requests", all}, {"limits", all}}
}

// literal is a string in which Kubernetes replaces nothing: in commands and environments $(NAME) stands for a variable, and $$ for $.
func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// arguments is a command as a list.
func arguments(words []string) list {
	var l list
	for _, w := range words {
		l = append(l, literal(w))
	}
	return l
}

func sorted(m map[string]string) mapping {
	var all mapping
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, field{key, m[key]})
	}
	return all
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}
