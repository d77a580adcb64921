package gsc_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/runtime/data"
)

// cleaned and masked are data that go through plugins: records, and rows at each step.
const (
	bertMasked = `schema.#BERT & {task: "tokens", layers: 2, heads: 2, width: 12, context: 32, std: 0.3, epsilon: 1e-3, dropout: {hidden: 0.1, attention: 0.1}}`
	cleaned    = `{format: "jsonl", train: files: ["lines.jsonl"], rows: "packed", length: 16, transforms: [{plugin: "quality.wasm", params: bytes: 8}, {plugin: "dedup.wasm"}]}`
	maskedRows = `{train: files: ["plays.txt"], split: {by: "bytes", validation: 0.1}, length: 24, transforms: [{plugin: "mask.wasm", params: share: 0.3}]}`
)

// With transforms of both kinds ranks, threads and micro-batches are what they are without: threads change no bit, ranks and micro-batches what sums in another order do.
func TestTransformsOnRanks(t *testing.T) {
	const steps = 5
	for _, c := range []struct{ name, model, data string }{{"records", gpt2, cleaned}, {"rows", bertMasked, maskedRows}, {"packed rows", bertMasked, strings.Replace(maskedRows, "length: 24", `rows: "packed", length: 24`, 1)}} {
		t.Run(c.name, func(t *testing.T) {
			path := withPlugins(t, write(t, c.model, c.data))
			one := boundLab(t, planOf(t, path, `devices.kind="ref"`), 1)
			want := one.train(steps)
			for _, set := range [][]string{{mesh(2)}, {"batch.micro_batches=2"}, {mesh(4), "parallel.zero=1"}} {
				got := boundLab(t, planOf(t, path, append(set, `devices.kind="ref"`)...), 2).train(steps)
				if far := farthest(got, want); !(far <= 1e-9) {
					t.Errorf("%v: losses %v, of one rank %v", set, got, want)
				}
			}
			one = boundLab(t, planOf(t, path), 1)
			want = one.train(steps)
			for _, threads := range []int{2, 3} {
				l := boundLab(t, planOf(t, path), threads)
				if got := l.train(steps); !slices.Equal(got, want) || l.digest() != one.digest() {
					t.Errorf("%d threads: losses %v, with one %v", threads, got, want)
				}
			}
		})
	}
}

// A masked language model learns to fill the gaps: better than by how often each character is seen. Its evaluation has the same gaps each time.
func TestMaskedModelLearns(t *testing.T) {
	path := withPlugins(t, write(t, bertMasked, maskedRows))
	l := boundLab(t, planOf(t, path, "schedule.peak=1e-2", "batch.sequences=16"), 2)
	first := l.evaluate(data.Validation)
	if again := l.evaluate(data.Validation); again != first {
		t.Errorf("evaluating again gives %v, not %v", again, first)
	}
	l.train(60)
	if last := l.evaluate(data.Validation); !(last < 0.9*first) || math.IsNaN(last) {
		t.Errorf("the loss goes from %v to %v", first, last)
	}
}

// A step whose rows are transformed allocates nothing, nor does making its batch.
func TestTransformedStepAllocatesNothing(t *testing.T) {
	l := boundLab(t, planOf(t, withPlugins(t, write(t, bertMasked, maskedRows))), 2)
	l.train(1)
	l.allocatesNothing(5)
	if n := testing.AllocsPerRun(10, func() {
		if err := l.set.Fill(1, 2, l.batch); err != nil {
			t.Error(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations a batch", n)
	}
}

// A module that is gone, and was kept nowhere, is one error.
func TestTransformThatIsGone(t *testing.T) {
	path := withPlugins(t, write(t, gpt2, cleaned))
	p := planOf(t, path)
	p.Plugins[1].File = "gone.wasm"
	if _, _, err := gsc.OpenData(p, "", 1); err == nil || !strings.Contains(err.Error(), "plugin dedup: open ") {
		t.Errorf("got %v", err)
	}
}

// A transform that changes weights gives the batch some, which count: 3 for the first of its first row here, and 1 for others.
func TestTransformOfWeights(t *testing.T) {
	module, err := os.ReadFile(filepath.Join("plugins", "testdata", "transforms", "weights.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ model, data string }{"stream": {gpt2, stream}, "packed": {gpt2, packed}, "padded": {gpt2, padded}, "classes": {bertRows, kinds}, "tags": {bertTokens, tags}} {
		t.Run(name, func(t *testing.T) {
			path := write(t, c.model, strings.TrimSuffix(c.data, "}")+`, transforms: [{plugin: "weights.wasm"}]}`)
			save(t, filepath.Join(filepath.Dir(path), "weights.wasm"), string(module))
			l := boundLab(t, planOf(t, path), 1)
			l.check(l.set.Fill(1, 1, l.batch))
			first := 0.0
			if l.batch.Labels[0] != -100 {
				first = 2
			}
			if want := float64(l.batch.Scored) + first; l.batch.Weight != want {
				t.Errorf("the batch weighs %v, want %v", l.batch.Weight, want)
			}
			l.train(3)
		})
	}
}

// Records are what a transform wrote, in order, whatever became of those around them.
func TestTransformThatRewrites(t *testing.T) {
	path := withPlugins(t, write(t, gpt2, `{format: "jsonl", train: files: ["code.jsonl"], rows: "packed", length: 16, transforms: [{plugin: "dedent.wasm", params: tabs: 2}, {plugin: "dedup.wasm"}]}`))
	var lines strings.Builder
	var want []string
	seen := map[string]bool{}
	for i := range 3000 {
		text := strings.Repeat("\t", i%4) + fmt.Sprintf("x := %d\n\t\tend\tof\n\n", i%1000)
		if line := strings.Repeat("  ", i%4) + fmt.Sprintf("x := %d\n    end\tof\n\n", i%1000); !seen[line] {
			seen[line], want = true, append(want, line)
		}
		fmt.Fprintf(&lines, "{\"text\": %q}\n", text)
	}
	save(t, filepath.Join(filepath.Dir(path), "code.jsonl"), lines.String())
	for _, threads := range []int{1, 3} {
		set, closer, err := gsc.OpenData(planOf(t, path), "", threads)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range set.Documents(data.Train) {
			got = append(got, string(set.Tokenizer().Decode(set.Document(data.Train, i))))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d threads: %d records, want %d; the first %q, want %q", threads, len(got), len(want), got[0], want[0])
		}
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	}
}
