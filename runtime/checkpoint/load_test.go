package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
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

func TestReadRange(t *testing.T) {
	s := saved(t, tensor("w", plan.Weight, 0, 5, 4), tensor("none", plan.State, 0, 0, 4))
	for _, r := range [][2]int64{{0, 20}, {0, 0}, {20, 0}, {3, 9}, {19, 1}} {
		got := make(memory, 4*r[1])
		if err := s.ReadRange("w", r[0], r[1], got); err != nil || !bytes.Equal(got, counting(int(r[1]), float32(r[0]))) {
			t.Errorf("%v: %v, %v", r, got.floats(), err)
		}
	}
	if err := s.Read("none", memory{}); err != nil {
		t.Error(err)
	}
	for _, r := range [][2]int64{{-1, 2}, {0, -1}, {0, 21}, {21, 0}, {1 << 62, 1 << 62}} {
		if err := s.ReadRange("w", r[0], r[1], memory{}); err == nil || !strings.Contains(err.Error(), `tensor "w": has 20 elements`) {
			t.Errorf("%v: %v", r, err)
		}
	}
	if err := s.ReadRange("w", 0, 20, make(memory, 79)); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

// Every box of a tensor reads as an element-by-element cut does.
func TestReadPart(t *testing.T) {
	whole := []int{3, 1, 4, 2}
	s := saved(t, tensor("w", plan.State, 0, whole...), tensor("scalar", plan.Weight, 7))
	for start := range boxes(whole) {
		rest := make([]int, len(whole))
		for i := range whole {
			rest[i] = whole[i] - start[i]
		}
		for shape := range boxes(rest) {
			got := make(memory, 4*kernels.Elements(shape))
			if err := s.ReadPart("w", start, shape, got); err != nil {
				t.Fatal(err)
			}
			if want := cut(whole, start, shape); !slices.Equal(got.floats(), want) {
				t.Fatalf("%v from %v: %v, want %v", shape, start, got.floats(), want)
			}
		}
	}
	scalar := make(memory, 4)
	if err := s.ReadPart("scalar", nil, nil, scalar); err != nil || scalar.floats()[0] != 7 {
		t.Error(scalar.floats(), err)
	}
}

// boxes is every index from zero up to limit, limits included.
func boxes(limit []int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		more := make([]int, len(limit))
		for i := range limit {
			more[i] = limit[i] + 1
		}
		index := make([]int, len(limit))
		for range kernels.Elements(more) {
			if !yield(slices.Clone(index)) {
				return
			}
			advance(index, more)
		}
	}
}

// cut is the part of a tensor that counts from zero.
func cut(whole, start, shape []int) []float32 {
	list := []float32{}
	index := make([]int, len(whole))
	for range kernels.Elements(shape) {
		at := 0
		for i := range whole {
			at = at*whole[i] + start[i] + index[i]
		}
		list = append(list, float32(at))
		advance(index, shape)
	}
	return list
}

func TestPartRunsAreLong(t *testing.T) {
	tests := []struct {
		whole, start, shape []int
		want                string
	}{
		{[]int{6, 4}, []int{2, 0}, []int{3, 4}, "[{8 12}]"},
		{[]int{6, 4}, []int{0, 0}, []int{6, 4}, "[{0 24}]"},
		{[]int{2, 6, 4}, []int{1, 1, 0}, []int{1, 2, 4}, "[{28 8}]"},
		{[]int{2, 4}, []int{0, 2}, []int{2, 2}, "[{2 2} {6 2}]"},
		{[]int{6}, []int{2}, []int{0}, "[]"},
	}
	for _, test := range tests {
		runs, err := partRuns(test.whole, test.start, test.shape)
		if got := fmt.Sprint(runs); err != nil || got != test.want {
			t.Errorf("%v from %v of %v: %s, %v, want %s", test.shape, test.start, test.whole, got, err, test.want)
		}
	}
	for _, test := range tests {
		test.shape[0] = 7
		if _, err := partRuns(test.whole, test.start, test.shape); err == nil {
			t.Errorf("%v from %v of %v: no error", test.shape, test.start, test.whole)
		}
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
