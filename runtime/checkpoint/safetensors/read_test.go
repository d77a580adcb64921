package safetensors

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

// one is a file with the single tensor "t".
func one(t testing.TB, dtype string, shape []int, data []byte) *File {
	t.Helper()
	f, err := open(write(t, nil, []Info{{Name: "t", DType: dtype, Shape: shape}}, map[string][]byte{"t": data}))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func words(width int, values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = append(b, binary.LittleEndian.AppendUint64(nil, v)[:width]...)
	}
	return b
}

func TestReadConverts(t *testing.T) {
	minusThree := uint64(1<<64 - 3)
	tests := []struct {
		dtype string
		data  []byte
		want  []float64
		whole bool
	}{
		{F64, words(8, math.Float64bits(1.5), math.Float64bits(-0x1p-60)), []float64{1.5, -0x1p-60}, false},
		{F32, floatBytes(1.5, -3), []float64{1.5, -3}, false},
		{BF16, words(2, 0x3fc0, 0xc040), []float64{1.5, -3}, false},
		{F16, words(2, 0x3e00, 0xc200), []float64{1.5, -3}, false},
		{I64, words(8, 7, minusThree), []float64{7, -3}, true},
		{I32, words(4, 7, minusThree), []float64{7, -3}, true},
		{I16, words(2, 7, minusThree), []float64{7, -3}, true},
		{I8, words(1, 7, minusThree), []float64{7, -3}, true},
		{U64, words(8, 7, 9), []float64{7, 9}, true},
		{U32, words(4, 7, 1<<31-1), []float64{7, 1<<31 - 1}, true},
		{U16, words(2, 7, 65535), []float64{7, 65535}, true},
		{U8, words(1, 7, 255), []float64{7, 255}, true},
		{BOOL, words(1, 0, 1), []float64{0, 1}, true},
	}
	for _, test := range tests {
		f := one(t, test.dtype, []int{2}, test.data)
		readsAs(t, f, test.want, true)
		readsAs(t, f, narrow(test.want), true)
		readsAs(t, f, []int64{int64(test.want[0]), int64(test.want[1])}, test.whole)
		readsAs(t, f, []int32{int32(test.want[0]), int32(test.want[1])}, test.whole)
	}
}

func narrow(values []float64) []float32 {
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return out
}

// readsAs checks that the tensor reads as want, or that it does not read at all.
func readsAs[E Element](t *testing.T, f *File, want []E, ok bool) {
	t.Helper()
	got := make([]E, len(want))
	err := Read(f, "t", 0, got)
	if (err == nil) != ok {
		t.Errorf("%s as %T: %v", f.Tensors()[0].DType, want, err)
	}
	for i := range want {
		if ok && got[i] != want[i] {
			t.Errorf("%s as %T: element %d is %v, want %v", f.Tensors()[0].DType, want, i, got[i], want[i])
		}
	}
}

func TestReadRefuses(t *testing.T) {
	large := one(t, F64, nil, words(8, math.Float64bits(1e39)))
	wide := one(t, I64, []int{2}, words(8, 1, 1<<31))
	unsigned := one(t, U64, nil, words(8, 1<<63))
	complexes := one(t, "C64", nil, words(8, 0))
	tests := []struct {
		err  error
		want string
	}{
		{large.ReadFloat32("t", make([]float32, 1)), "1e+39 does not fit into float32"},
		{wide.ReadInt32("t", make([]int32, 2)), "2147483648 does not fit into int32"},
		{unsigned.ReadInt64("t", make([]int64, 1)), "does not fit into int64"},
		{complexes.ReadFloat64("t", make([]float64, 1)), "C64 cannot be read as float64"},
		{large.ReadInt64("t", make([]int64, 1)), "F64 cannot be read as int64"},
		{wide.ReadInt64("t", make([]int64, 3)), "has 2 elements (shape [2]), not 3"},
		{wide.ReadInt64("u", make([]int64, 2)), `holds no tensor "u"`},
		{Read(wide, "t", 1, make([]int64, 2)), "asked for 2 from 1"},
		{Read(wide, "t", -1, make([]int64, 2)), "asked for 2 from -1"},
		{Read(wide, "t", 3, []int64{}), "asked for 0 from 3"},
	}
	for _, test := range tests {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) || !strings.Contains(test.err.Error(), "x.safetensors") {
			t.Errorf("got %v, want %q", test.err, test.want)
		}
	}
}

func TestReadKeepsInfinities(t *testing.T) {
	f := one(t, F64, []int{2}, words(8, math.Float64bits(math.Inf(-1)), math.Float64bits(math.NaN())))
	got := make([]float32, 2)
	if err := f.ReadFloat32("t", got); err != nil || !math.IsInf(float64(got[0]), -1) || got[1] == got[1] {
		t.Errorf("read %v, %v", got, err)
	}
}

// More elements than a piece holds, from every kind of start.
func TestReadPieces(t *testing.T) {
	const n = 3*pieceBytes/4 + 5
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(i)
	}
	f := one(t, F32, []int{n}, floatBytes(values...))
	for _, first := range []int{0, 1, pieceBytes / 4, n - 1, n} {
		got := make([]float64, n-first)
		if err := Read(f, "t", int64(first), got); err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if v != float64(first+i) {
				t.Fatalf("from %d: element %d is %v", first, i, v)
			}
		}
	}
}

func TestHalf(t *testing.T) {
	for bits := range 1 << 16 {
		sign, exponent, fraction := 1-2*float64(bits>>15), bits>>10&0x1f, float64(bits&0x3ff)
		want := sign * math.Ldexp(1+fraction/1024, exponent-15)
		switch {
		case exponent == 0:
			want = math.Copysign(math.Ldexp(fraction, -24), sign)
		case exponent == 31 && fraction == 0:
			want = math.Inf(int(sign))
		case exponent == 31:
			want = math.NaN()
		}
		got := float64(fromHalf(uint16(bits)))
		if math.IsNaN(want) != math.IsNaN(got) || !math.IsNaN(want) && math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%#04x is %v, want %v", bits, got, want)
		}
	}
}

func BenchmarkReadFloat32(b *testing.B) {
	const n = 1 << 20
	f := one(b, F32, []int{n}, make([]byte, 4*n))
	dst := make([]float32, n)
	b.SetBytes(4 * n)
	for b.Loop() {
		if err := f.ReadFloat32("t", dst); err != nil {
			b.Fatal(err)
		}
	}
}
