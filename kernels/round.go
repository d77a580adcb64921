package kernels

import "math"

// Round gives the value of the type that is nearest to x, of two as near the one with an even last bit; what is too
// large becomes infinite, and what is too small subnormal or 0. Types that are not BF16, F16 or F32 change nothing.
func (d DType) Round(x float64) float64 {
	digits, least, largest := d.format()
	if digits == 0 || x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	_, exponent := math.Frexp(x) // |x| in [2^(exponent−1), 2^exponent)
	unit := math.Ldexp(1, max(exponent, least)-digits)
	y := math.RoundToEven(x/unit) * unit
	if math.Abs(y) > largest {
		return math.Copysign(math.Inf(1), x)
	}
	return y
}

// format gives the significant bits of a type, the exponent of its least normal value as Frexp counts, and its largest value.
func (d DType) format() (digits, least int, largest float64) {
	switch d {
	case F32:
		return 24, -125, math.MaxFloat32
	case BF16:
		return 8, -125, 0x1.fep127
	case F16:
		return 11, -13, 65504
	}
	return 0, 0, 0
}

// RoundBF16 is BF16's Round of a float32.
func RoundBF16(x float32) float32 {
	if x != x {
		return x
	}
	bits := math.Float32bits(x)
	return math.Float32frombits((bits + 0x7FFF + bits>>16&1) &^ 0xFFFF)
}

// RoundF16 is F16's Round of a float32. Subnormal results are multiples of 2⁻²⁴, the last bit of ¾ in float32: adding ¾
// and taking it away again rounds to them.
func RoundF16(x float32) float32 {
	const infinite, overflow = 0x7F800000, 0x477FF000 // 65520, which rounds to infinity
	bits := math.Float32bits(x)
	sign, size := bits&(1<<31), bits&^(1<<31)
	switch {
	case size > infinite:
		return x
	case size >= overflow:
		size = infinite
	case size < 0x38800000: // 2⁻¹⁴, the least normal value
		const shift = 0.75
		size = math.Float32bits(float32(math.Float32frombits(size)+shift) - shift)
	default:
		size = (size + 0xFFF + size>>13&1) &^ 0x1FFF
	}
	return math.Float32frombits(sign | size)
}
