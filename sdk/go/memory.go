package gsc

import "unsafe"

// What a program registered.
var (
	manifestText []byte
	initialise   func(Params) error
	losses       func(*lossCall)
)

// describe says what the program is, once.
func describe(kind string, m Manifest) {
	if manifestText != nil {
		panic("gsc: a program is one plugin")
	}
	manifestText = m.text(kind)
}

// at is the place that a pointer of gsc's names.
func at(pointer uint32) unsafe.Pointer { return unsafe.Add(nil, pointer) }

// floats are n numbers from the i-th on; nil where the pointer is 0.
func floats(pointer uint32, i, n int) []float32 {
	if pointer == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(at(pointer+uint32(4*i))), n)
}

func ints(pointer uint32, i, n int) []int32 {
	return unsafe.Slice((*int32)(at(pointer+uint32(4*i))), n)
}
