package token

import (
	"slices"
	"testing"
	"unicode/utf8"
)

func characters(t testing.TB, vocabulary ...string) *Tokenizer {
	t.Helper()
	k, err := New(Characters, vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEncode(t *testing.T) {
	bytes, _ := New(Bytes, nil)
	full := characters(t, "\x00", "a", "b", "é", "世", "\ufffd", "😂")
	bare := characters(t, "a", "b")
	cases := []struct {
		tokenizer *Tokenizer
		text      string
		ids       []int32
		back      string
	}{
		{bytes, "aé\xff\x00", []int32{97, 0xc3, 0xa9, 255, 0}, "aé\xff\x00"},
		{full, "a世b😂é\x00", []int32{1, 4, 2, 6, 3, 0}, "a世b😂é\x00"},
		{full, "a?è\xff\xe4\xb8", []int32{1, 5, 5, 5, 5, 5}, "a\ufffd\ufffd\ufffd\ufffd\ufffd"},
		{bare, "a?b", []int32{0, 1}, "ab"},
		{bare, "", []int32{}, ""},
	}
	for _, c := range cases {
		ids := c.tokenizer.Encode([]byte(c.text))
		if !slices.Equal(ids, c.ids) {
			t.Errorf("%q: ids %v, want %v", c.text, ids, c.ids)
		}
		if back := string(c.tokenizer.Decode(ids)); back != c.back {
			t.Errorf("%q: back %q, want %q", c.text, back, c.back)
		}
	}
	for _, k := range []*Tokenizer{bytes, full} {
		if got := string(k.Decode([]int32{-1, 1 << 30})); got != "\ufffd\ufffd" {
			t.Errorf("unknown ids decode to %q", got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, vocabulary := range [][]string{{""}, {"ab"}, {"a", "a"}, {"\xc3"}} {
		if _, err := New(Characters, vocabulary); err == nil && vocabulary[0] != "\xc3" {
			t.Errorf("%q was taken", vocabulary)
		}
	}
	if _, err := New("words", nil); err == nil {
		t.Error("an unknown kind was taken")
	}
}

func TestSeparator(t *testing.T) {
	bytes, _ := New(Bytes, nil)
	none, _ := New(None, nil)
	for _, c := range []struct {
		tokenizer *Tokenizer
		ok        bool
		size      int
	}{{bytes, true, 256}, {none, false, 0}, {characters(t, "\x00", "a"), true, 2}, {characters(t, "a"), false, 1}} {
		if id, ok := c.tokenizer.Separator(); ok != c.ok || id != 0 || c.tokenizer.Size() != c.size {
			t.Errorf("%s: %d %v, size %d", c.tokenizer.Kind, id, ok, c.tokenizer.Size())
		}
	}
}

func FuzzCharacters(f *testing.F) {
	k := characters(f, "a", "b", "é", "\ufffd", "😂")
	for _, seed := range []string{"", "ab", "é😂", "\xff\xf0\x9f", "z"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ids := k.Encode(text)
		if len(ids) != utf8.RuneCount(text) {
			t.Fatalf("%d ids of %d characters", len(ids), utf8.RuneCount(text))
		}
		if again := k.Encode(k.Decode(ids)); !slices.Equal(ids, again) {
			t.Errorf("%v becomes %v", ids, again)
		}
	})
}
