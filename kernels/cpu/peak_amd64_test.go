package cpu

var peakLoops = [...]func(n int){generic: nil, avx2: peakAVX2, avx512: peakAVX512}
