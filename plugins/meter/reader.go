package meter

import (
	"errors"
	"fmt"
)

// errShort is what a reader that came to the end of its bytes says.
var errShort = errors.New("it ends in the middle of something")

// reader reads a module's bytes. Its first error stays, and what is read after it is 0.
type reader struct {
	data []byte
	at   int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// more says whether there is anything left to read.
func (r *reader) more() bool { return r.err == nil && r.at < len(r.data) }

func (r *reader) byte() byte {
	if r.err != nil || r.at >= len(r.data) {
		if r.err == nil {
			r.err = errShort
		}
		return 0
	}
	r.at++
	return r.data[r.at-1]
}

func (r *reader) bytes(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.data)-r.at {
		if r.err == nil {
			r.err = errShort
		}
		return nil
	}
	r.at += n
	return r.data[r.at-n : r.at]
}

// u32 reads an unsigned number in LEB128.
func (r *reader) u32() uint32 {
	var value uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		value |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if value > 1<<32-1 {
				r.fail("a number has more than 32 bits")
			}
			return uint32(value)
		}
	}
	r.fail("a number is longer than 5 bytes")
	return 0
}

// s33 reads a block type: negative for a value type or none, else an index.
func (r *reader) s33() int64 {
	var value int64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		value |= int64(b&0x7f) << shift
		if b < 0x80 {
			return value << (57 - shift) >> (57 - shift)
		}
	}
	r.fail("a block type is longer than 5 bytes")
	return 0
}

// skipLEB passes over a number of at most so many bytes.
func (r *reader) skipLEB(longest int) {
	for range longest {
		if r.byte() < 0x80 {
			return
		}
	}
	r.fail("a number is longer than %d bytes", longest)
}

// count reads the length of a vector, each of whose elements has at least a byte, and at most so many of which are taken.
func (r *reader) count(what string, most int) int {
	n := r.u32()
	switch {
	case r.err != nil:
		return 0
	case int64(n) > int64(len(r.data)-r.at):
		r.err = errShort
		return 0
	case int64(n) > int64(most):
		r.fail("it has %d %s, more than %d", n, what, most)
		return 0
	}
	return int(n)
}

func (r *reader) name() string { return string(r.bytes(r.count("bytes in a name", 1<<16))) }

// appendU32 writes an unsigned number in LEB128.
func appendU32(to []byte, value uint32) []byte {
	for value >= 0x80 {
		to = append(to, byte(value)|0x80)
		value >>= 7
	}
	return append(to, byte(value))
}

// appendS64 writes a signed number in LEB128.
func appendS64(to []byte, value int64) []byte {
	for {
		b := byte(value & 0x7f)
		value >>= 7
		if value == 0 && b&0x40 == 0 || value == -1 && b&0x40 != 0 {
			return append(to, b)
		}
		to = append(to, b|0x80)
	}
}

func appendName(to []byte, name string) []byte {
	return append(appendU32(to, uint32(len(name))), name...)
}
