package safetensors

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Info describes one tensor of a file.
type Info struct {
	Name      string
	DType     string // as the format spells it: F32, BF16, I64, …
	Shape     []int  // outermost first; empty for a scalar
	Offset    int64  // of its first byte, from the start of the file
	SizeBytes int64
}

// Elements is the number of elements.
func (i Info) Elements() int64 {
	n := int64(1)
	for _, length := range i.Shape {
		n *= int64(length)
	}
	return n
}

const (
	maxHeaderBytes = 100_000_000 // as the format's first implementation has it
	metadataKey    = "__metadata__"
)

// header is what a checked header says.
type header struct {
	metadata map[string]string
	tensors  []Info // by offset
}

// parseHeader checks a header against the size of the data that follows it.
// dataOffset is where in the file that data starts.
func parseHeader(text []byte, dataOffset, dataBytes int64) (*header, error) {
	if err := checkJSON(text); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	h := &header{}
	err := object(numbers(text), func(dec *json.Decoder, key string) (err error) {
		if key == metadataKey {
			h.metadata, err = parseMetadata(dec)
			return err
		}
		info, err := parseInfo(dec, key)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", key, err)
		}
		h.tensors = append(h.tensors, info)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return h, h.place(dataOffset, dataBytes)
}

// checkJSON checks what the tokens of a decoder would let pass.
func checkJSON(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	if len(text) == 0 || text[0] != '{' {
		return errors.New("does not start with a brace")
	}
	var ignored struct{}
	if err := json.Unmarshal(text, &ignored); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return nil
}

// numbers decodes text without rounding its numbers.
func numbers(text []byte) *json.Decoder {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec
}

// place checks that the tensors cover the data, and makes their offsets those
// of the file.
func (h *header) place(dataOffset, dataBytes int64) error {
	slices.SortFunc(h.tensors, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.SizeBytes, b.SizeBytes), cmp.Compare(a.Name, b.Name))
	})
	end, before := int64(0), "the header"
	for i := range h.tensors {
		t := &h.tensors[i]
		switch {
		case t.Offset < end:
			return fmt.Errorf("tensor %q: its data overlaps that of tensor %q", t.Name, before)
		case t.Offset > end:
			return fmt.Errorf("tensor %q: %d bytes before its data belong to no tensor", t.Name, t.Offset-end)
		case t.SizeBytes > dataBytes-end:
			return fmt.Errorf("tensor %q: its data ends at byte %d, but the file holds %d bytes of data: it is cut short",
				t.Name, t.Offset+t.SizeBytes, dataBytes)
		}
		end, before = end+t.SizeBytes, t.Name
		t.Offset += dataOffset
	}
	if end != dataBytes {
		return fmt.Errorf("%d bytes at the end of the file belong to no tensor", dataBytes-end)
	}
	return nil
}

// parseMetadata reads the value of __metadata__.
func parseMetadata(dec *json.Decoder) (map[string]string, error) {
	metadata := map[string]string{}
	err := object(dec, func(dec *json.Decoder, key string) (err error) {
		metadata[key], err = text(dec)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", metadataKey, err)
	}
	return metadata, nil
}

// parseInfo reads one tensor's entry. Its Offset is still counted from the
// start of the data.
func parseInfo(dec *json.Decoder, name string) (Info, error) {
	info := Info{Name: name}
	var offsets []int
	seen := 0
	err := object(dec, func(dec *json.Decoder, key string) (err error) {
		seen++
		switch key {
		case "dtype":
			info.DType, err = text(dec)
		case "shape":
			info.Shape, err = lengths(dec)
		case "data_offsets":
			offsets, err = lengths(dec)
		default:
			return fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return Info{}, err
	}
	if seen != 3 {
		return Info{}, errors.New("needs dtype, shape and data_offsets")
	}
	return info, info.measure(offsets)
}

// measure sets the tensor's range, which must be as long as its shape and type say.
func (i *Info) measure(offsets []int) error {
	want, err := sizeBytes(i.DType, i.Shape)
	if err != nil {
		return err
	}
	if len(offsets) != 2 || offsets[1] < offsets[0] {
		return fmt.Errorf("data_offsets %v are not a start and an end", offsets)
	}
	i.Offset, i.SizeBytes = int64(offsets[0]), int64(offsets[1]-offsets[0])
	if i.SizeBytes != want {
		return fmt.Errorf("data_offsets %v hold %d bytes, but shape %v of %s takes %d",
			offsets, i.SizeBytes, i.Shape, i.DType, want)
	}
	return nil
}

// object reads an object, handing each key to visit, which reads its value. A
// key must not come twice.
func object(dec *json.Decoder, visit func(dec *json.Decoder, key string) error) error {
	if err := delimiter(dec, '{', "an object"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := text(dec)
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("key %q appears twice", key)
		}
		seen[key] = true
		if err := visit(dec, key); err != nil {
			return err
		}
	}
	return delimiter(dec, '}', "the end of an object")
}

// text reads a string.
func text(dec *json.Decoder) (string, error) {
	token, err := next(dec)
	if err != nil {
		return "", err
	}
	s, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("want a string, got %v", token)
	}
	return s, nil
}

// lengths reads a list of whole numbers of zero or more.
func lengths(dec *json.Decoder) ([]int, error) {
	if err := delimiter(dec, '[', "a list"); err != nil {
		return nil, err
	}
	list := []int{}
	for dec.More() {
		token, err := next(dec)
		if err != nil {
			return nil, err
		}
		number, _ := token.(json.Number)
		n, err := strconv.ParseUint(string(number), 10, strconv.IntSize-1)
		if err != nil {
			return nil, fmt.Errorf("%v is not a length", token)
		}
		list = append(list, int(n))
	}
	return list, delimiter(dec, ']', "the end of a list")
}

// delimiter reads a bracket or brace.
func delimiter(dec *json.Decoder, want json.Delim, meaning string) error {
	token, err := next(dec)
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("want %s, got %v", meaning, token)
	}
	return nil
}

// next is the next token; the end of the text is an error.
func next(dec *json.Decoder) (json.Token, error) {
	token, err := dec.Token()
	if err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	return token, err
}
