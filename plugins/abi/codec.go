package abi

import (
	"fmt"
	"strconv"
)

// The names of a codec's exports. A policy whose manifest has a codec makes codes of gradients, which ranks send each other in their place. It exports
//
//	gsc_code_bytes(n i32) → i32         the bytes of the longest code that it makes of n numbers
//	gsc_encode(call i32) → i32          a [Status]
//	gsc_decode(call i32) → i32          a [Status]
//
// The call is a pointer to four words of 32 bits, a [CodecCall]: two numbers and two pointers.
//
//	numbers    n ≥ 1; gsc cuts what is longer than 65,536 numbers, and codes each run by itself
//	values     float32 [n]; in for gsc_encode, where they are finite, and out for gsc_decode
//	code       the code, with room for gsc_code_bytes(n); out for gsc_encode, in for gsc_decode
//	bytes      the length of the code; out for gsc_encode, in for gsc_decode
//
// gsc_decode sets the n numbers that stand for those that the code was made of. gsc keeps their difference, adds it to the next gradient before that is coded (error feedback), and adds up
// what the codes of all ranks say. So a codec keeps nothing from call to call, and may leave out what it likes, as long as what it gives is nearer to the numbers than 0 is: the
// manifest states a contraction δ in (0, 1], as a number, or as the name of the parameter that is it, for which
//
//	‖x − decode(encode(x))‖² ≤ (1 − δ)·‖x‖²
//
// for every x (Karimireddy et al., arXiv:1901.09847, definition 1). A code that comes from elsewhere may be anything: gsc_decode says [BadInput] of what it would not have made, or gives finite numbers.
const (
	CodeBytes = "gsc_code_bytes"
	Encode    = "gsc_encode"
	Decode    = "gsc_decode"
)

// Codec is what a manifest says of a gradient codec.
type Codec struct {
	Contraction string `json:"contraction"` // δ, in (0, 1], or the name of a parameter
}

// CodecCall is the argument of gsc_encode and gsc_decode, as words in guest memory.
type CodecCall struct {
	Numbers, Values, Code, Bytes uint32
}

// CodecCallBytes is its size.
const CodecCallBytes = 4 * 4

// check refuses a contraction that is neither a number that one can be, nor a name.
func (c *Codec) check(name string) error {
	if number, err := strconv.ParseFloat(c.Contraction, 64); err == nil && number > 0 && number <= 1 || err != nil && nameForm.MatchString(c.Contraction) {
		return nil
	}
	return fmt.Errorf("the codec %s has the contraction %q: use a number above 0 and up to 1, or the name of a parameter", name, c.Contraction)
}
