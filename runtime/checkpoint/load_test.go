package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// saved is a checkpoint of the given tensors.
func saved(t *testing.T, tensors ...Tensor) *Saved {
	t.Helper()
	s := store(t, 0)
	if err := s.Save(Snapshot{Tensors: tensors}); err != nil {
		t.Fatal(err)
	}
	found, _ := newest(t, s.dir)
	if found == nil {
		t.Fatal("nothing was saved")
	}
	return found
}

func TestReadRuns(t *testing.T) {
	s := saved(t, tensor("w", plan.Weight, 0, 5, 4), tensor("none", plan.State, 0, 0, 4))
	for _, runs := range [][]plan.Run{{{First: 0, N: 20}}, {{First: 0, N: 0}}, {{First: 20, N: 0}}, nil, {{First: 3, N: 9}}, {{First: 19, N: 1}, {First: 2, N: 5}, {First: 2, N: 1}}} {
		var want []float32
		for _, r := range runs {
			for i := range r.N {
				want = append(want, float32(r.First+i))
			}
		}
		got := make(memory, 4*len(want))
		if err := s.ReadRuns("w", runs, got); err != nil || !slices.Equal(got.floats(), want) {
			t.Errorf("%v: %v, %v", runs, got.floats(), err)
		}
	}
	if err := s.Read("none", memory{}); err != nil {
		t.Error(err)
	}
	for _, r := range []plan.Run{{First: -1, N: 2}, {First: 0, N: -1}, {First: 0, N: 21}, {First: 21, N: 0}, {First: 1 << 62, N: 1 << 62}} {
		if err := s.ReadRuns("w", []plan.Run{r}, memory{}); err == nil || !strings.Contains(err.Error(), `tensor "w": has 20 elements`) {
			t.Errorf("%v: %v", r, err)
		}
	}
	if err := s.ReadRuns("w", []plan.Run{{First: 0, N: 20}}, make(memory, 79)); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	s := saved(t, tensor("a", plan.Weight, 0, 2, 3), tensor("b", plan.Weight, 0, 4), tensor("a.m", plan.State, 0, 2, 3), tensor("old", plan.State, 0))
	dims := func(sizes ...int) []plan.Dim {
		var list []plan.Dim
		for _, n := range sizes {
			list = append(list, plan.Dim{Name: "embed", Size: n})
		}
		return list
	}
	err := s.Check([]plan.Tensor{
		{Name: "a", Class: plan.Weight, Dims: dims(3, 2), Stored: []int{2, 3}, DType: kernels.F32},
		{Name: "b", Class: plan.Weight, Dims: dims(5), DType: kernels.F32},
		{Name: "a.m", Class: plan.State, Dims: dims(2, 3), DType: kernels.F64},
		{Name: "new", Class: plan.State, Dims: dims(2), DType: kernels.F32},
		{Name: "inputs", Class: plan.Input},
	})
	var m *Mismatch
	if !errors.As(err, &m) {
		t.Fatal(err)
	}
	want := s.Path + ` does not fit the model:
    missing: new [2]
    unexpected: old []
    of another shape: a.m: is F32, the plan has F64
    of another shape: b: is [4], the model has [5]`
	if err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if err := s.Check([]plan.Tensor{{Name: "a", Class: plan.Weight, Dims: dims(2, 3), DType: kernels.F32},
		{Name: "b", Class: plan.Weight, Dims: dims(4), DType: kernels.F32}, {Name: "old", Class: plan.State, DType: kernels.F32},
		{Name: "a.m", Class: plan.State, Dims: dims(2, 3), DType: kernels.F32}}); err != nil {
		t.Error(err)
	}
}

func TestSaverCopies(t *testing.T) {
	s := store(t, 0)
	snap := snapshot(1)
	size := int64(0)
	for i := range snap.Tensors {
		size += snap.Tensors[i].SizeBytes()
	}
	saver := NewSaver(s, make([]byte, size))
	live := make([]byte, 80)
	_, _ = snap.Tensors[0].Data.ReadAt(live, 0)
	for step := int64(1); step <= 3; step++ {
		snap := snapshot(step)
		copy(live, counting(20, float32(step)))
		snap.Tensors[0].Data = bytes.NewReader(live)
		if err := saver.Save(snap); err != nil {
			t.Fatal(err)
		}
		clear(live) // the run goes on
	}
	if err := saver.Close(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s.dir); got != "01 02 03" {
		t.Errorf("left %s", got)
	}
	found, _ := newest(t, s.dir)
	holds(t, found, 3)
}

func TestSaverErrors(t *testing.T) {
	s := store(t, 0)
	saver := NewSaver(s, make([]byte, 1000))
	s.storage = &faulty{left: 0, open: map[string]bool{}}
	if err := saver.Save(snapshot(1)); err != nil {
		t.Fatal(err)
	}
	if err := saver.Save(snapshot(2)); err == nil || !strings.Contains(err.Error(), "step 1 was not saved") {
		t.Errorf("got %v", err)
	}
	if err := saver.Wait(); err != nil {
		t.Errorf("the error came twice: %v", err)
	}
	s.storage = hasty{}
	if err := errors.Join(saver.Save(snapshot(2)), saver.Wait(), saver.Close()); err != nil {
		t.Error(err)
	}
	small := NewSaver(s, make([]byte, 100))
	if err := small.Save(snapshot(3)); err == nil || !strings.Contains(err.Error(), `tensor "h.0.weight": the buffer of 100 bytes is too small`) {
		t.Errorf("got %v", err)
	}
	short := snapshot(3)
	short.Tensors[0].Data = bytes.NewReader(make([]byte, 79))
	if err := saver.Save(short); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), `tensor "wte.weight": byte 79 of 80`) {
		t.Errorf("got %v", err)
	}
	if got := names(t, s.dir); got != "02" {
		t.Errorf("left %s", got)
	}
}

func BenchmarkSave(b *testing.B) {
	const n = 4 << 20
	s := store(b, 1)
	s.storage = disk{}
	snap := Snapshot{Tensors: []Tensor{{Name: "w", Class: plan.Weight, Shape: []int{n}, DType: kernels.F32, Data: bytes.NewReader(make([]byte, 4*n))}}}
	b.SetBytes(4 * n)
	for b.Loop() {
		snap.Step++
		if err := s.Save(snap); err != nil {
			b.Fatal(err)
		}
	}
}

// A checkpoint holds the digests of the plugins that it was made with, and an error names both.
func TestPluginsArePinned(t *testing.T) {
	s := store(t, 1)
	snap := snapshot(3)
	first, second := strings.Repeat("1a", 32), strings.Repeat("2b", 32)
	snap.Pins = []Pin{{"focal", first}, {"other", first}}
	if err := s.Save(snap); err != nil {
		t.Fatal(err)
	}
	saved, _, err := s.Newest()
	if err != nil || saved == nil {
		t.Fatal(saved, err)
	}
	defer saved.Close()
	of := func(digest string) *plan.Plan {
		return &plan.Plan{Plugins: []plan.Plugin{{Name: "focal", Digest: digest}}}
	}
	if err := saved.CheckPins(of(first)); err != nil || !slices.Equal(saved.Pins[:1], PinsOf(of(first))) {
		t.Errorf("the same module: %v, pins %v", err, saved.Pins)
	}
	if err := saved.CheckPins(of(second)); err == nil || !strings.Contains(err.Error(), "plugin focal: its sha256 is "+first+", the plan's is "+second) {
		t.Errorf("another module: %v", err)
	}
}
