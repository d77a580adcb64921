package compiler

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// ProfileError is what is wrong with a profile's file, and where.
type ProfileError struct {
	File         string
	Line, Column int // 0: about the file as a whole
	Message      string
}

func (e *ProfileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// ReadProfile reads a profile that [Profile.Text] wrote. Its error is a *[ProfileError].
func ReadProfile(path string) (*Profile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		var reason *os.PathError
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return nil, &ProfileError{File: path, Message: fmt.Sprintf("cannot be read: %v", err)}
	}
	p, err := ParseProfile(text)
	var wrong *ProfileError
	if errors.As(err, &wrong) {
		wrong.File = path
	}
	return p, err
}

// ParseProfile reads the text of a profile and holds it to what the estimate relies on.
func ParseProfile(text []byte) (*Profile, error) {
	p := &Profile{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, decodeError(text, err)
	}
	end := int(d.InputOffset())
	if rest := bytes.TrimLeft(text[end:], " \t\r\n"); len(rest) > 0 {
		return nil, profileError(text, len(text)-len(rest), "something follows the profile")
	}
	known := BuiltIn(p.Kind, "")
	if known == nil {
		return nil, fieldError(text, "kind", fmt.Sprintf("unknown device kind %q", p.Kind))
	}
	p.ProcessBytes, p.ScratchBytes, p.ThreadBytes = known.ProcessBytes, known.ScratchBytes, known.ThreadBytes
	p.Matrix, p.Topology, p.MemoryBytes, p.Reserved, p.GroupBytes = known.Matrix, known.Topology, known.MemoryBytes, known.Reserved, known.GroupBytes
	if err := p.checkRates(text); err != nil {
		return nil, err
	}
	at := -1
	for i := range p.Tables {
		at += 1 + strings.Index(string(text[at+1:]), `"op"`)
		if message := p.Tables[i].check(); message != "" {
			return nil, profileError(text, at, fmt.Sprintf("tables[%d]: %s", i, message))
		}
	}
	return p, nil
}

// checkRates: what is divided by is positive.
func (p *Profile) checkRates(text []byte) error {
	if p.Name == "" {
		return fieldError(text, "name", "the profile has no name")
	}
	for _, rate := range []struct {
		field string
		value float64
		zero  bool // may be
	}{
		{"threads", float64(p.Threads), false}, {"peak_flops", p.PeakFlops, true}, {"sustained_flops", p.SustainedFlops, true}, {"read_bytes_per_second", p.ReadBytesPerSecond, true},
		{"matmul_flops", p.MatMulFlops, false}, {"other_flops", p.OtherFlops, false}, {"bytes_per_second", p.BytesPerSecond, false},
		{"call_seconds", p.CallSeconds, true}, {"cache_bytes", float64(p.CacheBytes), false},
	} {
		if !(rate.value > 0) && !(rate.zero && rate.value == 0) {
			return fieldError(text, rate.field, fmt.Sprintf("%s = %v is not positive", rate.field, rate.value))
		}
	}
	return nil
}

// check says what is wrong with a table; nothing is when it is empty.
func (t *Table) check() string {
	points := 1
	for _, a := range t.Axes {
		points *= len(a.At)
		for i, size := range a.At {
			if !(size > 0) || i > 0 && !(size > a.At[i-1]) {
				return fmt.Sprintf("axis %s: the sizes are not positive and ascending", a.Name)
			}
		}
	}
	if t.Threads < 1 || t.Op == kernels.NoOp || t.DType == kernels.Invalid && hasFloats(t.Op) {
		return "it lacks op, type or threads"
	}
	for name, times := range map[string][]float64{"warm": t.Warm, "cold": t.Cold} {
		if len(times) != points || points == 0 || len(t.Axes) == 0 {
			return fmt.Sprintf("%s has %d times, the axes have %d points", name, len(times), points)
		}
		for _, seconds := range times {
			if !(seconds > 0) {
				return fmt.Sprintf("%s: a time of %v seconds", name, seconds)
			}
		}
	}
	return ""
}

// hasFloats says whether an operation has operands of floats.
func hasFloats(op kernels.Op) bool {
	return slices.ContainsFunc(kernels.Contracts[op].Params, func(p kernels.Param) bool { return p.Class == kernels.Float && !p.Optional })
}

// decodeError puts an error of the decoder to its place.
func decodeError(text []byte, err error) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return profileError(text, int(syntax.Offset)-1, strings.TrimPrefix(err.Error(), "json: "))
	case errors.As(err, &wrong):
		return profileError(text, int(wrong.Offset)-1, fmt.Sprintf("%s is no %v: %s", wrong.Field, wrong.Type, wrong.Value))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return profileError(text, len(text), "the file ends too early")
	}
	message := strings.TrimPrefix(err.Error(), "json: ")
	if _, rest, ok := strings.Cut(message, `"`); ok { // a name, of a field or a value, that is none of ours
		name, _, _ := strings.Cut(rest, `"`)
		return fieldError(text, name, message)
	}
	return profileError(text, 0, message)
}

// fieldError stands where the field first does.
func fieldError(text []byte, field, message string) error {
	return profileError(text, max(0, bytes.Index(text, []byte(`"`+field+`"`))), message)
}

func profileError(text []byte, offset int, message string) error {
	before := text[:max(0, min(offset, len(text)))]
	return &ProfileError{Line: 1 + bytes.Count(before, []byte("\n")), Column: len(before) - bytes.LastIndexByte(before, '\n'), Message: message}
}

// Text is the profile's file: JSON, a line for each setting, a few for each table.
func (p *Profile) Text() []byte {
	tables := p.Tables
	head := *p
	head.Tables = nil
	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		panic(err) // numbers and names marshal
	}
	b := bytes.NewBuffer(bytes.TrimSuffix(text, []byte("null\n}")))
	b.WriteString("[")
	for i, t := range tables {
		line, err := json.Marshal(t)
		if err != nil {
			panic(err) // as above; a time that is no number is refused before
		}
		b.WriteString(map[bool]string{true: "\n    ", false: ",\n    "}[i == 0])
		b.Write(line)
	}
	b.WriteString("\n  ]\n}\n")
	return b.Bytes()
}
