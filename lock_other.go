//go:build !unix

package gsc

// lock does nothing: this system has no advisory locks that end with the process.
func lock(string) (func() error, error) { return func() error { return nil }, nil }
