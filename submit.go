package gsc

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/launch"
	"github.com/gsc-project/gsc/schema"
)

// Interrupted is the status by which a job's command says that it can go on.
const Interrupted = launch.Interrupted

// SubmitOptions say where a run is started or resumed.
type SubmitOptions struct {
	Options
	To      string // "slurm" or "kubernetes"
	Run     string // folder; empty: runs/NAME
	Reshard bool   // see [TrainOptions]
	DryRun  bool   // the job is written to Out, and not submitted
	Out     io.Writer
}

// Submit writes the job that trains by a strategy on a cluster, and hands it over to the cluster. The job runs gsc train with what the
// options say, and goes on after whatever interrupts it. Nothing is submitted that gsc train would refuse.
func Submit(ctx context.Context, path string, o SubmitOptions) error {
	if o.To != "slurm" && o.To != "kubernetes" {
		return fmt.Errorf("--to %q: use slurm or kubernetes", o.To)
	}
	if IsPlan(path) {
		return fmt.Errorf("%s is a plan, which does not say where it runs: submit a strategy", path)
	}
	s, err := Load(path, o.Options)
	if err == nil && o.To == "kubernetes" {
		err = needs(s)
	}
	if err != nil {
		return err
	}
	job := o.job(path, s)
	if job.MemoryBytes, err = o.memoryBytes(path, s, job); err != nil {
		return err
	}
	if o.To == "slurm" {
		return o.toSlurm(ctx, job, s)
	}
	return o.toKubernetes(ctx, job, s)
}

func (o *SubmitOptions) job(path string, s *schema.Strategy) *launch.Job {
	j := &launch.Job{Name: s.Name, Environment: s.Launch.Environment, Grace: s.Launch.Grace, Nodes: 1, PerNode: 1}
	nodes, perNode := s.Nodes()
	ranks := nodes * perNode // of a process
	if !s.OneProcess() {
		j.Nodes, j.PerNode, j.MPI, ranks = nodes, perNode, true, 1
	}
	j.Threads = cmp.Or(o.Threads, s.Devices.Threads, ranks)
	if s.Devices.Kind == "cuda" {
		j.GPUs = perNode
	}
	j.Command = o.command(path, s, j.Threads)
	return j
}

// command is what the job runs.
func (o *SubmitOptions) command(path string, s *schema.Strategy, threads int) []string {
	program := s.Launch.Program
	if program == "" {
		program = "gsc"
		if self, err := os.Executable(); err == nil && o.To == "slurm" {
			program = self
		}
	}
	words := []string{program, "train", notFlag(path), "--run=" + o.run(s), fmt.Sprint("--interrupted=", Interrupted), fmt.Sprint("--threads=", threads)}
	for _, tag := range o.Tags {
		words = append(words, "--tag="+tag)
	}
	for _, set := range o.Set {
		words = append(words, "--set="+set)
	}
	if o.Device != "" {
		words = append(words, "--device="+o.Device)
	}
	if o.Profile != "" {
		words = append(words, "--profile="+o.Profile)
	}
	if o.Reshard {
		words = append(words, "--reshard")
	}
	return words
}

func (o *SubmitOptions) run(s *schema.Strategy) string { return cmp.Or(o.Run, "runs/"+s.Name) }

// notFlag is a path that no command takes for a flag.
func notFlag(path string) string {
	if strings.HasPrefix(path, "-") {
		return "./" + path
	}
	return path
}

// besideBytes is what a process of any size may take beside its plan.
const besideBytes = 64 << 20

// memoryBytes is what a node takes. To know it the run is opened, so that what cannot go on is refused here and not in the queue. On Kubernetes
// data and run may be elsewhere: there the strategy is planned, and not even that when it says how much memory there is to be.
func (o *SubmitOptions) memoryBytes(path string, s *schema.Strategy, j *launch.Job) (int64, error) {
	given := s.Launch.MemoryBytes
	if o.To == "kubernetes" && given > 0 {
		return given, nil
	}
	p, err := o.planOf(path, s, j.Threads*j.Processes())
	if err != nil || given > 0 {
		return given, err
	}
	process := p.ProcessBytes()
	if j.MPI {
		process = p.PeakBytes()
	}
	return int64(j.PerNode) * (process + process/8 + besideBytes), nil
}

// planOf is the plan by which the job begins its run or goes on with it.
func (o *SubmitOptions) planOf(path string, s *schema.Strategy, threads int) (*plan.Plan, error) {
	options := o.Options
	options.Threads = threads
	if o.To == "kubernetes" {
		return Plan(path, options)
	}
	r, err := openRun(path, TrainOptions{Options: options, Run: o.run(s), Reshard: o.Reshard})
	if err != nil {
		return nil, err
	}
	return r.plan, r.unlock()
}

func (o *SubmitOptions) toSlurm(ctx context.Context, j *launch.Job, s *schema.Strategy) error {
	l := s.Launch.Slurm
	script, err := j.Script(launch.Slurm{
		Partition: l.Partition, Account: l.Account, QOS: l.QOS, Constraint: l.Constraint, Time: l.Time, MPI: l.MPI, Setup: l.Setup, Options: l.Options,
	})
	if err != nil || o.DryRun {
		return o.write(script, err)
	}
	done, err := launch.SubmitSlurm(ctx, script)
	if err != nil {
		return err
	}
	return o.report(done, s, "squeue --jobs="+done.ID+"; tail -F "+j.Output(done.ID), "scancel "+done.ID)
}

func (o *SubmitOptions) toKubernetes(ctx context.Context, j *launch.Job, s *schema.Strategy) error {
	l := s.Launch.Kubernetes
	k := launch.Kubernetes{Image: l.Image, Namespace: l.Namespace, Queue: l.Queue, Folder: l.Folder, NodeSelector: l.NodeSelector, Retries: l.Retries}
	for _, v := range l.Volumes {
		k.Volumes = append(k.Volumes, launch.Volume(v))
	}
	manifest, err := j.Manifest(k)
	if err != nil || o.DryRun {
		return o.write(manifest, err)
	}
	done, err := launch.SubmitKubernetes(ctx, manifest)
	if err != nil {
		return err
	}
	kubectl := "kubectl "
	if l.Namespace != "" {
		kubectl += "--namespace=" + l.Namespace + " "
	}
	return o.report(done, s, kubectl+"get "+done.ID+"; "+kubectl+"logs --follow --selector="+j.Selector(), kubectl+"delete "+done.ID)
}

// needs says what a strategy must give for Kubernetes.
func needs(s *schema.Strategy) error {
	var list schema.Errors
	if s.Launch.Kubernetes.Image == "" {
		list = append(list, s.Wrong("devices.launch.kubernetes.image", "must be given: what the job's containers are made of", "name an image that holds gsc"))
	}
	if len(s.Launch.Kubernetes.Volumes) == 0 {
		list = append(list, s.Wrong("devices.launch.kubernetes.volumes", "must be given: a run in a container alone would end with it", `write volumes: [{claim: "NAME", mount: "/FOLDER"}]`))
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

func (o *SubmitOptions) write(job []byte, err error) error {
	if err == nil {
		_, err = o.Out.Write(job)
	}
	return err
}

// report tells what was submitted, and how it is watched.
func (o *SubmitOptions) report(done launch.Submitted, s *schema.Strategy, watch, stop string) error {
	w := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{{"job", done.ID}, {"run", o.run(s)}, {"watch", watch}, {"stop", stop}, {"warning", done.Warning}} {
		if row[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
		}
	}
	return w.Flush()
}
