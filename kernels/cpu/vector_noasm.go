//go:build !amd64 && !arm64

package cpu

// vectorTables is indexed by level.
var vectorTables = [...]*vectorTable{generic: &genericVector}
