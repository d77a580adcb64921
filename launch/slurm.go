package launch

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Slurm is what Slurm takes beside the job; what is empty is left to it.
type Slurm struct {
	Partition, Account, QOS, Constraint string
	Time                                time.Duration // after which the job is to queue again
	MPI                                 string        // kind of srun --mpi
	Setup                               []string      // lines of bash before the command
	Options                             []string      // "--NAME" or "--NAME=VALUE" of sbatch
}

// Script is the job for sbatch. Paths are relative to the folder it is submitted from.
//
// Slurm sends the signal of --signal to the steps alone: gsc, begun by srun, saves and ends, and the script asks for its place in the queue. It does so
// only where the job has not been ended by somebody else: scancel and scontrol requeue let gsc save by the same signal.
func (j *Job) Script(s Slurm) ([]byte, error) {
	if err := j.check(); err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("#!/bin/bash\n# Written by gsc submit; sbatch FILE submits it from the same folder.\n")
	if err := j.directives(&b, s); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	for _, v := range j.variables() {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(&b, "export %s=%s\n", name, shellWord(value))
	}
	for _, line := range s.Setup {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "status=0\n%s || status=$?\n", shellWords(append(j.srun(s), j.Command...)))
	fmt.Fprintf(&b, requeue, Interrupted)
	return []byte(b.String()), nil
}

const requeue = `
# Interrupted and saved: the job goes on in the queue, unless it was cancelled or requeued.
if [ "$status" -eq %d ]; then
	case "$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%%T)" in
	RUNNING | SIGNALING) scontrol requeue "$SLURM_JOB_ID" && status=0 ;;
	esac
fi
exit "$status"
`

// directives writes the options of sbatch, the user's last: for sbatch the last one counts.
func (j *Job) directives(b *strings.Builder, s Slurm) error {
	var err error
	option := func(name, value string) {
		if value == "" || err != nil {
			return
		}
		var quoted string
		if quoted, err = sbatchWord(value); err == nil {
			fmt.Fprintf(b, "#SBATCH --%s=%s\n", name, quoted)
		}
	}
	number := func(name string, n int) { option(name, strconv.Itoa(n)) }
	option("job-name", j.Name)
	option("partition", s.Partition)
	option("account", s.Account)
	option("qos", s.QOS)
	option("constraint", s.Constraint)
	number("nodes", j.Nodes)
	number("ntasks-per-node", j.PerNode)
	number("cpus-per-task", j.Threads)
	if j.GPUs > 0 {
		number("gpus-per-node", j.GPUs)
	}
	option("mem", fmt.Sprintf("%dM", mebibytes(j.MemoryBytes)))
	if s.Time > 0 {
		option("time", slurmTime(s.Time))
	}
	option("signal", fmt.Sprintf("TERM@%d", seconds(j.Grace)))
	b.WriteString("#SBATCH --requeue\n")
	option("open-mode", "append")
	option("output", j.Output("%j"))
	for _, o := range s.Options {
		name, value, ok := strings.Cut(strings.TrimPrefix(o, "--"), "=")
		if option(name, value); !ok {
			fmt.Fprintf(b, "#SBATCH --%s\n", name)
		}
	}
	return err
}

// Output is the file that a job's output goes to.
func (j *Job) Output(id string) string { return fmt.Sprintf("%s-%s.out", j.Name, id) }

// srun begins the processes; it does not take over sbatch's number of processors.
func (j *Job) srun(s Slurm) []string {
	words := []string{"srun", fmt.Sprintf("--cpus-per-task=%d", j.Threads), "--kill-on-bad-exit=1"}
	if j.MPI && s.MPI != "" {
		words = append(words, "--mpi="+s.MPI)
	}
	return words
}

// slurmTime is DAYS-HOURS:MINUTES:00.
func slurmTime(d time.Duration) string {
	minutes := int(d.Minutes())
	return fmt.Sprintf("%d-%02d:%02d:00", minutes/(24*60), minutes/60%24, minutes%60)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellWord quotes a word for bash.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellWord(w)
	}
	return strings.Join(quoted, " ")
}

// sbatchWord quotes a value for a line that sbatch reads: its quotes hold what is no control character, with \ before " and \.
func sbatchWord(s string) (string, error) {
	if plainWord.MatchString(s) {
		return s, nil
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", fmt.Errorf("%q cannot be an option of sbatch: it holds a control character", s)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`, nil
}
