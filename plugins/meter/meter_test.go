package meter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gsc-project/gsc/plugins/meter"
)

var ctx = context.Background()

func read(t testing.TB, name string) []byte {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func rewrite(t testing.TB, wasm []byte) []byte {
	t.Helper()
	out, err := meter.Rewrite(wasm, meter.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// errSpent is what the tests' host stops a module with.
var errSpent = errors.New("spent")

// host is a runtime whose modules get so much fuel at a time, so many times.
type host struct {
	wazero.Runtime
	slice, slices int64
	refills       int64
}

func newHost(t testing.TB, slice, slices int64) *host {
	t.Helper()
	h := &host{Runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig()), slice: slice, slices: slices}
	t.Cleanup(func() { _ = h.Close(ctx) })
	refill := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
		if h.refills++; h.refills > h.slices {
			panic(errSpent)
		}
		stack[0] = uint64(h.slice)
	})
	_, err := h.NewHostModuleBuilder(meter.RefillModule).NewFunctionBuilder().
		WithGoModuleFunction(refill, []api.ValueType{api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).Export(meter.RefillName).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) module(t testing.TB, wasm []byte, name string) api.Module {
	t.Helper()
	m, err := h.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName(name))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// call gives results and error of a function, as a text.
func call(m api.Module, name string, args ...uint64) string {
	results, err := m.ExportedFunction(name).Call(ctx, args...)
	if err != nil {
		return strings.SplitN(err.Error(), "\n", 2)[0]
	}
	return fmt.Sprint(results)
}

// TestSame: a rewritten module does what it did before, call by call, memory included.
func TestSame(t *testing.T) {
	const MiB = 1 << 20
	for name, calls := range map[string][]struct {
		function string
		args     []uint64
	}{
		"sum": {{"sum", []uint64{1000}}, {"find", []uint64{144}}, {"find", []uint64{145}}, {"nested", []uint64{7}}, {"fib", []uint64{15}}, {"two", []uint64{0}}, {"two", []uint64{3}}},
		"loops": {{"table", []uint64{3}}, {"table", []uint64{500}}, {"leave", []uint64{1200}}, {"leave", []uint64{2401}}, {"leave", []uint64{47}}, {"result", []uint64{1}}, {"result", []uint64{900}},
			{"parameter", []uint64{5}}, {"parameter", []uint64{250}}},
		"bulk": {{"count", nil}, {"apply", []uint64{1, 21}}, {"apply", []uint64{2, 21}}, {"apply", []uint64{3, 21}}, {"apply", []uint64{99, 21}}, {"table", []uint64{10}}, {"apply", []uint64{7, 3}},
			{"fill", []uint64{100, 7, 3 * MiB}}, {"fill", []uint64{200, 8, MiB}}, {"fill", []uint64{80*65536 - 10, 1, 11}}, {"fill", []uint64{1 << 20, 1, 0xffffffff}}, {"fill", []uint64{80 * 65536, 1, 0}},
			{"init", []uint64{4 * MiB, 10}}, {"init", []uint64{0, 11}}, {"copy", []uint64{50, 4*MiB - 3, 600_000}}, {"copy", []uint64{1000, 20, 3*MiB + 17}}, {"copy", []uint64{20, 1000, 2*MiB + 1}},
			{"copy", []uint64{0, 4 * MiB, 2 * MiB}}, {"copy", []uint64{4 * MiB, 0, 2 * MiB}}, {"dot", []uint64{4096}}, {"grow", []uint64{3}}, {"grow", []uint64{60000}}},
	} {
		wasm := read(t, name)
		h := newHost(t, 1000, 1<<40)
		plain, metered := h.module(t, wasm, "plain"), h.module(t, rewrite(t, wasm), "metered")
		for _, c := range calls {
			if c.function == "grow" && c.args[0] > 1000 { // beyond the limit of pages: to grow may fail at any time
				if got := call(metered, c.function, c.args...); got != fmt.Sprint([]uint64{0xffffffff}) {
					t.Errorf("%s: grow beyond the limit: %s", name, got)
				}
				continue
			}
			want, got := call(plain, c.function, c.args...), call(metered, c.function, c.args...)
			if want != got {
				t.Errorf("%s: %s%v: %s, rewritten %s", name, c.function, c.args, want, got)
			}
			if name != "bulk" { // it has no memory
				continue
			}
			a, _ := plain.Memory().Read(0, plain.Memory().Size())
			if b, _ := metered.Memory().Read(0, metered.Memory().Size()); !bytes.Equal(a, b) {
				t.Fatalf("%s: %s%v: memories differ", name, c.function, c.args)
			}
		}
		if h.refills == 0 {
			t.Errorf("%s: it never asked for fuel", name)
		}
	}
}

// TestExact: how often a module asks is a matter of what it does alone, and every turn of a loop is paid for.
func TestExact(t *testing.T) {
	wasm := rewrite(t, read(t, "sum"))
	used := func(n uint64) int64 {
		h := newHost(t, 1<<40, 1)
		m := h.module(t, wasm, "m")
		if _, err := m.ExportedFunction("sum").Call(ctx, n); err != nil {
			t.Fatal(err)
		}
		return 1<<40 - int64(m.ExportedGlobal(meter.FuelExport).Get())
	}
	first, second, third := used(1000), used(2000), used(3000)
	if second-first != third-second {
		t.Errorf("1000 turns more cost %d, then %d", second-first, third-second)
	}
	if perTurn := (second - first) / 1000; perTurn < 8 || perTurn > 12 {
		t.Errorf("a turn of about ten instructions costs %d", perTurn)
	}
	if again := used(1000); again != first {
		t.Errorf("the same call costs %d, then %d", first, again)
	}
}

// TestSources holds the modules to their texts, where wat2wasm is there.
func TestSources(t *testing.T) {
	tool, err := exec.LookPath("wat2wasm")
	if err != nil {
		t.Skip("wat2wasm (Debian: wabt) is not installed: the modules in testdata are not compared with their texts")
	}
	texts, _ := filepath.Glob("testdata/*.wat")
	for _, text := range texts {
		out := filepath.Join(t.TempDir(), "out.wasm")
		if message, err := exec.Command(tool, text, "-o", out).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", text, message)
			continue
		}
		made, _ := os.ReadFile(out)
		if kept, _ := os.ReadFile(strings.TrimSuffix(text, ".wat") + ".wasm"); !bytes.Equal(made, kept) {
			t.Errorf("%s: the .wasm beside it is not what wat2wasm makes of it", text)
		}
	}
}

