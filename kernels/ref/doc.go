// Package ref runs plans in float64 with plain loops: the definition of correct.
//
// Each function mirrors the formula in the comment of its operation's constant
// in package kernels, line by line and with the same letters. Nothing here is
// fast, sliced or shared between threads, so that the code can be held against the formula by reading.
package ref
