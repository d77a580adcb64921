package checkpoint

import (
	"fmt"

	"github.com/gsc-project/gsc/kernels"
)

// run is neighbouring elements of a tensor.
type run struct{ source, count int64 }

// partRuns cuts the box of the given start and shape out of a row-major tensor,
// as the longest runs that lie together in it, in the order of the box.
func partRuns(whole, start, shape []int) ([]run, error) {
	if len(start) != len(whole) || len(shape) != len(whole) {
		return nil, fmt.Errorf("has shape %v, asked for %v from %v", whole, shape, start)
	}
	for i := range whole {
		if start[i] < 0 || shape[i] < 0 || start[i] > whole[i]-shape[i] {
			return nil, fmt.Errorf("has shape %v, asked for %v from %v", whole, shape, start)
		}
	}
	if kernels.Elements(shape) == 0 {
		return nil, nil
	}
	inner := len(whole) // the dims from here on are taken whole, so they lie together
	for inner > 0 && shape[inner-1] == whole[inner-1] {
		inner--
	}
	count := int64(kernels.Elements(shape[inner:]))
	if inner > 0 { // and so does a range of the dim before them
		inner--
		count *= int64(shape[inner])
	}
	runs := make([]run, 0, kernels.Elements(shape[:inner]))
	index := make([]int, inner)
	for range cap(runs) {
		runs = append(runs, run{source: offset(whole, start, index), count: count})
		advance(index, shape)
	}
	return runs, nil
}

// offset is the place in a whole tensor of the element at index in a box; dims
// beyond the index are at the box's start.
func offset(whole, start, index []int) int64 {
	at := int64(0)
	for i := range whole {
		place := start[i]
		if i < len(index) {
			place += index[i]
		}
		at = at*int64(whole[i]) + int64(place)
	}
	return at
}

// advance moves index to the next place in row-major order.
func advance(index, shape []int) {
	for i := len(index) - 1; i >= 0; i-- {
		if index[i]++; index[i] < shape[i] {
			return
		}
		index[i] = 0
	}
}
