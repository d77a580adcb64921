//go:build !amd64

package cpu

// int8Sets has nothing beside plain Go.
func int8Sets(level) int8Set { return int8Set{} }

// readers read memory at each level.
var readers = [...]func(p *byte, n int) uint32{generic: readGeneric, neon: readGeneric}
