package source

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/record"
)

// recorder writes down what it is given: "split(text)", tags as <tag>, ids in hexadecimal, labels after =.
type recorder struct {
	records []string
	current strings.Builder
	open    bool
	runes   int
	t       testing.TB
}

func (r *recorder) Begin(split Split, _ record.Place) {
	if r.open {
		r.t.Error("a record begins within another")
	}
	r.open = true
	r.current.Reset()
	r.current.WriteString(split.String() + "(")
}

func (r *recorder) Text(text []byte) {
	r.current.Write(text)
	r.runes += utf8.RuneCount(text)
}

func (r *recorder) IDs(raw []byte) { fmt.Fprintf(&r.current, "%x", raw) }
func (r *recorder) Tag(tag string) { r.current.WriteString("<" + tag + ">") }

func (r *recorder) End(label *Label) string {
	if !r.open {
		r.t.Error("a record ends that is not open")
	}
	r.open = false
	r.current.WriteString(")")
	if label != nil {
		fmt.Fprintf(&r.current, "=%v%v", label.Names, label.Numbers)
	}
	r.records = append(r.records, r.current.String())
	return ""
}

// scanBytes reads content as a file of spec through a buffer of the given size.
func scanBytes(t testing.TB, spec plan.Data, content []byte, bufBytes int) (rec *recorder, errs Errors) {
	rec = &recorder{t: t}
	g := region{split: Train}
	if spec.Split.By == "bytes" {
		g = region{split: All}
		g.validation, g.test = cuts(spec.Split, []File{{Split: All, File: plan.File{SizeBytes: int64(len(content))}}})
	}
	s := &scanner{spec: spec, sink: rec, buf: make([]byte, bufBytes)}
	err := s.read(bytes.NewReader(content), g, &report{errs: &errs, path: "data.train.files", name: "f"})
	if err != nil && !errors.Is(err, errTooMany) {
		t.Error(err)
	}
	if rec.open {
		t.Error("a record was left open")
	}
	return rec, errs
}

var (
	jsonSpec   = plan.Data{Format: "jsonl", Field: "text", Task: "next"}
	classSpec  = plan.Data{Format: "jsonl", Field: "text", Label: "y", Task: "class"}
	valuesSpec = plan.Data{Format: "jsonl", Field: "text", Label: "y", Task: "values"}
	conllSpec  = plan.Data{Format: "conll", TagColumn: -1, Task: "tags"}
	thirds     = plan.Split{By: "bytes", Validation: 1.0 / 3, Test: 1.0 / 3}
)

func with(spec plan.Data, change func(*plan.Data)) plan.Data {
	change(&spec)
	return spec
}

