//go:build !amd64

package cpu

func vectorTables(level) *vectorTable { return &genericVector }
