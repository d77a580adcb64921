package compressed

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// Report counts what was written.
type Report struct {
	Weights []Weight // those that are compressed
	Copied  int      // other tensors
	Bytes   int64    // of all tensors
}

// Weight is a compressed weight as it was written.
type Weight struct {
	Name     string
	Elements int
	Zeros    int    // elements that are 0
	Bits     int    // 0: it is not quantised
	Pattern  string // of what is pruned, such as "2:4"; "": nothing
}

// String gives a line for each kind of weight.
func (r Report) String() string {
	var lines []string
	counts := map[string][3]int{}
	for _, w := range r.Weights {
		kind := "kept as floats"
		if w.Bits > 0 {
			kind = fmt.Sprintf("as int%d", w.Bits)
		}
		if w.Pattern != "" {
			kind += ", pruned " + w.Pattern
		}
		if _, known := counts[kind]; !known {
			lines = append(lines, kind)
		}
		n := counts[kind]
		counts[kind] = [3]int{n[0] + 1, n[1] + w.Elements, n[2] + w.Zeros}
	}
	for i, kind := range lines {
		n := counts[kind]
		lines[i] = fmt.Sprintf("%s %s: %s elements, %.2f %% of them 0", plural(n[0], "weight"), kind, plan.FormatCount(float64(n[1])), 100*float64(n[2])/float64(n[1]))
	}
	return strings.Join(append(lines, fmt.Sprintf("%s as they are; %s in all", plural(r.Copied, "tensor"), plan.FormatBytes(r.Bytes))), "\n") + "\n"
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// Write writes the weights of a checkpoint of a plan's run into a folder that is not there yet, or empty.
func Write(folder string, p *plan.Plan, saved *checkpoint.Saved) (r Report, err error) {
	if len(p.Compressions) == 0 {
		return r, fmt.Errorf("the run %s compresses no weights: its checkpoint %s is a Hugging Face model folder as it is", p.Name, saved.Path)
	}
	if list, err := os.ReadDir(folder); len(list) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, errors.Join(err, fmt.Errorf("%s is there already: name a new folder", folder))
	}
	w := &writer{plan: p, saved: saved, of: map[string]*plan.Compression{}, made: map[string][]byte{}}
	for i := range p.Compressions {
		w.of[p.Compressions[i].Tensor] = &p.Compressions[i]
	}
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Class == plan.Weight {
			if err := w.tensor(t); err != nil {
				return r, err
			}
		}
	}
	hidden := strings.TrimSuffix(folder, string(filepath.Separator)) + ".unfinished"
	if err := os.MkdirAll(hidden, 0o777); err != nil {
		return r, err
	}
	if err := errors.Join(w.model(hidden), w.others(hidden)); err != nil {
		return r, errors.Join(err, os.RemoveAll(hidden))
	}
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	return w.report, os.Rename(hidden, folder)
}

// writer makes a folder.
type writer struct {
	plan   *plan.Plan
	saved  *checkpoint.Saved
	of     map[string]*plan.Compression
	infos  []safetensors.Info
	made   map[string][]byte // of the tensors that are not copied
	schema config
	report Report
}

// tensor settles what becomes of a weight.
func (w *writer) tensor(t *plan.Tensor) error {
	c := w.of[t.Name]
	if c == nil || c.Bits == 0 {
		i := slices.IndexFunc(w.saved.Tensors(), func(i safetensors.Info) bool { return i.Name == t.Name })
		if i < 0 {
			return fmt.Errorf("%s holds no tensor %q", w.saved.Path, t.Name)
		}
		w.infos = append(w.infos, w.saved.Tensors()[i])
		if c == nil || c.Pattern == "" {
			w.report.Copied++
			return nil
		}
		list, err := values(w.saved, t)
		if err != nil {
			return err
		}
		zeros := 0
		for _, v := range list {
			if v == 0 {
				zeros++
			}
		}
		w.note(c, zeros)
		return nil
	}
	m, err := read(w.saved, w.plan, c)
	if err != nil {
		return err
	}
	w.note(c, m.zeros)
	w.quantised(m)
	return nil
}

