// Package kernels is the contract between plans and devices: what each
// operation means, and what a device must offer to run it.
//
// An operation is one entry of [Contracts]. Its entry lists the operands in
// their fixed order with role, type and shape, the attributes it takes, which
// outputs may share storage with which inputs, and what it costs. The formula,
// the order of its reductions, the tolerance a device is held to and the source
// stand in the comment of its [Op] constant. Package ref mirrors each formula
// line by line in float64 and so defines correct; package kerneltest holds every
// other device to it.
//
// # Shapes
//
// Shape patterns use these letters: B (batch), T (time), S (time of keys), C
// (width), H (heads), G (key-value heads), D (head width), V (vocabulary or
// classes), R (rotated width), and M, N, K for the sides of a matrix product.
// "..." stands for any number of leading dims, the same ones for every operand of one call.
//
// # Types
//
// Float operands of one call share one type, the plan's compute type: F32 on
// cpu, F64 on ref. Kinds that store halves (cuda) may have BF16 or F16 there, but for operands that the contract calls wide, which are then F32: a device
// computes in F32, and rounds what it writes. Elsewhere weights may be stored in BF16, which Widen and Round alone read and write; quantised ones are I8, each row
// with a scale of the compute type. Indices (tokens, labels, positions, segments) are I32.
// Scalars that vary from step to step are operands, never attributes, so that a
// program can be captured once and replayed: F64 for quantities, I64 for counters.
//
// # Order of sums
//
// A device may choose how it sums within a piece, but the pieces depend on the
// shapes alone, never on the number of threads, and are combined in index
// order. The same call therefore gives the same bits with any number of threads.
package kernels
