package gsc_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/sdk"
)

// toolchain is what builds plugins of a language here.
type toolchain struct {
	vars    []string // of make
	env     []string
	version string
	lacks   string // why there is none
}

// toolchains find them by language.
var toolchains = map[string]func() toolchain{
	"c": func() toolchain {
		if _, err := exec.LookPath("wasm-ld"); err != nil {
			return toolchain{lacks: "wasm-ld (Debian: lld)"}
		}
		return tool("clang (Debian: clang)", "clang", "--version")
	},
	"go": func() toolchain { return tool("go", "go", "version") },
	"assemblyscript": func() toolchain {
		asc := os.Getenv("ASC")
		if asc == "" {
			asc = "asc"
		}
		t := tool("asc (npm: assemblyscript), in the PATH or by the variable ASC", asc, "--version")
		if path, err := exec.LookPath(asc); err == nil {
			t.vars = []string{"ASC=" + path}
		}
		return t
	},
	"zig": func() toolchain {
		if t := tool("", "zig", "version"); t.lacks == "" {
			return t
		}
		return tool("zig (pip: ziglang)", "python3", "-m", "ziglang", "version")
	},
	"rust": rust,
}

// tool asks a program for its version.
func tool(name string, command ...string) toolchain {
	out, err := exec.Command(command[0], command[1:]...).Output()
	if err != nil {
		return toolchain{lacks: name + " is not here"}
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return toolchain{version: version}
}

// rust finds a compiler with the library for WebAssembly: rustup's, or Debian's beside it.
func rust() toolchain {
	for _, dir := range []string{"", "/usr/bin/"} {
		rustc, cargo := dir+"rustc", dir+"cargo"
		libraries, err := exec.Command(rustc, "--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(strings.TrimSpace(string(libraries))); err != nil {
			continue
		}
		if t := tool("", cargo, "--version"); t.lacks != "" {
			continue
		}
		t := tool("", rustc, "--version")
		t.vars, t.env = []string{"CARGO=" + cargo}, []string{"RUSTC=" + rustc}
		return t
	}
	return toolchain{lacks: "cargo with the target wasm32-unknown-unknown (rustup target add, or Debian: cargo, rustc, libstd-rust-dev-wasm32, lld) is not here"}
}

// find finds a language's, or skips.
func find(t *testing.T, language string) toolchain {
	t.Helper()
	found := toolchains[language]()
	if found.lacks != "" {
		t.Skipf("SKIPPED %s: %s", language, found.lacks)
	}
	return found
}

// make runs make in a folder.
func (c toolchain) make(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("make", append([]string{"-C", dir, "--no-print-directory"}, c.vars...)...)
	cmd.Env = append(os.Environ(), c.env...)
	if message, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make in %s: %v\n%s", dir, err, message)
	}
}

// right holds a plugin to all that gsc plugin check looks at.
func right(t *testing.T, file string) {
	t.Helper()
	list, err := gsc.CheckPlugin(t.Context(), file, gsc.PluginOptions{})
	if err != nil || len(list) < 2 {
		t.Fatal(list, err)
	}
	for _, f := range list {
		if f.Err != nil {
			t.Errorf("%s: %s: %v", file, f.Check, f.Err)
		}
	}
}