// twin is the cross entropy of the example, on rows that lie in its memory.
func twin(t testing.TB, h *host, wasm []byte, name string, rows, classes uint32) func() {
	t.Helper()
	m := h.module(t, wasm, name)
	alloc := func(n uint32) uint32 {
		r, err := m.ExportedFunction("gsc_alloc").Call(ctx, uint64(n))
		if err != nil || r[0] == 0 {
			t.Fatal(err, r)
		}
		return uint32(r[0])
	}
	args, logits, labels := alloc(28), alloc(rows*classes*4), alloc(rows*4)
	for i := uint32(0); i < rows*classes; i++ {
		m.Memory().WriteFloat32Le(logits+4*i, float32(i*2654435761%1000)/100)
	}
	for i, v := range []uint32{rows, classes, logits, labels, 0, alloc(rows * 4), alloc(rows * classes * 4)} {
		m.Memory().WriteUint32Le(args+4*uint32(i), v)
	}
	f, stack := m.ExportedFunction("gsc_loss"), make([]uint64, 1)
	return func() {
		stack[0] = uint64(args)
		if err := f.CallWithStack(ctx, stack); err != nil || stack[0] != 0 {
			t.Fatal(err, stack)
		}
	}
}

// BenchmarkCrossEntropy compares the example's loss as it is with the same one counted, by turns.
func BenchmarkCrossEntropy(b *testing.B) {
	wasm, err := os.ReadFile("../../examples/plugin-losses/cross_entropy.wasm")
	if err != nil {
		b.Fatal(err)
	}
	const rows, classes = 8, 50257
	h := newHost(b, 1<<20, 1<<40)
	plain, metered := twin(b, h, wasm, "plain", rows, classes), twin(b, h, rewrite(b, wasm), "metered", rows, classes)
	compare(b, rows*classes, plain, metered)
}

// BenchmarkSum compares a loop of a few integer instructions.
func BenchmarkSum(b *testing.B) {
	wasm := read(b, "sum")
	h := newHost(b, 1<<20, 1<<40)
	sum := func(m api.Module) func() {
		f, stack := m.ExportedFunction("sum"), make([]uint64, 1)
		return func() {
			stack[0] = 1_000_000
			if err := f.CallWithStack(ctx, stack); err != nil {
				b.Fatal(err)
			}
		}
	}
	compare(b, 1_000_000, sum(h.module(b, wasm, "plain")), sum(h.module(b, rewrite(b, wasm), "metered")))
}

// compare reports the least times of two functions that take turns.
func compare(b *testing.B, elements float64, plain, metered func()) {
	least := func(least time.Duration, f func()) time.Duration {
		start := time.Now()
		f()
		if d := time.Since(start); least == 0 || d < least {
			return d
		}
		return least
	}
	plain()
	metered()
	var a, c time.Duration
	for b.Loop() {
		a, c = least(a, plain), least(c, metered)
	}
	b.ReportMetric(float64(a.Nanoseconds())/elements, "plain-ns/element")
	b.ReportMetric(float64(c.Nanoseconds())/elements, "metered-ns/element")
	b.ReportMetric(float64(c)/float64(a), "ratio")
}
