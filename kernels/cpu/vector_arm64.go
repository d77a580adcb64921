package cpu

// vectorTables is indexed by level.
var vectorTables = [...]*vectorTable{generic: &genericVector, neon: neonVector()}

// neonVector is plain Go where it names nothing else.
func neonVector() *vectorTable {
	v := genericVector
	v.add, v.mul, v.scale = addNEON, mulNEON, scaleNEON
	v.carry = func(y, x []float32, alpha float32) float64 {
		scaleNEON(y, x, alpha)
		return sumNEON(x)
	}
	v.max, v.sum, v.moments, v.accumulate = maxNEON, sumNEON, momentsNEON, accumulateNEON
	v.expSum, v.expScale = expSumNEON, expScaleNEON
	v.value = [activations]func(y, x []float32){
		relu: reluNEON, gelu: geluNEON, geluTanh: geluTanhNEON, silu: siluNEON, sigmoid: sigmoidNEON, tanh: tanhNEON,
	}
	v.both = [activations]func(y, dy, x []float32){
		relu: reluBothNEON, gelu: geluBothNEON, geluTanh: geluTanhBothNEON,
		silu: siluBothNEON, sigmoid: sigmoidBothNEON, tanh: tanhBothNEON,
	}
	v.layerNorm, v.rmsNorm, v.normSums, v.layerGrad, v.rmsGrad = layerNormNEON, rmsNormNEON, normSumsNEON, layerGradNEON, rmsGradNEON
	v.rotate = rotateNEON
	v.dropout = func(y, x []float32, p *dropoutParams, block uint64) { dropoutRounds(dropoutNEON, 16, y, x, p, block) }
	v.adam = func(w, g, m, v []float32, p *adamParams) { adamNEON(w, g, m, v, &p.factor) }
	v.lion = func(w, g, m []float32, p *lionParams) { lionNEON(w, g, m, &p.factor) }
	return &v
}
