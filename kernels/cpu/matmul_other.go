//go:build !amd64 && !arm64

package cpu

// tileSets holds the tile set of every level.
var tileSets = [...]*tileSet{generic: genericTiles}

// pairTiles is nil: there is no set for products of bf16.
func pairTiles(level) *tileSet { return nil }

func pairsAreFast() bool { return false }
