package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// memory is a place to read tensors into.
type memory []byte

func (m memory) WriteAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > int64(len(m)) {
		return 0, io.ErrShortWrite
	}
	return copy(m[at:], p), nil
}

func (m memory) floats() []float32 {
	list := make([]float32, len(m)/4)
	for i := range list {
		list[i] = math.Float32frombits(binary.LittleEndian.Uint32(m[4*i:]))
	}
	return list
}

func floatBytes(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// counting is n elements that start at first and grow by one.
func counting(n int, first float32) []byte {
	var b []byte
	for i := range n {
		b = append(b, floatBytes(first+float32(i))...)
	}
	return b
}

func tensor(name string, class plan.Class, first float32, shape ...int) Tensor {
	data := counting(kernels.Elements(shape), first)
	return Tensor{Name: name, Class: class, Shape: shape, DType: kernels.F32, Data: bytes.NewReader(data)}
}

// snapshot is a small run's state after some steps; all values depend on the step.
func snapshot(step int64) Snapshot {
	at := float32(step)
	return Snapshot{
		Step:   step,
		Plan:   "0123456789abcdef",
		Config: json.RawMessage(`{"model_type":"gpt2"}`),
		Files:  map[string][]byte{"tokenizer.json": []byte(`{"kind":"<bytes>"}`)},
		Run:    json.RawMessage(fmt.Sprintf(`{"position":%d,"note":"<&>"}`, 9007199254740993+step)),
		Tensors: []Tensor{
			tensor("wte.weight", plan.Weight, at, 5, 4),
			tensor("h.0.weight", plan.Weight, at+100, 4, 3),
			tensor("h.0.bias", plan.Weight, at+200, 3),
			tensor("wte.weight.m", plan.State, at+300, 5, 4),
			{Name: "count", Class: plan.State, DType: kernels.I64, Data: bytes.NewReader(binary.LittleEndian.AppendUint64(nil, uint64(step)))},
		},
	}
}

// hasty is a disk that does not wait for anything to become durable.
type hasty struct{ disk }

type hastyFile struct{ output }

func (hasty) create(path string) (output, error) {
	out, err := disk{}.create(path)
	return hastyFile{out}, err
}

func (hasty) sync(string) error { return nil }
func (hastyFile) Sync() error   { return nil }

// store is a store with checkpoints of the given steps.
func store(t testing.TB, keep int, steps ...int64) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "checkpoints"), keep)
	if err != nil {
		t.Fatal(err)
	}
	s.storage = hasty{}
	save(t, s, steps...)
	return s
}

func save(t testing.TB, s *Store, steps ...int64) {
	t.Helper()
	for _, step := range steps {
		if err := s.Save(snapshot(step)); err != nil {
			t.Fatal(err)
		}
	}
}

// holds checks that saved is the snapshot of a step, bit for bit.
func holds(t testing.TB, saved *Saved, step int64) {
	t.Helper()
	if saved == nil || saved.Step != step {
		t.Fatalf("got %+v, want the checkpoint of step %d", saved, step)
	}
	want := snapshot(step)
	for _, tensor := range want.Tensors {
		got, data := make(memory, tensor.SizeBytes()), make([]byte, tensor.SizeBytes())
		if err := saved.Read(tensor.Name, got); err != nil {
			t.Fatal(err)
		}
		_, _ = tensor.Data.ReadAt(data, 0)
		if !bytes.Equal(got, data) {
			t.Fatalf("step %d: tensor %q is not what was saved", step, tensor.Name)
		}
	}
	var got, run bytes.Buffer
	if err := errors.Join(json.Compact(&got, saved.Run), json.Compact(&run, want.Run)); err != nil {
		t.Fatal(err)
	}
	if saved.Plan != want.Plan || strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(got.String()) != run.String() {
		t.Fatalf("step %d: plan %q, run %s", step, saved.Plan, saved.Run)
	}
}

// newest is the newest intact checkpoint of a folder, and the refused ones.
func newest(t testing.TB, dir string) (*Saved, []Refused) {
	t.Helper()
	saved, refused, err := Newest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if saved != nil {
		t.Cleanup(func() { saved.Close() })
	}
	return saved, refused
}

// names is what lies in a folder.
func names(t testing.TB, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range list {
		all = append(all, strings.TrimPrefix(e.Name(), "step-000000"))
	}
	return strings.Join(all, " ")
}

