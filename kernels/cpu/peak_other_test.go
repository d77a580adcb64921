//go:build !amd64

package cpu

var peakLoops = [...]func(n int){generic: nil, avx2: nil, avx512: nil, neon: nil}