// Every project that gsc plugin new writes builds, holds to the contract and trains as it stands.
func TestPluginProjects(t *testing.T) {
	text, err := filepath.Abs(filepath.Join("cmd", "gsc", "testdata", "common", "plays.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range sdk.Languages() {
		for _, kind := range sdk.Kinds(language) {
			t.Run(language+"/"+kind, func(t *testing.T) {
				t.Parallel()
				c, dir := find(t, language), t.TempDir()
				if err := (sdk.Project{Language: language, Kind: kind, Name: "my-plugin"}).Write(dir); err != nil {
					t.Fatal(err)
				}
				project := filepath.Join(dir, "my-plugin")
				c.make(t, project)
				right(t, filepath.Join(project, "my-plugin.wasm"))
				trains(t, filepath.Join(project, "train.cue"), "text="+text)
			})
		}
	}
}

// trains takes three small steps.
func trains(t *testing.T, strategy, tag string) {
	t.Helper()
	o := gsc.Options{Tags: []string{tag}, Set: []string{"model.layers=1", "batch.sequences=4", "schedule={kind: \"constant\", peak: 1e-3, steps: 3}", "evaluate.rows=8"}}
	var out bytes.Buffer
	err := gsc.Train(t.Context(), strategy, gsc.TrainOptions{Options: o, Run: filepath.Join(t.TempDir(), "run"), Out: &out})
	if err != nil || !strings.Contains(out.String(), "3 steps") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// languageExample is an example in another language than C: its folder, what is built there, and what its strategy reads.
type languageExample struct{ language, folder, module, reads string }

var languageExamples = []languageExample{
	{"rust", "plugin-rust", "label_smoothed.wasm", "text"},
	{"rust", "plugin-rust-transform", "lines.wasm", "text"},
	{"rust", "plugin-rust-codec", "sign.wasm", "text"},
	{"assemblyscript", "plugin-assemblyscript", "focal.wasm", "text"},
	{"assemblyscript", "plugin-assemblyscript-transform", "spans.wasm", "goroot"},
	{"go", "plugin-go", "poly1.wasm", "text"},
	{"zig", "plugin-zig", "z_loss.wasm", "text"},
	{"zig", "plugin-zig-policy", "gradual.wasm", "text"},
}

// madeBy are the versions of the toolchains that built what lies beside the sources. Go's examples have nothing there.
var madeBy = map[string]string{"rust": "rustc 1.63.0", "assemblyscript": "Version 0.28.20", "zig": "0.17.1"}

// The examples build from their sources, to the same bytes where the toolchain is the same.
func TestPluginExamplesBuild(t *testing.T) {
	for _, e := range languageExamples {
		t.Run(e.folder, func(t *testing.T) {
			t.Parallel()
			c, dir := find(t, e.language), t.TempDir()
			built := e.build(t, c, dir)
			right(t, built)
			switch made := madeBy[e.language]; {
			case made == "":
				return
			case !strings.HasPrefix(c.version, made):
				t.Logf("built and checked, not compared: this is %s, and %s made the one beside the source", c.version, made)
				return
			}
			fresh, err := os.ReadFile(built)
			if err != nil {
				t.Fatal(err)
			}
			if kept, _ := os.ReadFile(filepath.Join("examples", e.folder, e.module)); !bytes.Equal(fresh, kept) {
				t.Errorf("the %s beside the source is not what %s makes of it: run make there", e.module, c.version)
			}
		})
	}
}

// build builds an example in another folder, with the library of its language and the first example in that, whose Makefile the others share, where the example looks for them.
func (e languageExample) build(t *testing.T, c toolchain, dir string) string {
	t.Helper()
	if e.language == "go" { // a program of this Go module
		out := filepath.Join(dir, e.module)
		c.vars = append(c.vars, "OUT="+out)
		c.make(t, filepath.Join("examples", e.folder))
		return out
	}
	parts := []string{filepath.Join("sdk", e.language), filepath.Join("examples", "plugin-"+e.language), filepath.Join("examples", e.folder)}
	for _, part := range slices.Compact(parts) {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(part)); err != nil {
			t.Fatal(err)
		}
	}
	example := filepath.Join(dir, "examples", e.folder)
	if err := os.Remove(filepath.Join(example, e.module)); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{"target", "gsc", "node_modules"} { // of a build in the tree
		if err := os.RemoveAll(filepath.Join(example, left)); err != nil {
			t.Fatal(err)
		}
	}
	c.make(t, example)
	return filepath.Join(example, e.module)
}

// goExample is the strategy of the example in Go, with its module built beside it.
func goExample(t *testing.T, dir string) string {
	t.Helper()
	const name = "plugin-go"
	dir = filepath.Join(dir, name)
	text, err := os.ReadFile(filepath.Join("examples", name, "train.cue"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(dir, "train.cue"), string(text))
	languageExample{language: "go", folder: name, module: "poly1.wasm"}.build(t, find(t, "go"), dir)
	return filepath.Join(dir, "train.cue")
}

// Smoothed labels by the plugin in Rust are gsc's own.
func TestPluginSmoothing(t *testing.T) {
	path := write(t, gpt2, stream)
	besides(t, path, "plugin-rust", "label_smoothed.wasm")
	want := boundLab(t, planOf(t, path, "objective.smoothing=0.1"), 1).train(6)
	got := boundLab(t, planOf(t, path, plugged("label_smoothed.wasm", "epsilon: 0.1")), 2).train(6)
	if far := farthest(got, want); !(far <= 1e-5) {
		t.Errorf("losses %v, of gsc's own %v: apart by %.2g", got, want, far)
	}
}

// Weights that the policy in Zig prunes are those that gsc's own prunes by the same schedule, bit for bit.
func TestPluginGradual(t *testing.T) {
	path := write(t, gpt2, stream)
	besides(t, path, "plugin-zig-policy", "gradual.wasm")
	own := `compress=[{match: "*", prune: {sparsity: 0.75, begin: 2, end: 6, every: 2}}]`
	want := boundLab(t, planOf(t, path, own), 1).train(8)
	got := boundLab(t, planOf(t, path, `compress=[{match: "*", plugin: "gradual.wasm", params: {final: 0.75, begin: 2, end: 6, every: 2}}]`), 2).train(8)
	if plain := boundLab(t, planOf(t, path), 1).train(8); !slices.Equal(got, want) || slices.Equal(got, plain) {
		t.Errorf("losses %v, of gsc's own %v, of what is not pruned %v", got, want, plain)
	}
}

// Gradients that the codec in Rust sends as signs are what gsc's own sends in blocks of the same length, bit for bit.
func TestPluginSigns(t *testing.T) {
	path := write(t, gpt2, stream)
	besides(t, path, "plugin-rust-codec", "sign.wasm")
	want := boundLab(t, planOf(t, path, mesh(2), oneBit), 1).train(8)
	got := boundLab(t, planOf(t, path, mesh(2), `parallel.codec={plugin: "sign.wasm", params: block: 512}`), 2).train(8)
	if plain := boundLab(t, planOf(t, path, mesh(2)), 1).train(8); !slices.Equal(got, want) || slices.Equal(got, plain) {
		t.Errorf("losses %v, of gsc's own %v, without codes %v", got, want, plain)
	}
}

// besides copies an example's module to where a strategy finds it.
func besides(t *testing.T, strategy, folder, module string) {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join("examples", folder, module))
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(filepath.Dir(strategy), module), string(wasm))
}

