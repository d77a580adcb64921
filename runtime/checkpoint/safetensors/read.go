package safetensors

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Reader is what tensors are read from: a [File] or a [Model].
type Reader interface {
	Name() string
	Lookup(name string) (Info, bool)
	Section(name string) (*io.SectionReader, error)
}

// Element is a type that tensors are read into.
type Element interface {
	float32 | float64 | int32 | int64
}

// pieceBytes is how much is read at a time.
const pieceBytes = 64 << 10

// Read fills dst with the elements first … first+len(dst)−1 of a tensor, in
// row-major order, converted to dst's type:
//
//   - F64, F32, F16 and BF16 to float32 and float64: to the nearest value; a
//     finite one that would become infinite is an error. Not to integers.
//   - whole numbers and BOOL to float32 and float64: to the nearest value.
//   - whole numbers and BOOL to int32 and int64: one that does not fit is an error.
//
// It reads in pieces, so memory does not depend on the tensor's size.
func Read[E Element](r Reader, name string, first int64, dst []E) error {
	section, err := r.Section(name)
	if err != nil {
		return err
	}
	info, _ := r.Lookup(name)
	if n := info.Elements(); first < 0 || first > n || int64(len(dst)) > n-first {
		return fmt.Errorf("%s: tensor %q: has %d elements (shape %v), asked for %d from %d",
			r.Name(), name, n, info.Shape, len(dst), first)
	}
	if err := readPieces(section, info, first, dst); err != nil {
		return fmt.Errorf("%s: tensor %q: %w", r.Name(), name, err)
	}
	return nil
}

// readWhole reads a tensor into a dst of its very size.
func readWhole[E Element](r Reader, name string, dst []E) error {
	if info, ok := r.Lookup(name); ok && int64(len(dst)) != info.Elements() {
		return fmt.Errorf("%s: tensor %q: has %d elements (shape %v), not %d",
			r.Name(), name, info.Elements(), info.Shape, len(dst))
	}
	return Read(r, name, 0, dst)
}

func readPieces[E Element](data io.ReaderAt, info Info, first int64, dst []E) error {
	convert := converter[E](info.DType)
	if convert == nil {
		return fmt.Errorf("%s cannot be read as %T", info.DType, *new(E))
	}
	width := dtypes[rank(info.DType)].bits / 8
	buf := make([]byte, min(len(dst)*width, pieceBytes))
	for at := first * int64(width); len(dst) > 0; at += int64(len(buf)) {
		n := min(len(dst), len(buf)/width)
		buf = buf[:n*width]
		if got, err := data.ReadAt(buf, at); got < len(buf) {
			return fmt.Errorf("byte %d: %w", at+int64(got), cmp.Or(err, io.ErrUnexpectedEOF))
		}
		if err := convert(dst[:n], buf); err != nil {
			return err
		}
		dst = dst[n:]
	}
	return nil
}

// converter is the function that turns bytes of a type into elements; nil
// where there is none.
func converter[E Element](dtype string) func(dst []E, src []byte) error {
	switch dtype {
	case F64, F32, F16, BF16:
		if whole[E]() {
			return nil
		}
		return floats[E](dtype)
	}
	load := integers[dtype]
	if load == nil {
		return nil
	}
	width := dtypes[rank(dtype)].bits / 8
	return func(dst []E, src []byte) error {
		for i := range dst {
			v, ok := load(src[i*width:])
			dst[i] = E(v)
			if !ok || whole[E]() && int64(dst[i]) != v {
				return fmt.Errorf("%d does not fit into %T", v, dst[i])
			}
		}
		return nil
	}
}

// whole says whether E holds whole numbers only.
func whole[E Element]() bool { return E(1)/2 == 0 }

// integers loads one whole number of each type; false says that it does not
// fit into 64 signed bits.
var integers = map[string]func(b []byte) (int64, bool){
	I64:  func(b []byte) (int64, bool) { return int64(binary.LittleEndian.Uint64(b)), true },
	I32:  func(b []byte) (int64, bool) { return int64(int32(binary.LittleEndian.Uint32(b))), true },
	I16:  func(b []byte) (int64, bool) { return int64(int16(binary.LittleEndian.Uint16(b))), true },
	I8:   func(b []byte) (int64, bool) { return int64(int8(b[0])), true },
	U64:  func(b []byte) (int64, bool) { v := int64(binary.LittleEndian.Uint64(b)); return v, v >= 0 },
	U32:  func(b []byte) (int64, bool) { return int64(binary.LittleEndian.Uint32(b)), true },
	U16:  func(b []byte) (int64, bool) { return int64(binary.LittleEndian.Uint16(b)), true },
	U8:   func(b []byte) (int64, bool) { return int64(b[0]), true },
	BOOL: func(b []byte) (int64, bool) { return int64(b[0]), true },
}

// floats are the loops over real numbers. They run over whole models, so each
// type has its own.
func floats[E Element](dtype string) func(dst []E, src []byte) error {
	order := binary.LittleEndian
	switch dtype {
	case F64:
		return func(dst []E, src []byte) error {
			for i := range dst {
				v := math.Float64frombits(order.Uint64(src[8*i:]))
				dst[i] = E(v)
				if math.IsInf(float64(dst[i]), 0) && !math.IsInf(v, 0) {
					return fmt.Errorf("%g does not fit into %T", v, dst[i])
				}
			}
			return nil
		}
	case F32:
		return func(dst []E, src []byte) error {
			for i := range dst {
				dst[i] = E(math.Float32frombits(order.Uint32(src[4*i:])))
			}
			return nil
		}
	case BF16:
		return func(dst []E, src []byte) error {
			for i := range dst {
				dst[i] = E(math.Float32frombits(uint32(order.Uint16(src[2*i:])) << 16))
			}
			return nil
		}
	default: // F16
		return func(dst []E, src []byte) error {
			for i := range dst {
				dst[i] = E(fromHalf(order.Uint16(src[2*i:])))
			}
			return nil
		}
	}
}

// fromHalf is the value of an IEEE 754 binary16: sign, five bits of exponent
// biased by 15, ten of fraction.
func fromHalf(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent := uint32(h >> 10 & 0x1f)
	fraction := uint32(h & 0x3ff)
	switch exponent {
	case 0: // zero and subnormals: fraction · 2⁻²⁴, exact in a float32
		v := float32(fraction) * 0x1p-24
		return math.Float32frombits(sign | math.Float32bits(v))
	case 0x1f: // infinity and NaN
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
