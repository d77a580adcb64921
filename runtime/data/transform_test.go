package data

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/record"
)

// fakes are transforms in Go: by name, what one makes of a batch, or of rows.
type fakes struct {
	seed    uint64
	workers int
	records map[string]func(in *record.Batch, out *record.Result) error
	rows    map[string]func(r *record.Rows) error
}

func (f *fakes) Seed() uint64 { return f.seed }

func (f *fakes) Records(t plan.Transform) (record.Transform, error) {
	do, ok := f.records[t.Plugin]
	if !ok {
		return nil, errors.New("there is none")
	}
	return &fakeRecords{do, max(1, f.workers)}, nil
}

func (f *fakes) Rows(t plan.Transform, _ int) (record.RowTransform, error) {
	return fakeRows(f.rows[t.Plugin]), nil
}

type fakeRecords struct {
	do      func(in *record.Batch, out *record.Result) error
	workers int
}

func (f *fakeRecords) Workers() int      { return f.workers }
func (f *fakeRecords) LimitBytes() int64 { return 1 << 16 }
func (f *fakeRecords) Close() error      { return nil }
func (f *fakeRecords) Apply(_ int, in *record.Batch, out *record.Result) error {
	if f.workers > 1 {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond) // those that come first do not end first
	}
	*out = record.Result{}
	return f.do(in, out)
}

type fakeRows func(r *record.Rows) error

func (f fakeRows) Apply(r *record.Rows) error { return f(r) }

// keep leaves all records as they are.
func keep(*record.Batch, *record.Result) error { return nil }

// again writes all records again, as they are.
func again(in *record.Batch, out *record.Result) error {
	out.Columns = in.Columns
	for i := range in.Ends {
		out.Origins = append(out.Origins, uint32(i))
	}
	return nil
}

// odd keeps every record whose content has an odd length, twice.
func odd(in *record.Batch, out *record.Result) error {
	out.Origins = []uint32{}
	for i := range in.Ends {
		if n := len(record.Part(in.Text, in.Ends, i)) + len(record.Part(in.IDs, in.Ends, i)); n%2 == 1 {
			out.Origins = append(out.Origins, uint32(i), uint32(i))
		}
	}
	return nil
}

// everywhere names splits.
var everywhere = []string{"train", "validation", "test"}

func onRecords(names ...string) (list []plan.Transform) {
	for _, name := range names {
		list = append(list, plan.Transform{Plugin: name, On: plan.OnRecords, Splits: everywhere})
	}
	return list
}

var usual = map[string]func(in *record.Batch, out *record.Result) error{"keep": keep, "rewrite": again, "odd": odd}

// Transforms that change nothing change nothing: not what is found in the files, and no batch, of any kind of rows, however many workers there are.
func TestTransformsThatChangeNothing(t *testing.T) {
	for name, spec := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			plain := mustOpen(t, spec)
			for _, with := range []*fakes{{records: usual}, {records: usual, workers: 3}} {
				changed := spec
				changed.Transforms = onRecords("keep", "rewrite")
				prepared, err := PrepareWith(changed, with)
				if err != nil {
					t.Fatal(err)
				}
				set, err := OpenWith(prepared, with)
				if err != nil {
					t.Fatal(err)
				}
				prepared.Transforms = nil
				if !reflect.DeepEqual(prepared, plain.Spec()) {
					t.Errorf("%d workers: found %+v, without transforms %+v", with.workers, prepared, plain.Spec())
				}
				for step := int64(1); step <= 3; step++ {
					if a, b := fillAt(t, plain, 7, step, 5), fillAt(t, set, 7, step, 5); !sameBatch(a, b) {
						t.Errorf("%d workers: step %d differs", with.workers, step)
					}
				}
			}
		})
	}
}

// sameBatch compares all that a batch gives.
func sameBatch(a, b *Batch) bool {
	return reflect.DeepEqual(a.arrays, b.arrays) && slices.Equal(a.Values, b.Values) && slices.Equal(a.Weights, b.Weights) && slices.Equal(a.Index, b.Index) && a.Weight == b.Weight
}

