package cpu

// scoreSets holds the score operations of every level.
var scoreSets = [...]*scoreOps{
	generic: genericScores,
	neon:    {lanes: 4, softmax: softmaxTileNEON, grad: gradTileNEON, scale: scaleLanesNEON, segments: maskSegmentsNEON},
}
