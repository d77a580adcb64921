// Package monitor tells how a run goes: metrics.jsonl for programs, and lines
// on a terminal or in a log for people. Both take the same [Record] of a step.
package monitor
