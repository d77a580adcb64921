// Package plan is the execution plan: everything that a run will do, decided
// before it starts.
//
// A [Plan] holds the logical tensors of the model and its training state, one
// arena for each memory space, and for each pipeline stage its programs and
// schedules. A program is straight-line: a list of [Instruction], each an
// operation of package kernels with its operands, stream, events and the
// position in the strategy it came from. A schedule calls programs
// with a micro-batch and an activation slot. There is no other control flow,
// but for instructions that are predicated on a scalar.
//
// What varies from step to step lives in scalars, which are buffers like any
// other: the runtime writes them before a schedule runs, and kernels read them through their operands.
//
// [Plan.Verify] proves a plan sound without running it; its comment is the list
// of rules that every plan obeys. [Read] verifies what it reads, so that a plan edited by hand into something wrong is refused with the reason.
//
// A plan has two forms. The text ([Plan.Text], [ParseText]) is canonical: equal plans have equal text, and
// [Plan.Digest] is the digest of it. The JSON ([Plan.JSON], [ParseJSON]) is the types of this package as they stand.
// Three functions look at a verified plan for a reader: [Plan.Summary] before a run, [Plan.Memory] at the instant when most is held,
// [Diff] at what differs from another plan.
package plan
