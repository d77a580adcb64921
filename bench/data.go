package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Sizes of the generated data. Both sides read the same tokens, and every run generates the same.
const (
	vocabulary    = 50257
	characters    = 65
	tokens        = 1 << 16
	bertBatches   = 16
	bertRows      = 8
	bertLength    = 128
	bertWords     = 30522
	bertLabels    = 9
	textBytes     = 1 << 20
	textFileBytes = 1 << 15
)

// makeData fills the session's folder with what the strategies read.
func (s *session) makeData() error {
	text, err := goSource()
	if err != nil {
		return err
	}
	letters := ids(tokens, characters)
	if s.text != "" {
		if letters, err = characterIDs(s.text); err != nil {
			return err
		}
	}
	for name, content := range map[string][]byte{
		"tokens.bin":       littleEndian(ids(tokens, vocabulary)),
		"characters.bin":   littleEndian(letters),
		"tags.safetensors": bertData(),
		"text.txt":         text,
	} {
		if err := os.WriteFile(s.path(name), content, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// ids are n numbers below a bound.
func ids(n, below int) []uint16 {
	r := rand.New(rand.NewPCG(1, uint64(below)))
	list := make([]uint16, n)
	for i := range list {
		list[i] = uint16(r.IntN(below))
	}
	return list
}

func littleEndian(ids []uint16) []byte {
	out := make([]byte, 0, 2*len(ids))
	for _, id := range ids {
		out = binary.LittleEndian.AppendUint16(out, id)
	}
	return out
}

// characterIDs numbers the characters of a text in the order of their code points.
func characterIDs(path string) ([]uint16, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	runes := []rune(string(text))
	alphabet := slices.Compact(slices.Sorted(slices.Values(runes)))
	if len(alphabet) > characters {
		return nil, fmt.Errorf("%s has %d different characters: use a text of at most %d", path, len(alphabet), characters)
	}
	list := make([]uint16, len(runes))
	for i, c := range runes {
		at, _ := slices.BinarySearch(alphabet, c)
		list[i] = uint16(at)
	}
	return list, nil
}

// bertData is a safetensors file of batches: tokens, and a label for each.
func bertData() []byte {
	var head, body bytes.Buffer
	entries := map[string]any{}
	for _, t := range []struct {
		name  string
		below int
	}{{"input_ids", bertWords}, {"labels", bertLabels}} {
		begin := body.Len()
		for _, id := range ids(bertBatches*bertRows*bertLength, t.below) {
			body.Write(binary.LittleEndian.AppendUint64(nil, uint64(id)))
		}
		entries[t.name] = map[string]any{"dtype": "I64", "shape": []int{bertBatches, 1, bertRows, bertLength}, "data_offsets": []int{begin, body.Len()}}
	}
	text, _ := json.Marshal(entries) // strings and numbers: it cannot fail
	head.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))
	return slices.Concat(head.Bytes(), text, body.Bytes())
}

// goSource is a megabyte of the Go standard library: text that can be learnt, on every machine that builds gsc.
func goSource() ([]byte, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src")
	paths, err := filepath.Glob(filepath.Join(source, "*", "*.go"))
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, path := range paths {
		file, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if text = append(text, file[:min(len(file), textFileBytes)]...); len(text) >= textBytes {
			return text[:textBytes], nil
		}
	}
	return nil, fmt.Errorf("%s has less than %d bytes of Go source", source, textBytes)
}
