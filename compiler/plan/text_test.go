package plan_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

func TestFormsRoundTrip(t *testing.T) {
	for _, g := range variants() {
		if g.device != "cpu" && testing.Short() {
			continue
		}
		t.Run(g.String(), func(t *testing.T) {
			p := g.compile(t)
			p.Choices = []plan.Choice{{What: "memory.recompute", Value: "none", Why: `no "limit" is set`}}
			fromText, err := plan.ParseText(p.Text())
			if err != nil {
				t.Fatal(err)
			}
			same(t, "text", p, fromText)
			encoded, err := p.JSON()
			if err != nil {
				t.Fatal(err)
			}
			fromJSON, err := plan.ParseJSON(encoded)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "JSON", p, fromJSON)
			if p.Digest() != fromJSON.Digest() {
				t.Error("the digests differ")
			}
		})
	}
}

// The form is canonical: the file itself is what Text writes.
func TestTextIsCanonical(t *testing.T) {
	raw, err := os.ReadFile("testdata/small.plan")
	if err != nil {
		t.Fatal(err)
	}
	if text := small(t).Text(); !bytes.Equal(raw, text) {
		t.Errorf("first difference at %s", firstDifference(raw, text))
	}
}

// Every field that Text can write is set to something odd.
func TestOddValuesRoundTrip(t *testing.T) {
	p := small(t)
	p.Name, p.Strategy, p.Device = "a \"name\"\nof two lines", "", "länger"
	p.Mesh = []plan.Axis{{Name: "data", Degree: 4}, {Name: "two words", Degree: 2}}
	p.Model.From, p.Model.Config = "/a folder/<b>&", []byte(`{"text":"a\u2028b<&>","n":1.50}`)
	p.Model.Teacher = plan.Teacher{Architecture: "gpt2", From: "a \"folder\"", Digest: "00"}
	p.Data.Unit, p.Data.Further, p.Data.Width = plan.UnitPairs, []string{"teacher_logits", "two words"}, 7
	p.Plugins = []plan.Plugin{{Kind: plan.PluginLoss, Name: "a", Params: []byte("{}")}, {Kind: "odd", Name: "fuel 3", Fuel: 1 << 62, Unit: "unit", Inputs: []string{"input", "a b"}, Params: []byte(`{"x":1}`)}}
	p.Training.Seed = 1<<64 - 1
	p.Data.Vocabulary = []string{"a", "\n", "\u2028", "<", "\"", "ü"}
	p.Data.Files = append(p.Data.Files, plan.File{})
	p.Choices = append(p.Choices, plan.Choice{})
	p.Estimate.FlopsPerToken = 1e300 / 3
	p.Tensors[0].Init, p.Tensors[0].Frozen, p.Tensors[0].Pos = plan.Init{Kind: "constant", Value: -0.1, Std: 1e-300, Bound: 3}, true, "a b:1:2"
	p.Arenas = append(p.Arenas, plan.Arena{Space: kernels.DiskMemory, Reserved: []plan.Reserve{{For: "", SizeBytes: -1}}})
	st := &p.Stages[0]
	st.Slots, st.SlotBytes = 2, 1<<40
	b := &st.Buffers[18]
	b.Name, b.Class, b.Dims, b.Offset, b.Slotted = "%1 [x]", "an odd class", []plan.Dim{{Name: "", Size: -3}}, -64, true
	in := &st.Programs[0].Instructions[0]
	in.Name, in.Stream, in.Wait, in.Signal, in.Predicate, in.Pos = "from if", 3, []int{1, -2}, 7, 5, "wait 3"
	in.Operands[0].Offset, in.Operands[0].Shape, in.Operands[0].Strides, in.Operands[0].Bound = 3, []int{1}, []int{5}, 7
	in.Attrs = kernels.Attrs{TransA: true, Alpha: 1.0 / 3, Kind: "a kind}", Index: -4, Key: 1<<32 - 1, Beta2: 5e-324, Steps: 9}
	got, err := plan.ParseText(p.Text())
	if err != nil {
		t.Fatalf("%v in\n%s", err, p.Text())
	}
	same(t, "text", p, got)
	encoded, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if got, err = plan.ParseJSON(encoded); err != nil {
		t.Fatal(err)
	}
	same(t, "JSON", p, got)
}

