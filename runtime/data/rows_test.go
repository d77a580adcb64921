package data

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/data/source"
)

// show writes row i of a batch as text: tokens, labels ('_' is not scored, '$' the separator), segments and positions.
func show(s *Set, b *Batch, i int) string {
	text := func(ids []int32) string {
		var out strings.Builder
		for _, id := range ids {
			switch id {
			case b.ignore:
				out.WriteString("_")
			case 0:
				out.WriteString("$")
			default:
				out.Write(s.Tokenizer().Decode([]int32{id}))
			}
		}
		return out.String()
	}
	line := text(b.span(b.Tokens, i))
	if b.target == "token" {
		line += " " + text(b.span(b.Labels, i))
	}
	if b.Segments != nil {
		line += fmt.Sprint(" ", b.span(b.Segments, i), b.span(b.Positions, i))
	}
	if b.Lengths != nil {
		line += fmt.Sprint(" ", b.Lengths[i])
	}
	return line
}

// rowsOf shows all rows of a pass over a split.
func rowsOf(s *Set, split Split, batch int) (lines []string) {
	pass := s.Evaluation(split, batch, 0)
	b := NewBatch(s.Spec(), batch)
	for n := range pass.Batches() {
		pass.Fill(n, b)
		for i, r := range b.Index {
			if r >= 0 {
				lines = append(lines, show(s, b, i))
			}
		}
	}
	return lines
}

func TestRows(t *testing.T) {
	lines := "{\"t\":\"abcd\"}\n{\"t\":\"e\"}\n{\"t\":\"\"}\n{\"t\":\"fghijklmn\"}\n{\"t\":\"opq\"}\n"
	base := write(t, "a.txt", "abcdef", "b.txt", "", "c.txt", "ghijk", "lines.jsonl", lines)
	text := plan.Data{Format: "text", Tokenizer: "bytes", Train: []string{"*.txt"}, Validation: []string{"*.txt"}, Base: base, Rows: "stream", Order: "sequential", Length: 4, Task: "next", Ignore: -100}
	jsonl := func(rows string, buckets ...int) func(*plan.Data) {
		return func(d *plan.Data) {
			d.Format, d.Field, d.Train, d.Validation, d.Rows, d.Buckets = "jsonl", "t", []string{"lines.jsonl"}, []string{"lines.jsonl"}, rows, buckets
		}
	}
	cases := []struct {
		name   string
		change func(*plan.Data)
		split  Split
		want   string
	}{
		{"stream", func(*plan.Data) {}, Validation, "abcd bcde|ef$g f$gh|hij$ ijk_"},
		{"stream of lines", jsonl("stream"), Validation, "abcd bcd$|$e$f e$fg|ghij hijk|klmn lmn$|$op$ opq_"},
		{"packed", jsonl("packed"), Train, "abcd bcd$ [1 1 1 1] [0 1 2 3]|en$$ $$__ [1 2 0 0] [0 0 0 0]|fghi ghij [1 1 1 1] [0 1 2 3]|" +
			"jklm klmn [1 1 1 1] [0 1 2 3]|opq$ pq$_ [1 1 1 0] [0 1 2 0]"},
		{"padded", jsonl("padded"), Train, "abcd bcd$ 4|e$$$ $___ 1|fghi ghij 4|opq$ pq$_ 3"},
		{"padded to buckets", jsonl("padded", 1, 3, 4), Train, "abcd bcd$ 4|e $ 1|fghi ghij 4|opq pq$ 3"},
	}
	for _, c := range cases {
		spec := text
		c.change(&spec)
		s := mustOpen(t, spec)
		if got := strings.Join(rowsOf(s, c.split, 1), "|"); got != c.want {
			t.Errorf("%s: got\n%s, want\n%s", c.name, got, c.want)
		}
	}
}

// The full row that training keeps is the one that evaluation scores too.
func TestTrainingDropsThePartialRow(t *testing.T) {
	base := write(t, "a.txt", "abcdefghij")
	for length, want := range map[int][2]int64{4: {2, 3}, 3: {3, 3}, 9: {1, 1}} {
		spec := plan.Data{Format: "text", Tokenizer: "bytes", Train: []string{"a.txt"}, Validation: []string{"a.txt"}, Base: base, Rows: "stream", Length: length, Task: "next", Ignore: -100}
		s := mustOpen(t, spec)
		if got := [2]int64{s.Rows(Train), s.Rows(Validation)}; got != want {
			t.Errorf("rows of %d: %v, want %v", length, got, want)
		}
	}
}

