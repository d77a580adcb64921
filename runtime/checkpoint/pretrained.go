package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// Buffers matches the tensors that model folders hold beside their weights:
// masks and positions, which are computed here.
var Buffers = []string{
	"*attn.bias", "*attn.masked_bias", "*attention.bias", "*attention.masked_bias",
	"*rotary_emb.inv_freq", "*position_ids", "*token_type_ids",
}

// Pretrained is the weights of a Hugging Face model folder, matched with those
// of a plan. Its methods may be called from several goroutines at a time.
type Pretrained struct {
	model *safetensors.Model
	names map[string]string // from the plan's to the folder's
}

// CheckModel says whether [OpenModel] would open a folder.
func CheckModel(folder string, tensors []plan.Tensor, ignore []string) error {
	p, err := OpenModel(folder, tensors, ignore)
	if err != nil {
		return err
	}
	return p.Close()
}

// OpenModel opens a model folder for the weights among tensors. Every weight
// that is missing or misshapen and every tensor that is unexpected is named in
// the error, a [*Mismatch]. Names and shapes agree when they are equal, with these allowances:
//
//   - One prefix may stand before all names on one side and be missing on the other ("h.0.ln_1.weight" for
//     "transformer.h.0.ln_1.weight"), since bare models and models with a head are
//     saved differently. The prefix that matches most names is taken, none before any.
//   - The LayerNorm.gamma and LayerNorm.beta of old folders are LayerNorm.weight and LayerNorm.bias.
//   - Tensors whose name in the folder matches a pattern of ignore, such as [Buffers], may be there.
//   - A second copy of a weight over the vocabulary may be there, as of a head that is tied to
//     the embedding, if it is a copy indeed: equal in shape, type and bytes.
func OpenModel(folder string, tensors []plan.Tensor, ignore []string) (*Pretrained, error) {
	model, err := safetensors.OpenModel(folder)
	if err != nil {
		return nil, err
	}
	weights := slices.DeleteFunc(slices.Clone(tensors), func(t plan.Tensor) bool { return t.Class != plan.Weight })
	p := &Pretrained{model: model, names: matchNames(model, weights)}
	if err := p.check(weights, ignore); err != nil {
		model.Close()
		return nil, err
	}
	return p, nil
}

// Close closes the folder's files.
func (p *Pretrained) Close() error { return p.model.Close() }

// check finds what is missing, misshapen and unexpected.
func (p *Pretrained) check(weights []plan.Tensor, ignore []string) error {
	m := Mismatch{Folder: p.model.Name()}
	used := map[string]bool{}
	for i := range weights {
		t := &weights[i]
		info, ok := p.model.Lookup(p.names[t.Name])
		m.compare(t, info, ok)
		used[info.Name] = ok
		if ok && !isReal(info.DType) {
			m.Misshapen = append(m.Misshapen, fmt.Sprintf("%s: is %s, which cannot be read as a weight", t.Name, info.DType))
		}
	}
	for _, info := range p.model.Tensors() {
		if used[info.Name] || matchesAny(info.Name, ignore) {
			continue
		}
		copied, like, err := p.isCopy(info, weights)
		if err != nil {
			return err
		}
		if !copied {
			m.Unexpected = append(m.Unexpected, describe(info)+like)
		}
	}
	return m.err()
}

// isReal says whether a stored type holds real numbers that can be read.
func isReal(dtype string) bool {
	return slices.Contains([]string{safetensors.F32, safetensors.F64, safetensors.BF16, safetensors.F16}, dtype)
}

func matchesAny(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	})
}

// isCopy says whether a stored tensor repeats a weight over the vocabulary, or
// else which one it looks like but does not repeat.
func (p *Pretrained) isCopy(info safetensors.Info, weights []plan.Tensor) (copied bool, like string, err error) {
	for i := range weights {
		t := &weights[i]
		of, ok := p.model.Lookup(p.names[t.Name])
		if !ok || of.DType != info.DType || !slices.Equal(of.Shape, info.Shape) || !overVocabulary(t) {
			continue
		}
		if copied, err = p.equal(info.Name, of.Name); copied || err != nil {
			return copied, "", err
		}
		like = fmt.Sprintf(" (differs from %s, so the two are not tied)", of.Name)
	}
	return false, like, nil
}

func overVocabulary(t *plan.Tensor) bool {
	return slices.ContainsFunc(t.Dims, func(d plan.Dim) bool { return d.Name == "vocab" })
}

