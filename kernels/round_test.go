package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// roundings are the fast forms beside the type whose Round they must equal.
var roundings = []struct {
	dtype DType
	fast  func(float32) float32
}{{BF16, RoundBF16}, {F16, RoundF16}}

func TestRoundKnownValues(t *testing.T) {
	inf := math.Inf(1)
	for _, test := range []struct {
		dtype   DType
		x, want float64
	}{
		{BF16, 1 + 1.0/256, 1},            // a tie goes to even
		{BF16, 1 + 3.0/256, 1 + 2.0/128},  // and the next one up
		{BF16, 1 + 1.01/256, 1 + 1.0/128}, // past the tie
		{BF16, -3.4e38, -inf},
		{BF16, 0x1p-133, 0x1p-133}, // the least subnormal
		{BF16, 0x1p-134, 0},
		{F16, 65504, 65504},
		{F16, 65519, 65504},
		{F16, 65520, inf},
		{F16, -65520, -inf},
		{F16, 1 + 1.0/2048, 1},
		{F16, 0x1p-24, 0x1p-24},
		{F16, 0x1p-25, 0},
		{F16, 0x1.8p-24, 0x1p-23},
		{F16, 0x1.ff8p-15, 0x1.ff8p-15}, // the largest subnormal
		{F32, 1 + 0x1p-24, 1},
		{F64, 1 + 0x1p-40, 1 + 0x1p-40},
	} {
		if got := test.dtype.Round(test.x); got != test.want {
			t.Errorf("%v: Round(%g) = %g, want %g", test.dtype, test.x, got, test.want)
		}
	}
}

// The forms for float32 are the definition, bit for bit, over all exponents, at ties and beside them.
func TestFastRoundings(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, r := range roundings {
		for n := range 1 << 20 {
			bits := random.Uint32()
			if n%3 == 0 {
				bits = bits&^0x1FFF | 0x1000 // ties of f16
			} else if n%3 == 1 {
				bits = bits&^0xFFFF | 0x8000 // of bf16
			}
			x := math.Float32frombits(bits + uint32(n%5) - 2)
			got, want := r.fast(x), float32(r.dtype.Round(float64(x)))
			if x != x && got != got {
				continue
			}
			if math.Float32bits(got) != math.Float32bits(want) {
				t.Fatalf("%v: %x rounds to %x, want %x", r.dtype, math.Float32bits(x), math.Float32bits(got), math.Float32bits(want))
			}
		}
	}
}
