package gsc_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/data"
)

// withPlugins copies the examples' modules beside a strategy.
func withPlugins(t testing.TB, path string) string {
	t.Helper()
	modules, err := filepath.Glob(filepath.Join("examples", "plugin-*", "*.wasm"))
	if err != nil || len(modules) == 0 {
		t.Fatal(modules, err)
	}
	for _, m := range modules {
		text, err := os.ReadFile(m)
		if err != nil {
			t.Fatal(err)
		}
		save(t, filepath.Join(filepath.Dir(path), filepath.Base(m)), string(text))
	}
	return path
}

// boundLab is a lab whose ranks the front door binds, with all that goes with them, such as plugins; the threads are all ranks' together.
func boundLab(t testing.TB, p *plan.Plan, threads int) *lab {
	t.Helper()
	l := &lab{t: t, plan: p}
	ranks, closer, err := gsc.Bind(p, "", threads)
	l.check(err)
	t.Cleanup(func() { l.check(closer.Close()) })
	l.ranks = ranks
	set, transforms, err := gsc.OpenData(p, "", threads)
	l.check(err)
	t.Cleanup(func() { l.check(transforms.Close()) })
	l.set, l.batch = set, data.NewBatch(p.Data, p.Training.Sequences)
	l.check(l.ranks.Start())
	return l
}

func plugged(file, params string) string {
	return fmt.Sprintf("objective.loss={plugin: %q, params: {%s}}", file, params)
}

// The plugin that is the cross entropy's twin trains as the cross entropy does, with every bit the same on any number of threads; in chunks, apart from its gradient, on
// several ranks and in stages.
func TestPluginTwin(t *testing.T) {
	const steps = 6
	for _, c := range []struct {
		name, model, data string
		ways              [][]string
	}{
		{"stream", gpt2, stream, [][]string{{"memory.loss_chunks=3"}, {"compile.fuse=false"}, {mesh(2)}, {mesh(2), "parallel.zero=2", "batch.micro_batches=2"}, {"parallel.mesh.sequence=2"},
			{"parallel.mesh.pipeline=2", "batch.micro_batches=2"}, {"parallel.mesh.tensor=2"}, {"parallel.mesh.tensor=2", "memory.loss_chunks=2"}, {"parallel.mesh.tensor=2", "model.vocabulary=257"}}},
		{"padded", llama, padded, [][]string{{mesh(2)}}},
		{"tags", bertTokens, tags, [][]string{{mesh(2)}}},
	} {
		for device, tolerance := range map[string]float64{"cpu": 1e-5, "ref": 1e-5} {
			t.Run(c.name+"/"+device, func(t *testing.T) {
				path := withPlugins(t, write(t, c.model, c.data))
				kind, twin := fmt.Sprintf("devices.kind=%q", device), plugged("cross_entropy.wasm", "")
				for _, way := range append([][]string{nil}, c.ways...) {
					set := append([]string{kind}, way...)
					want := boundLab(t, planOf(t, path, set...), 1).train(steps)
					one := boundLab(t, planOf(t, path, append(set, twin)...), 1)
					got := one.train(steps)
					if far := farthest(got, want); !(far <= tolerance) {
						t.Errorf("%v: losses %v, of gsc's own %v: apart by %.2g", way, got, want, far)
					}
					if way != nil {
						continue
					}
					for _, threads := range []int{2, 4} {
						l := boundLab(t, planOf(t, path, append(set, twin)...), threads)
						if again := l.train(steps); !slices.Equal(again, got) || l.digest() != one.digest() {
							t.Errorf("%d threads: losses %v, with one %v", threads, again, got)
						}
					}
				}
			})
		}
	}
}

// A loss over numbers of a row trains, and is what it says it is: with a large δ, half the squared error.
func TestPluginOfValues(t *testing.T) {
	path := withPlugins(t, write(t, bertRows, sizes))
	set := []string{"schedule.peak=1e-30"}
	want := boundLab(t, planOf(t, path, append(set, `objective.loss="squared_error"`)...), 1).train(3)
	got := boundLab(t, planOf(t, path, append(set, plugged("huber.wasm", "delta: 1e6"))...), 1).train(3)
	for i := range got {
		got[i] *= 2
	}
	if far := farthest(got, want); !(far <= 1e-5) {
		t.Errorf("twice the Huber loss %v, the squared error %v", got, want)
	}
	before := boundLab(t, planOf(t, path, plugged("huber.wasm", ""), "schedule.peak=1e-3"), 2)
	first, last := before.evaluate(data.Train), 0.0
	before.train(30)
	if last = before.evaluate(data.Train); last >= first {
		t.Errorf("it learns nothing: %v, then %v", first, last)
	}
}

// A step with a plugin allocates nothing either.
func TestPluginStepAllocatesNothing(t *testing.T) {
	l := boundLab(t, planOf(t, withPlugins(t, write(t, gpt2, stream)), plugged("focal.wasm", "gamma: 1")), 2)
	l.train(1)
	l.allocatesNothing(10)
}

