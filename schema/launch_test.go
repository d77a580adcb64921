package schema

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// launched loads a strategy of four ranks with some settings of devices.
func sharedOut(t *testing.T, parallel, devices string) *Strategy {
	t.Helper()
	return loadText(t, t.TempDir(), fmt.Sprintf(roundTripStrategy, models["gpt2"]+", vocabulary: 50}", "parallel: "+parallel+"\n\tdevices: "+devices))
}

func launched(t *testing.T, devices string) *Strategy {
	t.Helper()
	return sharedOut(t, "mesh: data: 4", devices)
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

func TestNodesFollow(t *testing.T) {
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

// What is open of a mesh is for the ranks that devices give it.
func TestNodesOfAnOpenMesh(t *testing.T) {
	for _, c := range []struct {
		parallel, devices     string
		ranks, nodes, perNode int
	}{
		{`"auto"`, `{nodes: 2, per_node: 3}`, 6, 2, 3},
		{`mesh: {pipeline: 2, data: "auto"}`, `per_node: 4`, 4, 1, 4},
		{`{mesh: data: 2, zero: "auto"}`, `{}`, 2, 1, 2},
		{`{mesh: data: 2, zero: "auto"}`, `nodes: 2`, 2, 2, 1},
	} {
		s := sharedOut(t, c.parallel, c.devices)
		if nodes, perNode := s.Nodes(); s.Ranks() != c.ranks || nodes != c.nodes || perNode != c.perNode {
			t.Errorf("%s on %s: %d ranks, %d nodes of %d", c.parallel, c.devices, s.Ranks(), nodes, perNode)
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