func TestScan(t *testing.T) {
	cases := []struct {
		name    string
		spec    plan.Data
		content string
		want    string // records and errors, joined by |
	}{
		{"text", plan.Data{Format: "text"}, "one\ntwo", "train(one\ntwo)"},
		{"text, empty", plan.Data{Format: "text"}, "", "train()"},
		{"text by bytes", plan.Data{Format: "text", Split: thirds}, "aaabbbccc", "train(aaa)|validation(bbb)|test(ccc)"},
		{"text by bytes, within characters", plan.Data{Format: "text", Split: thirds}, "ééé", "train(é)|validation(é)|test(é)"},
		{"text by bytes, moved on", plan.Data{Format: "text", Split: thirds}, "a😂b", "train(a😂)|test(b)"},
		{"tokens", plan.Data{Format: "tokens", TokenType: "uint16"}, "\x01\x00\x02\x01", "train(01000201)"},
		{"tokens by bytes", plan.Data{Format: "tokens", TokenType: "uint32", Split: thirds}, "aaaabbbbccccdddd",
			"train(6161616162626262)|validation(63636363)|test(64646464)"},
		{"tokens, odd", plan.Data{Format: "tokens", TokenType: "uint16"}, "abc", "train(6162)|f: its 3 bytes are not a whole number of uint16 tokens"},
		{"tokens, large", plan.Data{Format: "tokens", TokenType: "uint32"}, "\x00\x00\x00\x00\x00\x00\x00\x80",
			"train(0000000000000080)|f: token 1 has the id 2147483648, above the largest, 2147483647"},
		{"json", jsonSpec, "{\"text\":\"a\\nb\"}\n\n{\"text\":\"c\", \"x\":1}\r\n", "train(a\nb)|train(c)"},
		{"json, byte order mark", jsonSpec, "\ufeff{\"text\":\"a\"}", "train(a)"},
		{"json by bytes", with(jsonSpec, func(d *plan.Data) { d.Split = thirds }), "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"c\"}\n",
			"train(a)|validation(b)|test(c)"},
		{"json, wrong lines", jsonSpec, "{\"text\":\"a\"}\n{\"text\":\n[1]\n{\"txt\":1,\"b\":2}\n{\"text\":3}\n",
			"train(a)|f:2: not a JSON object: unexpected end of JSON input|f:3: not a JSON object: it is of type array|" +
				"f:4: no field \"text\": there are b, txt|f:5: field \"text\" is not a string"},
		{"json, too many wrong lines", jsonSpec, strings.Repeat("x\n", 9), strings.Join([]string{bad(1), bad(2), bad(3), bad(4), bad(5),
			"f: more lines are wrong; the rest of the file was not read"}, "|")},
		{"classes", classSpec, "{\"text\":\"a\",\"y\":\"pos\"}\n{\"text\":\"b\",\"y\":3}\n{\"text\":\"c\",\"y\":true}", "train(a)=[pos][]|train(b)=[3][]|train(c)=[true][]"},
		{"classes, wrong", classSpec, "{\"text\":\"a\"}\n{\"text\":\"b\",\"y\":3.5}\n{\"text\":\"b\",\"y\":null}",
			"f:1: no field \"y\": there are text|f:2: field \"y\" is not a class: a string, a whole number, true or false|" +
				"f:3: field \"y\" is not a class: a string, a whole number, true or false"},
		{"values", valuesSpec, "{\"text\":\"a\",\"y\":0.5}\n{\"text\":\"b\",\"y\":[1,false]}\n{\"text\":\"c\",\"y\":[\"p\",\"q\"]}\n{\"text\":\"d\",\"y\":[]}",
			"train(a)=[][0.5]|train(b)=[][1 0]|train(c)=[p q][]|train(d)=[][]"},
		{"values, wrong", valuesSpec, "{\"text\":\"a\",\"y\":[1,\"p\"]}\n{\"text\":\"a\",\"y\":{}}",
			"f:1: field \"y\" is neither numbers nor names|f:2: field \"y\" is neither numbers nor names"},
		{"sentences", conllSpec, "-DOCSTART- O\n\nThe\tO\nNew York\tB-place\n\t\n\nI O\n", "train(<O>The <B-place>New York)|train(<O>I)"},
		{"sentences, columns", with(conllSpec, func(d *plan.Data) { d.Column, d.TagColumn = 1, 2 }), "1 a X _\n2 b Y _", "train(<X>a <Y>b)"},
		{"sentences by bytes", with(conllSpec, func(d *plan.Data) { d.Split = thirds }), "a X\n\nb X\n\nc X\n\n", "train(<X>a)|validation(<X>b)|test(<X>c)"},
		{"sentences, wrong", conllSpec, "a X\nb\n\tX\nc\t \n", "train(<X>a)|f:2: too few columns: 1, of which the word is column 0 and the tag column -1|" +
			"f:3: the word is empty|f:4: the tag is empty"},
	}
	for _, c := range cases {
		for _, bufBytes := range []int{8, 64, chunkBytes} {
			rec, errs := scanBytes(t, c.spec, []byte(c.content), bufBytes)
			records := rec.records
			for _, err := range errs {
				records = append(records, err.Message)
			}
			if got := strings.Join(records, "|"); got != c.want {
				t.Errorf("%s, buffer of %d: got\n%s, want\n%s", c.name, bufBytes, got, c.want)
			}
		}
	}
}

