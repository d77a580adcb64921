package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Submitted is a job that a cluster took.
type Submitted struct {
	ID      string // by which the cluster knows it
	Warning string // what the client said beside; empty: nothing
}

// SubmitSlurm hands a script to sbatch.
func SubmitSlurm(ctx context.Context, script []byte) (Submitted, error) {
	s, err := submit(ctx, script, "Slurm's", "sbatch", "--parsable")
	s.ID, _, _ = strings.Cut(s.ID, ";") // what follows is the cluster, where there are several
	return s, err
}

// SubmitKubernetes hands a manifest to kubectl. A job of the same name that is there already is left as it is, and an error: kubectl apply would
// change it, or take one that has ended for what is asked.
func SubmitKubernetes(ctx context.Context, manifest []byte) (Submitted, error) {
	return submit(ctx, manifest, "Kubernetes'", "kubectl", "create", "-o", "name", "-f", "-")
}

// submit passes a job to a client on its standard input, so that no file is left behind.
func submit(ctx context.Context, job []byte, whose, client string, args ...string) (Submitted, error) {
	path, err := exec.LookPath(client)
	if err != nil {
		return Submitted{}, fmt.Errorf("%s client %s is not on this machine: submit where it is, or write the job with --dry-run: %w", whose, client, err)
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(job), &out, &said
	err = cmd.Run()
	warning, id := strings.TrimSpace(said.String()), strings.TrimSpace(out.String())
	switch {
	case err != nil && warning != "":
		return Submitted{}, fmt.Errorf("%s took no job: %w:\n%s", client, err, warning)
	case err != nil:
		return Submitted{}, fmt.Errorf("%s took no job: %w", client, err)
	case id == "":
		return Submitted{}, errors.New(client + " named no job")
	}
	return Submitted{id, warning}, nil
}
