//go:build amd64 || arm64

package cpu

// dropoutRounds runs the assembly, which does a fixed number of elements at a time, on as many as it can, and plain Go on the rest.
func dropoutRounds(asm func(y, x []float32, p *uint32, block uint64), each int, y, x []float32, p *dropoutParams, block uint64) {
	n := wholeRounds(len(y), each, block)
	if n > 0 {
		asm(y[:n], x[:n], &p.step, block)
	}
	dropoutGeneric(y[n:], x[n:], p, block+uint64(n/4))
}

// wholeRounds is how many of so many elements assembly can do, so many at a time: none where the low half of the block number overflows.
func wholeRounds(elements, each int, block uint64) int {
	n := elements / each * each
	if uint64(uint32(block))+uint64(n/4) > 1<<32 {
		return 0
	}
	return n
}
