//go:build !amd64 && !arm64

package cpu

// scoreSets holds the score operations of every level.
var scoreSets = [...]*scoreOps{generic: genericScores}
