package data

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

// write puts files into a new folder: name, content, name, content, …
func write(t testing.TB, pairs ...string) string {
	t.Helper()
	base := t.TempDir()
	for i := 0; i < len(pairs); i += 2 {
		rewrite(t, base, pairs[i], pairs[i+1])
	}
	return base
}

func rewrite(t testing.TB, base, name, content string) {
	t.Helper()
	full := filepath.Join(base, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t testing.TB, spec plan.Data) *Set {
	t.Helper()
	prepared, err := Prepare(spec)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(prepared)
	if err != nil {
		t.Fatal(err)
	}
	if size, estimate := s.SizeBytes(), EstimateBytes(prepared); size > estimate || spec.Rows != "packed" && size != estimate {
		t.Errorf("%d bytes were estimated, %d are held", estimate, size)
	}
	return s
}

// fillAt is the batch of a step, new.
func fillAt(t testing.TB, s *Set, seed uint64, step int64, rows int) *Batch {
	t.Helper()
	b := NewBatch(s.Spec(), rows)
	if err := s.Fill(seed, step, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// words makes a text of about n bytes, the same for the same seed.
func words(seed uint64, n int) string {
	random := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	for b.Len() < n {
		for range 1 + random.IntN(8) {
			b.WriteByte(byte('a' + random.IntN(20)))
		}
		b.WriteByte(" \n"[random.IntN(8)/7])
	}
	return b.String()[:n]
}

// The kinds of data that the properties are held over.
func kinds(t testing.TB) map[string]plan.Data {
	var lines, tagged strings.Builder
	for i := range 60 {
		fmt.Fprintf(&lines, "{\"text\":%q,\"class\":%q,\"values\":[%d,0.5]}\n", words(uint64(i), 1+i*7%50), []string{"a", "b", "c"}[i%3], i)
		for k := range 1 + i%9 {
			fmt.Fprintf(&tagged, "w%d\t%s\n", i*k, []string{"O", "B-x", "I-x"}[(i+k)%3])
		}
		tagged.WriteString("\n")
	}
	base := write(t, "a.txt", words(1, 900), "b.txt", words(2, 500), "c.txt", "é"+words(3, 300), "d.jsonl", lines.String(), "e.conll", tagged.String(),
		"f.bin", words(4, 1000))
	text := plan.Data{Format: "text", Tokenizer: "bytes", Train: []string{"*.txt"}, Base: base, Split: plan.Split{By: "bytes", Validation: 0.2},
		Rows: "stream", Order: "shuffled", Length: 16, Task: "next", Ignore: -100}
	kinds := map[string]plan.Data{"stream": text}
	add := func(name string, change func(*plan.Data)) {
		spec := text
		change(&spec)
		kinds[name] = spec
	}
	add("characters", func(d *plan.Data) { d.Tokenizer = "characters" })
	add("random", func(d *plan.Data) { d.Order = "random" })
	add("sequential", func(d *plan.Data) { d.Order = "sequential" })
	add("packed text", func(d *plan.Data) { d.Rows = "packed" })
	add("tokens", func(d *plan.Data) {
		d.Format, d.Tokenizer, d.TokenType, d.Train = "tokens", "none", "uint16", []string{"f.bin"}
	})
	jsonl := func(d *plan.Data) { d.Format, d.Field, d.Train = "jsonl", "text", []string{"d.jsonl"} }
	add("joined lines", jsonl)
	add("packed lines", func(d *plan.Data) { jsonl(d); d.Rows = "packed" })
	add("padded lines", func(d *plan.Data) { jsonl(d); d.Rows, d.Buckets = "padded", []int{4, 8, 16} })
	add("classes", func(d *plan.Data) { jsonl(d); d.Rows, d.Task, d.Label = "padded", "class", "class" })
	add("values", func(d *plan.Data) { jsonl(d); d.Rows, d.Task, d.Label = "padded", "values", "values" })
	conll := func(d *plan.Data) {
		d.Format, d.Train, d.Task, d.TagColumn, d.Rows, d.Length = "conll", []string{"e.conll"}, "tags", -1, "padded", 64
	}
	add("tags", conll)
	add("packed tags", func(d *plan.Data) { conll(d); d.Rows = "packed" })
	return kinds
}
