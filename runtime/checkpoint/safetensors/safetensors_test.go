package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// file puts a header text and data together.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func open(b []byte) (*File, error) {
	return New("x.safetensors", bytes.NewReader(b), int64(len(b)))
}

// write writes tensors whose bytes are given by name.
func write(t testing.TB, metadata map[string]string, infos []Info, data map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	err := Write(&b, metadata, infos, func(info Info, w io.Writer) error {
		_, err := w.Write(data[info.Name])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func floatBytes(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// The bytes that the format's first implementation writes for these tensors.
func TestWriteAsUpstream(t *testing.T) {
	values := floatBytes(0, 1, 2, 3, 4, 5)
	tests := []struct {
		name     string
		metadata map[string]string
		infos    []Info
		header   string
	}{
		{"empty", nil, nil, `{}      `},
		{"metadata only", map[string]string{"framework": "pt"}, nil, `{"__metadata__":{"framework":"pt"}}     `},
		{"aligned", nil, []Info{{Name: "attn.0", DType: F32, Shape: []int{1, 2, 3}}},
			`{"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}}`},
		{"padded", nil, []Info{{Name: "attn0", DType: F32, Shape: []int{1, 1, 2, 3}}},
			`{"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}       `},
	}
	for _, test := range tests {
		data := map[string][]byte{}
		want := file(test.header, 0)
		for _, info := range test.infos {
			data[info.Name] = values
			want = append(want, values...)
		}
		if got := write(t, test.metadata, test.infos, data); !bytes.Equal(got, want) {
			t.Errorf("%s: wrote %q, want %q", test.name, got, want)
		}
	}
}

func TestWriteOrder(t *testing.T) {
	infos := []Info{
		{Name: "b", DType: F32}, {Name: "c", DType: BF16}, {Name: "a", DType: F32}, {Name: "z", DType: I64}, {Name: "y", DType: BOOL}, {Name: "<&>", DType: F64, Shape: []int{0, 3}},
	}
	data := map[string][]byte{"b": make([]byte, 4), "c": make([]byte, 2), "a": make([]byte, 4), "z": make([]byte, 8), "y": {1}}
	first := write(t, nil, infos, data)
	slices.Reverse(infos)
	if !bytes.Equal(first, write(t, nil, infos, data)) {
		t.Error("the order of the arguments changes the file")
	}
	f, err := open(first)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, info := range f.Tensors() {
		names = append(names, info.Name)
	}
	if got := strings.Join(names, " "); got != "z <&> a b c y" {
		t.Errorf("order %q", got)
	}
	if !bytes.Contains(first, []byte(`"<&>"`)) {
		t.Error("name was escaped")
	}
}

func TestWriteRefuses(t *testing.T) {
	one := func(n int) func(Info, io.Writer) error {
		return func(_ Info, w io.Writer) error {
			_, err := w.Write(make([]byte, n))
			return err
		}
	}
	tests := []struct {
		want  string
		infos []Info
		bytes int
	}{
		{`tensor "a": 4 of its 8 bytes were not written`, []Info{{Name: "a", DType: F64}}, 4},
		{`tensor "a": 1 bytes more than its shape takes`, []Info{{Name: "a", DType: F64}}, 9},
		{`tensor "a": the name is taken`, []Info{{Name: "a", DType: F64}, {Name: "a", DType: F32}}, 8},
		{`tensor "__metadata__": the name is taken`, []Info{{Name: "__metadata__", DType: F64}}, 8},
		{`tensor "\xff": the name is not UTF-8`, []Info{{Name: "\xff", DType: F64}}, 8},
		{`tensor "a": unknown type "F33"`, []Info{{Name: "a", DType: "F33"}}, 8},
		{`tensor "a": shape [-1] has a negative length`, []Info{{Name: "a", DType: F32, Shape: []int{-1}}}, 8},
	}
	for _, test := range tests {
		err := Write(io.Discard, nil, test.infos, one(test.bytes))
		if err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	entry := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"dtype":%s,"shape":%s,"data_offsets":%s}`, dtype, shape, offsets)
	}
	good := entry(`"F32"`, `[2]`, `[0,8]`)
	tests := []struct {
		name, header string
		data         int
		want         string
	}{
		{"no header", ``, 0, "does not start with a brace"},
		{"space first", ` {}`, 0, "does not start with a brace"},
		{"a list", `[]`, 0, "does not start with a brace"},
		{"not JSON", `{"a"}`, 0, "not JSON"},
		{"more after", `{}{}`, 0, "not JSON"},
		{"not UTF-8", "{\"\xff\":1}", 0, "not UTF-8"},
		{"deep", `{"a":` + strings.Repeat("[", 20000), 0, "not JSON"},
		{"repeated tensor", `{"a":` + good + `,"a":` + good + `}`, 8, `key "a" appears twice`},
		{"repeated, escaped", `{"a":` + good + `,"\u0061":` + good + `}`, 8, `key "a" appears twice`},
		{"repeated key", `{"a":{"dtype":"F32","dtype":"F32","shape":[2]}}`, 8, `tensor "a": key "dtype" appears twice`},
		{"missing key", `{"a":{"dtype":"F32","shape":[2]}}`, 8, `tensor "a": needs dtype, shape and data_offsets`},
		{"other key", `{"a":{"dtype":"F32","Shape":[2],"data_offsets":[0,8]}}`, 8, `tensor "a": unknown key "Shape"`},
		{"no object", `{"a":3}`, 0, `tensor "a": want an object, got 3`},
		{"unknown type", `{"a":` + entry(`"F33"`, `[2]`, `[0,8]`) + `}`, 8, `tensor "a": unknown type "F33"`},
		{"type a number", `{"a":` + entry(`32`, `[2]`, `[0,8]`) + `}`, 8, `tensor "a": dtype: want a string, got 32`},
		{"negative", `{"a":` + entry(`"F32"`, `[-2]`, `[0,8]`) + `}`, 8, `tensor "a": shape: -2 is not a length`},
		{"fraction", `{"a":` + entry(`"F32"`, `[2.0]`, `[0,8]`) + `}`, 8, `tensor "a": shape: 2.0 is not a length`},
		{"null shape", `{"a":` + entry(`"F32"`, `null`, `[0,8]`) + `}`, 8, `tensor "a": shape: want a list`},
		{"huge length", `{"a":` + entry(`"F32"`, `[99999999999999999999]`, `[0,8]`) + `}`, 8, "is not a length"},
		{"elements overflow", `{"a":` + entry(`"F32"`, `[4294967296,4294967296]`, `[0,0]`) + `}`, 0, "more elements than can be counted"},
		{"elements overflow to 0", `{"a":` + entry(`"F32"`, `[4294967296,4294967296,0]`, `[0,0]`) + `}`, 0, "more elements than can be counted"},
		{"bytes overflow", `{"a":` + entry(`"F64"`, `[4611686018427387904]`, `[0,0]`) + `}`, 0, "more bytes than can be counted"},
		{"half a byte", `{"a":` + entry(`"F4"`, `[3]`, `[0,2]`) + `}`, 2, "does not end on a whole byte"},
		{"size", `{"a":` + entry(`"F32"`, `[3]`, `[0,8]`) + `}`, 8, `tensor "a": data_offsets [0 8] hold 8 bytes, but shape [3] of F32 takes 12`},
		{"one offset", `{"a":` + entry(`"F32"`, `[2]`, `[8]`) + `}`, 8, "are not a start and an end"},
		{"backwards", `{"a":` + entry(`"F32"`, `[2]`, `[8,0]`) + `}`, 8, "are not a start and an end"},
		{"hole", `{"a":` + entry(`"F32"`, `[2]`, `[4,12]`) + `}`, 12, `tensor "a": 4 bytes before its data belong to no tensor`},
		{"overlap", `{"a":` + good + `,"b":` + entry(`"F32"`, `[2]`, `[4,12]`) + `}`, 12, `tensor "b": its data overlaps that of tensor "a"`},
		{"same place", `{"a":` + good + `,"b":` + good + `}`, 8, `tensor "b": its data overlaps that of tensor "a"`},
		{"cut short", `{"a":` + good + `}`, 7, `tensor "a": its data ends at byte 8, but the file holds 7 bytes of data: it is cut short`},
		{"too long", `{"a":` + good + `}`, 9, "1 bytes at the end of the file belong to no tensor"},
		{"metadata list", `{"__metadata__":["a"]}`, 0, "__metadata__: want an object, got ["},
		{"metadata number", `{"__metadata__":{"a":1}}`, 0, "__metadata__: want a string, got 1"},
		{"metadata twice", `{"__metadata__":{"a":"1","a":"1"}}`, 0, `__metadata__: key "a" appears twice`},
	}
	for _, test := range tests {
		_, err := open(file(test.header, test.data))
		if err == nil || !strings.HasPrefix(err.Error(), "x.safetensors: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestOpenRefusesLengths(t *testing.T) {
	for _, test := range []struct {
		length uint64
		size   int
		want   string
	}{
		{0, 7, "7 bytes are too few"},
		{math.MaxUint64, 16, "more than 100000000"},
		{100_000_001, 16, "more than 100000000"},
		{100_000_000, 16, "100000000 bytes long, but the file holds 16"},
		{9, 16, "9 bytes long, but the file holds 16"},
	} {
		b := append(binary.LittleEndian.AppendUint64(nil, test.length), "{}      "...)
		_, err := open(b[:test.size])
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}

func TestOpenAcceptsAnyOrderAndPadding(t *testing.T) {
	f, err := open(file(`{"b":{"shape":[],"data_offsets":[8,12],"dtype":"F32"}, "empty":{"dtype":"F4","shape":[7,0],"data_offsets":[8,8]},
		"__metadata__":{"format":"pt"}, "a":{"dtype":"F6_E2M3","shape":[4,2],"data_offsets":[0,6]}, "c":{"dtype":"U8","shape":[2],"data_offsets":[6,8]}}     `, 12))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, info := range f.Tensors() {
		names = append(names, info.Name)
	}
	if got := strings.Join(names, " "); got != "a c empty b" || f.Metadata()["format"] != "pt" {
		t.Errorf("tensors %q, metadata %v", got, f.Metadata())
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	whole := write(t, nil, []Info{{Name: "a", DType: F32, Shape: []int{3}}, {Name: "b", DType: U8, Shape: []int{3}}},
		map[string][]byte{"a": make([]byte, 12), "b": make([]byte, 3)})
	for n := range whole {
		if _, err := open(whole[:n]); err == nil {
			t.Errorf("accepted the first %d of %d bytes", n, len(whole))
		}
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "bad.safetensors")
	if err := os.WriteFile(path, []byte("<html>not found</html>"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, folder, filepath.Join(folder, "none")} {
		if _, err := Open(p); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("got %v, want an error that names %s", err, p)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte{})
	f.Add(file(`{}`, 0))
	f.Add(file(`{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}`, 8))
	f.Add(file(`{"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]},"b":{"dtype":"I64","shape":[1],"data_offsets":[2,10]}}`, 10))
	f.Add(file(`{"a":{"dtype":"F16","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}`, 0))
	f.Add(file(`{"a":{"dtype":"F4","shape":[4,0],"data_offsets":[18446744073709551615,0]},"\u0061":[]}`, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := open(b)
		if err != nil {
			return
		}
		checkCovered(t, file, int64(len(b)))
		for _, info := range file.Tensors() {
			n := int(info.Elements())
			if info.SizeBytes > 0 && n <= len(b)*2 { // F4 holds two a byte
				_ = file.ReadFloat32(info.Name, make([]float32, n))
				_ = file.ReadInt64(info.Name, make([]int64, n))
			}
		}
		rewrite(t, file)
	})
}

// checkCovered checks that each byte of the data belongs to one tensor.
func checkCovered(t *testing.T, f *File, size int64) {
	end := int64(-1)
	for _, info := range f.Tensors() {
		if end >= 0 && info.Offset != end || info.SizeBytes < 0 {
			t.Errorf("tensor %q at %d, the one before ends at %d", info.Name, info.Offset, end)
		}
		end = info.Offset + info.SizeBytes
	}
	if end >= 0 && end != size {
		t.Errorf("tensors end at %d of %d bytes", end, size)
	}
}

// rewrite checks that writing what was read and reading it again gives the same.
func rewrite(t *testing.T, f *File) {
	var b bytes.Buffer
	err := Write(&b, f.Metadata(), f.Tensors(), func(info Info, w io.Writer) error {
		section, err := f.Section(info.Name)
		if err == nil {
			_, err = io.Copy(w, section)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := open(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Tensors()) != len(f.Tensors()) {
		t.Errorf("%d tensors became %d", len(f.Tensors()), len(again.Tensors()))
	}
}
