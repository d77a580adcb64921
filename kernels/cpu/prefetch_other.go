//go:build !amd64

package cpu

func prefetch(*float32, int) {}

func prefetchRows(*float32, int, int, int) {}
