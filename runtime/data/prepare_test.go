package data

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

func TestPrepareRefuses(t *testing.T) {
	base := write(t, "a.txt", "some text", "empty.txt", "", "one.txt", "x", "a.jsonl", "{\"t\":\"a\",\"y\":1}\n", "bad.jsonl", "{\"t\":\"a\",\"y\":[1,2]}\n{\"t\":\"a\",\"y\":[1]}\n{\"t\":\"a\",\"y\":\"x\"}\n{}\n",
		"a.conll", "a\n", "a.bin", "abc", "none.jsonl", "\n{\"t\":\"\",\"y\":1}\n")
	text := plan.Data{Format: "text", Tokenizer: "bytes", Train: []string{"a.txt"}, Base: base, Rows: "stream", Order: "shuffled", Length: 4, Task: "next", Ignore: -100}
	jsonl := func(d *plan.Data) {
		d.Format, d.Field, d.Label, d.Train, d.Rows, d.Task = "jsonl", "t", "y", []string{"a.jsonl"}, "padded", "class"
	}
	cases := []struct {
		name   string
		change func(*plan.Data)
		want   string // path: message, and | between errors
	}{
		{"format", func(d *plan.Data) { d.Format = "csv" }, `data.format: unknown format "csv"`},
		{"rows", func(d *plan.Data) { d.Rows = "given" }, `data.rows: data of the format text has no rows "given"`},
		{"task", func(d *plan.Data) { d.Task = "tags" }, `data.task: data of the format text has no task "tags"`},
		{"tokenizer", func(d *plan.Data) { d.Tokenizer = "bpe" }, `data.tokenizer.kind: data of the format text has no tokenizer "bpe"`},
		{"no files", func(d *plan.Data) { d.Train = nil }, `data.train.files: names no files`},
		{"no match", func(d *plan.Data) { d.Train, d.Test = []string{"*.go"}, []string{"x"} }, `data.train.files: no file matches *.go|data.test.files: x: no such file`},
		{"length", func(d *plan.Data) { d.Length = 0 }, `data.length: rows of 0 tokens`},
		{"order", func(d *plan.Data) { d.Order = "sorted" }, `data.order: unknown order "sorted"`},
		{"random rows", func(d *plan.Data) { d.Rows, d.Order = "packed", "random" }, `data.order: rows at random places are of a stream, and these are packed`},
		{"buckets", func(d *plan.Data) { d.Rows, d.Buckets = "padded", []int{2, 2, 4} }, `data.buckets: [2 2 4] does not ascend to the length, 4`},
		{"shares", func(d *plan.Data) { d.Split = plan.Split{By: "bytes", Validation: 0.5, Test: 0.5} }, `data.split: shares of 0.5 and 0.5 leave nothing to train on`},
		{"split and files", func(d *plan.Data) {
			d.Split, d.Validation = plan.Split{By: "file", Validation: 0.1}, []string{"one.txt"}
		}, `data.split.validation: validation has files of its own`},
		{"split by", func(d *plan.Data) { d.Split = plan.Split{By: "line", Test: 0.1} }, `data.split.by: unknown way to split "line"`},
		{"empty", func(d *plan.Data) { d.Train = []string{"empty.txt"} }, `data.train.files: the files of train are empty`},
		{"short", func(d *plan.Data) { d.Length = 9 }, `data.train.files: train holds 9 tokens, and a row of 9 needs 10`},
		{"empty validation", func(d *plan.Data) { d.Validation = []string{"empty.txt"} }, `data.validation.files: the files of validation are empty`},
		{"one byte", func(d *plan.Data) { d.Validation = []string{"one.txt"} }, `data.validation.files: validation holds 1 tokens, and a row of 4 needs 5`},
		{"no file falls", func(d *plan.Data) { d.Split = plan.Split{By: "file", Validation: 1e-9} }, `data.split.validation: none of the 1 files falls to validation`},
		{"no byte falls", func(d *plan.Data) { d.Split = plan.Split{By: "bytes", Test: 1e-20} }, `data.split.test: nothing falls to test`},
		{"field", func(d *plan.Data) { jsonl(d); d.Field = "" }, `data.field: JSON lines need a field`},
		{"label", func(d *plan.Data) { jsonl(d); d.Label = "" }, `data.label: rows with a label need its field`},
		{"class in a stream", func(d *plan.Data) { jsonl(d); d.Rows = "stream" }, `data.rows: a label belongs to one record, and stream rows hold several`},
		{"lines", func(d *plan.Data) { jsonl(d); d.Task, d.Train = "values", []string{"bad.jsonl"} }, `data.train.files: bad.jsonl:2: field "y": 1 values here, 2 in the rows before|` +
			`data.train.files: bad.jsonl:3: field "y": names in some rows and numbers in others|data.train.files: bad.jsonl:4: no field "t"`},
		{"no lines", func(d *plan.Data) { jsonl(d); d.Train = []string{"none.jsonl"} }, `data.train.files: the files of train are empty`},
		{"columns", func(d *plan.Data) {
			d.Format, d.Rows, d.Task, d.TagColumn, d.Train = "conll", "padded", "tags", -1, []string{"a.conll"}
		}, `data.train.files: a.conll:1: too few columns: 1, of which the word is column 0 and the tag column -1`},
		{"tokens", func(d *plan.Data) {
			d.Format, d.Tokenizer, d.TokenType, d.Train = "tokens", "none", "uint16", []string{"a.bin"}
		}, `data.train.files: a.bin: its 3 bytes are not a whole number of uint16 tokens`},
		{"token type", func(d *plan.Data) { d.Format, d.Tokenizer, d.TokenType = "tokens", "none", "int8" }, `data.token_type: unknown type of tokens "int8"`},
		{"several", func(d *plan.Data) { d.Length, d.Order, d.Validation = -1, "x", []string{"gone"} }, `data.length: rows of -1 tokens|data.order: unknown order "x"|data.validation.files: gone: no such file`},
	}
	for _, c := range cases {
		spec := text
		c.change(&spec)
		_, err := Prepare(spec)
		var list Errors
		if !errors.As(err, &list) {
			t.Errorf("%s: error %v", c.name, err)
			continue
		}
		var got []string
		for _, e := range list {
			got = append(got, e.Path+": "+e.Message)
		}
		if text := strings.Join(got, "|"); text != c.want {
			t.Errorf("%s: got\n%s, want\n%s", c.name, text, c.want)
		}
	}
}