// What a plugin does wrong stops the run, and names the step, the instruction, the plugin, its export and the row. The process and other plugins go on.
func TestPluginThatFails(t *testing.T) {
	path := withPlugins(t, write(t, gpt2, stream))
	bad, err := os.ReadFile(filepath.Join("plugins", "testdata", "hostile", "loss-nan.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(filepath.Dir(path), "bad.wasm"), string(bad))
	for _, way := range [][]string{nil, {mesh(2)}} {
		set := append([]string{plugged("bad.wasm", ""), "memory.loss_chunks=1"}, way...)
		l := boundLab(t, planOf(t, path, set...), 1)
		l.check(l.set.Fill(l.plan.Training.Seed, 1, l.batch))
		_, err := l.ranks.Train(l.batch, 1, 0.01)
		const want = "loss+grad (plugin_loss, --set objective.loss): plugin bad.wasm (hostile 1): gsc_loss: record 0 of the batch, position 1: the loss is NaN"
		if err == nil || !strings.HasSuffix(strings.SplitN(err.Error(), "\n", 2)[0], want) || !strings.Contains(err.Error(), "step 1: ") {
			t.Errorf("%v: the error is %v, want … %s", way, err, want)
		}
	}
	boundLab(t, planOf(t, path, plugged("cross_entropy.wasm", "")), 1).train(1)
}

// The examples' modules are what the toolchain makes of their sources, where it is there in the version that made them.
func TestPluginSources(t *testing.T) {
	const made = "clang version 14."
	version, err := exec.Command("clang", "--version").Output()
	if _, lld := exec.LookPath("wasm-ld"); err != nil || lld != nil {
		t.Skip("clang or wasm-ld (Debian: clang, lld) is not installed: the examples' modules are not built")
	}
	sources, _ := filepath.Glob(filepath.Join("examples", "plugin-*", "*.c"))
	for _, source := range sources {
		folder := filepath.Dir(source)
		out := filepath.Join(t.TempDir(), "out.wasm")
		cmd := exec.Command("make", "-C", folder, "--no-print-directory", "-n", "-B", strings.TrimSuffix(filepath.Base(source), ".c")+".wasm")
		rule, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(strings.SplitN(string(rule), "\n", 2)[0])
		words[slices.Index(words, "-o")+1] = out
		build := exec.Command(words[0], words[1:]...)
		build.Dir = folder
		if message, err := build.CombinedOutput(); err != nil || len(message) > 0 {
			t.Errorf("%s: %v\n%s", source, err, message)
			continue
		}
		list, err := gsc.CheckPlugin(t.Context(), out, gsc.PluginOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if f.Err != nil {
				t.Errorf("%s: %s: %v", source, f.Check, f.Err)
			}
		}
		if !strings.Contains(string(version), made) {
			t.Logf("%s: built and checked, not compared: this is %.40s, and %s made the one beside it", source, version, made)
			continue
		}
		fresh, _ := os.ReadFile(out)
		if kept, _ := os.ReadFile(strings.TrimSuffix(source, ".c") + ".wasm"); !bytes.Equal(fresh, kept) {
			t.Errorf("%s: the .wasm beside it is not what clang makes of it: run make in %s", source, folder)
		}
	}
}

// A plan that says other things of a plugin than its module does, as one may that was edited, is refused.
func TestPlanSaysWhatItsModulesDo(t *testing.T) {
	path := withPlugins(t, write(t, gpt2, stream))
	for said, edit := range map[string]func(*plan.Plugin){
		`its unit is "", but "sequences"`:        func(p *plan.Plugin) { p.Unit = "" },
		`its targets is "values", but "classes"`: func(p *plan.Plugin) { p.Targets = plan.TargetValues },
		`its kind is "policy", but "loss"`:       func(p *plan.Plugin) { p.Kind = plan.PluginPolicy },
		`its inputs is "teacher_logits", but ""`: func(p *plan.Plugin) { p.Inputs = []string{plan.InputTeacher} },
	} {
		p := planOf(t, path, plugged("sequence_mean.wasm", ""))
		edit(&p.Plugins[0])
		_, closer, err := gsc.Bind(p, "", 1)
		if err == nil {
			closer.Close()
		}
		wantError(t, err, strings.Replace(said, ", but ", " in the plan, but ", 1))
	}
}

// A run's copy of a module that is spoilt or gone is made again of the strategy's, and where that is gone, too, the error says that the copy is spoilt.
func TestKeptModuleIsMended(t *testing.T) {
	path := withPlugins(t, write(t, gpt2, stream))
	set := []string{plugged("cross_entropy.wasm", ""), "schedule.steps=2"}
	dir := mustTrain(t, path, "run", set...)
	kept, err := filepath.Glob(filepath.Join(dir, "plugins", "*.wasm"))
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	whole, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []func(){func() { save(t, kept[0], "spoilt") }, func() { os.Remove(kept[0]) }} {
		spoil()
		mustTrain(t, path, "run", set...)
		if got, err := os.ReadFile(kept[0]); err != nil || string(got) != string(whole) {
			t.Errorf("the copy is not as it was: %v", err)
		}
	}
	save(t, kept[0], "spoilt")
	if err := os.Remove(filepath.Join(filepath.Dir(path), "cross_entropy.wasm")); err != nil {
		t.Fatal(err)
	}
	_, _, err = train(t, path, "run", set...)
	wantError(t, err, kept[0]+" is not the module that the plan was made with any more", "no such file")
}
