package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// JSON is the plan as indented JSON: the fields of its types by their JSON names, and nothing else. It fails where
// a number is not finite, which Verify refuses.
func (p *Plan) JSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(p); err != nil {
		return nil, fmt.Errorf("plan %s: %w", p.Name, err)
	}
	return b.Bytes(), nil
}

// ParseJSON reads a plan from its JSON form, strictly: an unknown field or
// anything behind the plan is an error, which names the line. The plan is not verified.
func ParseJSON(data []byte) (*Plan, error) {
	p := &Plan{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, cmp.Or(otherVersion(data), atLine(data, d.InputOffset(), err))
	}
	if p.Version != Version {
		return nil, versionError(p.Version)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, atLine(data, d.InputOffset(), errors.New("want the end of the file behind the plan"))
	}
	tidy(&p.Model.Config)
	for i := range p.Plugins {
		tidy(&p.Plugins[i].Params)
	}
	return p, nil
}

// otherVersion says that data is a plan of another version, if it is.
func otherVersion(data []byte) error {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil || head.Version == Version {
		return nil
	}
	return versionError(head.Version)
}

func versionError(version int) error {
	return fmt.Errorf("the plan has version %d, but this gsc reads version %d: plan again", version, Version)
}

// atLine puts the line of an error before it.
func atLine(data []byte, offset int64, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	default: // of an unknown field the decoder knows no more than the name
		if _, name, found := strings.Cut(err.Error(), "unknown field "); found {
			offset = int64(max(0, bytes.Index(data, []byte(name))))
		}
	}
	before := data[:min(max(offset, 0), int64(len(data)))]
	return fmt.Errorf("line %d: %w", 1+bytes.Count(before, []byte("\n")), err)
}

// Parse reads a plan in either form: JSON when it begins with a brace, else text. The plan is not verified.
func Parse(data []byte) (*Plan, error) {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		return ParseJSON(data)
	}
	return ParseText(data)
}

// Read reads a plan from a file in either form and verifies it. The error names the file.
func Read(path string) (*Plan, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	p, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := p.Verify(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}