// talking is a plugin in Go that prints, and misbehaves as its parameter says.
const talking = `package main

import (
	"fmt"
	"time"

	gsc "github.com/gsc-project/gsc/sdk/go"
)

func init() {
	gsc.Loss(gsc.Manifest{Name: "talks", Version: "1", Targets: gsc.Classes, Params: "does: *0 | int"}, func(p gsc.Params) (gsc.RowLoss, error) {
		begun := time.Now()
		time.Sleep(time.Hour)
		fmt.Println("slept for an hour:", time.Since(begun) > time.Hour)
		return func(r *gsc.Row) float32 {
			clear(r.Gradient)
			if n := len(r.Logits); n == 1 || n == 3 || n == 257 { // before a run begins it is tried on such rows
				return 0
			}
			return does(int(p.Number("does")), 0)
		}, nil
	})
}

var kept [][]byte

func does(what, depth int) float32 {
	switch what {
	case 1:
		panic("no more")
	case 2:
		for {
		}
	case 3:
		return 1 + does(what, depth+1)
	case 4:
		for {
			kept = append(kept, make([]byte, 1<<20))
		}
	}
	return 0
}

func main() {}
`

// Go's runtime is held to the bounds of any plugin. What a plugin prints stands in the run's log, with its name before it, and what it says on failing in the error, too.
func TestPluginPrints(t *testing.T) {
	c, dir := find(t, "go"), t.TempDir()
	if err := (sdk.Project{Language: "go", Kind: "loss", Name: "talks"}).Write(dir); err != nil {
		t.Fatal(err)
	}
	project := filepath.Join(dir, "talks")
	save(t, filepath.Join(project, "main.go"), talking)
	c.make(t, project)
	text, err := filepath.Abs(filepath.Join("cmd", "gsc", "testdata", "common", "plays.txt"))
	if err != nil {
		t.Fatal(err)
	}
	const loss = "failed: step 1: loss+grad (plugin_loss, ./train.cue:16:2): plugin talks.wasm (talks 1): gsc_loss: record 0 of the batch, position 0 to record 3 of the batch, position 63: "
	for does, want := range []string{
		"talks.wasm (talks 1): slept for an hour: true",
		loss + "it trapped: unreachable, and said: panic: no more",
		loss + "it takes longer than 5s",
		loss + "it trapped: unreachable, and said: runtime: out of memory",
		loss + "it trapped: unreachable, and said: runtime: out of memory",
	} {
		run := filepath.Join(t.TempDir(), "run")
		err := gsc.Train(t.Context(), filepath.Join(project, "train.cue"), gsc.TrainOptions{Run: run, Out: io.Discard, Options: gsc.Options{Tags: []string{"text=" + text},
			Set: []string{"model.layers=1", "batch.sequences=4", "schedule={kind: \"constant\", peak: 1e-3, steps: 2}", `objective.loss.time="5s"`, fmt.Sprintf("objective.loss.params={does: %d}", does)}}})
		if (err != nil) != (does > 0) {
			t.Error(err)
		}
		log, err := os.ReadFile(filepath.Join(run, "log.txt"))
		if err != nil || !strings.Contains(string(log), want) {
			t.Errorf("the log lacks %q: %v\n%s", want, err, log[max(0, len(log)-800):])
		}
	}
}