func (w *writer) note(c *plan.Compression, zeros int) {
	made := Weight{Name: c.Tensor, Elements: c.In * c.Out, Zeros: zeros, Bits: c.Bits, Pattern: c.PatternName()}
	w.report.Weights = append(w.report.Weights, made)
	w.schema.pruned(c, made)
}

// moduleOf is the module that a weight is of.
func moduleOf(tensor string) string { return strings.TrimSuffix(tensor, ".weight") }

// quantised makes the tensors of a quantised weight.
func (w *writer) quantised(m *matrix) {
	c, module := m.of, moduleOf(m.of.Tensor)
	w.schema.quantised(c)
	scale := make([]byte, 0, 4*len(m.scale))
	for _, s := range m.scale {
		scale, _ = binary.Append(scale, binary.LittleEndian, s)
	}
	w.add(module+".weight_scale", "F32", scale, c.Out, m.groups)
	if !packed(c) {
		w.add(module+".weight", "I8", bytesOf(m.q), c.Out, c.In)
		if m.zero != nil {
			w.add(module+".weight_zero_point", "I8", bytesOf(m.zero), c.Out, m.groups)
		}
		return
	}
	words := (c.In*c.Bits + 31) / 32
	w.add(module+".weight_packed", "I32", pack(m.q, c.In, c.Bits), c.Out, words)
	shape := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(c.Out)), uint64(c.In))
	w.add(module+".weight_shape", "I64", shape, 2)
	if m.zero != nil { // word k of a group holds outputs side by side
		across := pack(turned(m.zero, c.Out, m.groups), c.Out, c.Bits)
		rows := len(across) / 4 / m.groups
		points := make([]byte, 0, len(across))
		for k := range rows {
			for g := range m.groups {
				points = append(points, across[(g*rows+k)*4:][:4]...)
			}
		}
		w.add(module+".weight_zero_point", "I32", points, rows, m.groups)
	}
}

func bytesOf(list []int8) []byte {
	out := make([]byte, len(list))
	for i, v := range list {
		out[i] = byte(v)
	}
	return out
}

func (w *writer) add(name, dtype string, data []byte, shape ...int) {
	w.infos = append(w.infos, safetensors.Info{Name: name, DType: dtype, Shape: shape})
	w.made[name] = data
}

// model writes the tensors.
func (w *writer) model(folder string) error {
	f, err := os.Create(filepath.Join(folder, safetensors.ModelFile))
	if err != nil {
		return err
	}
	err = safetensors.Write(f, map[string]string{"format": "pt"}, w.infos, func(info safetensors.Info, out io.Writer) error {
		w.report.Bytes += info.SizeBytes
		if data, ok := w.made[info.Name]; ok {
			_, err := out.Write(data)
			return err
		}
		return w.saved.Read(info.Name, &inOrder{out: out})
	})
	return errors.Join(err, f.Sync(), f.Close())
}

// inOrder lets what is read at rising offsets be written.
type inOrder struct {
	out io.Writer
	at  int64
}

// WriteAt is io.WriterAt's.
func (o *inOrder) WriteAt(p []byte, offset int64) (int, error) {
	if offset != o.at {
		return 0, fmt.Errorf("bytes at %d came where those at %d were due", offset, o.at)
	}
	n, err := o.out.Write(p)
	o.at += int64(n)
	return n, err
}

// others writes config.json, and copies what else the model folder has.
func (w *writer) others(folder string) error {
	list, err := os.ReadDir(w.saved.Path)
	if err != nil {
		return err
	}
	for _, e := range list {
		if name := e.Name(); strings.HasSuffix(name, ".json") && name != "config.json" && name != "state.json" && !strings.Contains(name, ".safetensors") {
			text, err := os.ReadFile(filepath.Join(w.saved.Path, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, name), text, 0o666)
			}
			if err != nil {
				return err
			}
		}
	}
	known := map[string]any{}
	if len(w.plan.Model.Config) > 0 {
		if err := json.Unmarshal(w.plan.Model.Config, &known); err != nil {
			return err
		}
	}
	known["quantization_config"] = w.schema.members(w.report)
	text, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "config.json"), append(text, '\n'), 0o666)
}
