package cpu

// vectorTables is indexed by level.
var vectorTables = [...]*vectorTable{generic: &genericVector, avx2: &avx2Vector, avx512: &avx512Vector}

var avx2Vector = vectorTable{
	add: addAVX2, mul: mulAVX2, scale: scaleAVX2, carry: carryAVX2, stream: streamAVX2, streamLanes: 8,
	max: maxAVX2, sum: sumAVX2, moments: momentsAVX2, accumulate: accumulateAVX2,
	expSum: expSumAVX2, expScale: expScaleAVX2,
	value: [activations]func(y, x []float32){
		relu: reluAVX2, gelu: geluAVX2, geluTanh: geluTanhAVX2, silu: siluAVX2, sigmoid: sigmoidAVX2, tanh: tanhAVX2,
	},
	both: [activations]func(y, dy, x []float32){
		relu: reluBothAVX2, gelu: geluBothAVX2, geluTanh: geluTanhBothAVX2,
		silu: siluBothAVX2, sigmoid: sigmoidBothAVX2, tanh: tanhBothAVX2,
	},
	layerNorm: layerNormAVX2, rmsNorm: rmsNormAVX2, normSums: normSumsAVX2, layerGrad: layerGradAVX2, rmsGrad: rmsGradAVX2,
	rotate:    rotateAVX2,
	dropout:   func(y, x []float32, p *dropoutParams, block uint64) { dropoutRounds(dropoutAVX2, 16, y, x, p, block) },
	adam:      func(w, g, m, v []float32, p *adamParams) { adamAVX2(w, g, m, v, &p.factor) },
	lion:      func(w, g, m []float32, p *lionParams) { lionAVX2(w, g, m, &p.factor) },
	roundBF16: roundBF16AVX2, roundF16: roundF16AVX2,
	widenBF16: widenRounds(widenBF16AVX2, 8), narrowBF16: narrowRounds(narrowBF16AVX2, 8),
	narrowByWords: narrowWordRounds(narrowByWordsAVX2, 16),
}

var avx512Vector = vectorTable{
	add: addAVX512, mul: mulAVX512, scale: scaleAVX512, carry: carryAVX512, stream: streamAVX512, streamLanes: 16,
	max: maxAVX512, sum: sumAVX512, moments: momentsAVX512, accumulate: accumulateAVX512,
	expSum: expSumAVX512, expScale: expScaleAVX512,
	value: [activations]func(y, x []float32){
		relu: reluAVX512, gelu: geluAVX512, geluTanh: geluTanhAVX512, silu: siluAVX512, sigmoid: sigmoidAVX512, tanh: tanhAVX512,
	},
	both: [activations]func(y, dy, x []float32){
		relu: reluBothAVX512, gelu: geluBothAVX512, geluTanh: geluTanhBothAVX512,
		silu: siluBothAVX512, sigmoid: sigmoidBothAVX512, tanh: tanhBothAVX512,
	},
	layerNorm: layerNormAVX512, rmsNorm: rmsNormAVX512, normSums: normSumsAVX512, layerGrad: layerGradAVX512, rmsGrad: rmsGradAVX512,
	rotate:    rotateAVX512,
	dropout:   func(y, x []float32, p *dropoutParams, block uint64) { dropoutRounds(dropoutAVX512, 32, y, x, p, block) },
	adam:      func(w, g, m, v []float32, p *adamParams) { adamAVX512(w, g, m, v, &p.factor) },
	lion:      func(w, g, m []float32, p *lionParams) { lionAVX512(w, g, m, &p.factor) },
	roundBF16: roundBF16AVX512, roundF16: roundF16AVX512,
	widenBF16: widenRounds(widenBF16AVX512, 16), narrowBF16: narrowRounds(narrowBF16AVX512, 16),
	narrowByWords: narrowWordRounds(narrowByWordsAVX512, 32),
}