// Threads change nothing of what comes out, though one stage goes behind another and splits alternate.
func TestTransformsInAnyOrder(t *testing.T) {
	for name, spec := range kinds(t) {
		spec.Transforms = onRecords("odd", "rewrite")
		spec.Transforms[0].Splits = everywhere[:1]
		if spec.Format == "text" || spec.Format == "tokens" {
			spec.Split = plan.Split{By: "file"}
		}
		var first plan.Data
		for i, workers := range []int{1, 2, 5} {
			got, err := PrepareWith(spec, &fakes{records: usual, workers: workers})
			if err != nil {
				if strings.Contains(err.Error(), "nothing is left") || strings.Contains(err.Error(), "needs") { // few long records: none of them may be odd
					continue
				}
				t.Fatalf("%s: %v", name, err)
			}
			if i == 0 {
				first = got
			} else if !reflect.DeepEqual(first, got) {
				t.Errorf("%s: %d workers find %+v, one %+v", name, workers, got, first)
			}
		}
	}
}

// A transform sees records with their places, splits apart, in order, and seeds that depend on the run's and the record alone.
func TestTransformsSeeRecords(t *testing.T) {
	var lines strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&lines, "{\"text\": \"line %d\"}\n", i)
	}
	base := write(t, "a.jsonl", lines.String(), "b.jsonl", "{\"text\": \"last\"}\n")
	spec := plan.Data{Format: "jsonl", Field: "text", Tokenizer: "bytes", Train: []string{"*.jsonl"}, Base: base, Rows: "stream", Order: "shuffled", Length: 16, Task: "next", Ignore: -100, Transforms: onRecords("look")}
	look := func(seed uint64) (seen []string, seeds []uint64) {
		with := &fakes{seed: seed, records: map[string]func(in *record.Batch, out *record.Result) error{"look": func(in *record.Batch, _ *record.Result) error {
			for i := range in.Ends {
				seen, seeds = append(seen, fmt.Sprintf("%v %s", in.Places[i], record.Part(in.Text, in.Ends, i))), append(seeds, in.Seeds[i])
			}
			return nil
		}}}
		if _, err := PrepareWith(spec, with); err != nil {
			t.Fatal(err)
		}
		return seen, seeds
	}
	seen, seeds := look(1)
	if len(seen) != 3001 || seen[0] != "a.jsonl:1 line 0" || seen[2999] != "a.jsonl:3000 line 2999" || seen[3000] != "b.jsonl:1 last" {
		t.Errorf("%d records: %v … %v", len(seen), seen[0], seen[len(seen)-1])
	}
	_, again := look(1)
	_, other := look(2)
	if !slices.Equal(seeds, again) || slices.Equal(seeds, other) || len(slices.Compact(slices.Sorted(slices.Values(seeds)))) != len(seeds) {
		t.Error("seeds do not follow from the run's seed and the record")
	}
}

// What a transform does wrong is one error, with the record.
func TestTransformsThatFail(t *testing.T) {
	base := write(t, "a.jsonl", "{\"text\": \"one\", \"class\": \"x\"}\n\n{\"text\": \"three\", \"class\": \"y\"}\n", "long.txt", strings.Repeat("long ", 1<<15))
	lines := plan.Data{Format: "jsonl", Field: "text", Label: "class", Tokenizer: "characters", Train: []string{"a.jsonl"}, Base: base, Rows: "padded", Order: "shuffled", Length: 16, Task: "class", Ignore: -100}
	text := plan.Data{Format: "text", Tokenizer: "bytes", Train: []string{"long.txt"}, Base: base, Rows: "stream", Order: "shuffled", Length: 16, Task: "next", Ignore: -100}
	second := func(change func(out *record.Result)) func(in *record.Batch, out *record.Result) error {
		return func(in *record.Batch, out *record.Result) error {
			if err := again(in, out); err != nil {
				return err
			}
			out.Columns = record.Columns{Text: bytes.Clone(in.Text), Ends: in.Ends, Names: in.Names, NameEnds: in.NameEnds, Labels: slices.Clone(in.Labels), LabelEnds: slices.Clone(in.LabelEnds), Numbers: []float64{}, NumberEnds: in.NumberEnds}
			change(out)
			return nil
		}
	}
	for _, c := range []struct {
		spec plan.Data
		do   func(in *record.Batch, out *record.Result) error
		want string
	}{
		{lines, second(func(out *record.Result) { out.Text[4] = 0xff }), "record a.jsonl:3: the text that comes out is not UTF-8, and what went in is"},
		{lines, second(func(out *record.Result) { out.LabelEnds[1] = 1 }), "record a.jsonl:3: a record that comes out has 0 names of classes and 0 numbers for a label: give one name"},
		{lines, func(*record.Batch, *record.Result) error { return errors.New("no") }, "data.transforms[0]: no"},
		{text, keep, "record long.txt: it is longer than the 65536 bytes that the transform takes"},
		{lines, nil, "there is none"},
	} {
		with := &fakes{records: map[string]func(in *record.Batch, out *record.Result) error{"bad": c.do}}
		if c.do == nil {
			with.records = nil
		}
		c.spec.Transforms = onRecords("bad")
		_, err := PrepareWith(c.spec, with)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), "data.transforms[0]") != 1 {
			t.Errorf("got %v, want … %s", err, c.want)
		}
	}
	lines.Transforms = onRecords("keep")
	if _, err := Prepare(lines); err == nil || !strings.Contains(err.Error(), "nothing here runs the transform keep") {
		t.Errorf("without what runs it: %v", err)
	}
}

