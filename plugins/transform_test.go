package plugins

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/record"
)

func transformHost(t testing.TB) *Host {
	t.Helper()
	h, err := NewHost(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// loadTransform loads one of the examples.
func loadTransform(t testing.TB, h *Host, file string, l Limits) *Plugin {
	t.Helper()
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Load(context.Background(), filepath.Base(file), wasm, l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// datas are the forms of the batches that hostile transforms get, by the word in their texts.
var datas = map[string]form{"text": forms[0], "long": forms[0], "classes": forms[1], "numbers": forms[2], "tags": forms[3], "ids": forms[4]}

// TestHostileTransforms runs every module of testdata/transforms: a text with the error that it must give, and the data that it gets.
func TestHostileTransforms(t *testing.T) {
	h := transformHost(t)
	beside := loadTransform(t, h, "../examples/plugin-transforms/quality.wasm", Limits{})
	files, err := filepath.Glob("testdata/transforms/*.wat")
	if err != nil || len(files) < 30 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".wat"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitN(string(text), "\n", 4)
			wasm, err := os.ReadFile(strings.TrimSuffix(file, ".wat") + ".wasm")
			if err != nil {
				t.Fatal(err)
			}
			start, got := time.Now(), "nothing"
			if err := attemptTransform(h, wasm, strings.TrimPrefix(lines[2], ";; data: ")); err != nil {
				got = err.Error()
			}
			if want := strings.TrimPrefix(lines[1], ";; want: "); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
			r, err := beside.NewRecords(t.Context(), []byte(`{"bytes":1,"letters":0.5,"run":8}`), 1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if list, err := r.run(forms[0].batchOf([]string{"a good line", "1234567890"}, 0, 1), 0); err != nil || len(list) != 1 {
				t.Errorf("a transform beside it gives %v, %v", list, err)
			}
		})
	}
}

// attemptTransform has a module transform three records, or four rows, twice.
func attemptTransform(h *Host, wasm []byte, data string) error {
	ctx := context.Background()
	p, err := h.Load(ctx, "F", wasm, Limits{MemoryBytes: 4 << 20, Time: 200 * time.Millisecond})
	if err != nil {
		return err
	}
	if data == "rows" {
		r, err := p.NewRows(ctx, []byte("{}"), 8)
		if err != nil {
			return err
		}
		defer r.Close()
		rows := trialRows(4, 8, 257, 1)
		if p.Manifest.Weights {
			rows.Weights = slices.Repeat([]float32{1}, 32)
		}
		if err := r.Apply(rows); err != nil {
			return err
		}
		return r.Apply(rows)
	}
	r, err := p.NewRecords(ctx, []byte("{}"), 1)
	if err != nil {
		return err
	}
	defer r.Close()
	list := []string{"some text", "and more", "and the rest"}
	if data == "long" {
		list[0] = strings.Repeat("long ", 1000)
	}
	for range 2 {
		if _, err := r.run(datas[data].batchOf(list, 0, 1), 0); err != nil {
			return err
		}
	}
	return nil
}

// memoryOf is a guest's memory that is only bytes.
type memoryOf []byte

func (m memoryOf) Read(at, size uint32) ([]byte, bool) {
	if uint64(at)+uint64(size) > uint64(len(m)) {
		return nil, false
	}
	return m[at : at+size], true
}

// FuzzRecords: whatever a transform leaves in its memory, reading it gives records that can be walked through, or an error.
func FuzzRecords(f *testing.F) {
	words := func(list ...uint32) []byte {
		var b []byte
		for _, w := range list {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return b
	}
	f.Add(uint8(0), words(3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	f.Add(uint8(0), words(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 2))
	f.Add(uint8(3), words(3, 64, 64, 1, 64, 64, 0, 0, 0, 0, 64, 64, 0, 0, 0, 0, 1, 2, 3))
	f.Add(uint8(1), words(3, 64, 64, 1, 64, 64, 80, 64, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0))
	f.Add(uint8(4), words(1, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 80, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0))
	f.Fuzz(func(t *testing.T, kind uint8, memory []byte) {
		form := forms[int(kind)%len(forms)]
		in := form.batchOf([]string{"some text", "", "and the rest"}, 0, 1)
		words := make([]uint32, abi.ColumnsWords+1)
		head := make([]byte, 4*len(words))
		copy(head, memory)
		for i := range words {
			words[i] = binary.LittleEndian.Uint32(head[4*i:])
		}
		room := make([]byte, len(memory)+16) // aligned as guests' memories are
		copy(room, memory)
		call := abi.RecordsCall{Unit: 1, Origins: words[12], Out: abi.Columns{Records: words[0], Content: words[1], Ends: words[2], NameCount: words[3], Names: words[4], NameEnds: words[5],
			Labels: words[6], LabelEnds: words[7], Numbers: words[8], NumberEnds: words[9], Spans: words[10], SpanEnds: words[11]}}
		if form.ids {
			call.Unit = 4
		}
		read := reader{memory: memoryOf(room), limit: 1 << 16, in: in, call: call}
		var out record.Result
		at, err := read.result(&out)
		if err != nil {
			if at >= len(in.Places) {
				t.Fatalf("%v of record %d, of %d", err, at, len(in.Places))
			}
			return
		}
		walk(t, in, &out)
	})
}

// walk looks at all that a result holds, as the data layer does.
func walk(t *testing.T, in *record.Batch, out *record.Result) {
	for j := range out.Len(in) {
		_ = in.Places[out.Origin(j)]
		c, at := out.Content(in, j)
		content := record.Part(c.Text, c.Ends, at)
		for _, s := range record.Part(c.Spans, c.SpanEnds, at) {
			_, _ = content[s.From:s.To], record.Part(c.Names, c.NameEnds, int(s.Name))
		}
		for _, id := range record.Part(c.IDs, c.Ends, at) {
			if id < 0 {
				t.Errorf("record %d has the id %d", j, id)
			}
		}
		c, at = out.Label(in, j)
		for _, l := range record.Part(c.Labels, c.LabelEnds, at) {
			_ = record.Part(c.Names, c.NameEnds, int(l))
		}
		record.Part(c.Numbers, c.NumberEnds, at)
	}
}

// TestCheckTransforms: the examples pass, and a transform that remembers what it may not is found.
func TestCheckTransforms(t *testing.T) {
	h := transformHost(t)
	for file, want := range map[string]string{"../examples/plugin-transforms/mask.wasm": "", "../examples/plugin-transforms/dedup.wasm": "", "../examples/plugin-transforms/dedent.wasm": "", "../examples/plugin-transforms/quality.wasm": "",
		"testdata/transforms/harmless.wasm": "", "testdata/transforms/state.wasm": "batches", "testdata/transforms/traps.wasm": "allocation"} {
		wasm, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		params := map[bool]string{true: `{"share":0.15,"mask":-1,"masked":0.8,"random":0.1}`, false: `{"bytes":16,"letters":0.6,"run":8,"tabs":4}`}[strings.Contains(file, "mask")]
		list := h.Check(t.Context(), filepath.Base(file), wasm, Limits{}, func(abi.Manifest) ([]byte, error) { return []byte(params), nil })
		var failed []string
		for _, f := range list {
			if f.Err != nil {
				failed = append(failed, f.Check)
				t.Logf("%s: %s: %v", file, f.Check, f.Err)
			}
		}
		if strings.Join(failed, " ") != want {
			t.Errorf("%s: %v fail, want %q", file, failed, want)
		}
	}
}

// Rows that are transformed allocate nothing, once a call went through.
func TestRowsAllocateNothing(t *testing.T) {
	p := loadTransform(t, transformHost(t), "../examples/plugin-transforms/mask.wasm", Limits{})
	r, err := p.NewRows(t.Context(), []byte(`{"share":0.15,"mask":-1,"masked":0.8,"random":0.1}`), 64)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rows := trialRows(12, 64, 257, 1)
	if n := testing.AllocsPerRun(20, func() {
		if err := r.Apply(rows); err != nil {
			t.Error(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkNoOp transforms records of 64 bytes by a module that leaves them as they are, in the batches of the data layer. Wanted is a million a second and more.
func BenchmarkNoOp(b *testing.B) {
	p := loadTransform(b, transformHost(b), "testdata/transforms/harmless.wasm", Limits{MemoryBytes: 8 << 20})
	r, err := p.NewRecords(b.Context(), []byte("{}"), 1)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	const records = 1024
	batch := forms[0].batchOf(slices.Repeat([]string{string(bytes.Repeat([]byte("some word"), 8)[:64])}, records), 0, 1)
	var out record.Result
	for b.Loop() {
		if err := r.Apply(0, batch, &out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds()/1e6, "Mrecords/s")
}
