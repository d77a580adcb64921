package plugins_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/plugins/abi"
)

// TestCheck: each module of testdata/check breaks what one check looks at, and that alone is found.
func TestCheck(t *testing.T) {
	h := newHost(t)
	for name, want := range map[string]string{
		"right": "", "steep": "gradient", "forgetful": "repeated", "neighbours": "rows", "undecided": "values",
	} {
		t.Run(name, func(t *testing.T) {
			wasm, err := os.ReadFile("testdata/check/" + name + ".wasm")
			if err != nil {
				t.Fatal(err)
			}
			list := h.Check(ctx, name, wasm, plugins.Limits{}, func(abi.Manifest) ([]byte, error) { return []byte("{}"), nil })
			var failed []string
			for _, f := range list {
				if f.Err != nil {
					failed = append(failed, f.Check)
					t.Logf("%s: %v", f.Check, f.Err)
				}
			}
			if len(list) != 9 || strings.Join(failed, " ") != want && !(want != "" && strings.Contains(strings.Join(failed, " "), want)) {
				t.Errorf("of %d checks these fail: %v, want %q", len(list), failed, want)
			}
		})
	}
}
