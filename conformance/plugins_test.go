package conformance_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/conformance"
)

// The examples' plugins, all of them, hold to their contract. There are several of each task, and rows of a table went through the same checks.
func TestPluginsOfTheExamples(t *testing.T) {
	report, err := conformance.Plugins(t.Context(), conformance.PluginOptions{})
	if err != nil || report.Failed+report.Skipped > 0 || report.Passed < 20 || len(report.Suites) != 5 {
		t.Errorf("%+v, %v", report, err)
	}
	for _, s := range report.Suites {
		if len(s.Rows) < 2 {
			t.Errorf("%s: %+v", s.Name, s.Rows)
		}
		for _, row := range s.Rows {
			if len(row.Marks) != len(s.Columns) {
				t.Errorf("%s: %s has %d marks for %d columns", s.Name, row.Name, len(row.Marks), len(s.Columns))
			}
		}
	}
}

// Where there is no Go, its example is skipped by name.
func TestPluginsOfTheExamplesWithoutGo(t *testing.T) {
	t.Setenv("PATH", "")
	report, err := conformance.Plugins(t.Context(), conformance.PluginOptions{})
	if err != nil || report.Failed > 0 || report.Skipped != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	losses := report.Suites[1].Rows
	if last := losses[len(losses)-1]; !last.Skipped || last.Name != "plugin-go/poly1.wasm" || !strings.Contains(last.Why, "go, which is not in the PATH") {
		t.Errorf("%+v", last)
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