func TestTags(t *testing.T) {
	base := write(t, "a.conll", "The\tO\nNew\tB-x\nYork\tI-x\n\nété\tA\n")
	spec := plan.Data{Format: "conll", TagColumn: -1, Tokenizer: "bytes", Train: []string{"a.conll"}, Base: base, Rows: "padded", Length: 10, Task: "tags", Ignore: -100}
	s := mustOpen(t, spec)
	if got := s.Spec().Labels; !slices.Equal(got, []string{"O", "A", "B-x", "I-x"}) {
		t.Errorf("labels %q", got)
	}
	b := NewBatch(s.Spec(), 2)
	s.Evaluation(Train, 2, 0).Fill(0, b)
	x := int32(-100)
	if want := []int32{0, x, x, x, 2, x, x, x, 3, x}; !slices.Equal(b.Labels[:10], want) {
		t.Errorf("labels %v, want %v", b.Labels[:10], want)
	}
	if want := []int32{1, x, x, x, x, x, x, x, x, x}; !slices.Equal(b.Labels[10:], want) {
		t.Errorf("labels %v, want %v", b.Labels[10:], want)
	}
	if got := string(s.Tokenizer().Decode(b.Tokens[:10])); got != "The New Yo" || b.Lengths[0] != 10 || b.Lengths[1] != 5 {
		t.Errorf("%q, lengths %v", got, b.Lengths)
	}
	if notes := s.Spec().Notes; len(notes) != 1 || notes[0] != "train: 1 of 2 records longer than a row and cut at 10 tokens" {
		t.Errorf("notes %q", notes)
	}
}

func TestLabelsOfRows(t *testing.T) {
	line := func(labels ...string) (text string) {
		for i, label := range labels {
			text += fmt.Sprintf("{\"t\":\"%c\",\"y\":%s}\n", 'a'+i, label)
		}
		return text
	}
	cases := []struct {
		task, lines string
		labels      []string
		want        string
	}{
		{"class", line(`"b"`, `"a"`, `"b"`), []string{"a", "b"}, "[1 0 1]"},
		{"class", line(`10`, `9`, `-1`), []string{"-1", "9", "10"}, "[2 1 0]"},
		{"class", line(`10`, `9`, `"x"`), []string{"10", "9", "x"}, "[0 1 2]"},
		{"class", line(`true`, `false`), []string{"false", "true"}, "[1 0]"},
		{"values", line(`1.5`, `-2`, `true`), []string{"y"}, "[1.5 -2 1]"},
		{"values", line(`[1,2]`, `[3,4]`), []string{"y.0", "y.1"}, "[1 2 3 4]"},
		{"values", line(`["q","p"]`, `[]`, `"p"`), []string{"p", "q"}, "[1 1 0 0 1 0]"},
	}
	for _, c := range cases {
		base := write(t, "a.jsonl", c.lines)
		spec := plan.Data{Format: "jsonl", Field: "t", Label: "y", Tokenizer: "bytes", Train: []string{"a.jsonl"}, Base: base, Rows: "padded", Length: 4, Task: c.task, Ignore: -100}
		s := mustOpen(t, spec)
		b := NewBatch(s.Spec(), int(s.Rows(Train)))
		s.Evaluation(Train, b.Rows, 0).Fill(0, b)
		got := fmt.Sprint(b.Labels)
		if c.task == "values" {
			got = fmt.Sprint(b.Values)
		}
		if got != c.want || !slices.Equal(s.Spec().Labels, c.labels) || s.Spec().Outputs != len(c.labels) {
			t.Errorf("%s: %s of %q, want %s of %q", c.lines, got, s.Spec().Labels, c.want, c.labels)
		}
	}
}

func TestCharacters(t *testing.T) {
	base := write(t, "a.txt", "hello wörld\xff", "b.txt", "hello 世界")
	spec := plan.Data{Format: "text", Tokenizer: "characters", Train: []string{"a.txt"}, Validation: []string{"b.txt"}, Base: base, Rows: "stream", Length: 4, Task: "next", Ignore: -100}
	s := mustOpen(t, spec)
	if got := strings.Join(s.Spec().Vocabulary, ""); got != " dehlorwö\ufffd" || s.Spec().VocabularySize != 10 {
		t.Errorf("vocabulary %q", got)
	}
	if got := string(s.Tokenizer().Decode(s.Document(Validation, 0))); got != "hello \ufffd\ufffd" {
		t.Errorf("validation reads %q", got)
	}
	if want := "validation: 2 characters that training lacks are read as '�': \"世界\""; !slices.Contains(s.Spec().Notes, want) {
		t.Errorf("notes %q", s.Spec().Notes)
	}
}

func TestDocuments(t *testing.T) {
	for name, spec := range kinds(t) {
		if spec.Format != "text" {
			continue
		}
		spec.Split = plan.Split{}
		s := mustOpen(t, spec)
		want := []string{words(1, 900), words(2, 500), "é" + words(3, 300)}
		for i, text := range want {
			if got := string(s.Tokenizer().Decode(s.Document(Train, int64(i)))); got != text {
				t.Errorf("%s: document %d is %q, want %q", name, i, got, text)
			}
		}
		if s.Documents(Train) != 3 {
			t.Errorf("%s: %d documents", name, s.Documents(Train))
		}
		if joined := s.Bytes(Train); spec.Rows == "stream" && spec.Tokenizer == "bytes" && string(joined) != strings.Join(want, "\x00") {
			t.Errorf("%s: bytes %q", name, joined)
		}
	}
}

