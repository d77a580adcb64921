// Package calibrate measures a device and makes the profile that the compiler's estimates use. It knows a device by
// its contract alone: each operation of the contract table is run over a grid of sizes, from operands that the caches hold
// and from operands that they do not.
package calibrate
