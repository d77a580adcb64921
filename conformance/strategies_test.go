package conformance

import (
	"testing"
)

// Random models on random meshes learn what one rank learns, with the same bits at every stage of ZeRO.
func TestStrategies(t *testing.T) {
	for device, seeds := range map[string]int{"ref": 30, "cpu": 30} {
		t.Run(device, func(t *testing.T) {
			if testing.Short() {
				seeds = 4
			}
			report, err := Strategies(StrategyOptions{Device: device, Seeds: seeds, First: 1})
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range report.Suites[0].Rows {
				if !row.Pass {
					t.Errorf("%s: %v: %s", row.Name, row.Values, row.Why)
				}
			}
		})
	}
}
