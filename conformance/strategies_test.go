package conformance

import (
	"os"
	"slices"
	"testing"
)

// Random models on random meshes learn what one rank learns, with the same bits at every stage of ZeRO; each is told of when it is done.
func TestStrategies(t *testing.T) {
	seeds := 15 // of each device
	if os.Getenv("GSC_LONG") != "" {
		seeds = 500
	}
	for i, device := range []string{"ref", "cpu"} {
		t.Run(device, func(t *testing.T) {
			t.Parallel()
			told := 0
			_, err := Strategies(StrategyOptions{Device: device, Seeds: seeds, First: 1 + i*seeds, Tell: func(s *Suite, at int) {
				row := s.Rows[at]
				if !row.Pass {
					t.Errorf("%s: %v: %s", row.Name, row.Values, row.Why)
				}
				if at != told || len(s.Rows) != seeds || slices.Contains(row.Values, NotCompared) {
					t.Errorf("row %d of %d is told of after %d: %v", at, len(s.Rows), told, row.Values)
				}
				if told++; told < seeds && s.Rows[told].Values[1] != NotCompared {
					t.Errorf("row %d was tried before row %d was told of", told, at)
				}
			}})
			if err != nil || told != seeds {
				t.Errorf("told of %d rows: %v", told, err)
			}
		})
	}
}

// What is drawn has every degree, schedule and form of a pipeline, on no more ranks than there may be, and compressed weights and teachers with either.
func TestDrawnPipelines(t *testing.T) {
	found := map[any]bool{}
	for seed := range 200 {
		d := draw(seed, "ref")
		if d.ranks() < 2 || d.ranks() > 8 {
			t.Errorf("%v: %d ranks", d, d.ranks())
		}
		found[d.pipeline], found[d.schedule] = true, true
		for what, drawn := range map[string]bool{"compressed": d.compress != "", "taught": d.teacher != ""} {
			found[what+" in stages"] = found[what+" in stages"] || drawn && d.pipeline > 1
			found[what+" along tensor"] = found[what+" along tensor"] || drawn && d.tensor > 1
		}
		if d.chunks > 1 {
			found[[2]int{d.pipeline, d.chunks}] = true
		}
	}
	for _, want := range []any{1, 2, 3, 4, "1f1b", "gpipe", "zero_bubble", [2]int{2, 2}, [2]int{3, 2}, [2]int{4, 2}, "compressed in stages", "compressed along tensor", "taught in stages", "taught along tensor"} {
		if !found[want] {
			t.Errorf("%v is never drawn", want)
		}
	}
}
