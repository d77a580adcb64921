package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// Write writes a file of the given tensors, of which it uses name, type and
// shape. It calls data once for each tensor, in the order of the file; data
// writes the tensor's bytes, neither more nor fewer than its SizeBytes. A nil
// or empty metadata is left out; {"format": "pt"} is what Hugging Face's
// loaders look for.
//
// The bytes depend on nothing but the arguments' contents: tensors are placed
// as the format's first implementation places them, by type, wide types first,
// then by name, and the header is padded so that the data starts on a multiple of 8 bytes.
func Write(w io.Writer, metadata map[string]string, tensors []Info, data func(info Info, w io.Writer) error) error {
	placed, text, err := layout(metadata, tensors)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	for _, info := range placed {
		body := &exactly{w: w, left: info.SizeBytes}
		if err := data(info, body); err != nil {
			return fmt.Errorf("tensor %q: %w", info.Name, err)
		}
		if body.left != 0 {
			return fmt.Errorf("tensor %q: %d of its %d bytes were not written", info.Name, body.left, info.SizeBytes)
		}
	}
	return nil
}

// Layout is the tensors as [Write] places them: in the file's order, with
// offset and size. The end of the last one is the size of the file.
func Layout(metadata map[string]string, tensors []Info) ([]Info, error) {
	placed, _, err := layout(metadata, tensors)
	return placed, err
}

// WriteHeader writes what comes before the tensors' bytes, which others write at the offsets that it gives.
func WriteHeader(w io.Writer, metadata map[string]string, tensors []Info) ([]Info, error) {
	placed, text, err := layout(metadata, tensors)
	if err == nil {
		_, err = w.Write(text)
	}
	return placed, err
}

// layout is the tensors in the file's order, and what comes before their data.
func layout(metadata map[string]string, tensors []Info) ([]Info, []byte, error) {
	placed := slices.Clone(tensors)
	slices.SortFunc(placed, func(a, b Info) int {
		return cmp.Or(cmp.Compare(rank(b.DType), rank(a.DType)), cmp.Compare(a.Name, b.Name))
	})
	if err := measureAll(placed); err != nil {
		return nil, nil, err
	}
	text, err := headerText(metadata, placed)
	if err != nil {
		return nil, nil, err
	}
	for i := range placed {
		placed[i].Offset += int64(len(text))
	}
	return placed, text, nil
}

// measureAll sets sizes, and offsets from the start of the data.
func measureAll(placed []Info) error {
	seen := make(map[string]bool, len(placed))
	end := int64(0)
	for i := range placed {
		t := &placed[i]
		if t.Name == metadataKey || seen[t.Name] {
			return fmt.Errorf("tensor %q: the name is taken", t.Name)
		}
		if !utf8.ValidString(t.Name) {
			return fmt.Errorf("tensor %q: the name is not UTF-8", t.Name)
		}
		seen[t.Name] = true
		size, err := sizeBytes(t.DType, t.Shape)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		t.Offset, t.SizeBytes = end, size
		if end += size; end < 0 {
			return fmt.Errorf("tensor %q: the file would have more bytes than can be counted", t.Name)
		}
	}
	return nil
}

// headerText is the length and the header of a file, padded.
func headerText(metadata map[string]string, placed []Info) ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, 8))
	b.WriteByte('{')
	if len(metadata) > 0 {
		b.Write(quote(metadataKey))
		b.WriteByte(':')
		b.Write(quote(metadata))
	}
	for i, t := range placed {
		if i > 0 || len(metadata) > 0 {
			b.WriteByte(',')
		}
		b.Write(quote(t.Name))
		fmt.Fprintf(&b, `:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`,
			t.DType, quote(append([]int{}, t.Shape...)), t.Offset, t.Offset+t.SizeBytes)
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	n := b.Len() - 8
	if n > maxHeaderBytes {
		return nil, fmt.Errorf("the header would be %d bytes long, more than %d: write fewer tensors into a file", n, maxHeaderBytes)
	}
	binary.LittleEndian.PutUint64(b.Bytes(), uint64(n))
	return b.Bytes(), nil
}

// quote is the JSON form of a value that always has one, without the escapes
// that are for HTML.
func quote(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("safetensors: no JSON form: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// exactly passes on no more bytes than are left.
type exactly struct {
	w    io.Writer
	left int64
}

func (e *exactly) Write(p []byte) (int, error) {
	if int64(len(p)) > e.left {
		return 0, fmt.Errorf("%d bytes more than its shape takes", int64(len(p))-e.left)
	}
	n, err := e.w.Write(p)
	e.left -= int64(n)
	return n, err
}