// libC is a plugin in C that takes memory of its own from a C library, prints, and looks for a file.
const libC = `#include <stdio.h>
#include "gsc.h"
GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"libc\", \"version\": \"1\", \"targets\": \"values\"}")
static float *differences;
GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	FILE *file = fopen("/etc/passwd", "r");
	printf("%.*s, and %s\n", (int)length, params, file ? "a file" : "no file");
	fflush(stdout);
	return GSC_OK;
}
GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) {
	uint32_t n = call->classes;
	if (!differences) differences = malloc(n * sizeof *differences);
	for (uint32_t row = 0; row < call->rows; row++) {
		double sum = 0;
		for (uint32_t v = 0; v < n; v++) {
			float d = call->logits[row * n + v] - ((const float *)call->targets)[row * n + v];
			differences[v] = d;
			sum += 0.5 * d * d;
		}
		if (call->gradients) memcpy(call->gradients + row * n, differences, n * sizeof *differences);
		call->values[row] = (float)sum;
	}
	return GSC_OK;
}
`

// A plugin in C may be linked with a C library, whose memory and gsc's do not get into each other's way.
func TestPluginWithCLibrary(t *testing.T) {
	find(t, "c")
	if _, err := os.Stat("/usr/lib/wasm32-wasi/libc.a"); err != nil {
		t.Skip("SKIPPED: no C library for WASI (Debian: wasi-libc) is here")
	}
	source, out := filepath.Join(t.TempDir(), "libc.c"), filepath.Join(t.TempDir(), "libc.wasm")
	save(t, source, libC)
	build := exec.Command("clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-O3", "-Wall", "-nodefaultlibs", "-I", filepath.Join("sdk", "c"), "-o", out, source, "-lc")
	if message, err := build.CombinedOutput(); err != nil || len(message) > 0 {
		t.Fatalf("%v\n%s", err, message)
	}
	right(t, out)
	var printed []string
	if _, err := gsc.CheckPlugin(t.Context(), out, gsc.PluginOptions{Print: func(line string) { printed = append(printed, line) }}); err != nil {
		t.Fatal(err)
	}
	if len(printed) == 0 || printed[0] != "libc.wasm (libc 1): {}, and no file" {
		t.Errorf("it printed %q", printed)
	}
}