func bad(line int) string {
	return fmt.Sprintf("f:%d: not a JSON object: invalid character 'x' looking for beginning of value", line)
}

func TestScanCutsTheConcatenation(t *testing.T) {
	base := t.TempDir()
	for name, text := range map[string]string{"a": "aaaa", "b": "bbbb", "c": "cccc"} {
		must(t, os.WriteFile(filepath.Join(base, name), []byte(text), 0o644))
	}
	spec := plan.Data{Format: "text", Base: base, Train: []string{"*"}, Split: plan.Split{By: "bytes", Validation: 0.25, Test: 0.25}}
	files, errs := Resolve(spec)
	rec := &recorder{t: t}
	errs = append(errs, Scan(spec, files, rec)...)
	want := "train(aaaa)|train(bb)|validation(bb)|validation(c)|test(ccc)"
	if got := strings.Join(rec.records, "|"); got != want || len(errs) > 0 {
		t.Errorf("got %s %v, want %s", got, errs, want)
	}
	if f := files[0].File; f.Split != "all" || len(f.Digest) != 16 || f.SizeBytes != 4 {
		t.Errorf("%+v", f)
	}
}

func TestScanNamesUnreadableFiles(t *testing.T) {
	files := []File{{File: plan.File{Path: "gone"}, Found: filepath.Join(t.TempDir(), "gone"), Split: Test}}
	errs := Scan(plan.Data{Format: "text"}, files, &recorder{t: t})
	if len(errs) != 1 || errs[0].Path != "data.test.files" || !strings.HasPrefix(errs[0].Message, "gone: ") {
		t.Errorf("%v", errs)
	}
}

// fuzz checks that a reader neither fails nor depends on the size of its buffer.
func fuzz(f *testing.F, spec plan.Data, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, content []byte, cut bool) {
		if cut {
			spec.Split = thirds
		} else {
			spec.Split = plan.Split{}
		}
		small, smallErrs := scanBytes(t, spec, content, 8)
		large, largeErrs := scanBytes(t, spec, content, 1<<12)
		same := slices.Equal(small.records, large.records) && small.runes == large.runes
		if !same || smallErrs.Error() != largeErrs.Error() {
			t.Errorf("the buffer's size changes what is read: %q %v, %q %v", small.records, smallErrs, large.records, largeErrs)
		}
	})
}

func FuzzText(f *testing.F) {
	fuzz(f, plan.Data{Format: "text"}, "", "0000000\xcd0000000\xab0000000", "abc", "é😂\x80", "\xf0\x9f", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
}

func FuzzTokens(f *testing.F) {
	fuzz(f, plan.Data{Format: "tokens", TokenType: "uint32"}, "", "abcd", "abcdefg", "\xff\xff\xff\xff")
}

func FuzzJSON(f *testing.F) {
	fuzz(f, valuesSpec, "{\"text\":\"a\",\"y\":1}\n", "{}\n[]\n", "{\"text\":\"a\",\"y\":[\"p\"]}", "\xef\xbb\xbf{", "{\"text\":\"\\ud800\",\"y\":[[1]]}")
}

func FuzzCoNLL(f *testing.F) {
	fuzz(f, conllSpec, "a\tO\n\nb\tB-x\n", "a\n", "\t\n", "-DOCSTART- X\r\n\r\na b c\r\n", "a \xff")
}

func TestRegionCoversTheFile(t *testing.T) {
	g := region{split: All, validation: 3, test: 7}
	for offset, want := range map[int64]Split{0: Train, 2: Train, 3: Validation, 6: Validation, 7: Test, math.MaxInt64: Test} {
		if got := g.at(offset); got != want {
			t.Errorf("byte %d is of %s, want %s", offset, got, want)
		}
	}
}
