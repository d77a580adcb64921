package plugins_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/plugins/abi"
)

// gradient is a tensor with what is kept of it, its code and what that leaves out, in the numbers of a device.
type gradient[T float32 | float64] struct {
	scale                *float64
	x, residual, next, y []T
	code                 []int32
	dtype                kernels.DType
}

func newGradient[T float32 | float64](t testing.TB, c *plugins.Codec, n int) *gradient[T] {
	t.Helper()
	words, err := kernels.PluginCodeWords(n, c.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	g := &gradient[T]{x: make([]T, n), residual: make([]T, n), next: make([]T, n), y: make([]T, n), code: make([]int32, words), dtype: kernels.F32}
	if _, wide := any(g.x).([]float64); wide {
		g.dtype = kernels.F64
	}
	r := rand.New(rand.NewPCG(uint64(n), 3))
	for i := range g.x {
		g.x[i], g.residual[i] = T(float32(r.NormFloat64())), T(float32(r.NormFloat64()/4))
	}
	return g
}

func (g *gradient[T]) encode(c *plugins.Codec, spread plugins.Spread) error {
	run, err := c.BindEncode(tensor(g.x, g.dtype, len(g.x)), tensor(g.residual, g.dtype, len(g.x)), g.scale, tensor(g.code, kernels.I32, len(g.code)), tensor(g.next, g.dtype, len(g.x)), spread)
	if err != nil {
		return err
	}
	return run()
}

// decode sums the code of so many ranks, all of which sent this one, into y.
func (g *gradient[T]) decode(c *plugins.Codec, ranks int, y []T, place *int64, of int, spread plugins.Spread) error {
	codes := slices.Repeat(g.code, ranks)
	run, err := c.BindDecode(tensor(codes, kernels.I32, ranks, len(g.code)), place, of, g.scale, tensor(y, g.dtype, len(y)), spread)
	if err != nil {
		return err
	}
	return run()
}

func loadCodec(t testing.TB, h *plugins.Host, params string, workers int) *plugins.Codec {
	t.Helper()
	wasm, err := os.ReadFile("../examples/plugin-codecs/topk.wasm")
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Load(ctx, "topk.wasm", wasm, plugins.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.NewCodec(ctx, []byte(params), workers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestCodecRuns: what is sent and what is left are together what there was; the same bits with one worker and with several, in any order; parts are those of the whole, also where
// they begin and end within a run.
func TestCodecRuns(t *testing.T) {
	h := newHost(t)
	const n = 3*kernels.PluginCodeRun + 9000
	c := loadCodec(t, h, `{"share": 0.02}`, 3)
	g, again := newGradient[float32](t, c, n), newGradient[float32](t, c, n)
	if err := g.encode(c, alone); err != nil {
		t.Fatal(err)
	}
	if err := again.encode(c, among(3)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.code, again.code) || !slices.Equal(g.next, again.next) {
		t.Error("three workers give other bits than one")
	}
	if err := g.decode(c, 1, g.y, nil, 0, among(3)); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for i := range g.x {
		if v := g.x[i] + g.residual[i]; g.y[i]+g.next[i] != v {
			t.Fatalf("number %d is %g, of which %g is sent and %g left", i, v, g.y[i], g.next[i])
		}
		if g.y[i] != 0 {
			sent++
		}
	}
	if want := 3*1311 + 180; sent != want { // ⌈0.02·65536⌉ of each run
		t.Errorf("%d numbers are sent, want %d", sent, want)
	}
	scale := 1024.0
	scaled := newGradient[float32](t, c, n)
	scaled.scale = &scale
	for i := range scaled.x {
		scaled.x[i] *= 1024
	}
	if err := errors.Join(scaled.encode(c, alone), scaled.decode(c, 1, scaled.y, nil, 0, alone)); err != nil {
		t.Fatal(err)
	}
	for i, v := range g.y {
		if scaled.y[i] != 1024*v {
			t.Fatalf("number %d of a gradient that has a scale is %g, want %g", i, scaled.y[i], 1024*v)
		}
	}
	if !slices.Equal(g.code, scaled.code) || !slices.Equal(g.next, scaled.next) {
		t.Error("a gradient's scale changes its code, or what that leaves out")
	}
	for _, parts := range []int{2, 4, 8} {
		for place := range int64(parts) {
			part := make([]float32, n/parts)
			if err := g.decode(c, 3, part, &place, n, alone); err != nil {
				t.Fatal(err)
			}
			for i, v := range part {
				if w := g.y[int(place)*len(part)+i]; v != w+w+w {
					t.Fatalf("part %d of %d, number %d is %g, want three times %g", place, parts, i, v, w)
				}
			}
		}
	}
}

// TestCodecOfWideNumbers: on a device of float64 the code is that of the rounded numbers, and what rounding left is kept.
func TestCodecOfWideNumbers(t *testing.T) {
	h := newHost(t)
	c := loadCodec(t, h, `{"share": 1}`, 1)
	g := newGradient[float64](t, c, 1000)
	g.x[7] = 1 + 1e-12
	g.residual[7] = 0
	if err := g.encode(c, alone); err != nil {
		t.Fatal(err)
	}
	if err := g.decode(c, 1, g.y, nil, 0, alone); err != nil {
		t.Fatal(err)
	}
	if g.y[7] != 1 || math.Abs(g.next[7]-1e-12) > 1e-15 {
		t.Errorf("of 1 + 1e-12, %v is sent and %v left", g.y[7], g.next[7])
	}
}

// TestCodecOfNaN: numbers that are not finite are not shown to a plugin; their run is decoded to NaN, and others are as they are.
func TestCodecOfNaN(t *testing.T) {
	h := newHost(t)
	c := loadCodec(t, h, `{"share": 0.1}`, 1)
	g := newGradient[float32](t, c, kernels.PluginCodeRun+100)
	g.x[3] = float32(math.Inf(1))
	if err := g.encode(c, alone); err != nil {
		t.Fatal(err)
	}
	if err := g.decode(c, 2, g.y, nil, 0, alone); err != nil {
		t.Fatal(err)
	}
	for i, v := range g.y {
		if bad := math.IsNaN(float64(v)); bad != (i < kernels.PluginCodeRun) {
			t.Fatalf("number %d is decoded to %g", i, v)
		}
	}
}

// TestCodecShares: what a share of numbers is, the plugin and gsc's own codec agree on, however it is written.
func TestCodecShares(t *testing.T) {
	h := newHost(t)
	for _, share := range []string{"0.3", "3e-1", "0.6", "0.15", "1e-8", "0.07", "1"} {
		c := loadCodec(t, h, fmt.Sprintf(`{"share": %s}`, share), 1)
		value, err := strconv.ParseFloat(share, 64)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n < 200; n++ {
			kept := kernels.Kept(value, n)
			if got, err := c.Bytes(n); err != nil || got != (2*kept+3)/4*4+4*kept {
				t.Fatalf("a share of %s of %d numbers takes %d bytes (%v), want %d numbers", share, n, got, err, kept)
			}
		}
	}
}

// TestCodecOfLies: a code whose length cannot be, or that the plugin did not make, is an error that names the rank.
func TestCodecOfLies(t *testing.T) {
	h := newHost(t)
	c := loadCodec(t, h, `{"share": 0.1}`, 1)
	g := newGradient[float32](t, c, 300)
	if err := g.encode(c, alone); err != nil {
		t.Fatal(err)
	}
	for _, lie := range []struct {
		at    int
		value int32
		want  string
	}{
		{0, 1 << 20, "plugin topk.wasm (topk 1.0.0): gsc_decode: the code of rank 0, numbers 0 to 299: it has 1048576 bytes, where 180 are the most"},
		{0, -7, "plugin topk.wasm (topk 1.0.0): gsc_decode: the code of rank 0, numbers 0 to 299: it has -7 bytes, where 180 are the most"},
		{0, 4, "plugin topk.wasm (topk 1.0.0): gsc_decode: the code of rank 0, numbers 0 to 299: it returned status 2 (it does not take this input)"},
		{1, -1, "plugin topk.wasm (topk 1.0.0): gsc_decode: the code of rank 0, numbers 0 to 299: it returned status 2 (it does not take this input)"},
	} {
		honest := g.code[lie.at]
		g.code[lie.at] = lie.value
		if err := g.decode(c, 2, g.y, nil, 0, alone); err == nil || err.Error() != lie.want {
			t.Errorf("word %d is %d: got %v\nwant %s", lie.at, lie.value, err, lie.want)
		}
		g.code[lie.at] = honest
	}
	if err := g.decode(c, 2, g.y, nil, 0, alone); err != nil {
		t.Error(err)
	}
}

// TestHostileCodecs runs every module of testdata/codecs, each a text with the error that it must give: in time, and without harm to a plugin beside it.
func TestHostileCodecs(t *testing.T) {
	h := newHost(t)
	beside := loadCodec(t, h, `{"share": 0.1}`, 1)
	texts, err := filepath.Glob("testdata/codecs/*.wat")
	if err != nil || len(texts) < 20 {
		t.Fatal(texts, err)
	}
	for _, text := range texts {
		t.Run(strings.TrimSuffix(filepath.Base(text), ".wat"), func(t *testing.T) {
			wasm, err := os.ReadFile(strings.TrimSuffix(text, ".wat") + ".wasm")
			if err != nil {
				t.Fatal(err)
			}
			limit, start, got := bound, time.Now(), "nothing"
			if strings.Contains(text, "recursion") { // it ends by its stack, which takes time to grow on a busy machine
				limit = plugins.DefaultLimits.Time
			}
			if err := tryCodec(h, wasm, limit); err != nil {
				got = err.Error()
			}
			if want := wanted(t, text); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if took := time.Since(start); took > 20*bound {
				t.Errorf("it took %v", took)
			}
			g := newGradient[float32](t, beside, 100)
			if err := g.encode(beside, alone); err != nil {
				t.Error(err)
			}
		})
	}
}

// tryCodec loads a codec and has it code and decode 300 numbers, twice.
func tryCodec(h *plugins.Host, wasm []byte, limit time.Duration) error {
	p, err := h.Load(ctx, "F", wasm, plugins.Limits{MemoryBytes: 4 << 20, Time: limit})
	if err != nil {
		return err
	}
	c, err := p.NewCodec(ctx, []byte("{}"), 1)
	if err != nil {
		return err
	}
	defer c.Close()
	words, err := kernels.PluginCodeWords(300, c.Bytes)
	if err != nil {
		return err
	}
	g := &gradient[float32]{x: make([]float32, 300), residual: make([]float32, 300), next: make([]float32, 300), y: make([]float32, 300), code: make([]int32, words), dtype: kernels.F32}
	for range 2 {
		if err := g.encode(c, alone); err != nil {
			return err
		}
		if err := g.decode(c, 1, g.y, nil, 0, alone); err != nil {
			return err
		}
	}
	return nil
}

// TestCheckCodecs: each module of testdata/codec-check breaks what one check looks at, and that alone is found.
func TestCheckCodecs(t *testing.T) {
	h := newHost(t)
	for name, want := range map[string]string{"right": "", "careless": "foreign codes", "trusting": "foreign codes", "lossy": "round trip", "moody": "repeated"} {
		t.Run(name, func(t *testing.T) {
			wasm, err := os.ReadFile("testdata/codec-check/" + name + ".wasm")
			if err != nil {
				t.Fatal(err)
			}
			list := h.Check(ctx, name, wasm, plugins.Limits{}, func(abi.Manifest) ([]byte, error) { return json.RawMessage("{}"), nil })
			var failed []string
			for _, f := range list {
				if f.Err != nil {
					failed = append(failed, f.Check)
					t.Logf("%s: %v", f.Check, f.Err)
				}
			}
			if len(list) != 10 || (want == "") != (len(failed) == 0) || want != "" && !slices.Contains(failed, want) {
				t.Errorf("of %d checks these fail: %v, want %q", len(list), failed, want)
			}
		})
	}
}
