package cpu

// peakLoops run n times peakChains multiply-adds of a vector that need nothing from memory; nil where there is no such loop.
var peakLoops = [...]func(n int){generic: nil, avx2: peakAVX2, avx512: peakAVX512}