func TestParseTextErrors(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"gsc plan 1", "gsc plot 1", `line 1, column 5: want "plan", found "plot 1 \"small\" device cpu"`},
		{"gsc plan 1", "gsc plan 2", "line 1, column 11: the plan has version 2, but this gsc reads version 1: plan again"},
		{"model\n", "modell\n", `want a section such as model, tensors, stage or program, found "modell"`},
		{"choices\n", "model\n", "section model stands twice"},
		{"  vocabulary: 8", "  vocabulery: 8", `want a known setting, found "vocabulery: 8"`},
		{"  vocabulary: 8", "  vocabulary: eight", "invalid character 'e'"},
		{"  vocabulary: 8", "  task: \"tokens\"", "setting task stands twice"},
		{"weight table %8", "weight table 8", `want a buffer such as %3, found "8 f32`},
		{"weight table %8 f32", "weight table %8 f33", `want a type such as f32, found "f33`},
		{"[vocab 8, embed 4] init", "[vocab 8; embed 4] init", `want ",", found "; embed 4]`},
		{"[vocab 8, embed 4] init", "[vocab, embed 4] init", `want the size of a dim, found ", embed 4]`},
		{"init normal std=0.02 from", "init normal dev=0.02 from", "want one of of, stored, init, frozen, cut, part, terms, stage, copy, from"},
		{"  device 2816", "  devise 2816", "want a memory space such as device"},
		{"arenas\n  device 2816\n", "arenas\n", "an arena must stand before what is reserved"},
		{"device @0x0 lasting", "device 0x0 lasting", `want "@", found "0x0 lasting"`},
		{"device @0x0 lasting", "device @0x0 lastin", `want the end of the line, found "lastin"`},
		{"embedding embed ids", "embeding embed ids", `want an operation, input or output, found "embeding embed`},
		{"embedding embed ids=%16", "embedding embed index=%16", `want an operand of embedding that is not given yet, found "index=%16`},
		{"embedding embed ids=%16", "embedding embed ids=%16 ids=%16", "want an operand of embedding that is not given yet"},
		{"ids=%16 table=%8 y=%18", "ids=%99 table=%8 y=%18", "there is no buffer %99"},
		{"ids=%16 table=%8 y=%18", "ids=%16 table=%8 y=18", `want a buffer such as %3, found "18 from`},
		{"{causal scale=0.5}", "{causal size=0.5}", `want an attribute or a closing brace, found "size=0.5}`},
		{"{causal scale=0.5}", "{causal scale=half}", `want a number, found "half}`},
		{"{causal scale=0.5}", "{causal key=4294967296}", "4294967296 is out of range"},
		{"from small.cue:6:3", "form small.cue:6:3", `want the end of the line, found "form small.cue:6:3"`},
		{"a b.txt\"", "a b.txt", "want a path that ends with a quote"},
		{"  call decode", "  kall decode", `want "call", found "kall decode"`},
		{"[byte 16]", "[a 1, b 1, c 1, d 1, e 1, f 1, g 1, h 1, i 1, j 1, k 1, l 1, m 1, n 1, o 1, p 1, q 1]", "a list has at most 16 entries"},
		{"stage slots 1\n", "", "a stage must be opened before"},
		{"\nmodel\n", "\n", "want a section, which is not indented"},
	} {
		text := strings.Replace(string(small(t).Text()), c.old, c.new, 1)
		if _, err := plan.ParseText([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: want %q, got %v", c.new, c.old, c.want, err)
		}
	}
	if _, err := plan.ParseText(nil); err == nil {
		t.Error("nothing is a plan")
	}
}

