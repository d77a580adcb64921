package kernels

import (
	"testing"
	"unsafe"
)

func TestTensorViews(t *testing.T) {
	for _, test := range []struct {
		tensor         Tensor
		dense          bool
		length, extent int
		firstStride    int
	}{
		{f32(2, 3, 4), true, 24, 24, 12},
		{strided(f32(2, 3, 4), 12, 4, 1), true, 24, 24, 12},
		{strided(f32(2, 3, 4), 20, 5, 1), false, 24, 34, 20},
		{strided(f32(2, 3, 4), 4, 8, 1), false, 24, 24, 4},
		{strided(f32(1, 4), 99, 1), true, 4, 4, 99},
		{strided(f32(0, 4), 9, 1), false, 0, 0, 9},
	} {
		v := test.tensor
		if v.Dense() != test.dense || v.Len() != test.length || v.Extent() != test.extent || v.Stride(0) != test.firstStride {
			t.Errorf("%v/%v: dense %v, length %d, extent %d, stride %d", v.Shape, v.Strides, v.Dense(), v.Len(), v.Extent(), v.Stride(0))
		}
	}
	if scalar := f32(); scalar.Len() != 1 || scalar.Extent() != 1 || !scalar.Dense() {
		t.Error("a scalar is not one element")
	}
}

func TestSlice(t *testing.T) {
	data := []float32{1, 2, 3, 4, 5, 6, 7}
	view := strided(f32(2, 3), 4, 1)
	view.Data = unsafe.Pointer(&data[0])
	if got := Slice[float32](view); len(got) != 7 || got[6] != 7 {
		t.Errorf("got %v", got)
	}
	if Slice[float32](Tensor{}) != nil {
		t.Error("an absent operand has elements")
	}
	defer func() {
		if recover() == nil {
			t.Error("a slice of another type is given")
		}
	}()
	Slice[float64](view)
}

func TestNamesSurviveTheirText(t *testing.T) {
	for d := F32; d <= U8; d++ {
		var back DType
		text, _ := d.MarshalText()
		if err := back.UnmarshalText(text); err != nil || back != d || d.Size() == 0 {
			t.Errorf("%v: %v, %v", d, back, err)
		}
	}
	for s := DeviceMemory; s <= DiskMemory; s++ {
		var back Space
		text, _ := s.MarshalText()
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("%v: %v, %v", s, back, err)
		}
	}
	if _, err := ParseDType("invalid"); err == nil {
		t.Error("the invalid type parses")
	}
	if err := new(Space).UnmarshalText([]byte("tape")); err == nil {
		t.Error("an unknown space parses")
	}
}
