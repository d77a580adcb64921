package gsc_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/record"
	"github.com/gsc-project/gsc/sdk"
)

// sources are what a project's source is called, and entries what AssemblyScript compiles where that is not the kind's.
var (
	sources = map[string]string{"assemblyscript": "index.ts", "c": "my-plugin.c", "go": "main.go", "rust": "src/lib.rs", "zig": "my-plugin.zig"}
	entries = map[string]string{"rows": "ENTRY=gsc/rows.ts", "pairs": "ENTRY=gsc/units.ts"}
)

// Every library shows parameters, records, rows, units and inputs as they are, and hands on what comes of them: the same plugins in each language, of sdk/testdata, give what they should. That of C does no more than lay out
// memory, but for parameters.
func TestPluginLibraries(t *testing.T) {
	for _, language := range sdk.Languages() {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			c := find(t, language)
			names := []string{"records", "rows", "pairs", "values", "policy"}
			if language == "c" {
				names = []string{"values"}
			}
			for _, name := range names {
				kind := map[string]string{"records": "transform", "rows": "transform", "pairs": "loss", "values": "loss", "policy": "policy"}[name]
				dir := t.TempDir()
				if err := (sdk.Project{Language: language, Kind: kind, Name: "my-plugin"}).Write(dir); err != nil {
					t.Fatal(err)
				}
				project := filepath.Join(dir, "my-plugin")
				text, err := os.ReadFile(filepath.Join("sdk", "testdata", language, name+filepath.Ext(sources[language])))
				if err != nil {
					t.Fatal(err)
				}
				save(t, filepath.Join(project, sources[language]), string(text))
				made := c
				if entry := entries[name]; entry != "" && language == "assemblyscript" {
					made.vars = append(slices.Clone(c.vars), entry)
				}
				made.make(t, project)
				built := filepath.Join(project, "my-plugin.wasm")
				right(t, built)
				switch name {
				case "records":
					changesRecords(t, built)
				case "rows":
					changesRows(t, built)
				case "policy":
					decides(t, built)
				}
			}
		})
	}
}

