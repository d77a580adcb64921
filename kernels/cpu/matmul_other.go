//go:build !amd64

package cpu

// tileSets holds the tile set of every level.
var tileSets = [...]*tileSet{generic: genericTiles}
