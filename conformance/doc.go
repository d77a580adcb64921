// Package conformance holds gsc to outside words from the outside: the
// reference cases of PyTorch, the kernels of a device against the definition of correct. What it
// runs, a user runs: it goes through the same front door, and gsc conformance prints its reports.
package conformance
