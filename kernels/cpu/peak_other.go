//go:build !amd64

package cpu

// peakLoops are the loops of amd64.
var peakLoops = [...]func(n int){generic: nil, avx2: nil, avx512: nil, neon: nil}
