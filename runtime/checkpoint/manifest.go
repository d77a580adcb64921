package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// The files of a checkpoint, beside those of package safetensors.
const (
	configFile   = "config.json"
	stateFile    = "state.safetensors"
	manifestFile = "state.json"
)

// version is the version of a checkpoint's form. Another one is refused.
const version = 1

// manifest is state.json.
type manifest struct {
	Version int             `json:"version"`
	Step    int64           `json:"step"`
	Plan    string          `json:"plan"`
	Best    bool            `json:"best,omitempty"`
	Run     json.RawMessage `json:"run,omitempty"`
	Pins    []Pin           `json:"plugins,omitempty"`
	Files   []entry         `json:"files"`
}

// entry is one file of a checkpoint.
type entry struct {
	Name      string `json:"name"`
	SizeBytes int64  `json:"size_bytes"`
	Digest    string `json:"digest"` // xxhash64, hexadecimal
}

// text is the manifest's JSON. Its last key is the digest of all that stands
// before that key.
func (m *manifest) text() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSuffix(b, []byte("\n}"))
	return append(b, seal(b)...), nil
}

// seal is what ends a manifest.
func seal(body []byte) string {
	return fmt.Sprintf(",\n  \"digest\": \"%016x\"\n}\n", xxhash.Sum64(body))
}

// parseManifest is the inverse of text. Any altered byte is an error.
func parseManifest(b []byte) (*manifest, error) {
	cut := len(b) - len(seal(nil))
	if cut < 0 || string(b[cut:]) != seal(b[:cut]) {
		return nil, errors.New("was altered or cut short: its digest does not agree")
	}
	m := &manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, err
	}
	if m.Version != version {
		return nil, fmt.Errorf("is of version %d; this program reads version %d", m.Version, version)
	}
	for _, e := range m.Files {
		if !filepath.IsLocal(e.Name) || strings.ContainsAny(e.Name, `/\`) {
			return nil, fmt.Errorf("%q is not the name of a file in the folder", e.Name)
		}
	}
	return m, nil
}

// readManifest reads a checkpoint's state.json; errors name the file.
func readManifest(folder string) (*manifest, error) {
	path := filepath.Join(folder, manifestFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// verify compares each file of a checkpoint with the manifest. Notes that a
// user puts beside them do no harm; a file of tensors would.
func (m *manifest) verify(folder string) error {
	var wrong []error
	added, _ := filepath.Glob(filepath.Join(folder, "*.safetensors*"))
	for _, path := range added {
		if !slices.ContainsFunc(m.Files, func(e entry) bool { return e.Name == filepath.Base(path) }) {
			wrong = append(wrong, fmt.Errorf("%s: was added after the checkpoint was saved: remove it", path))
		}
	}
	for _, e := range m.Files {
		if err := e.verify(folder); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

func (e entry) verify(folder string) error {
	path := filepath.Join(folder, e.Name)
	stat, err := os.Stat(path)
	if err != nil {
		return err
	}
	if stat.Size() != e.SizeBytes {
		return fmt.Errorf("%s: is %d bytes long, was saved with %d", path, stat.Size(), e.SizeBytes)
	}
	got, err := digestOf(path)
	if err == nil && got.Digest != e.Digest {
		err = fmt.Errorf("%s: was altered: its digest is %s, was saved with %s", path, got.Digest, e.Digest)
	}
	return err
}

// digestOf reads a file.
func digestOf(path string) (entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return entry{}, err
	}
	defer f.Close()
	digest := xxhash.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{digest}, struct{ io.Reader }{f}, make([]byte, pieceBytes))
	return entry{Name: filepath.Base(path), SizeBytes: n, Digest: hexadecimal(digest)}, err
}

func hexadecimal(h hash.Hash64) string { return fmt.Sprintf("%016x", h.Sum64()) }
