package conformance_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/conformance"
)

// The examples' plugins, all of them, hold to their contract.
func TestPluginsOfTheExamples(t *testing.T) {
	report, err := conformance.Plugins(t.Context(), conformance.PluginOptions{})
	if err != nil || report.Failed > 0 || report.Passed < 6 {
		t.Errorf("%+v, %v", report, err)
	}
}

// What is wrong is told by plugin and check, whatever comes first, and a row has a mark for each column.
func TestPluginsThatAreWrong(t *testing.T) {
	dir := t.TempDir()
	for name, from := range map[string]string{"a-early": "hostile/no-loss", "b-steep": "check/steep", "c-right": "check/right", "d-early": "hostile/no-loss", "e-wild": "hostile/manifest-wild"} {
		wasm, err := os.ReadFile(filepath.Join("..", "plugins", "testdata", from+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".wasm"), wasm, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var told []string
	report, err := conformance.Plugins(t.Context(), conformance.PluginOptions{Folders: []string{dir}, Tell: func(s *conformance.Suite, at int) {
		row := s.Rows[at]
		told = append(told, strings.TrimSuffix(filepath.Base(row.Name), ".wasm"))
		if len(row.Marks) != len(s.Columns) {
			t.Errorf("%s has %d marks for %d columns", row.Name, len(row.Marks), len(s.Columns))
		}
	}})
	if err != nil || report.Passed != 1 || report.Failed != 4 {
		t.Fatalf("%+v, %v", report, err)
	}
	if want := []string{"e-wild", "a-early", "b-steep", "c-right", "d-early"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	rows := report.Suites[1].Rows
	if !strings.HasPrefix(rows[1].Why, "gradient: ") || !slices.Contains(rows[0].Marks, "·") || !strings.Contains(rows[0].Why, "does not export gsc_loss") {
		t.Errorf("%+v", rows)
	}
	if _, err := conformance.Plugins(t.Context(), conformance.PluginOptions{Folders: []string{t.TempDir()}}); err == nil || !strings.Contains(err.Error(), "holds no plugin") {
		t.Errorf("an empty folder gives %v", err)
	}
}
