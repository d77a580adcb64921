package schema

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// launched loads a strategy of four ranks with some settings of devices.
func launched(t *testing.T, devices string) *Strategy {
	t.Helper()
	return loadText(t, t.TempDir(), fmt.Sprintf(roundTripStrategy, models["gpt2"]+", vocabulary: 50}", "parallel: mesh: data: 4\n\tdevices: "+devices))
}

// A run that is launched otherwise is the same run; one whose ranks lie otherwise may not be.
func TestLaunchIsNoPartOfTheStrategy(t *testing.T) {
	plain := launched(t, `{}`)
	other := launched(t, `launch: {processes: "ranks", memory: 1000, slurm: partition: "long", kubernetes: image: "x"}`)
	if other.Launch.Slurm.Partition != "long" {
		t.Errorf("the partition is %q", other.Launch.Slurm.Partition)
	}
	if plain.Digest != other.Digest || !bytes.Equal(plain.Evaluated, other.Evaluated) {
		t.Error("devices.launch changes what the strategy is")
	}
	if launched(t, `nodes: 2`).Digest == plain.Digest {
		t.Error("devices.nodes does not change what the strategy is")
	}
}

func TestNodesFollowFromTheMesh(t *testing.T) {
	for devices, want := range map[string][3]any{
		`{}`:                               {1, 4, true},
		`nodes: 2`:                         {2, 2, false},
		`per_node: 1`:                      {4, 1, false},
		`{nodes: 1, per_node: 4}`:          {1, 4, true},
		`launch: processes: "ranks"`:       {1, 4, false},
		`{nodes: 1, launch: memory: "1B"}`: {1, 4, true},
	} {
		s := launched(t, devices)
		nodes, perNode := s.Nodes()
		if got := [3]any{nodes, perNode, s.OneProcess()}; got != want {
			t.Errorf("%s: %v, not %v", devices, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "90m": 90 * time.Minute, "12h": 12 * time.Hour, "2d": 48 * time.Hour, "1d2h3m": 26*time.Hour + 3*time.Minute} {
		if got, err := days(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := days("99999999999999999999d"); err == nil {
		t.Error("a time that no number holds is taken")
	}
}