// opened loads a plugin for the length of a test.
func opened(t *testing.T, file string) *plugins.Plugin {
	t.Helper()
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h, err := plugins.NewHost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	p, err := h.Load(t.Context(), filepath.Base(file), wasm, plugins.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// plain is a record with nothing but what it says.
type plain struct {
	content []int32 // bytes or ids
	labels  []string
	numbers []float64
	spans   []span
	seed    uint64
}

type span struct {
	from, to int
	name     string
}

// batchOf lays records out in columns, as readers of files do.
func batchOf(list []plain, ids, labels, tags bool) *record.Batch {
	b := &record.Batch{Seeds: []uint64{}}
	b.Ends = []uint32{}
	number := map[string]uint32{}
	name := func(s string) uint32 {
		if _, ok := number[s]; !ok {
			number[s] = uint32(len(number))
			b.Names = append(b.Names, s...)
			b.NameEnds = append(b.NameEnds, uint32(len(b.Names)))
		}
		return number[s]
	}
	if ids {
		b.IDs = []int32{}
	} else {
		b.Text = []byte{}
	}
	if labels {
		b.Labels, b.LabelEnds, b.Numbers, b.NumberEnds = []uint32{}, []uint32{}, []float64{}, []uint32{}
	}
	if tags {
		b.Spans, b.SpanEnds = []record.Span{}, []uint32{}
	}
	for i, r := range list {
		for _, v := range r.content {
			if ids {
				b.IDs = append(b.IDs, v)
			} else {
				b.Text = append(b.Text, byte(v))
			}
		}
		b.Ends = append(b.Ends, uint32(len(b.IDs)+len(b.Text)))
		if labels {
			for _, l := range r.labels {
				b.Labels = append(b.Labels, name(l))
			}
			b.Numbers = append(b.Numbers, r.numbers...)
			b.LabelEnds, b.NumberEnds = append(b.LabelEnds, uint32(len(b.Labels))), append(b.NumberEnds, uint32(len(b.Numbers)))
		}
		if tags {
			for _, s := range r.spans {
				b.Spans = append(b.Spans, record.Span{From: uint32(s.from), To: uint32(s.to), Name: name(s.name)})
			}
			b.SpanEnds = append(b.SpanEnds, uint32(len(b.Spans)))
		}
		b.Places, b.Seeds = append(b.Places, record.Place{Path: "trial", Line: i + 1}), append(b.Seeds, r.seed)
	}
	return b
}

// plains reads what came out.
func plains(b *record.Batch, out *record.Result) (list []plain, origins []int) {
	for j := range out.Len(b) {
		var r plain
		c, at := out.Content(b, j)
		for _, v := range record.Part(c.Text, c.Ends, at) {
			r.content = append(r.content, int32(v))
		}
		r.content = append(r.content, record.Part(c.IDs, c.Ends, at)...)
		for _, s := range record.Part(c.Spans, c.SpanEnds, at) {
			r.spans = append(r.spans, span{int(s.From), int(s.To), string(record.Part(c.Names, c.NameEnds, int(s.Name)))})
		}
		c, at = out.Label(b, j)
		for _, l := range record.Part(c.Labels, c.LabelEnds, at) {
			r.labels = append(r.labels, string(record.Part(c.Names, c.NameEnds, int(l))))
		}
		r.numbers = append(r.numbers, record.Part(c.Numbers, c.NumberEnds, at)...)
		list, origins = append(list, r), append(origins, out.Origin(j))
	}
	return list, origins
}

// changed is what the plugins "records" make of a record.
func changed(r plain) []plain {
	kept := r
	kept.seed = 0
	switch len(r.content) % 4 {
	case 1:
		if len(r.labels) > 0 {
			kept.labels = []string{"kept", r.labels[0]}
		}
		if len(r.numbers) > 0 {
			kept.numbers = nil
			for _, v := range r.numbers {
				kept.numbers = append(kept.numbers, 2*v)
			}
		}
	case 2:
		cut := kept
		cut.content, cut.spans = r.content[1:], nil
		for _, s := range r.spans {
			switch {
			case s.from > 0:
				cut.spans = append(cut.spans, span{s.from - 1, s.to - 1, s.name})
			case s.to > 1:
				cut.spans = append(cut.spans, span{0, s.to - 1, "cut"})
			}
		}
		return []plain{cut, kept}
	case 3:
		if r.seed%2 == 0 {
			return nil
		}
	}
	return []plain{kept}
}

// changesRecords compares what a plugin "records" makes of several forms of data, batch after batch, with what it should.
func changesRecords(t *testing.T, file string) {
	t.Helper()
	r, err := opened(t, file).NewRecords(t.Context(), []byte("{}"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for form := range 16 {
		ids, labels, numbers, tags := form&1 > 0, form&2 > 0, form&4 > 0, form&8 > 0
		for batch := range 3 {
			var list []plain
			for i := range 40 * batch {
				p := plain{seed: uint64(i*7919 + batch)}
				for k := range (i*i + form) % 23 {
					p.content = append(p.content, int32(33+(i*k)%90))
				}
				if labels {
					p.labels = []string{fmt.Sprint("läbel", i%5), "b"}[:1+i%2]
				}
				if labels && numbers {
					p.labels, p.numbers = nil, []float64{float64(i) / 2, -1}[:1+i%2]
				}
				for at := i % 3; tags && at+3 <= len(p.content); at += 4 {
					p.spans = append(p.spans, span{at, at + 1 + i%3, []string{"PER", "LOC"}[at%2]})
				}
				list = append(list, p)
			}
			b, out := batchOf(list, ids, labels, tags), record.Result{}
			if err := r.Apply(0, b, &out); err != nil {
				t.Fatal(err)
			}
			var want []plain
			var from []int
			for i, p := range list {
				for _, c := range changed(p) {
					want, from = append(want, c), append(from, i)
				}
			}
			got, origins := plains(b, &out)
			if !slices.Equal(origins, from) {
				t.Fatalf("form %d: records are made of %v, want %v", form, origins, from)
			}
			for j := range got {
				if got, want := fmt.Sprintf("%+v", got[j]), fmt.Sprintf("%+v", want[j]); got != want {
					t.Fatalf("form %d, batch %d: record %d, made of %d, is %s, want %s", form, batch, j, from[j], got, want)
				}
			}
		}
	}
}

// changesRows compares what a plugin "rows" makes of rows with labels of tokens, and with one of a row, with what it should.
func changesRows(t *testing.T, file string) {
	t.Helper()
	const rows, length, vocabulary, outputs, ignore = 37, 11, 101, 7, -100
	p := opened(t, file)
	for _, labels := range []int{1, length} {
		tr, err := p.NewRows(t.Context(), []byte("{}"), length)
		if err != nil {
			t.Fatal(err)
		}
		r := &record.Rows{Length: length, Vocabulary: vocabulary, Outputs: outputs, Ignore: ignore}
		var want strings.Builder
		for i := range rows {
			valid := 1 + (i*5)%length
			r.Valid, r.Seeds = append(r.Valid, int32(valid)), append(r.Seeds, uint64(i)<<40+uint64(i))
			for k := range length {
				token, kind, segment := int32((i*31+k*7)%vocabulary), int32(k%3), int32(1+k/4)
				r.Tokens, r.Types, r.Segments = append(r.Tokens, token), append(r.Types, kind), append(r.Segments, segment)
				switch {
				case k >= valid:
				case k == 0:
					token, kind = int32(r.Seeds[i]%vocabulary), 0
				default:
					token, kind = (token+kind+segment)%vocabulary, int32(k%2)
				}
				fmt.Fprint(&want, token, kind, " ")
			}
			for k := range labels {
				label, weight := int32((i+k)%(outputs+1)), float32(i+k)
				if label == outputs {
					label = ignore
				}
				r.Labels, r.Weights = append(r.Labels, label), append(r.Weights, weight)
				if k < valid {
					weight /= 2
					switch {
					case label == ignore:
						label = 0
					case labels == length:
						label = (label + 1) % outputs
					}
				}
				fmt.Fprint(&want, label, weight, " ")
			}
		}
		if err := tr.Apply(r); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for i := range rows {
			for k := range length {
				fmt.Fprint(&got, r.Tokens[i*length+k], r.Types[i*length+k], " ")
			}
			for k := range labels {
				fmt.Fprint(&got, r.Labels[i*labels+k], r.Weights[i*labels+k], " ")
			}
		}
		if got.String() != want.String() {
			t.Errorf("%d labels a row: rows are\n%s\nwant\n%s", labels, got.String(), want.String())
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	}
}

// decides compares what a plugin "policy" declares and decides with what it should.
func decides(t *testing.T, file string) {
	t.Helper()
	const steps = 1<<33 + 10
	p, err := opened(t, file).NewPolicy(t.Context(), []byte("{}"), steps)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range []struct {
		weight compress.Tensor
		want   compress.Declaration
	}{
		{compress.Tensor{Name: "wte", Kind: compress.Table, In: 64, Out: 100}, compress.Declaration{Bits: 4, Group: 8, Symmetric: true}},
		{compress.Tensor{Name: "wpe", Kind: compress.Table, In: 63, Out: 100}, compress.Declaration{Bits: 4, Symmetric: true}},
		{compress.Tensor{Name: "h.0.attn.w", In: 64, Out: 192, Heads: 4}, compress.Declaration{Pattern: compress.Heads, Sparsity: 0.5}},
		{compress.Tensor{Name: "h.0.mlp.w", In: 64, Out: 192, Heads: 4}, compress.Declaration{Pattern: compress.Neighbours, Of: 4, Sparsity: 0.5, Bits: 8}},
		{compress.Tensor{Name: "h.0.mlp.v", In: 63, Out: 2}, compress.Declaration{Pattern: compress.Rows, Sparsity: 0.5}},
		{compress.Tensor{Name: "", In: 63, Out: 1}, compress.Declaration{}},
	} {
		if c.weight.Kind == "" {
			c.weight.Kind = compress.Linear
		}
		c.weight.Shape = []int{c.weight.Out, c.weight.In}
		got, err := p.Declare(c.weight)
		if err != nil || got != c.want {
			t.Errorf("of %s is declared %+v, want %+v: %v", c.weight.Name, got, c.want, err)
		}
		for _, step := range []int64{1, 1<<32 - 1, 1<<32 + 1, steps/2 - 1, steps / 2, steps} {
			want := compress.Decision{Sparsity: got.Sparsity, Mask: got.Pattern != compress.Unpruned && step%2 == 0, Quantize: got.Bits > 0 && step > 1<<32}
			if 2*step < steps {
				want.Sparsity /= 2
			}
			d, err := p.Decide(c.weight, got, compress.Statistics{RMS: []float64{0.02, 0.005}[step%2]}, step)
			if err != nil || d != want {
				t.Errorf("of %s is decided %+v at step %d, want %+v: %v", c.weight.Name, d, step, want, err)
			}
		}
	}
}

// The example in Rust leaves out lines that were there before, whatever their case, digits and points, and texts of which nothing stays; short ones stay.
func TestPluginLines(t *testing.T) {
	r, err := opened(t, filepath.Join("examples", "plugin-rust-transform", "lines.wasm")).NewRecords(t.Context(), []byte(`{"least":16}`), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var list []plain
	for _, text := range []string{"Copyright 2001 by someone else\nEnd\nalpha is the first letter", "COPYRIGHT 1999: by someone else!\nbeta is the second letter\nEnd\n", "copyright 2020, by someone else\n", ""} {
		var p plain
		for _, c := range []byte(text) {
			p.content = append(p.content, int32(c))
		}
		list = append(list, p)
	}
	want := []string{"Copyright 2001 by someone else\nEnd\nalpha is the first letter", "beta is the second letter\nEnd\n", ""}
	for _, again := range []bool{false, true} {
		b, out := batchOf(list, false, false, false), record.Result{}
		if err := r.Apply(0, b, &out); err != nil {
			t.Fatal(err)
		}
		var got []string
		for j := range out.Len(b) {
			c, at := out.Content(b, j)
			got = append(got, string(record.Part(c.Text, c.Ends, at)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("again %t: %q comes out, want %q", again, got, want)
		}
		want = []string{"End\n", "End\n", ""} // the second time all that is long was there
	}
}

// The example in AssemblyScript chooses as many tokens of each row as it should, in runs, labels them with what they were, and leaves all others as they are.
func TestPluginSpans(t *testing.T) {
	const rows, length, vocabulary, ignore, mask = 50, 128, 256, -100, 255
	tr, err := opened(t, filepath.Join("examples", "plugin-assemblyscript-transform", "spans.wasm")).NewRows(t.Context(), []byte(`{"share":0.15,"stop":0.2,"mask":-1}`), length)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	r := &record.Rows{Length: length, Vocabulary: vocabulary, Outputs: vocabulary, Ignore: ignore}
	for i := range rows {
		r.Valid, r.Seeds = append(r.Valid, int32(length-i)), append(r.Seeds, uint64(i))
		for k := range length {
			r.Tokens, r.Labels = append(r.Tokens, int32(i+k)%200), append(r.Labels, 7)
		}
	}
	was := slices.Clone(r.Tokens)
	if err := tr.Apply(r); err != nil {
		t.Fatal(err)
	}
	chosen, runs, masked := 0, 0, 0
	for i := range rows {
		ofRow := 0
		for k := range length - i {
			at := i*length + k
			switch {
			case r.Labels[at] == ignore && r.Tokens[at] == was[at]:
				continue
			case r.Labels[at] != was[at]:
				t.Fatalf("row %d: token %d was %d, is %d, and is labelled %d", i, k, was[at], r.Tokens[at], r.Labels[at])
			}
			ofRow++
			if k == 0 || r.Labels[at-1] == ignore {
				runs++
			}
			if r.Tokens[at] == mask {
				masked++
			}
		}
		if want := (15*(length-i) + 99) / 100; ofRow != want {
			t.Errorf("row %d: %d of %d tokens are chosen, want %d", i, ofRow, length-i, want)
		}
		chosen += ofRow
	}
	if share := float64(masked) / float64(chosen); share < 0.7 || share > 0.9 || chosen < 2*runs {
		t.Errorf("%d tokens are chosen, in %d runs, and %d of them are masked", chosen, runs, masked)
	}
}
