package launch

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// hostile are words that a careless writer gets wrong.
var hostile = []string{
	"plain", "", " ", "two words", "it's", `"quoted"`, `back\slash`, `trailing\`, "new\nline", "\n", "tab\there", "$HOME", "$(touch x)", "`touch x`", "$", "$$", "a;b", "a&b", "#no", "a #b",
	"*", "~", "!x", "-x", "--", "=", "a=b", "true", "Null", "no", "1e3", "0x1f", "010", "1_000", ".5", "2001-01-01", "1:30", "- a", "a: b", "{}", "[]", "&a", "*a", "%", "@", "|", ">", "é", "日本", "\u00a0", "\u0085", "\u2028", "\ufeff", "\x7f", "\x1b[0m", "\r\n", "\U0001f600",
	"..", "...", "---", "<<", "=", "'", "''", `\n`, `\'`, `"'"`,
}

func job() *Job {
	return &Job{
		Name: "My.run_1", Command: []string{"gsc", "train", "x.cue"}, Nodes: 1, PerNode: 1, Threads: 4, MemoryBytes: 1<<30 + 1, Grace: 2 * time.Minute,
		Environment: map[string]string{},
	}
}

// kubernetes is what a job needs there at least.
var kubernetes = Kubernetes{Image: "example.org/gsc:1", Volumes: []Volume{{"work", "/mnt/runs"}}}

// run runs a script with programs of Slurm's that only say what they were given: srun ends with a status, squeue gives a state.
func run(t *testing.T, script []byte, status, state string) (srun []string, requeued bool, exit int) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"srun": `printf '%s\0' "$@" >words; exit ` + status, "squeue": "echo " + state, "scontrol": `echo "$*" >requeued`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/bash\n"+text+"\n"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("bash", "-c", string(script))
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "SLURM_JOB_ID=7"}
	out, err := cmd.CombinedOutput()
	if len(out) > 0 || cmd.ProcessState == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	words, err := os.ReadFile(filepath.Join(dir, "words"))
	if err != nil {
		t.Fatal(err)
	}
	asked, _ := os.ReadFile(filepath.Join(dir, "requeued"))
	if len(asked) > 0 && string(asked) != "requeue 7\n" {
		t.Errorf("scontrol %s", asked)
	}
	return strings.Split(strings.TrimSuffix(string(words), "\x00"), "\x00"), len(asked) > 0, cmd.ProcessState.ExitCode()
}

// What stands in a job arrives at its command, whatever it is.
func TestScriptPassesAnything(t *testing.T) {
	j := job()
	j.Command = append(j.Command, hostile...)
	script, err := j.Script(Slurm{})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("bash", "-n", "-c", string(script)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	words, _, _ := run(t, script, "0", "RUNNING")
	if diff := cmp.Diff(j.Command, words[len(words)-len(j.Command):]); diff != "" {
		t.Error(diff)
	}
}

func TestScriptExportsAnything(t *testing.T) {
	j := job()
	for i, word := range hostile {
		j.Environment["V"+strings.Repeat("x", i)] = word
	}
	script, err := j.Script(Slurm{Setup: []string{`bash -c 'for i in ${!V*}; do printf "%s\0" "${!i}"; done' >"$KEPT"`}})
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	run(t, append([]byte("KEPT="+kept+"\n"), script...), "0", "RUNNING")
	values, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Join(hostile, "\x00")+"\x00", string(values)); diff != "" {
		t.Error(diff)
	}
}

