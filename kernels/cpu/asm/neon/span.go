package main

import "fmt"

// span writes a function that runs over slices of equal length: by vectors, then by
// single elements, which take the first lane of a vector.
type span struct {
	*function
	base map[string]gp // where each slice is read next
	size map[string]int
	all  []string // slices
	left gp       // elements to do
	step int      // place of the vector within an unrolled round
	one  bool     // whether a single element is in hand
}

// newSpan begins a function. slices name its slice parameters of floats, the first of which gives the length.
func newSpan(out *file, name, signature, doc string, slices ...string) *span {
	f := &span{function: out.begin(name, signature, doc), base: map[string]gp{}, size: map[string]int{}, all: slices}
	for _, s := range slices {
		f.base[s], f.size[s] = f.pointer(s, "base"), 4
	}
	f.left = f.pointer(slices[0], "len")
	f.table()
	return f
}

// each runs body for every vector, unrolled so many times, and for every element that is left.
func (f *span) each(unroll int, body func()) {
	if unroll > 1 {
		f.loop(unroll, 4, body)
	}
	f.loop(1, 4, body)
	f.one = true
	f.loop(1, 1, body)
}

// loop runs body for n vectors of so many lanes at a time while there are as many elements.
func (f *span) loop(n, lanes int, body func()) {
	name := fmt.Sprintf("by%d", n*lanes)
	f.label(name)
	f.inst("CMP $%d, %v", n*lanes, f.left)
	f.inst("BLT under%s", name)
	for f.step = range n {
		f.scope(body)
	}
	for _, s := range f.all {
		f.inst("ADD $%d, %v", n*lanes*f.size[s], f.base[s])
	}
	f.inst("SUB $%d, %v", n*lanes, f.left)
	f.inst("B %s", name)
	f.label("under" + name)
}

func (f *span) lanes() int {
	if f.one {
		return 1
	}
	return 4
}

// read gives a vector of a slice; with a single element, it in the first lane and zeros in the others.
func (f *span) read(slice string) vec {
	v := f.vec()
	f.load(f.lanes(), f.base[slice], 16*f.step, v)
	return v
}

func (f *span) write(v vec, slice string) { f.store(f.lanes(), v, f.base[slice], 16*f.step) }

// counted is v with zeros in the lanes that hold no element.
func (f *span) counted(v vec) vec {
	if f.one {
		f.two(lowS, v, v)
	}
	return v
}

// zeros gives n cleared vectors.
func (f *span) zeros(n int) []vec {
	v := f.take(n)
	for _, acc := range v {
		f.three(eor, acc, acc, acc)
	}
	return v
}

// fold adds up vectors by pairs and returns the first.
func (f *span) fold(add three, acc []vec) vec {
	for n := len(acc) / 2; n > 0; n /= 2 {
		for i := range n {
			f.three(add, acc[i], acc[i], acc[n+i])
		}
	}
	return acc[0]
}

// widen turns a vector of floats into two of doubles.
func (f *span) widen(v vec) (lo, hi vec) {
	lo, hi = f.vec(), f.vec()
	f.two(fcvtl, lo, v)
	f.two(fcvtl2, hi, v)
	return lo, hi
}

// total returns the sum of two doubles as a result.
func (f *span) total(v vec, result string) {
	f.two(sumD, v, v)
	f.inst("FMOVD F%d, %s", v, f.arg(result, ""))
}

// totalFloats is total of four floats.
func (f *span) totalFloats(v vec, result string) {
	f.scope(func() {
		lo, hi := f.widen(v)
		f.three(addD, lo, lo, hi)
		f.total(lo, result)
	})
}
