package plugins_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/plugins/abi"
)

// ask loads a policy, has it declare what may happen to a weight, and decide.
func ask(h *plugins.Host, wasm []byte) (err error) {
	p, err := h.Load(ctx, "F", wasm, plugins.Limits{MemoryBytes: 4 << 20, Time: bound})
	if err != nil {
		return err
	}
	policy, err := p.NewPolicy(ctx, []byte("{}"), 10)
	if err != nil {
		return err
	}
	defer policy.Close()
	w := compress.Tensor{Name: "w", Kind: compress.Linear, Shape: []int{4, 8}, In: 8, Out: 4}
	declared, err := policy.Declare(w)
	if err != nil {
		return err
	}
	for range 2 {
		made, err := policy.Decide(w, declared, compress.Statistics{RMS: 1}, 7)
		if err == nil {
			err = declared.Allows(made)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestHostilePolicies runs every module of testdata/policies, each a text with the error that it must give.
func TestHostilePolicies(t *testing.T) {
	h := newHost(t)
	texts, err := filepath.Glob("testdata/policies/*.wat")
	if err != nil || len(texts) < 15 {
		t.Fatal(texts, err)
	}
	for _, text := range texts {
		wasm, err := os.ReadFile(strings.TrimSuffix(text, ".wat") + ".wasm")
		if err != nil {
			t.Fatal(err)
		}
		got, want := "nothing", wanted(t, text)
		if err := ask(h, wasm); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", filepath.Base(text), got, want)
		}
	}
}

// TestPolicyTwoFour: the example declares and decides as its source says.
func TestPolicyTwoFour(t *testing.T) {
	h := newHost(t)
	wasm, err := os.ReadFile("../examples/plugin-policies/two_four.wasm")
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Load(ctx, "two_four.wasm", wasm, plugins.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := p.NewPolicy(ctx, []byte(`{"begin": 3, "end": 9, "every": 4, "int8": 1}`), 20)
	if err != nil {
		t.Fatal(err)
	}
	defer policy.Close()
	for _, w := range []compress.Tensor{{Name: "a", Kind: compress.Table, In: 8, Out: 8}, {Name: "b", Kind: compress.Linear, In: 6, Out: 8}} {
		if d, err := policy.Declare(w); err != nil || d != (compress.Declaration{}) {
			t.Errorf("%+v: %+v, %v", w, d, err)
		}
	}
	w := compress.Tensor{Name: "w", Kind: compress.Linear, In: 8, Out: 4}
	declared, err := policy.Declare(w)
	if want := (compress.Declaration{Pattern: compress.Neighbours, Of: 4, Sparsity: 0.5, Bits: 8, Symmetric: true}); err != nil || declared != want {
		t.Fatalf("%+v, %v, want %+v", declared, err, want)
	}
	held, made := compress.Decision{Sparsity: 0.5}, compress.Decision{Sparsity: 0.5, Mask: true}
	rounded := compress.Decision{Sparsity: 0.5, Quantize: true}
	last := compress.Decision{Sparsity: 0.5, Mask: true, Quantize: true}
	for step, want := range map[int64]compress.Decision{1: {}, 2: {}, 3: made, 4: held, 7: made, 8: held, 9: last, 10: rounded, 1 << 40: rounded} {
		if got, err := policy.Decide(w, declared, compress.Statistics{}, step); err != nil || got != want {
			t.Errorf("step %d: %+v, %v, want %+v", step, got, err, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := policy.Decide(w, declared, compress.Statistics{}, 5); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a decision", n)
	}
}

// TestCheckPolicy: what breaks one check is found, and the example passes all.
func TestCheckPolicy(t *testing.T) {
	h := newHost(t)
	for file, want := range map[string]string{"../examples/plugin-policies/two_four.wasm": "", "testdata/check/policy-remembers.wasm": "repeated",
		"testdata/policies/decides-more.wasm": "decided repeated instances time", "testdata/policies/declares-bits.wasm": "declared decided repeated instances time"} {
		wasm, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var failed []string
		list := h.Check(ctx, "F", wasm, plugins.Limits{}, func(abi.Manifest) ([]byte, error) {
			return []byte(`{"begin": 1, "end": 1, "every": 100, "int8": 0}`), nil
		})
		for _, f := range list {
			if f.Err != nil {
				failed = append(failed, f.Check)
			}
		}
		if got := strings.Join(failed, " "); got != want || len(list) != 8 {
			t.Errorf("%s: of %d checks these fail: %q, want %q", file, len(list), got, want)
		}
	}
}

// A decision of a plugin's takes a fraction of a microsecond: a model of 48 matrices is decided about in less than a thousandth of a step of 50 ms.
func BenchmarkPolicyDecides(b *testing.B) {
	h := newHost(b)
	wasm, err := os.ReadFile("../examples/plugin-policies/two_four.wasm")
	if err != nil {
		b.Fatal(err)
	}
	p, err := h.Load(ctx, "two_four.wasm", wasm, plugins.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	policy, err := p.NewPolicy(ctx, []byte(`{"begin": 1, "end": 1000, "every": 1, "int8": 1}`), 1000)
	if err != nil {
		b.Fatal(err)
	}
	defer policy.Close()
	w := compress.Tensor{Name: "transformer.h.0.mlp.c_fc.weight", Kind: compress.Linear, In: 768, Out: 3072}
	declared, err := policy.Declare(w)
	if err != nil {
		b.Fatal(err)
	}
	for step := range int64(b.N) {
		if _, err := policy.Decide(w, declared, compress.Statistics{}, step+1); err != nil {
			b.Fatal(err)
		}
	}
}
