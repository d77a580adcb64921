package kernels

import "fmt"

// DType is the storage type of a tensor's elements.
type DType uint8

// The storage types. The zero DType is invalid, so that a forgotten type shows.
const (
	Invalid DType = iota
	F32
	F64
	BF16
	F16
	I32
	I64
	U8
	I8
)

var dtypes = [...]struct {
	name      string
	sizeBytes int
}{
	Invalid: {"invalid", 0},
	F32:     {"f32", 4},
	F64:     {"f64", 8},
	BF16:    {"bf16", 2},
	F16:     {"f16", 2},
	I32:     {"i32", 4},
	I64:     {"i64", 8},
	U8:      {"u8", 1},
	I8:      {"i8", 1},
}

// Size is the size of one element in bytes.
func (d DType) Size() int {
	if int(d) >= len(dtypes) {
		return 0
	}
	return dtypes[d].sizeBytes
}

// Float says whether d holds real numbers.
func (d DType) Float() bool { return d >= F32 && d <= F16 }

// Half says whether d holds real numbers in 16 bits.
func (d DType) Half() bool { return d == BF16 || d == F16 }

// widened is the type that goes with floats of d where digits are kept.
func (d DType) widened() DType {
	if d.Half() {
		return F32
	}
	return d
}

func (d DType) String() string {
	if int(d) >= len(dtypes) {
		return fmt.Sprintf("dtype(%d)", uint8(d))
	}
	return dtypes[d].name
}

// ParseDType is the inverse of [DType.String].
func ParseDType(name string) (DType, error) {
	for d := F32; int(d) < len(dtypes); d++ {
		if dtypes[d].name == name {
			return d, nil
		}
	}
	return Invalid, fmt.Errorf("unknown type %q", name)
}

// MarshalText writes the name, so that plans stay readable.
func (d DType) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the name.
func (d *DType) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDType(string(text))
	return err
}
