package gsc

// Random gives random numbers that begin with a seed, as gsc gives one for each record and row (SplitMix64: Steele, Lea and Flood, OOPSLA 2014, section 5).
type Random uint64

// Uint64 gives 64 random bits, which makes it a source of math/rand/v2.
func (r *Random) Uint64() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Uniform gives a number in [0, 1).
func (r *Random) Uniform() float64 { return float64(r.Uint64()>>11) * 0x1p-53 }
