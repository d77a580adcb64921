package abi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
)

// Manifest is what a plugin says of itself.
type Manifest struct {
	ABI     int     `json:"abi"`
	Kind    Kind    `json:"kind"`
	Name    string  `json:"name"`    // letters, digits, "_", "-" and "."
	Version string  `json:"version"` // of the plugin, in whatever form
	Params  string  `json:"params"`  // the fields of its parameters, as CUE text; "": it takes none
	Targets Targets `json:"targets"` // of a loss
	Unit    string  `json:"unit"`    // of a loss: "rows", which "" stands for
	Codec   *Codec  `json:"codec"`   // of a policy that codes gradients
}

// MaxManifestBytes bounds the text.
const MaxManifestBytes = 64 << 10

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// ParseManifest reads a manifest, all of whose members must be known, and checks it.
func ParseManifest(text []byte) (Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("the manifest is not what this gsc knows: %w", err)
	}
	if d.More() {
		return m, fmt.Errorf("the manifest goes on behind its object")
	}
	return m, m.check()
}

func (m Manifest) check() error {
	switch {
	case m.ABI != Version:
		return fmt.Errorf("the manifest's abi is %d: this gsc knows version %d", m.ABI, Version)
	case !nameForm.MatchString(m.Name):
		return fmt.Errorf("the manifest's name is %q: use up to 64 of letters, digits and _.-, no others", m.Name)
	case !nameForm.MatchString(m.Version):
		return fmt.Errorf("the manifest's version is %q: use up to 64 of letters, digits and _.-, no others", m.Version)
	case m.Kind == PolicyKind && m.Codec != nil:
		return m.Codec.check(m.Name)
	case m.Kind == TransformKind, m.Kind == PolicyKind:
		return fmt.Errorf("%s is a %s: this gsc runs losses, and policies with a codec", m.Name, m.Kind)
	case m.Kind != LossKind:
		return fmt.Errorf(`the manifest's kind is %q: use "loss"`, m.Kind)
	case m.Unit != "" && m.Unit != "rows":
		return fmt.Errorf(`the loss %s works on %q: this gsc gives losses "rows" alone`, m.Name, m.Unit)
	case m.Targets != Classes && m.Targets != Values:
		return fmt.Errorf(`the loss %s takes targets %q: use "classes" or "values"`, m.Name, m.Targets)
	}
	return nil
}

// words are those of the statuses.
var words = map[Status]string{BadParams: "it does not take these parameters", BadInput: "it does not take this input", NoMemory: "it has no memory left", Failed: "it failed"}

// String gives a status in words.
func (s Status) String() string {
	if w, ok := words[s]; ok {
		return fmt.Sprintf("status %d (%s)", uint32(s), w)
	}
	return fmt.Sprintf("status %d, which is the plugin's own", uint32(s))
}