// A transform that gives other records the second time is told, though they are as many.
func TestTransformThatDiffers(t *testing.T) {
	base := write(t, "a.txt", "some text that is long enough for a row")
	spec := plan.Data{Format: "text", Tokenizer: "bytes", Train: []string{"a.txt"}, Base: base, Rows: "stream", Order: "shuffled", Length: 8, Task: "next", Ignore: -100, Transforms: onRecords("counts")}
	times := byte('0')
	with := &fakes{records: map[string]func(in *record.Batch, out *record.Result) error{"counts": func(in *record.Batch, out *record.Result) error {
		times++
		out.Columns = record.Columns{Text: append(bytes.Clone(in.Text[:len(in.Text)-1]), times), Ends: in.Ends}
		return nil
	}}}
	prepared, err := PrepareWith(spec, with)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenWith(prepared, with); !errors.Is(err, errDiffers) {
		t.Errorf("the second time: %v", err)
	}
}

// Rows get seeds of the run's seed, the step and the row of the batch in training, and of the row of the split in evaluation; what is scored is counted after them.
func TestTransformsOfRows(t *testing.T) {
	seen := map[string][]uint64{}
	name := ""
	with := &fakes{seed: 5, rows: map[string]func(r *record.Rows) error{"first": func(r *record.Rows) error {
		seen[name] = slices.Clone(r.Seeds)
		for i := range r.Labels {
			if i%r.Length > 0 || r.Valid[i/r.Length] == 0 {
				r.Labels[i] = r.Ignore
			}
		}
		return nil
	}}}
	for kind, spec := range kinds(t) {
		if targetOf(spec.Task) != "token" {
			continue
		}
		spec.Transforms = []plan.Transform{{Plugin: "first", On: plan.OnRows, Splits: everywhere}}
		prepared, err := PrepareWith(spec, with)
		if err != nil {
			t.Fatal(err)
		}
		set, err := OpenWith(prepared, with)
		if err != nil {
			t.Fatal(err)
		}
		name = "one"
		b := fillAt(t, set, 7, 1, 4)
		scored := 0
		for i := range b.Rows {
			if b.Labels[i*b.Length] != -100 {
				scored++
			}
		}
		if b.Scored != scored || b.Weight != float64(scored) {
			t.Errorf("%s: %d positions of weight %g are scored, want %d", kind, b.Scored, b.Weight, scored)
		}
		name = "again"
		fillAt(t, set, 7, 1, 8)
		name = "two"
		fillAt(t, set, 7, 2, 4)
		if !slices.Equal(seen["again"][:4], seen["one"]) || slices.Equal(seen["two"], seen["one"]) {
			t.Errorf("%s: seeds %v, of more rows %v, of the next step %v", kind, seen["one"], seen["again"], seen["two"])
		}
		pass := set.Evaluation(Train, 3, 0)
		alone := set.Evaluation(Train, 1, 0)
		name = "three rows"
		if err := pass.Fill(1, NewBatch(prepared, 3)); err != nil {
			t.Fatal(err)
		}
		name = "one row"
		if err := alone.Fill(4, NewBatch(prepared, 1)); err != nil {
			t.Fatal(err)
		}
		if seen["three rows"][1] != seen["one row"][0] {
			t.Errorf("%s: row 4 has the seed %d among others, and %d alone", kind, seen["three rows"][1], seen["one row"][0])
		}
	}
}

