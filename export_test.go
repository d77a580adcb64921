package gsc_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/runtime/checkpoint"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// trained trains by a strategy and exports what it learnt.
func trained(t *testing.T, model string, set ...string) (p *plan.Plan, run, folder string) {
	t.Helper()
	dir := t.TempDir()
	run, folder = filepath.Join(dir, "run"), filepath.Join(dir, "exported")
	options := gsc.TrainOptions{Out: io.Discard, Run: run, Options: gsc.Options{Set: set}}
	if err := gsc.Train(t.Context(), write(t, model, stream), options); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	if err := gsc.Export(run, folder, gsc.ExportOptions{To: gsc.FormatCompressedTensors, Out: &said}); err != nil {
		t.Fatal(err)
	}
	t.Log(said.String())
	p, err := gsc.RunPlan(run)
	if err != nil {
		t.Fatal(err)
	}
	return p, run, folder
}

// What is exported really is whole numbers of 8 and 4 bits, and 2:4 sparse: both are counted. Times their scales the numbers are the weights of the checkpoint, to the last bits of a float32.
func TestExportedWeightsAreCompressed(t *testing.T) {
	for _, c := range []struct{ name, model, rules string }{
		{"gpt2", gpt2, prunedGPT2}, {"llama", llama, prunedLlama},
		{"points", llama, `compress=[{match: "*_proj.weight", quantize: {bits: 8, symmetric: false, activations: bits: 8}}, {match: "*.down_proj.weight", quantize: {bits: 4, group: 5, symmetric: false}}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, run, folder := trained(t, c.model, c.rules)
			saved, _, err := checkpoint.Newest(filepath.Join(run, runtime.CheckpointsDir))
			if err != nil {
				t.Fatal(err)
			}
			defer saved.Close()
			model, err := safetensors.OpenModel(folder)
			if err != nil {
				t.Fatal(err)
			}
			defer model.Close()
			config := quantisationOf(t, folder)
			for _, tensor := range p.Tensors {
				i := slices.IndexFunc(p.Compressions, func(c plan.Compression) bool { return c.Tensor == tensor.Name })
				if tensor.Class != plan.Weight {
					continue
				}
				want := make([]float32, tensorLen(&tensor))
				if err := saved.Read(tensor.Name, into(want)); err != nil {
					t.Fatal(err)
				}
				if i < 0 || p.Compressions[i].Bits == 0 {
					got := make([]float32, len(want))
					if err := model.ReadFloat32(tensor.Name, got); err != nil || !slices.Equal(got, want) {
						t.Errorf("%s: %v, or other values", tensor.Name, err)
					}
					continue
				}
				of := &p.Compressions[i]
				got := dequantised(t, model, config, of)
				twos := 0
				at := placeOf(p, of)
				for o := range of.Out {
					for in := range of.In {
						if w := float64(want[at(o, in)]); math.Abs(w-got[o*of.In+in]) > 1e-6*math.Abs(w) {
							t.Fatalf("%s: output %d, input %d is %g, exported as %g", of.Tensor, o, in, w, got[o*of.In+in])
						}
						if got[o*of.In+in] == 0 {
							twos++
						}
						if of.Of == 4 && in%4 == 3 && zerosIn(got[o*of.In+in-3:][:4]) < 2 {
							t.Errorf("%s: output %d: the four inputs up to %d are not 2:4", of.Tensor, o, in)
						}
					}
				}
				if of.Of == 4 && twos < len(got)/2 {
					t.Errorf("%s: %d of %d are 0", of.Tensor, twos, len(got))
				}
			}
		})
	}
}

func tensorLen(t *plan.Tensor) int {
	n := 1
	for _, d := range t.Dims {
		n *= d.Size
	}
	return n
}

func zerosIn(list []float64) (n int) {
	for _, v := range list {
		if v == 0 {
			n++
		}
	}
	return n
}

// floats32 takes the bytes of floats.
type floats32 []float32

func into(list []float32) io.WriterAt { return floats32(list) }

func (f floats32) WriteAt(p []byte, offset int64) (int, error) {
	return len(p), binary.Read(bytes.NewReader(p), binary.LittleEndian, []float32(f)[offset/4:][:len(p)/4])
}

// quantised is what config.json says of a module.
type quantisedModule struct {
	Targets []string
	Format  string
	Weights struct {
		Bits      int `json:"num_bits"`
		Symmetric bool
		Strategy  string
		Group     int `json:"group_size"`
	}
	Inputs *struct {
		Bits     int `json:"num_bits"`
		Strategy string
		Dynamic  bool
	} `json:"input_activations"`
}

func quantisationOf(t *testing.T, folder string) map[string]quantisedModule {
	t.Helper()
	var config struct {
		Quantization struct {
			Method string                     `json:"quant_method"`
			Status string                     `json:"quantization_status"`
			Groups map[string]quantisedModule `json:"config_groups"`
		} `json:"quantization_config"`
	}
	text, err := os.ReadFile(filepath.Join(folder, "config.json"))
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if q := config.Quantization; err != nil || q.Method != "compressed-tensors" || q.Status != "compressed" {
		t.Fatal(err, q)
	}
	modules := map[string]quantisedModule{}
	for _, g := range config.Quantization.Groups {
		for _, m := range g.Targets {
			modules[m] = g
		}
	}
	return modules
}

// dequantised reads a module as the layout says, [out, in].
func dequantised(t *testing.T, model *safetensors.Model, config map[string]quantisedModule, of *plan.Compression) []float64 {
	t.Helper()
	name := strings.TrimSuffix(of.Tensor, ".weight")
	how, ok := config[name]
	if !ok || how.Weights.Bits != of.Bits || how.Weights.Symmetric != of.Symmetric || how.Weights.Group != of.Group || (how.Inputs != nil) != (of.ActivationBits > 0) {
		t.Fatalf("%s: config.json says %+v", name, how)
	}
	read := func(suffix, dtype string, shape ...int) []byte {
		info, ok := model.Lookup(name + suffix)
		if !ok || info.DType != dtype || !slices.Equal(info.Shape, shape) {
			t.Fatalf("%s: %+v, want %s %v", name+suffix, info, dtype, shape)
		}
		section, err := model.Section(name + suffix)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(section)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	groups, bits := 1, of.Bits
	if of.Group > 0 {
		groups = of.In / of.Group
	}
	// bitsOf is number i of those side by side in a list of words.
	bitsOf := func(word func(k int) uint32, i int) float64 {
		v := uint64(word(i * bits / 32))
		if i*bits%32+bits > 32 {
			v |= uint64(word(i*bits/32+1)) << 32
		}
		return float64(int(v>>(i*bits%32)&(1<<bits-1)) - 1<<(bits-1))
	}
	var q, z func(o, i int) float64
	z = func(int, int) float64 { return 0 }
	if how.Format == "int-quantized" {
		raw := read(".weight", "I8", of.Out, of.In)
		q = func(o, i int) float64 { return float64(int8(raw[o*of.In+i])) }
		if !of.Symmetric {
			points := read(".weight_zero_point", "I8", of.Out, groups)
			z = func(o, g int) float64 { return float64(int8(points[o*groups+g])) }
		}
	} else {
		words := (of.In*bits + 31) / 32
		raw := read(".weight_packed", "I32", of.Out, words)
		q = func(o, i int) float64 {
			return bitsOf(func(k int) uint32 { return binary.LittleEndian.Uint32(raw[(o*words+k)*4:]) }, i)
		}
		if shape := read(".weight_shape", "I64", 2); binary.LittleEndian.Uint64(shape) != uint64(of.Out) || binary.LittleEndian.Uint64(shape[8:]) != uint64(of.In) {
			t.Errorf("%s: its shape is %v", name, shape)
		}
		if !of.Symmetric {
			points := read(".weight_zero_point", "I32", (of.Out*bits+31)/32, groups)
			z = func(o, g int) float64 {
				return bitsOf(func(k int) uint32 { return binary.LittleEndian.Uint32(points[(k*groups+g)*4:]) }, o)
			}
		}
	}
	scale := read(".weight_scale", "F32", of.Out, groups)
	out := make([]float64, of.Out*of.In)
	for o := range of.Out {
		for i := range of.In {
			g := i / (of.In / groups)
			out[o*of.In+i] = (q(o, i) - z(o, g)) * float64(math.Float32frombits(binary.LittleEndian.Uint32(scale[(o*groups+g)*4:])))
		}
	}
	return out
}

// The compressed-tensors package itself makes the same weights of what was exported. It is skipped where Python does not have that package.
func TestCompressedTensorsLoadsTheExport(t *testing.T) {
	if out, err := exec.Command("python3", "-c", "import compressed_tensors, torch, safetensors").CombinedOutput(); err != nil {
		t.Skipf("python3 has no compressed_tensors with torch and safetensors: %s", out)
	}
	for _, c := range []struct{ model, rules string }{{gpt2, prunedGPT2}, {llama, prunedLlama},
		{llama, `compress=[{match: "*_proj.weight", quantize: {bits: 8, symmetric: false, activations: bits: 8}}, {match: "*.down_proj.weight", quantize: {bits: 4, group: 5, symmetric: false}}]`}} {
		p, run, folder := trained(t, c.model, c.rules)
		saved, _, err := checkpoint.Newest(filepath.Join(run, runtime.CheckpointsDir))
		if err != nil {
			t.Fatal(err)
		}
		defer saved.Close()
		var across []string
		for _, of := range p.Compressions {
			if of.Across && of.Bits > 0 {
				across = append(across, of.Tensor)
			}
		}
		out, err := exec.Command("python3", append([]string{filepath.Join("testdata", "compressed_tensors.py"), folder, saved.Path}, across...)...).CombinedOutput()
		if t.Log(string(out)); err != nil {
			t.Error(err)
		}
	}
}

// A checkpoint of before weights are rounded has none to export, and a run that compresses nothing needs no export.
func TestExportRefuses(t *testing.T) {
	for _, c := range []struct{ rules, want string }{
		{`compress=[]`, "compresses no weights"},
		{`compress=[{match: "*.c_fc.weight", quantize: begin: 8}]`, "before weights are quantised"},
	} {
		dir := t.TempDir()
		run := filepath.Join(dir, "run")
		path := filepath.Join(dir, "plan.gsc")
		save(t, path, string(planOf(t, write(t, gpt2, stream), c.rules).Text()))
		if err := gsc.Train(&patient{t.Context(), 3}, path, gsc.TrainOptions{Out: io.Discard, Run: run}); err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(dir, "exported")
		err := gsc.Export(run, folder, gsc.ExportOptions{To: gsc.FormatCompressedTensors, Out: io.Discard})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.rules, err, c.want)
		}
		if list, _ := filepath.Glob(folder + "*"); len(list) > 0 {
			t.Errorf("%v is left", list)
		}
	}
}

// On nanoGPT's small configuration, 2000 steps, int8 weights and activations cost less than 1 % of the validation loss, and 2:4 less than 3 %; what is exported is counted.
func TestCompressionCostsLittle(t *testing.T) {
	text := filepath.Join("..", "shared", "data", "tinyshakespeare.txt")
	if os.Getenv("GSC_LONG") == "" {
		t.Skip("trains for some minutes: set GSC_LONG=1, and GSC_TEXT to a file of Shakespeare's plays")
	}
	if given := os.Getenv("GSC_TEXT"); given != "" {
		text = given
	}
	learnt := func(rules string) (loss float64, run string) {
		run = filepath.Join(t.TempDir(), "run")
		o := gsc.TrainOptions{Out: io.Discard, Run: run, Options: gsc.Options{Tags: []string{"text=" + text}, Set: []string{"evaluate.every=0", "checkpoint.every=0", rules}}}
		if err := gsc.Train(t.Context(), filepath.Join("examples", "shakespeare", "train.cue"), o); err != nil {
			t.Fatal(err)
		}
		scores, err := gsc.Evaluate(t.Context(), run, gsc.EvalOptions{Split: "validation"})
		if err != nil {
			t.Fatal(err)
		}
		loss, _ = scores.Get("loss")
		return loss, run
	}
	dense, _ := learnt(`compress=[]`)
	for _, c := range []struct {
		rules string
		most  float64
		want  string
	}{
		{`compress=[{match: "*", quantize: {bits: 8, activations: bits: 8}}]`, 1.01, "16 weights as int8: "},
		{`compress=[{match: "*", prune: {pattern: "2:4", begin: 200, end: 1000, every: 100}}]`, 1.03, "16 weights kept as floats, pruned 2:4: 786 k elements, 50.00 % of them 0"},
	} {
		loss, run := learnt(c.rules)
		var said strings.Builder
		err := gsc.Export(run, filepath.Join(run, "exported"), gsc.ExportOptions{To: gsc.FormatCompressedTensors, Out: &said})
		t.Logf("%s: validation loss %.4f, dense %.4f: %+.2f %%\n%s", c.rules, loss, dense, 100*(loss/dense-1), said.String())
		if err != nil || !strings.HasPrefix(said.String(), c.want) || !(loss <= c.most*dense) {
			t.Errorf("%v", err)
		}
	}
}

// A small model learns nearly as well with int8 weights and activations, and with 2:4 sparse ones, as with dense ones.
func TestCompressedModelsLearn(t *testing.T) {
	path := write(t, `schema.#Llama & {layers: 2, heads: 4, kv_heads: 2, width: 32, mlp: 64, context: 16}`, stream)
	const steps = 200
	last := func(rules string) (mean float64) {
		l := newLab(t, planOf(t, path, "batch.sequences=8", fmt.Sprintf(`schedule={kind: "constant", peak: 3e-3, steps: %d}`, steps), rules), 2)
		for _, loss := range l.train(steps)[steps-40:] {
			mean += loss / 40
		}
		return mean
	}
	dense := last(`compress=[]`)
	for rules, most := range map[string]float64{
		`compress=[{match: "*_proj.weight", quantize: {bits: 8, activations: bits: 8}}]`:               1.01,
		`compress=[{match: "*_proj.weight", quantize: {bits: 4, group: 16}}]`:                          1.03,
		`compress=[{match: "*_proj.weight", prune: {pattern: "2:4", begin: 20, end: 100, every: 20}}]`: 1.03,
		`compress=[{match: "*_proj.weight", prune: {sparsity: 0.5, begin: 20, end: 100, every: 20}}]`:  1.03,
	} {
		got := last(rules)
		t.Logf("%s: %.4f, dense %.4f: %+.2f %%", rules, got, dense, 100*(got/dense-1))
		if !(got <= most*dense) {
			t.Errorf("%s: the loss is %.4f, dense %.4f", rules, got, dense)
		}
	}
}
