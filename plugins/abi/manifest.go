package abi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Manifest is what a plugin says of itself.
type Manifest struct {
	ABI     int      `json:"abi"`
	Kind    Kind     `json:"kind"`
	Name    string   `json:"name"`    // letters, digits, "_", "-" and "."
	Version string   `json:"version"` // of the plugin, in whatever form
	Params  string   `json:"params"`  // the fields of its parameters, as CUE text; "": it takes none
	Targets Targets  `json:"targets"` // of a loss
	Unit    Unit     `json:"unit"`    // of a loss; [Rows] where it is left out
	Inputs  []string `json:"inputs"`  // of a loss: further tensors, by name
	Codec   *Codec   `json:"codec"`   // of a policy that codes gradients

	TransformManifest
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
	if m.Unit == "" && m.Kind == LossKind {
		m.Unit = Rows
	}
	return m, m.check()
}

func (m *Manifest) check() error {
	switch {
	case m.ABI != Version:
		return fmt.Errorf("the manifest's abi is %d: this gsc knows version %d", m.ABI, Version)
	case !nameForm.MatchString(m.Name):
		return fmt.Errorf("the manifest's name is %q: use up to 64 of letters, digits and _.-, no others", m.Name)
	case !nameForm.MatchString(m.Version):
		return fmt.Errorf("the manifest's version is %q: use up to 64 of letters, digits and _.-, no others", m.Version)
	case m.Kind != LossKind && m.Kind != TransformKind && m.Kind != PolicyKind:
		return fmt.Errorf(`the manifest's kind is %q: use "loss", "transform" or "policy"`, m.Kind)
	case m.Codec != nil && m.Kind != PolicyKind:
		return fmt.Errorf("%s is a %s, and its manifest has a codec, which policies have", m.Name, m.Kind)
	case m.Codec != nil:
		return m.Codec.check(m.Name)
	}
	if err := m.checkTransform(); err != nil || m.Kind != LossKind {
		return err
	}
	return m.checkLoss()
}

// checkLoss looks at what only losses have.
func (m *Manifest) checkLoss() error {
	switch {
	case m.Targets != Classes && m.Targets != Values:
		return fmt.Errorf(`the loss %s takes targets %q: use "classes" or "values"`, m.Name, m.Targets)
	case m.Unit != Rows && m.Unit.Records() == 0:
		return fmt.Errorf(`the loss %s works on %q: use "rows", "sequences" or "pairs"`, m.Name, m.Unit)
	case m.Unit != Rows && m.Targets != Classes:
		return fmt.Errorf(`the loss %s works on %s of %s: only classes come in %s`, m.Name, m.Unit, m.Targets, m.Unit)
	case len(m.Inputs) > MaxInputs:
		return fmt.Errorf("the loss %s names %d inputs: there may be %d", m.Name, len(m.Inputs), MaxInputs)
	}
	for i, name := range m.Inputs {
		switch {
		case !nameForm.MatchString(name):
			return fmt.Errorf("the loss %s names the input %q: use up to 64 of letters, digits and _.-, no others", m.Name, name)
		case slices.Contains(m.Inputs[:i], name):
			return fmt.Errorf("the loss %s names the input %s twice", m.Name, name)
		}
	}
	return nil
}

// Task is what plugins of a kind do that are called, and checked, alike: a kind, "codec", or "transform of" what it works on.
func (m *Manifest) Task() string {
	switch {
	case m.Codec != nil:
		return "codec"
	case m.Kind == TransformKind:
		return fmt.Sprintf("%s of %s", m.Kind, m.On)
	}
	return string(m.Kind)
}

// Brief is what the plugin does, in a few words.
func (m *Manifest) Brief() string {
	switch {
	case m.Kind == LossKind:
		text := fmt.Sprintf("%s of %s", m.Kind, m.Targets)
		if m.Unit != Rows {
			text += fmt.Sprintf(" by %s", m.Unit)
		}
		if len(m.Inputs) > 0 {
			text += " with " + strings.Join(m.Inputs, ", ")
		}
		return text
	case m.Codec != nil:
		return fmt.Sprintf("%s that codes gradients", m.Kind)
	case m.Kind == PolicyKind:
		return fmt.Sprintf("%s that compresses weights", m.Kind)
	case m.On == OnRecords:
		return fmt.Sprintf("%s of records, %s", m.Kind, map[Order]string{AnyOrder: "in any order", Sequential: "in the order of the files"}[m.Order])
	}
	return fmt.Sprintf("%s of %s", m.Kind, m.On)
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
