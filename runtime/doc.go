// Package runtime runs a verified plan: it binds every instruction to memory
// and a kernel once, and then only calls them. It decides nothing: what runs, in
// which order and in which bytes, is the plan's.
//
// A [Machine] is a plan bound to a device. [Train] drives it through a run in a
// run directory, which is enough to resume or to reproduce the run; [Evaluate] and
// [Generator] use what was trained.
package runtime
