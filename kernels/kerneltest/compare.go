package kerneltest

import "math"

// singleSpread is how far above the tolerance of a whole output one element may lie.
const singleSpread = 64

// difference measures how far an output is from the reference: the larger of
//
//	‖got − want‖ / max(‖want‖, terms)
//	max |got − want| / max(max |want|, terms/√n) / singleSpread
//
// where terms is the norm of the terms whose sum the output is. Where terms
// cancel, rounding leaves an error of their size, not of the result's; where they
// do not, terms is no larger than the result and changes nothing. The second
// line finds a single wrong element of a large output. Infinite and NaN elements
// must be the same in both, and integers equal; else the difference is +Inf.
func difference(got, want values, terms float64) float64 {
	for i := range want.ints {
		if got.ints[i] != want.ints[i] {
			return math.Inf(1)
		}
	}
	var off, size, largestOff, largest float64
	for i, w := range want.floats {
		g := got.floats[i]
		if finite(w) != finite(g) || !finite(w) && !same(w, g) {
			return math.Inf(1)
		}
		if !finite(w) {
			continue
		}
		off, size = off+(g-w)*(g-w), size+w*w
		largestOff, largest = max(largestOff, math.Abs(g-w)), max(largest, math.Abs(w))
	}
	if largestOff == 0 {
		return 0
	}
	typical := terms / math.Sqrt(float64(len(want.floats)))
	return max(math.Sqrt(off)/max(math.Sqrt(size), terms), largestOff/max(largest, typical)/singleSpread)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func same(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) }

func norm(x []float64) float64 {
	total := 0.0
	for _, v := range x {
		total += v * v
	}
	return math.Sqrt(total)
}

// rms is the size of a typical element.
func rms(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	return norm(x) / math.Sqrt(float64(len(x)))
}
