package compiler

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// small is a profile with one table.
func small() *Profile {
	return &Profile{Name: "small", Kind: "cpu", Threads: 2, PeakFlops: 2e11, ReadBytesPerSecond: 3e10, MatMulFlops: 7e10, OtherFlops: 4e9,
		BytesPerSecond: 1e10, CallSeconds: 1e-6, CacheBytes: 1 << 25, Tables: []Table{{Op: kernels.Add, DType: kernels.F32, Threads: 2,
			Axes: []Axis{{"rows", 1, []float64{16, 64}}, {"width", 1, []float64{1}}}, Warm: []float64{1e-6, 2e-6}, Cold: []float64{3e-6, 4e-6}}}}
}

// TestMistakesInAProfile: each has its place, and words that say what is wrong.
func TestMistakesInAProfile(t *testing.T) {
	good := string(small().Text())
	if _, err := ParseProfile([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, old, new string // what is replaced
		at, want       string // text where the error stands ("" at the end of the file), and its message
	}{
		{"not JSON", `"kind"`, `kind`, `kind:`, "invalid character 'k'"},
		{"cut off", "]\n}\n", "", "", "the file ends too early"},
		{"two profiles", "]\n}\n", "]\n}\n{}", "{}", "something follows"},
		{"unknown setting", `"threads": 2,`, `"treads": 2,`, `"treads"`, `unknown field "treads"`},
		{"unknown kind", `"kind": "cpu"`, `"kind": "abacus"`, `"kind"`, `unknown device kind "abacus"`},
		{"no name", `"name": "small"`, `"name": ""`, `"name"`, "no name"},
		{"text for a number", `"threads": 2,`, `"threads": "two",`, "", "threads is no int: string"},
		{"a rate of zero", `"matmul_flops": 70000000000`, `"matmul_flops": 0`, `"matmul_flops"`, "is not positive"},
		{"a negative ceiling", `"peak_flops": 200000000000`, `"peak_flops": -1`, `"peak_flops"`, "is not positive"},
		{"sizes that fall", `"at":[16,64]`, `"at":[64,16]`, `"op"`, "tables[0]: axis rows: the sizes are not positive and ascending"},
		{"a time missing", `"warm":[0.000001,0.000002]`, `"warm":[0.000001]`, `"op"`, "tables[0]: warm has 1 times, the axes have 2 points"},
		{"a time of zero", `"cold":[0.000003,0.000004]`, `"cold":[0.000003,0]`, `"op"`, "tables[0]: cold: a time of 0 seconds"},
		{"unknown operation", `"op":"add"`, `"op":"adn"`, `"adn"`, `"adn"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(good, test.old, test.new, 1)
			if text == good {
				t.Fatalf("the profile has no %s:\n%s", test.old, good)
			}
			_, err := ParseProfile([]byte(text))
			var wrong *ProfileError
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v, want a *ProfileError", err)
			}
			if !strings.Contains(wrong.Message, test.want) {
				t.Errorf("message %q, want %q in it", wrong.Message, test.want)
			}
			if test.at == "" {
				return
			}
			before := text[:strings.Index(text, test.at)]
			line, column := 1+strings.Count(before, "\n"), len(before)-strings.LastIndexByte(before, '\n')
			if wrong.Line != line || wrong.Column != column {
				t.Errorf("stands at %d:%d, want %d:%d, in\n%s", wrong.Line, wrong.Column, line, column, text)
			}
		})
	}
}

// TestReadProfile: errors name the file.
func TestReadProfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.json")
	if _, err := ReadProfile(path); err == nil || err.Error() != path+": cannot be read: no such file or directory" {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(path, []byte("{\n  \"kind\": \"abacus\"\n}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadProfile(path); err == nil || err.Error() != path+`:2:3: unknown device kind "abacus"` {
		t.Errorf("of an unknown kind: %v", err)
	}
}

// TestTimesFromATable: at a point its time, between two in proportion to their logarithms, beyond the last by the axis's power.
func TestTimesFromATable(t *testing.T) {
	p := small()
	for _, test := range []struct {
		rows int
		cold float64
		want float64
	}{{16, 0, 1e-6}, {64, 1, 4e-6}, {32, 0, 1.4142e-6}, {256, 0, 8e-6}, {4, 0, 1e-6}, {16, 0.5, 2e-6}} {
		x := kernels.Tensor{DType: kernels.F32, Shape: []int{test.rows}}
		got := p.Seconds(2, Call{Op: kernels.Add, Args: []kernels.Tensor{x, x, x}, Sizes: kernels.Sizes{"...": test.rows}, Cold: test.cold})
		if got < 0.9999*test.want || got > 1.0001*test.want {
			t.Errorf("%d rows, %v cold: %.4g s, want %.4g", test.rows, test.cold, got, test.want)
		}
	}
}