// equal compares the bytes of two stored tensors of one size.
func (p *Pretrained) equal(a, b string) (bool, error) {
	first, err := p.model.Section(a)
	if err != nil {
		return false, err
	}
	second, err := p.model.Section(b)
	if err != nil {
		return false, err
	}
	x, y := make([]byte, pieceBytes), make([]byte, pieceBytes)
	for left := first.Size(); left > 0; left -= int64(len(x)) {
		x, y = x[:min(left, pieceBytes)], y[:min(left, pieceBytes)]
		if _, err := io.ReadFull(first, x); err != nil {
			return false, fmt.Errorf("%s: tensor %q: %w", p.model.Name(), a, err)
		}
		if _, err := io.ReadFull(second, y); err != nil {
			return false, fmt.Errorf("%s: tensor %q: %w", p.model.Name(), b, err)
		}
		if !bytes.Equal(x, y) {
			return false, nil
		}
	}
	return true, nil
}

// matchNames finds each weight's name in the model, under the prefix that
// finds most of them; a name that is found nowhere is left out.
func matchNames(model *safetensors.Model, weights []plan.Tensor) map[string]string {
	var best map[string]string
	for _, change := range prefixes(model, weights) {
		names := map[string]string{}
		for i := range weights {
			name := weights[i].Name
			if stored, ok := lookup(model, change(name), name); ok {
				names[name] = stored
			}
		}
		if best == nil || len(names) > len(best) {
			best = names
		}
	}
	return best
}

// prefixes is the ways to turn a plan's name into a folder's: as it is, without
// a prefix that plan's names have, with one that the folder's have.
func prefixes(model *safetensors.Model, weights []plan.Tensor) []func(string) string {
	ways := []func(string) string{func(name string) string { return name }}
	var ours, theirs []string
	for i := range weights {
		ours = append(ours, firstPart(weights[i].Name))
	}
	for _, info := range model.Tensors() {
		theirs = append(theirs, firstPart(info.Name))
	}
	for _, prefix := range distinct(ours) {
		ways = append(ways, func(name string) string { return strings.TrimPrefix(name, prefix) })
	}
	for _, prefix := range distinct(theirs) {
		ways = append(ways, func(name string) string { return prefix + name })
	}
	return ways
}

// firstPart is a name up to its first dot, which is part of it.
func firstPart(name string) string {
	part, _, _ := strings.Cut(name, ".")
	return part + "."
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// formerNames are what old folders call a part of a name.
var formerNames = strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta")

// lookup finds the first of names that the model has, now or formerly so called.
func lookup(model *safetensors.Model, names ...string) (string, bool) {
	for _, name := range names {
		for _, n := range []string{name, formerNames.Replace(name)} {
			if _, ok := model.Lookup(n); ok {
				return n, true
			}
		}
	}
	return "", false
}

// Read writes runs of a weight's elements, converted to the plan's type, to dst one after another, from offset 0. It
// reads in pieces.
func (p *Pretrained) Read(t *plan.Tensor, runs []plan.Run, dst io.WriterAt) error {
	name := p.names[t.Name]
	section, err := p.model.Section(name)
	if err != nil {
		return err
	}
	info, _ := p.model.Lookup(name)
	switch {
	case info.DType == storedType(t.DType):
		err = copyRuns(dst, section, runs, int64(t.DType.Size()), info.SizeBytes)
	case t.DType == kernels.F32:
		return convert(p.model, name, runs, dst, func(b []byte, v float32) []byte {
			return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		})
	case t.DType == kernels.F64:
		return convert(p.model, name, runs, dst, func(b []byte, v float64) []byte {
			return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		})
	case t.DType == kernels.BF16:
		return convert(p.model, name, runs, dst, func(b []byte, v float32) []byte {
			return binary.LittleEndian.AppendUint16(b, uint16(math.Float32bits(kernels.RoundBF16(v))>>16))
		})
	default:
		err = fmt.Errorf("%s cannot be read as %v", info.DType, t.DType)
	}
	if err != nil {
		return fmt.Errorf("%s: tensor %q: %w", p.model.Name(), name, err)
	}
	return nil
}

// convert reads runs of elements in pieces and writes their bytes.
func convert[E safetensors.Element](r safetensors.Reader, name string, runs []plan.Run, dst io.WriterAt, put func([]byte, E) []byte) error {
	const piece = 64 << 10
	values := make([]E, piece)
	var b []byte
	out := io.NewOffsetWriter(dst, 0)
	for _, run := range runs {
		for at := int64(0); at < run.N; at += piece {
			part := values[:min(run.N-at, piece)]
			if err := safetensors.Read(r, name, run.First+at, part); err != nil {
				return err
			}
			b = b[:0]
			for _, v := range part {
				b = put(b, v)
			}
			if _, err := out.Write(b); err != nil {
				return fmt.Errorf("%s: tensor %q: %w", r.Name(), name, err)
			}
		}
	}
	return nil
}
