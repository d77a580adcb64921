package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// Refused is a checkpoint that was found damaged.
type Refused struct {
	Step   int64
	Path   string // its folder
	Reason error  // names each file that is missing, cut short or altered
}

func (r Refused) String() string { return fmt.Sprintf("%s is not used: %v", r.Path, r.Reason) }

// Newest opens the newest checkpoint of a folder that is intact, and says
// which newer ones are not. Where there is no checkpoint, or no folder, both are empty; where all are
// damaged, only the first is.
func Newest(dir string) (*Saved, []Refused, error) {
	return find(dir, func(*manifest) bool { return true })
}

// Best opens the best checkpoint of a folder: the newest intact one that was saved as the best.
func Best(dir string) (*Saved, []Refused, error) {
	return find(dir, func(m *manifest) bool { return m.Best })
}

// Newest is [Newest] of the store's folder. The checkpoints that it refuses no
// longer count among those to keep.
func (s *Store) Newest() (*Saved, []Refused, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	saved, refused, err := Newest(s.dir)
	for _, r := range refused {
		s.refused[r.Step] = true
	}
	return saved, refused, err
}

// Best is [Best] of the store's folder.
func (s *Store) Best() (*Saved, []Refused, error) { return Best(s.dir) }

// find opens the newest intact checkpoint that is wanted.
func find(dir string, wanted func(*manifest) bool) (*Saved, []Refused, error) {
	steps, err := listSteps(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var refused []Refused
	for _, step := range steps {
		folder := filepath.Join(dir, stepName(step))
		saved, err := open(folder, step, wanted)
		switch {
		case saved != nil:
			return saved, refused, nil
		case err != nil && gone(folder):
			return find(dir, wanted)
		case err != nil:
			refused = append(refused, Refused{Step: step, Path: folder, Reason: err})
		}
	}
	return nil, refused, nil
}

// gone says whether the folder was removed meanwhile, by the run that it belongs to.
func gone(folder string) bool {
	_, err := os.Stat(folder)
	return errors.Is(err, os.ErrNotExist)
}

// Saved is a checkpoint that was found intact. Its methods may be called from
// several goroutines at a time.
type Saved struct {
	Path string // its folder, which is a Hugging Face model folder
	Step int64
	Plan string // digest
	Best bool
	Run  json.RawMessage // as it was saved, but for white space
	Pins []Pin

	model *safetensors.Model
	state *safetensors.File
}

// open checks a checkpoint and opens it; nil without an error is one that is not wanted.
func open(folder string, step int64, wanted func(*manifest) bool) (*Saved, error) {
	m, err := readManifest(folder)
	if err != nil {
		return nil, err
	}
	if m.Step != step {
		return nil, fmt.Errorf("%s: is of step %d: the folder was renamed", filepath.Join(folder, manifestFile), m.Step)
	}
	if !wanted(m) {
		return nil, nil
	}
	if err := m.verify(folder); err != nil {
		return nil, err
	}
	return m.open(folder)
}

// open opens the files of a checkpoint.
func (m *manifest) open(folder string) (*Saved, error) {
	model, err := safetensors.OpenModel(folder)
	if err != nil {
		return nil, err
	}
	state, err := safetensors.Open(filepath.Join(folder, stateFile))
	if err != nil {
		return nil, errors.Join(err, model.Close())
	}
	return &Saved{Path: folder, Step: m.Step, Plan: m.Plan, Best: m.Best, Run: m.Run, Pins: m.Pins, model: model, state: state}, nil
}

// At opens the checkpoint of a step that another process found intact, and reads none of its tensors.
func At(dir string, step int64) (*Saved, error) {
	folder := filepath.Join(dir, stepName(step))
	m, err := readManifest(folder)
	if err != nil {
		return nil, err
	}
	return m.open(folder)
}

// Close closes the checkpoint's files.
func (s *Saved) Close() error { return errors.Join(s.model.Close(), s.state.Close()) }

// Tensors lists the tensors: the weights, then the state.
func (s *Saved) Tensors() []safetensors.Info {
	return slices.Concat(s.model.Tensors(), s.state.Tensors())
}

// of is the reader that holds a tensor.
func (s *Saved) of(name string) safetensors.Reader {
	if _, ok := s.state.Lookup(name); ok {
		return s.state
	}
	return s.model
}

// Check compares the checkpoint with the weights and optimizer state of a
// plan. Every tensor that is missing, that the plan does not have, or that has another
// shape or type is named in the error, a [*Mismatch].
func (s *Saved) Check(tensors []plan.Tensor) error {
	m := Mismatch{Folder: s.Path}
	seen := map[string]bool{}
	for i := range tensors {
		t := &tensors[i]
		if !Saves(t) {
			continue
		}
		seen[t.Name] = true
		info, ok := s.of(t.Name).Lookup(t.Name)
		if t.Terms && !ok { // there was nothing to keep on the mesh that saved it
			continue
		}
		m.compare(t, info, ok)
		if want := storedType(t.DType); ok && info.DType != want {
			m.Misshapen = append(m.Misshapen, fmt.Sprintf("%s: is %s, the plan has %s", t.Name, info.DType, want))
		}
	}
	for _, info := range s.Tensors() {
		if weight, terms := strings.CutSuffix(info.Name, plan.Residual); !seen[info.Name] && !(terms && seen[weight]) {
			m.Unexpected = append(m.Unexpected, describe(info))
		}
	}
	return m.err()
}

// CheckPins refuses a checkpoint that was made with another module of a plugin than the plan pins. A plugin that only one of them has is none of its affair.
func (s *Saved) CheckPins(p *plan.Plan) error {
	for _, pin := range s.Pins {
		if now := p.Plugin(pin.Name); now != nil && now.Digest != pin.Digest {
			return fmt.Errorf("%s was made with another module of the plugin %s: its sha256 is %s, the plan's is %s; use a plan that pins the former", s.Path, pin.Name, pin.Digest, now.Digest)
		}
	}
	return nil
}

// Terms is how many terms a tensor has of which each rank kept one: the length of its first dim.
func (s *Saved) Terms(name string) int {
	if info, ok := s.of(name).Lookup(name); ok && len(info.Shape) > 0 {
		return info.Shape[0]
	}
	return 0
}

// Read copies the bytes of a whole tensor to dst, from offset 0, in pieces.
func (s *Saved) Read(name string, dst io.WriterAt) error {
	info, ok := s.of(name).Lookup(name)
	if !ok {
		return fmt.Errorf("%s: holds no tensor %q", s.Path, name)
	}
	return s.ReadRuns(name, []plan.Run{{First: 0, N: info.Elements()}}, dst)
}

// ReadRuns copies runs of a tensor's elements, in row-major order, to dst one after another, from offset 0. It is how a
// rank reads its part, however the tensor is shared out: only the part's bytes are read, in pieces.
func (s *Saved) ReadRuns(name string, runs []plan.Run, dst io.WriterAt) error {
	section, err := s.of(name).Section(name)
	if err != nil {
		return err
	}
	info, _ := s.of(name).Lookup(name)
	total, width := info.Elements(), int64(0)
	if total > 0 {
		width = info.SizeBytes / total
	}
	for _, r := range runs {
		if r.First < 0 || r.N < 0 || r.First > total || r.N > total-r.First {
			return fmt.Errorf("%s: tensor %q: has %d elements (shape %v), asked for %d from %d", s.Path, name, total, info.Shape, r.N, r.First)
		}
	}
	if err := copyRuns(dst, section, runs, width, info.SizeBytes); err != nil {
		return fmt.Errorf("%s: tensor %q: %w", s.Path, name, err)
	}
	return nil
}

// copyRuns copies runs of elements of width bytes from src, which holds size bytes, to dst one after another, in pieces.
func copyRuns(dst io.WriterAt, src io.ReaderAt, runs []plan.Run, width, size int64) error {
	buf := make([]byte, max(1, min(pieceBytes, size)))
	at := int64(0)
	for _, r := range runs {
		if err := copyRange(dst, at, src, r.First*width, r.N*width, buf); err != nil {
			return err
		}
		at += r.N * width
	}
	return nil
}

// copyRange copies n bytes from an offset of src to an offset of dst, through buf.
func copyRange(dst io.WriterAt, to int64, src io.ReaderAt, from, n int64, buf []byte) error {
	source := struct{ io.Reader }{io.NewSectionReader(src, from, n)}
	copied, err := io.CopyBuffer(struct{ io.Writer }{io.NewOffsetWriter(dst, to)}, source, buf)
	if err == nil && copied < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}
