package cpu

// scoreSets holds the score operations of every level.
var scoreSets = [...]*scoreOps{
	generic: genericScores,
	avx2:    {lanes: 8, softmax: softmaxTileAVX2, grad: gradTileAVX2, scale: scaleLanesAVX2, segments: maskSegmentsAVX2},
	avx512:  {lanes: 16, softmax: softmaxTileAVX512, grad: gradTileAVX512, scale: scaleLanesAVX512, segments: maskSegmentsAVX512},
}
