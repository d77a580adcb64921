package gsc

import "unsafe"

// registered is what a program is.
var registered struct {
	manifest   []byte
	initialise func(Params) error

	loss            func(*lossCall)
	transform       func(call unsafe.Pointer) error
	declare, decide func(*policyCall)
	codeBytes       func(n int) int
	encode          func(*codecCall)
	decode          func(*codecCall) error
}

// describe says what the program is, once.
func describe(kind, more string, m Manifest) {
	if registered.manifest != nil {
		panic("gsc: a program is one plugin")
	}
	registered.manifest = m.text(kind, more)
}

// prepared has parameters make what a plugin then is.
func prepared[T any](made *T, prepare func(Params) (T, error)) {
	registered.initialise = func(p Params) (err error) {
		*made, err = prepare(p)
		return err
	}
}

// pointer is one of gsc's, to elements of a type; 0: there are none.
type pointer[T any] uint32

// from are n elements from the i-th on; nil where there are none.
func (p pointer[T]) from(i, n int) []T {
	if p == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Add(at(uint32(p)), i*size[T]())), n)
}

// size is that of an element, in bytes.
func size[T any]() int {
	var one T
	return int(unsafe.Sizeof(one))
}

// at is the place that a pointer of gsc's names.
func at(pointer uint32) unsafe.Pointer { return unsafe.Add(nil, pointer) }

// to is a pointer to elements, for gsc.
func to[T any](list []T) pointer[T] {
	return pointer[T](uintptr(unsafe.Pointer(unsafe.SliceData(list))))
}

// align is what pointers are multiples of.
const align = 16

// aligned has room for n elements, and is empty.
func aligned[T any](n int) []T {
	block := unsafe.Pointer(unsafe.SliceData(make([]byte, n*size[T]()+align)))
	return unsafe.Slice((*T)(unsafe.Add(block, -uintptr(block)&(align-1))), n)[:0]
}

// column is elements that gsc gets to see, as many as are added.
type column[T any] []T

func (c *column[T]) add(more ...T) {
	if need := len(*c) + len(more); need > cap(*c) {
		*c = append(aligned[T](max(need, 2*cap(*c), 64)), *c...)
	}
	*c = append(*c, more...)
}