func TestPermute(t *testing.T) {
	for n := int64(1); n <= 130; n++ {
		for _, seed := range []uint64{0, 1, 1 << 60} {
			seen := make([]bool, n)
			for i := range n {
				if p := permute(seed, 3, i, n); p < 0 || p >= n || seen[p] {
					t.Fatalf("%d of %d goes to %d", i, n, p)
				} else {
					seen[p] = true
				}
			}
		}
	}
}

// Over many epochs each row comes first about as often as any other.
func TestPermuteIsUniform(t *testing.T) {
	for _, n := range []int64{2, 3, 5, 24} {
		counts := make([]float64, n)
		const epochs = 6000
		for e := range epochs {
			counts[permute(9, uint32(e), 0, n)]++
		}
		expected, chi := float64(epochs)/float64(n), 0.0
		for _, c := range counts {
			chi += (c - expected) * (c - expected) / expected
		}
		if limit := float64(n-1) + 5*float64(n); chi > limit {
			t.Errorf("n = %d: χ² = %g: %v", n, chi, counts)
		}
	}
}

func TestPackHoldsEachRecordWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		length := 1 + random.IntN(100)
		lengths := make([]int64, random.IntN(60))
		total := int64(0)
		for i := range lengths {
			lengths[i] = 1 + random.Int64N(int64(1+length*3/2))
			total += lengths[i]
		}
		p := pack(lengths, length)
		covered := make([]bool, total)
		for r := range p.rows() {
			used := 0
			for _, piece := range p.row(r) {
				used += int(piece.length)
				for k := range piece.length {
					if covered[piece.start+int64(k)] {
						t.Fatal("a token stands in two rows")
					}
					covered[piece.start+int64(k)] = true
				}
			}
			if used == 0 || used > length {
				t.Fatalf("a row of %d tokens, of %d", used, length)
			}
		}
		if slices.Contains(covered, false) {
			t.Fatal("a token stands in no row")
		}
		if least := (total + int64(length) - 1) / int64(length); p.rows() > 2*least+1 {
			t.Errorf("%d rows where %d may do", p.rows(), least)
		}
	}
}

func TestNameOfSplits(t *testing.T) {
	if got := fmt.Sprint(Train, Validation, Test, source.All); got != "train validation test all" {
		t.Error(got)
	}
}

// Rows that are compared by twos stay neighbours in every order, and each pair weighs 1; one that is left over, or of which a row has nothing to score, weighs nothing.
func TestPairs(t *testing.T) {
	var lines strings.Builder
	for i := range 11 {
		fmt.Fprintf(&lines, "{\"text\": \"row %c\"}\n", 'a'+i)
	}
	for _, order := range []string{"shuffled", "sequential"} {
		s := mustOpen(t, plan.Data{Format: "jsonl", Field: "text", Tokenizer: "bytes", Train: []string{"a.jsonl"}, Validation: []string{"a.jsonl"}, Base: write(t, "a.jsonl", lines.String()),
			Rows: "padded", Order: order, Length: 8, Task: "next", Ignore: -100, Unit: plan.UnitPairs})
		seen := map[int64]int{}
		for step := range int64(5) {
			b := fillAt(t, s, 7, step+1, 4)
			for i := 0; i < 4; i += 2 {
				if b.Index[i]%2 != 0 || b.Index[i+1] != b.Index[i]+1 {
					t.Errorf("%s, step %d: rows %v are no pairs", order, step+1, b.Index)
				}
				seen[b.Index[i]]++
			}
			if b.Weight != 2 {
				t.Errorf("%s, step %d: two pairs weigh %v", order, step+1, b.Weight)
			}
		}
		if len(seen) != 5 || seen[0] != 2 || seen[8] != 2 {
			t.Errorf("%s: two epochs take the pairs %v", order, seen)
		}
		pass, b, weight := s.Evaluation(Validation, 4, 7), NewBatch(s.spec, 4), 0.0
		for i := range pass.Batches() {
			pass.Fill(i, b)
			weight += b.Weight
		}
		if weight != 3 || pass.Rows() != 6 {
			t.Errorf("%s: of at most 7 rows %v pairs in %d rows are evaluated", order, weight, pass.Rows())
		}
		for i := range 8 {
			b.Labels[i] = -100 // of the first row
		}
		if b.count(); b.Weight != 0 {
			t.Errorf("a pair of which one row has nothing to score weighs %v", b.Weight)
		}
		if !slices.ContainsFunc(s.spec.Notes, func(note string) bool {
			return strings.Contains(note, "11 rows, the last of which has none to be paired with")
		}) {
			t.Errorf("the notes say %q", s.spec.Notes)
		}
	}
}
