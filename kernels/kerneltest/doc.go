// Package kerneltest holds a device to the kernel contract.
//
// [Run] makes random calls of each operation from its entry in
// kernels.Contracts: odd sizes, every attribute, every optional operand present and
// absent, strided views, outputs in place of inputs, sums that accumulate. It runs each
// call on the device and, with the same values, on package ref, and reports the largest
// difference beside the operation's tolerance. Beyond the values it demands that
//
//   - an output that is not read may hold anything before the call, NaN included;
//   - nothing outside the outputs changes: not the inputs, not the gaps of a strided view, not the bytes around;
//   - the same call gives the same bits when it runs again;
//   - a call that breaks the contract is refused when it is bound.
//
// [Derivatives] holds the gradients of package ref against finite differences.
//
// Neither needs package testing: the command line runs them, too. Each call follows from
// the seed, the operation and its number alone, so that a failure is found again by its name.
package kerneltest