func TestParseJSONErrors(t *testing.T) {
	encoded, err := small(t).JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"version": 1`, `"version": 2, "novelty": 1`, "the plan has version 2, but this gsc reads version 1: plan again"},
		{`"version": 1`, `"version": 2`, "the plan has version 2"},
		{`"task"`, `"tusk"`, `line 9: json: unknown field "tusk"`},
		{`"vocabulary": 8`, `"vocabulary": "8"`, "line 10: json: cannot unmarshal string"},
		{`"vocabulary": 8`, `"vocabulary": 8,,`, "line 10: invalid character"},
		{`"op": "embedding"`, `"op": "embeding"`, `unknown operation "embeding"`},
		{`"dtype": "i64"`, `"dtype": "i63"`, `unknown type "i63"`},
	} {
		text := strings.Replace(string(encoded), c.old, c.new, 1)
		if _, err := plan.ParseJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: want %q, got %v", c.new, c.old, c.want, err)
		}
	}
	for _, empty := range []string{"", "{}", "null", "{}0", "[]"} {
		if p, err := plan.ParseJSON([]byte(empty)); p != nil || err == nil {
			t.Errorf("%q: want an error, got %v, %v", empty, p, err)
		}
	}
	if _, err := plan.ParseJSON(append(encoded, "{}"...)); err == nil || !strings.Contains(err.Error(), "want the end of the file") {
		t.Errorf("trailing data: got %v", err)
	}
}

func TestRead(t *testing.T) {
	p := small(t)
	encoded, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	bad := small(t, embedLine, "")
	for _, c := range []struct {
		content []byte
		want    string // of the error
	}{
		{p.Text(), ""},
		{encoded, ""},
		{[]byte("  \n" + string(encoded)), ""},
		{[]byte("nonsense"), "line 1, column 1: want"},
		{bad.Text(), "%18 x is read before it is written"},
	} {
		path := filepath.Join(t.TempDir(), "some.plan")
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := plan.Read(path)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%.20q: %v", c.content, err)
		case c.want == "" && got.Digest() != p.Digest():
			t.Errorf("%.20q: another plan was read", c.content)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path)):
			t.Errorf("want %q and the path, got %v", c.want, err)
		}
	}
	if _, err := plan.Read("testdata/none.plan"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("want %v, got %v", fs.ErrNotExist, err)
	}
}

// FuzzParseText: what parses has a text that parses to the same; what also verifies has a JSON form, a summary and no difference from itself.
func FuzzParseText(f *testing.F) {
	f.Add(small(f).Text())
	f.Add([]byte("gsc plan 1 \"\" device cpu"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := plan.ParseText(text); err == nil {
			survives(t, p)
		}
	})
}

// FuzzParseJSON is FuzzParseText for the other form.
func FuzzParseJSON(f *testing.F) {
	encoded, err := small(f).JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := plan.ParseJSON(data)
		if err != nil {
			return
		}
		p.Text()
		if p.Verify() == nil {
			survives(t, p)
		}
	})
}

func survives(t *testing.T, p *plan.Plan) {
	text := p.Text()
	again, err := plan.ParseText(text)
	if err != nil {
		t.Fatalf("its own text is refused: %v", err)
	}
	if !bytes.Equal(text, again.Text()) {
		t.Fatalf("the text changes: %s", firstDifference(text, again.Text()))
	}
	if p.Verify() != nil {
		return
	}
	encoded, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if again, err = plan.ParseJSON(encoded); err != nil || !bytes.Equal(text, again.Text()) {
		t.Fatalf("the JSON form is another plan, or refused: %v", err)
	}
	if p.Summary() == "" || plan.Diff(p, again) != "" {
		t.Error("no summary, or a difference from itself")
	}
	if p.Arenas[0].SizeBytes > 1<<16 || len(p.Stages[0].Buffers) > 100 {
		return
	}
	if h := harm(p, 1); h != "" {
		t.Errorf("Verify admits the plan, but %s", h)
	}
}

// same holds two plans to be equal: by their text, and by their fields but for empty and nil slices.
func same(t *testing.T, form string, want, got *plan.Plan) {
	t.Helper()
	if a, b := want.Text(), got.Text(); !bytes.Equal(a, b) {
		t.Fatalf("%s: the texts differ, first at %s", form, firstDifference(a, b))
	}
	if a, b := reflect.ValueOf(*want), reflect.ValueOf(*got); !equal(a, b) {
		t.Errorf("%s: the plans differ where their texts do not", form)
	}
}

func firstDifference(a, b []byte) string {
	la, lb := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range la {
		if i >= len(lb) || !bytes.Equal(la[i], lb[i]) {
			return string(la[i]) + " | " + string(lb[min(i, len(lb)-1)])
		}
	}
	return "the end"
}

// equal is reflect.DeepEqual but for empty slices, which are like nil.
func equal(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			if !equal(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !equal(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
