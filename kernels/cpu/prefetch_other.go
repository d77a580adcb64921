//go:build !amd64

package cpu

func prefetch(*float32, int) {}