// A job queues again where its command was interrupted, and nobody has ended the job.
func TestScriptRequeues(t *testing.T) {
	script, err := job().Script(Slurm{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status, state string
		requeued      bool
		exit          int
	}{
		{"0", "RUNNING", false, 0},
		{"1", "RUNNING", false, 1},
		{"75", "RUNNING", true, 0},
		{"75", "SIGNALING", true, 0},
		{"75", "COMPLETING", false, 75},
		{"75", "", false, 75},
		{"137", "RUNNING", false, 137},
	} {
		if _, requeued, exit := run(t, script, c.status, c.state); requeued != c.requeued || exit != c.exit {
			t.Errorf("status %s, %s: requeued %v, exit status %d", c.status, c.state, requeued, exit)
		}
	}
}

// A value of an option that cannot stand in its line is refused.
func TestScriptRefuses(t *testing.T) {
	for _, s := range []Slurm{{Partition: "a\nb"}, {Options: []string{"--comment=\x1b"}}, {Constraint: "\t"}} {
		if script, err := job().Script(s); err == nil {
			t.Errorf("%+v is written:\n%s", s, script)
		}
	}
	j := job()
	for _, word := range []string{"a\x00b", "\xff"} {
		j.Command = []string{"gsc", word}
		if script, err := j.Script(Slurm{}); err == nil {
			t.Errorf("%q is written:\n%s", word, script)
		}
		if manifest, err := j.Manifest(kubernetes); err == nil {
			t.Errorf("%q is written:\n%s", word, manifest)
		}
	}
}

// sbatchReads is what sbatch takes the rest of a line for: quotes of either kind hold spaces and #, and \ stands before what it keeps from ending
// them (tried with sbatch 22.05; scripts/slurm tries it with the one that is installed).
func sbatchReads(line string) string {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == ' ' || c == '#'):
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func TestDirectivesHoldAnything(t *testing.T) {
	written := 0
	for _, word := range hostile {
		script, err := job().Script(Slurm{Options: []string{"--comment=" + word}})
		if err != nil || word == "" {
			continue
		}
		written++
		_, rest, _ := strings.Cut(string(script), "#SBATCH --comment=")
		line, _, _ := strings.Cut(rest, "\n")
		if got := sbatchReads(line); got != word {
			t.Errorf("%q is read as %q", word, got)
		}
	}
	if written < len(hostile)/2 {
		t.Errorf("only %d of %d are written", written, len(hostile))
	}
}

// expanded is what Kubernetes makes of a string of a command: $$ is $, and $(NAME) would be a variable.
func expanded(t *testing.T, s string) string {
	t.Helper()
	whole := strings.ReplaceAll(s, "$$", "\x00")
	if strings.Contains(whole, "$(") {
		t.Errorf("%q refers to a variable", s)
	}
	return strings.ReplaceAll(whole, "\x00", "$")
}

// commandOf finds the command in a manifest that was read, and the environment.
func commandOf(t *testing.T, manifest []byte) (command, environment []string) {
	t.Helper()
	var m any
	if err := yaml.Unmarshal(manifest, &m); err != nil {
		t.Fatalf("%v\n%s", err, manifest)
	}
	var find func(v any)
	find = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				find(x)
			}
		case map[string]any:
			if words, ok := v["command"].([]any); ok {
				for _, w := range words {
					command = append(command, expanded(t, w.(string)))
				}
				for _, e := range v["env"].([]any) {
					environment = append(environment, expanded(t, e.(map[string]any)["value"].(string)))
				}
			}
			for _, x := range v {
				find(x)
			}
		}
	}
	find(m)
	return command, environment
}

func TestManifestPassesAnything(t *testing.T) {
	for _, mpi := range []bool{false, true} {
		j := job()
		j.MPI = mpi
		j.Command = append(j.Command, hostile...)
		for i, word := range hostile {
			j.Environment["V"+strings.Repeat("x", i)] = word
		}
		manifest, err := j.Manifest(kubernetes)
		if err != nil {
			t.Fatal(err)
		}
		command, environment := commandOf(t, manifest)
		if diff := cmp.Diff(j.Command, command[len(command)-len(j.Command):]); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(hostile, environment); diff != "" {
			t.Error(diff)
		}
	}
}

func TestLabels(t *testing.T) {
	for name, want := range map[string]string{
		"tiny": "tiny", "My.run_1": "my-run-1", "7b": "run-7b", "a-": "a", "a..b": "a-b", strings.Repeat("x", 50): strings.Repeat("x", 40), strings.Repeat("x", 39) + ".y": strings.Repeat("x", 39),
	} {
		if got := (&Job{Name: name}).Label(); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestSlurmTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{90 * time.Minute: "0-01:30:00", 36 * time.Hour: "1-12:00:00", 10 * 24 * time.Hour: "10-00:00:00"} {
		if got := slurmTime(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}

// FuzzWords: what bash and a reader of YAML make of a quoted word is the word.
func FuzzWords(f *testing.F) {
	for _, word := range hostile {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if (&Job{Command: []string{word}}).check() != nil {
			t.Skip()
		}
		out, err := exec.Command("bash", "-c", "printf '%s' "+shellWord(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("bash reads %q as %q: %v", word, out, err)
		}
		var got map[string][]string
		err = yaml.Unmarshal(mapping{{"key", list{word, word}}}.yaml(), &got)
		if err != nil || !slices.Equal(got["key"], []string{word, word}) {
			t.Errorf("YAML reads %q as %q: %v", word, got, err)
		}
		if quoted, err := sbatchWord(word); err == nil && word != "" && sbatchReads(quoted) != word {
			t.Errorf("sbatch reads %q as %q", word, sbatchReads(quoted))
		}
	})
}
