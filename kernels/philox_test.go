package kernels

import (
	"math"
	"testing"
)

// The known answers are those of the authors' library, Random123, kat_vectors: philox4x32 10. Its counter is (block low, block high,
// step, stream) and its key (seed low, seed high).
func TestPhiloxKnownAnswers(t *testing.T) {
	const ones, ones64 = 0xffffffff, 0xffffffffffffffff
	for _, test := range []struct {
		seed, block  uint64
		step, stream uint32
		want         [4]uint32
	}{
		{0, 0, 0, 0, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{ones64, ones64, ones, ones, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{0x299f31d0_a4093822, 0x85a308d3_243f6a88, 0x13198a2e, 0x03707344, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Philox(test.seed, test.block, test.step, test.stream); got != test.want {
			t.Errorf("Philox(%#x, %#x, %#x, %#x) = %08x, want %08x", test.seed, test.block, test.step, test.stream, got, test.want)
		}
	}
}

// What a seed means must not change: checkpoints and published runs depend on it.
func TestStreamKeyIsFixed(t *testing.T) {
	// FNV-1a over the purpose's byte and the name.
	hash := uint32(2166136261)
	for _, b := range []byte{byte(PurposeDropout), 'h', '.', '3'} {
		hash = (hash ^ uint32(b)) * 16777619
	}
	if got := StreamKey(PurposeDropout, "h.3"); got != hash {
		t.Errorf("key %08x, want %08x", got, hash)
	}
	if StreamKey(PurposeInit, "h.3") == hash || StreamKey(PurposeDropout, "h.4") == hash {
		t.Error("purposes or names share a key")
	}
	for i, p := range []Purpose{PurposeInit, PurposeDropout, PurposeOrder, PurposeSample, PurposePlugin, PurposeRound} {
		if int(p) != i+1 {
			t.Errorf("purpose %d was renumbered to %d", i+1, p)
		}
	}
}

func TestDropThreshold(t *testing.T) {
	for _, test := range []struct {
		rate float64
		want uint32
	}{{0, 0}, {0.25, 1 << 30}, {0.5, 1 << 31}, {1.0 / (1 << 32), 1}, {1 - 1e-12, math.MaxUint32}} {
		if got := DropThreshold(test.rate); got != test.want {
			t.Errorf("DropThreshold(%v) = %d, want %d", test.rate, got, test.want)
		}
	}
	const n, rate = 100000, 0.3
	dropped := 0
	for block := range uint64(n / 4) {
		for _, word := range Philox(42, block, 7, 9) {
			if word < DropThreshold(rate) {
				dropped++
			}
		}
	}
	if share := float64(dropped) / n; math.Abs(share-rate) > 0.01 {
		t.Errorf("%v of the elements are dropped at rate %v", share, rate)
	}
}

func TestUniformStaysInside(t *testing.T) {
	if low, high := Uniform(0), Uniform(math.MaxUint32); !(low > 0 && high < 1 && low+high == 1) {
		t.Errorf("ends %v and %v", low, high)
	}
}

func TestNormals(t *testing.T) {
	const blocks = 20000
	var sum, squares, cubes, products float64
	for block := range uint64(blocks) {
		w := Philox(1, block, 0, 0)
		x, y := Normals(w[0], w[1])
		sum, squares, cubes, products = sum+x+y, squares+x*x+y*y, cubes+x*x*x+y*y*y, products+x*y
	}
	n := 2.0 * blocks
	for name, off := range map[string]float64{"mean": sum / n, "variance": squares/n - 1, "skew": cubes / n, "covariance": 2 * products / n} {
		if math.Abs(off) > 0.05 {
			t.Errorf("%s is off by %v", name, off)
		}
	}
	if x, y := Normals(0, 0); math.IsInf(x, 0) || math.IsInf(y, 0) || math.IsNaN(x+y) {
		t.Errorf("Normals(0, 0) = %v, %v", x, y)
	}
}
