package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/ref"
)

// TestCodesOfStrangeNumbers: codes have ref's bits where numbers are equal, not finite, 0 of either sign or of one size, over several pieces; a NaN and an infinity are among what top-k
// keeps, and make the block of a one-bit code NaN.
func TestCodesOfStrangeNumbers(t *testing.T) {
	const n = 2*kernels.SquaresPiece + 777
	draws := map[string]func(r *rand.Rand) float32{
		"equal":     func(*rand.Rand) float32 { return 0.5 },
		"signs":     func(r *rand.Rand) float32 { return float32(2*r.IntN(2) - 1) },
		"zeros":     func(r *rand.Rand) float32 { return float32(math.Copysign(0, r.Float64()-0.5)) },
		"few sizes": func(r *rand.Rand) float32 { return float32(r.IntN(9)-4) / 4 },
		"infinite": func(r *rand.Rand) float32 {
			return [...]float32{float32(r.NormFloat64()), float32(math.Inf(1 - 2*r.IntN(2)))}[r.IntN(5000)/4999]
		},
		"NaN": func(r *rand.Rand) float32 {
			return [...]float32{float32(r.NormFloat64()), float32(math.NaN())}[r.IntN(5000)/4999]
		},
	}
	for name, draw := range draws {
		for _, a := range []kernels.Attrs{{Kind: kernels.TopK, Share: 0.003}, {Kind: kernels.TopK, Share: 0.7}, {Kind: kernels.OneBit}} {
			t.Run(fmt.Sprint(name, a.Kind, a.Share), func(t *testing.T) {
				o := &operands{r: rand.New(rand.NewPCG(1, 2))}
				o.each([]int{n}, func() float64 { return float64(draw(o.r)) }).each([]int{n}, func() float64 { return 0 }).absent()
				o.i(1, kernels.CodeWords(a, n)).f(n).absent()
				want, err := ref.New().Bind(kernels.Call{Op: kernels.Encode, Attrs: a, Args: o.ref})
				if err != nil {
					t.Fatal(err)
				}
				want()
				mustBind(t, openLevel(t, 3, levels()[0]), kernels.Call{Op: kernels.Encode, Attrs: a, Args: o.cpu})()
				got, code := kernels.Slice[int32](o.cpu[3]), kernels.Slice[int32](o.ref[3])
				if !slices.EqualFunc(got, code, func(x, y int32) bool { return x == y || nanWord(x) && nanWord(y) }) {
					t.Error("the code is not that of ref")
				}
				compareNonFinite(t, kernels.Slice[float32](o.cpu[4]), kernels.Slice[float64](o.ref[4]))
			})
		}
	}
}

// nanWord says whether a word is the bits of a NaN, of which there are several.
func nanWord(word int32) bool { return math.IsNaN(float64(math.Float32frombits(uint32(word)))) }

// compareNonFinite compares what codes leave out, which is not finite where they are not.
func compareNonFinite(t *testing.T, got []float32, want []float64) {
	t.Helper()
	for i, w := range want {
		if g := float64(got[i]); g != w && !(math.IsNaN(g) && math.IsNaN(w)) && !(math.Abs(g-w) <= 1e-6) {
			t.Fatalf("number %d leaves %g, want %g", i, g, w)
		}
	}
}
