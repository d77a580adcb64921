package collectives

import "unsafe"

// Number is what can be added up.
type Number interface {
	float32 | float64 | int32 | int64
}

// Add is z = x + y, element by element.
func Add[T Number](z, x, y []T) {
	x, y = x[:len(z)], y[:len(z)]
	for i := range z {
		z[i] = x[i] + y[i]
	}
}

// Elements are n elements in memory, from one on.
func Elements[T any](p unsafe.Pointer, at, n int) []T {
	if n == 0 {
		return nil
	}
	var x T
	return unsafe.Slice((*T)(unsafe.Add(p, at*int(unsafe.Sizeof(x)))), n)
}

// Share is the run of n elements that a rank of a group of so many adds up in an all_reduce: all about as long, cut at whole cache lines.
func Share(n, rank, ranks int) (from, length int) {
	const line = 16
	each := (n + ranks - 1) / ranks
	each = (each + line - 1) / line * line
	from = min(n, rank*each)
	return from, min(n, from+each) - from
}
