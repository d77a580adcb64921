// Package token turns text into token ids and back.
//
// Two tokenizers need no training: bytes, whose ids are the 256 byte values, and characters, whose
// ids are places in a sorted vocabulary. Text is no secret language of either: every text can be encoded, and
// decoding gives it back, but for characters that the vocabulary lacks, which become [Unknown].
package token

import (
	"fmt"
	"unicode/utf8"
)

// The kinds of tokenizers. None stands for data that comes as token ids.
const (
	Bytes      = "bytes"
	Characters = "characters"
	None       = "none"
)

const (
	// Separator stands between documents and ends them: the character NUL, which text does not hold.
	Separator = rune(0)
	// Unknown stands for what a vocabulary of characters lacks, and for bytes that are not valid UTF-8.
	Unknown = utf8.RuneError
)

// Tokenizer turns text into token ids and back. It may be used by several goroutines at once.
type Tokenizer struct {
	Kind       string
	Vocabulary []string // characters: the character of each id; bytes: none

	ids     map[rune]int32
	low     [256]int32 // ids of the first characters; −1: none
	unknown int32
}

// New makes a tokenizer of a kind. The vocabulary is that of [plan.Data]: one
// character an entry.
func New(kind string, vocabulary []string) (*Tokenizer, error) {
	t := &Tokenizer{Kind: kind, Vocabulary: vocabulary, unknown: -1}
	switch kind {
	case Bytes, None:
		return t, nil
	case Characters:
		return t, t.index()
	}
	return nil, fmt.Errorf("unknown tokenizer %q", kind)
}

func (t *Tokenizer) index() error {
	t.ids = make(map[rune]int32, len(t.Vocabulary))
	for i := range t.low {
		t.low[i] = -1
	}
	for i, entry := range t.Vocabulary {
		r, n := utf8.DecodeRuneInString(entry)
		if n == 0 || n != len(entry) {
			return fmt.Errorf("vocabulary entry %d, %q, is not one character", i, entry)
		}
		if _, twice := t.ids[r]; twice {
			return fmt.Errorf("vocabulary entry %d, %q, stands twice", i, entry)
		}
		t.ids[r] = int32(i)
		if int(r) < len(t.low) {
			t.low[r] = int32(i)
		}
	}
	if id, ok := t.ids[Unknown]; ok {
		t.unknown = id
	}
	return nil
}

// Size is the number of token ids; 0 for the kind none, which does not know it.
func (t *Tokenizer) Size() int {
	switch t.Kind {
	case Bytes:
		return 256
	case Characters:
		return len(t.Vocabulary)
	}
	return 0
}

// Separator is the id that stands between documents, if the tokenizer has one.
func (t *Tokenizer) Separator() (id int32, ok bool) {
	switch t.Kind {
	case Bytes:
		return int32(Separator), true
	case Characters:
		id, ok = t.ids[Separator]
	}
	return id, ok
}

// Encode is the ids of text.
func (t *Tokenizer) Encode(text []byte) []int32 {
	return t.Append(make([]int32, 0, len(text)), text)
}

// Append appends the ids of text to ids. A character that the vocabulary lacks becomes
// [Unknown], or is left out where the vocabulary lacks that too.
func (t *Tokenizer) Append(ids []int32, text []byte) []int32 {
	switch t.Kind {
	case Bytes:
		for _, b := range text {
			ids = append(ids, int32(b))
		}
	case Characters:
		for len(text) > 0 {
			r, n := rune(text[0]), 1
			if r >= utf8.RuneSelf {
				r, n = utf8.DecodeRune(text)
			}
			text = text[n:]
			if id := t.id(r); id >= 0 {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func (t *Tokenizer) id(r rune) int32 {
	if int(r) < len(t.low) {
		if id := t.low[r]; id >= 0 {
			return id
		}
		return t.unknown
	}
	if id, ok := t.ids[r]; ok {
		return id
	}
	return t.unknown
}

// Decode is the text of ids; ids that the tokenizer does not know become [Unknown].
func (t *Tokenizer) Decode(ids []int32) []byte {
	text := make([]byte, 0, len(ids))
	for _, id := range ids {
		switch {
		case t.Kind == Bytes && id >= 0 && id < 256:
			text = append(text, byte(id))
		case t.Kind == Characters && id >= 0 && int(id) < len(t.Vocabulary):
			text = append(text, t.Vocabulary[id]...)
		default:
			text = utf8.AppendRune(text, Unknown)
		}
	}
	return text
}
