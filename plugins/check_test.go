package plugins_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

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

// A check ends when nobody waits for it any more, whatever the module does, and after the first call that takes too long: the others would as well.
func TestChecksEnd(t *testing.T) {
	wasm, err := os.ReadFile("testdata/hostile/endless-loop.wasm")
	if err != nil {
		t.Fatal(err)
	}
	complete := func(abi.Manifest) ([]byte, error) { return []byte("{}"), nil }
	stopped, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	start := time.Now()
	newHost(t).Check(stopped, "endless-loop.wasm", wasm, plugins.Limits{Time: time.Minute}, complete)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("interrupted, it took %v", took)
	}
	list := newHost(t).Check(t.Context(), "endless-loop.wasm", wasm, plugins.Limits{Time: 20 * time.Millisecond}, complete)
	if last := list[len(list)-1]; last.Check != "values" || !errors.As(last.Err, new(plugins.TimeError)) {
		t.Errorf("it goes on after a call that took too long: %v", list)
	}
}