func TestPrepareIsRepeatable(t *testing.T) {
	for name, spec := range kinds(t) {
		first, err := Prepare(spec)
		if err != nil {
			t.Fatal(err)
		}
		second, err := Prepare(first)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := len(first.Files), len(second.Files); a != b || first.Splits != second.Splits || !slices.Equal(first.Notes, second.Notes) || !slices.Equal(first.Vocabulary, second.Vocabulary) {
			t.Errorf("%s: preparing again changes it", name)
		}
	}
}

func TestNotes(t *testing.T) {
	base := write(t, "a.jsonl", "{\"t\":\"a\",\"y\":\"p\"}\n{\"t\":\"\",\"y\":\"p\"}\n{\"t\":\"abcdef\",\"y\":\"p\"}", "b.jsonl", "{\"t\":\"a\",\"y\":\"q\"}\n", "n.txt", "a\x00bcdef")
	spec := plan.Data{Format: "jsonl", Field: "t", Label: "y", Tokenizer: "bytes", Train: []string{"a.jsonl"}, Validation: []string{"*.jsonl"}, Base: base, Rows: "padded", Length: 4, Task: "class", Ignore: -100}
	prepared, err := Prepare(spec)
	want := []string{"train: 1 of 3 records longer than a row and cut at 4 tokens", "train: 1 of 3 records empty and left out",
		"validation: 1 of 4 records longer than a row and cut at 4 tokens", "validation: 1 of 4 records empty and left out",
		"labels that training lacks: q", "1 files are in both train and validation"}
	if err != nil || !slices.Equal(prepared.Notes, want) {
		t.Errorf("%q %v", prepared.Notes, err)
	}
	spec = plan.Data{Format: "text", Tokenizer: "bytes", Train: []string{"n.txt"}, Base: base, Rows: "stream", Length: 4, Task: "next", Ignore: -100}
	prepared, err = Prepare(spec)
	want = []string{"train: 1 of 1 records with the character NUL, which also separates records"}
	if err != nil || !slices.Equal(prepared.Notes, want) {
		t.Errorf("%q %v", prepared.Notes, err)
	}
}

