//go:build !amd64 && !arm64

package cpu

// tileSets holds the tile set of every level.
var tileSets = [...]*tileSet{generic: genericTiles}

// bf16Tiles is nil: there is no such set.
var bf16Tiles *tileSet
