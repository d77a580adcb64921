package safetensors

import (
	"fmt"
	"math"
	"math/bits"
)

// The types that this package converts. Others are known by name and size
// only; their bytes are at hand through Section.
const (
	F64  = "F64"
	F32  = "F32"
	F16  = "F16"
	BF16 = "BF16"
	I64  = "I64"
	I32  = "I32"
	I16  = "I16"
	I8   = "I8"
	U64  = "U64"
	U32  = "U32"
	U16  = "U16"
	U8   = "U8"
	BOOL = "BOOL"
)

// dtypes lists the types with their bits an element, in the order in which
// writers place them: the last one's tensors come first in a file.
var dtypes = [...]struct {
	name string
	bits int
}{
	{BOOL, 8},
	{"F4", 4},
	{"F6_E2M3", 6},
	{"F6_E3M2", 6},
	{U8, 8},
	{I8, 8},
	{"F8_E5M2", 8},
	{"F8_E4M3", 8},
	{"F8_E8M0", 8},
	{"F8_E4M3FNUZ", 8},
	{"F8_E5M2FNUZ", 8},
	{I16, 16},
	{U16, 16},
	{F16, 16},
	{BF16, 16},
	{I32, 32},
	{U32, 32},
	{F32, 32},
	{"C64", 64},
	{F64, 64},
	{I64, 64},
	{U64, 64},
}

// rank is the place of a type in dtypes, −1 when it is unknown.
func rank(dtype string) int {
	for i, d := range dtypes {
		if d.name == dtype {
			return i
		}
	}
	return -1
}

// sizeBytes is the size of a tensor's data, with every product checked.
func sizeBytes(dtype string, shape []int) (int64, error) {
	place := rank(dtype)
	if place < 0 {
		return 0, fmt.Errorf("unknown type %q", dtype)
	}
	n := uint64(1)
	for _, length := range shape {
		if length < 0 {
			return 0, fmt.Errorf("shape %v has a negative length", shape)
		}
		if n = product(n, uint64(length)); n > math.MaxInt64 {
			return 0, fmt.Errorf("shape %v has more elements than can be counted", shape)
		}
	}
	if n = product(n, uint64(dtypes[place].bits)); n > math.MaxInt64 {
		return 0, fmt.Errorf("shape %v of %s has more bytes than can be counted", shape, dtype)
	}
	if n%8 != 0 {
		return 0, fmt.Errorf("shape %v of %s does not end on a whole byte", shape, dtype)
	}
	return int64(n / 8), nil
}

// product is a·b, or the largest number where that overflows.
func product(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	if high != 0 {
		return math.MaxUint64
	}
	return low
}
