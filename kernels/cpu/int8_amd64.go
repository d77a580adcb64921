package cpu

import "golang.org/x/sys/cpu"

// int8Sets gives the set of a level. VNNI is a feature beside the levels, since AVX-512 came without it at first.
func int8Sets(l level) int8Set {
	switch {
	case l == avx512 && cpu.X86.HasAVX512VNNI:
		return int8Set{rows: int8RowsVNNI, stream: int8StreamVNNI, base: 128, largest: largestBitsAVX512, digits: digitsAVX512}
	case l == avx512:
		return int8Set{rows: int8RowsAVX2, stream: int8StreamAVX2, over: 15, largest: largestBitsAVX512, digits: digitsAVX512}
	case l == avx2:
		return int8Set{rows: int8RowsAVX2, stream: int8StreamAVX2, over: 15}
	}
	return int8Set{}
}

// readers read memory at each level.
var readers = [...]func(p *byte, n int) uint32{generic: readGeneric, avx2: readAVX2, avx512: readAVX512}