// Batches as they are have rows that transforms change, whole, whatever their masks say; but no records, and no weights unless they hold some.
func TestTransformsOfGivenRows(t *testing.T) {
	spec := givenSpec(write(t, "a.safetensors", tokenCase(t, 0, 2)))
	spec.Transforms = []plan.Transform{{Plugin: "types", On: plan.OnRows, Splits: everywhere}}
	with := &fakes{rows: map[string]func(r *record.Rows) error{"types": func(r *record.Rows) error {
		for i, n := range r.Valid {
			if int(n) != r.Length {
				t.Errorf("row %d has %d tokens, of %d", i, n, r.Length)
			}
		}
		for i := range r.Types {
			r.Types[i] = 5
		}
		return nil
	}}}
	prepared, err := PrepareWith(spec, with)
	if err != nil {
		t.Fatal(err)
	}
	set, err := OpenWith(prepared, with)
	if err != nil {
		t.Fatal(err)
	}
	b := fillAt(t, set, 1, 1, 6)
	if slices.ContainsFunc(b.Types, func(v int32) bool { return v != 5 }) || b.Valid != 18 {
		t.Errorf("types %v, %d valid", b.Types, b.Valid)
	}
	spec.Transforms[0].Weights = true
	if _, err := PrepareWith(spec, with); err == nil || !strings.Contains(err.Error(), "the batches hold none") {
		t.Errorf("without weights: %v", err)
	}
	spec.Transforms = onRecords("keep")
	if _, err := PrepareWith(spec, &fakes{records: usual}); err == nil || !strings.Contains(err.Error(), "keep transforms records, and data of the format safetensors are batches as they are") {
		t.Errorf("a transform of records: %v", err)
	}
}

// BenchmarkStage takes records of 64 bytes from the reader to the next sink through a transform that leaves them as they are: one in Go, which shows what the data layer itself takes, and a module. Wanted of the latter is a million a second and
// more.
func BenchmarkStage(b *testing.B) {
	wasm, err := os.ReadFile("../../plugins/testdata/transforms/harmless.wasm")
	if err != nil {
		b.Fatal(err)
	}
	host, err := plugins.NewHost(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer host.Close()
	module, err := host.Load(b.Context(), "harmless.wasm", wasm, plugins.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	for name, open := range map[string]func() (record.Transform, error){
		"go":     func() (record.Transform, error) { return (&fakes{records: usual}).Records(onRecords("keep")[0]) },
		"plugin": func() (record.Transform, error) { return module.NewRecords(b.Context(), []byte("{}"), 1) },
	} {
		b.Run(name, func(b *testing.B) {
			spec := plan.Data{Format: "text", Tokenizer: "bytes", Task: "next", Transforms: onRecords("keep")}
			made, err := open()
			if err != nil {
				b.Fatal(err)
			}
			s, err := newStage(&spec, 0, newTally(&spec), onlyRecords{made})
			if err != nil {
				b.Fatal(err)
			}
			text := bytes.Repeat([]byte("some word "), 7)[:64]
			for b.Loop() {
				s.Begin(Train, record.Place{Path: "a"})
				s.Text(text)
				s.End(nil)
			}
			if err := s.finish(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
		})
	}
}

// onlyRecords is a transform that was made before.
type onlyRecords struct{ made record.Transform }

func (o onlyRecords) Records(plan.Transform) (record.Transform, error) { return o.made, nil }
func (o onlyRecords) Seed() uint64                                     { return 1 }
func (o onlyRecords) Rows(plan.Transform, int) (record.RowTransform, error) {
	return nil, errors.New("there is none")
}