func TestSaveAndRead(t *testing.T) {
	s := store(t, 0, 1, 12)
	saved, refused, err := s.Newest()
	if err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	defer saved.Close()
	holds(t, saved, 12)
	if got := names(t, saved.Path); got != "config.json model.safetensors state.json state.safetensors tokenizer.json" {
		t.Errorf("files %s", got)
	}
	for name, want := range map[string][]byte{"config.json": snapshot(12).Config, "tokenizer.json": snapshot(12).Files["tokenizer.json"]} {
		if got, err := os.ReadFile(filepath.Join(saved.Path, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if err := saved.Read("none", memory{}); err == nil || !strings.Contains(err.Error(), `holds no tensor "none"`) {
		t.Error(err)
	}
}

func TestSaveIsDeterministic(t *testing.T) {
	a, b := store(t, 0, 3), store(t, 0, 3)
	for _, name := range []string{"config.json", "model.safetensors", "state.safetensors", "state.json", "tokenizer.json"} {
		x, _ := os.ReadFile(filepath.Join(a.place(3), name))
		y, _ := os.ReadFile(filepath.Join(b.place(3), name))
		if len(x) == 0 || !bytes.Equal(x, y) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestNothingSavedYet(t *testing.T) {
	for _, dir := range []string{store(t, 0).dir, filepath.Join(t.TempDir(), "none")} {
		if saved, refused := newest(t, dir); saved != nil || refused != nil {
			t.Error(saved, refused)
		}
	}
}

func TestSplitModel(t *testing.T) {
	s := store(t, 0)
	s.limit = 60 // wte takes 80 bytes, and has a file for itself; the others fit into one
	save(t, s, 7)
	saved, _ := newest(t, s.dir)
	holds(t, saved, 7)
	if got := names(t, saved.Path); !strings.Contains(got, "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json") {
		t.Errorf("files %s", got)
	}
	text, err := os.ReadFile(filepath.Join(saved.Path, safetensors.IndexFile))
	if err != nil || !strings.Contains(string(text), `"total_size": 140`) || !strings.Contains(string(text), `"wte.weight": "model-00001-of-00002.safetensors"`) {
		t.Errorf("index %s, %v", text, err)
	}
}

func TestSaveRefusesSnapshots(t *testing.T) {
	tests := []struct {
		change func(*Snapshot)
		want   string
	}{
		{func(s *Snapshot) { s.Step = -1 }, "step -1 is negative"},
		{func(s *Snapshot) { s.Tensors[1].Name = "wte.weight" }, `tensor "wte.weight" comes twice`},
		{func(s *Snapshot) { s.Tensors[1].Class = plan.Gradient }, `tensor "h.0.weight" is of class "gradient"`},
		{func(s *Snapshot) { s.Tensors[1].Data = nil }, `tensor "h.0.weight" has no data`},
		{func(s *Snapshot) { s.Tensors[1].DType = kernels.Invalid }, `tensor "h.0.weight": unknown type "INVALID"`},
		{func(s *Snapshot) { s.Tensors[1].Shape = []int{4, 4} }, `tensor "h.0.weight": 16 of its 64 bytes were not written`},
		{func(s *Snapshot) { s.Run = []byte("{") }, "run is not JSON"},
		{func(s *Snapshot) { s.Config = []byte("{") }, "config is not JSON"},
		{func(s *Snapshot) { s.Files = map[string][]byte{"../x": nil} }, `"../x" is not the name of a file`},
		{func(s *Snapshot) { s.Files = map[string][]byte{"state.json": nil} }, `file "state.json": the name is taken`},
		{func(s *Snapshot) { s.Files = map[string][]byte{"model.safetensors": nil} }, "the name is taken"},
	}
	s := store(t, 0, 1)
	for _, test := range tests {
		snap := snapshot(2)
		test.change(&snap)
		if err := s.Save(snap); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
	if got := names(t, s.dir); got != "01" {
		t.Errorf("left %s", got)
	}
}

func TestRetention(t *testing.T) {
	tests := []struct {
		keep int
		best []int64
		want string
	}{
		{0, nil, "01 02 03 04 05 06"},
		{2, nil, "05 06"},
		{1, []int64{1, 3}, "03 06"},
		{2, []int64{1}, "01 05 06"},
		{2, []int64{1, 5}, "05 06"},
		{9, []int64{1}, "01 02 03 04 05 06"},
	}
	for _, test := range tests {
		s := store(t, test.keep)
		for step := range int64(6) {
			snap := snapshot(step + 1)
			snap.Best = slices.Contains(test.best, step+1)
			if err := s.Save(snap); err != nil {
				t.Fatal(err)
			}
		}
		if got := names(t, s.dir); got != test.want {
			t.Errorf("keep %d, best %v: left %s, want %s", test.keep, test.best, got, test.want)
		}
		best, _, err := s.Best()
		if err != nil || (best == nil) != (test.best == nil) {
			t.Fatal(best, err)
		}
		if best != nil {
			holds(t, best, test.best[len(test.best)-1])
			best.Close()
		}
	}
}

// A run that goes back to before a damaged checkpoint keeps what it came from
// until it has saved anew.
func TestRetentionDoesNotCountDamaged(t *testing.T) {
	s := store(t, 2, 1, 2, 3)
	damage(t, filepath.Join(s.place(3), stateFile), -1)
	saved, refused, err := s.Newest()
	if err != nil || len(refused) != 1 {
		t.Fatal(refused, err)
	}
	holds(t, saved, 2)
	saved.Close()
	for _, step := range []struct {
		step int64
		want string
	}{{3, "02 03"}, {4, "03 04"}} {
		save(t, s, step.step)
		if got := names(t, s.dir); got != step.want {
			t.Errorf("left %s, want %s", got, step.want)
		}
	}
}

func TestOpenTidiesUp(t *testing.T) {
	s := store(t, 0, 1, 2)
	for from, to := range map[string]string{"step-00000001": ".step-00000001.replaced", "step-00000002": ".step-00000002.removed"} {
		if err := os.Rename(filepath.Join(s.dir, from), filepath.Join(s.dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".step-00000003.writing", ".unknown", "step-3", "notes"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(s.dir, 0); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s.dir); got != ".unknown notes 01 step-3" {
		t.Errorf("left %s", got)
	}
	saved, refused := newest(t, s.dir)
	holds(t, saved, 1)
	if refused != nil {
		t.Error(refused)
	}
}

// damage truncates a file (at ≥ 0), or changes the byte at −1−at.
func damage(t testing.TB, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at >= 0 {
		b = b[:at]
	} else {
		b[-1-at] ^= byte(1 + rand.IntN(255))
	}
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// Each file of the newest checkpoint, cut anywhere or with any byte changed, is
// refused by its name, and the checkpoint before is used.
func TestDamageIsRefusedByName(t *testing.T) {
	for _, limit := range []int64{shardBytes, 60} {
		s := store(t, 0)
		s.limit = limit
		save(t, s, 1, 2)
		for _, name := range strings.Fields(names(t, s.place(2))) {
			path := filepath.Join(s.place(2), name)
			stat, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			size := int(stat.Size())
			for _, at := range []int{0, size - 1, rand.IntN(size), rand.IntN(size), -1, -size, -1 - rand.IntN(size), -1 - rand.IntN(size)} {
				damage(t, path, at)
				refusedByName(t, s, path)
				save(t, s, 2)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			refusedByName(t, s, path)
			save(t, s, 2)
		}
	}
}

func refusedByName(t *testing.T, s *Store, path string) {
	t.Helper()
	saved, refused := newest(t, s.dir)
	holds(t, saved, 1)
	saved.Close()
	if len(refused) != 1 || refused[0].Path != s.place(2) || !strings.Contains(refused[0].Reason.Error(), path) {
		t.Errorf("refused %v, want %s", refused, path)
	}
}

func TestAllDamaged(t *testing.T) {
	s := store(t, 0, 1, 2)
	damage(t, filepath.Join(s.place(1), manifestFile), 3)
	damage(t, filepath.Join(s.place(2), "tokenizer.json"), -3)
	saved, refused := newest(t, s.dir)
	if saved != nil || len(refused) != 2 || !strings.Contains(refused[0].String(), "tokenizer.json: was altered") {
		t.Error(saved, refused)
	}
}

func TestForeignFoldersAreRefused(t *testing.T) {
	s := store(t, 0, 1)
	if err := os.Rename(s.place(1), s.place(9)); err != nil {
		t.Fatal(err)
	}
	if _, refused := newest(t, s.dir); len(refused) != 1 || !strings.Contains(refused[0].Reason.Error(), "is of step 1") {
		t.Error(refused)
	}
	save(t, s, 10)
	if err := os.WriteFile(filepath.Join(s.place(10), "extra.safetensors"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, refused := newest(t, s.dir); len(refused) != 2 || !strings.Contains(refused[0].Reason.Error(), "extra.safetensors: was added") {
		t.Error(refused)
	}
	m := manifest{Version: version + 1, Step: 11}
	text, _ := m.text()
	if _, err := parseManifest(text); err == nil || !strings.Contains(err.Error(), "is of version 2") {
		t.Error(err)
	}
}

func FuzzManifest(f *testing.F) {
	m := manifest{Version: version, Step: 3, Run: []byte(`{"a":1}`), Files: []entry{{Name: "a", SizeBytes: 1, Digest: "0"}}}
	text, _ := m.text()
	f.Add(text)
	f.Add([]byte(seal(nil)))
	f.Add([]byte(seal([]byte(`{"version":1`))))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		again, err := m.text()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseManifest(again); err != nil {
			t.Fatal(err)
		}
	})
}
