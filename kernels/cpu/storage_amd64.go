package cpu

// The assembly for storage in bf16 does a fixed number of elements at a time, plain Go the rest.

func widenRounds(asm func(y []float32, x []uint16), each int) func(y []float32, x []uint16) {
	return func(y []float32, x []uint16) {
		n := len(y) / each * each
		asm(y[:n], x[:n])
		widenGeneric(y[n:], x[n:])
	}
}

func narrowRounds(asm func(y []uint16, x []float32), each int) func(y []uint16, x []float32) {
	return func(y []uint16, x []float32) {
		n := len(y) / each * each
		asm(y[:n], x[:n])
		narrowGeneric(y[n:], x[n:])
	}
}

func narrowWordRounds(asm func(y []uint16, x []float32, p *uint32, block uint64), each int) func(y []uint16, x []float32, p *philoxParams, block uint64) {
	return func(y []uint16, x []float32, p *philoxParams, block uint64) {
		n := wholeRounds(len(y), each, block)
		asm(y[:n], x[:n], &p.step, block)
		narrowByWordsGeneric(y[n:], x[n:], p, block+uint64(n/4))
	}
}