func TestOpenRefusesChangedData(t *testing.T) {
	spec := plan.Data{Format: "text", Tokenizer: "bytes", Train: []string{"*.txt"}, Rows: "stream", Length: 4, Task: "next", Ignore: -100}
	cases := []struct {
		name   string
		change func(base string)
		want   string
	}{
		{"added", func(base string) { rewrite(t, base, "new.txt", "x") }, "1 files added, 0 removed, 0 changed\n  + new.txt"},
		{"removed", func(base string) { os.Remove(filepath.Join(base, "a.txt")) }, "0 files added, 1 removed, 0 changed\n  - a.txt"},
		{"longer", func(base string) { rewrite(t, base, "a.txt", "some longer text") }, "0 files added, 0 removed, 1 changed\n  ~ a.txt"},
		{"altered", func(base string) { rewrite(t, base, "a.txt", "same text") }, "0 files added, 0 removed, 1 changed\n  ~ a.txt"},
		{"gone", func(base string) { os.Remove(filepath.Join(base, "a.txt")); os.Remove(filepath.Join(base, "b.txt")) }, "0 files added, 2 removed, 0 changed\n  - a.txt\n  - b.txt"},
	}
	for _, c := range cases {
		spec.Base = write(t, "a.txt", "some text", "b.txt", "more")
		prepared, err := Prepare(spec)
		if err != nil {
			t.Fatal(err)
		}
		c.change(spec.Base)
		_, err = Open(prepared)
		var changed *ChangedError
		if !errors.As(err, &changed) || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Splits by file are told in the manifest, and a changed share changes it.
func TestManifest(t *testing.T) {
	base := write(t, "a.txt", "some text", "sub/b.txt", "more text")
	spec := plan.Data{Format: "text", Tokenizer: "bytes", Train: []string{"**/*.txt"}, Base: base, Rows: "stream", Length: 4, Task: "next", Ignore: -100}
	prepared, err := Prepare(spec)
	want := []plan.File{{Path: "a.txt", SizeBytes: 9, Digest: "1ba75b7b6ee3d0c5", Split: "train"}, {Path: "sub/b.txt", SizeBytes: 9, Digest: "0a6a3d1ad1b17de9", Split: "train"}}
	if err != nil || len(prepared.Files) != 2 {
		t.Fatal(prepared.Files, err)
	}
	for i, f := range prepared.Files {
		f.Digest, want[i].Digest = "", ""
		if f != want[i] {
			t.Errorf("%+v, want %+v", f, want[i])
		}
	}
	if c := prepared.Splits.Train; c != (plan.Count{Rows: 4, Tokens: 19, Records: 2}) {
		t.Errorf("%+v", c)
	}
}

// A plan edited by hand is refused, or serves as it is; it never panics.
func TestOpenRefusesEditedPlans(t *testing.T) {
	edits := map[string]func(*plan.Data){
		"tokens":     func(d *plan.Data) { d.Splits.Train.Tokens++ },
		"rows":       func(d *plan.Data) { d.Splits.Train.Rows-- },
		"records":    func(d *plan.Data) { d.Splits.Train.Records = 1 << 50 },
		"negative":   func(d *plan.Data) { d.Splits.Validation.Tokens = -1 },
		"length":     func(d *plan.Data) { d.Length = 0 },
		"vocabulary": func(d *plan.Data) { d.VocabularySize = 3 },
		"outputs":    func(d *plan.Data) { d.Outputs++ },
		"target":     func(d *plan.Data) { d.Target = "rows" },
		"inputs":     func(d *plan.Data) { d.Inputs = d.Inputs[1:] },
		"tokenizer":  func(d *plan.Data) { d.Tokenizer = "words" },
		"files":      func(d *plan.Data) { d.Files = nil },
	}
	for name, spec := range kinds(t) {
		for edit, change := range edits {
			prepared, err := Prepare(spec)
			if err != nil {
				t.Fatal(err)
			}
			change(&prepared)
			if _, err := Open(prepared); err == nil {
				t.Errorf("%s: a plan of edited %s was taken", name, edit)
			}
		}
	}
}
