package gsc_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
)

// A job asks for at least what its plan takes, and not for much more: of one process with all ranks, or of as many as a node has.
func TestSubmitAsksForThePlansMemory(t *testing.T) {
	path := write(t, gpt2, stream)
	set := []string{"model.width=256", "parallel.mesh.data=4", "batch.sequences=8", "devices.nodes=2"}
	p, err := gsc.Plan(path, gsc.Options{Set: set, Threads: 4})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set   []string
		bytes int64
		n     int64
	}{
		{set[:3:3], p.ProcessBytes(), 1},
		{set, 2 * p.PeakBytes(), 2},
	} {
		asked := memoryOf(t, path, c.set)
		if most := c.bytes + c.bytes/4 + c.n*(64<<20); asked < c.bytes || asked > most {
			t.Errorf("%v: asks for %d bytes, not for %d to %d", c.set, asked, c.bytes, most)
		}
		if asked := memoryOf(t, path, append(c.set, `devices.launch.memory="3GiB"`)); asked != 3<<30 {
			t.Errorf("asks for %d bytes, not for what it is told to", asked)
		}
	}
}

var memory = regexp.MustCompile(`(?m)^#SBATCH --mem=([0-9]+)M$`)

func memoryOf(t *testing.T, path string, set []string) int64 {
	t.Helper()
	var job strings.Builder
	o := gsc.SubmitOptions{Options: gsc.Options{Set: set}, To: "slurm", DryRun: true, Run: filepath.Join(t.TempDir(), "run"), Out: &job}
	if err := gsc.Submit(t.Context(), path, o); err != nil {
		t.Fatal(err)
	}
	found := memory.FindStringSubmatch(job.String())
	if found == nil {
		t.Fatalf("no memory in\n%s", &job)
	}
	mebibytes, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", found[1], err))
	}
	return mebibytes << 20
}
