// Package plugins runs plugins: WebAssembly modules that were written to the contract of package abi, in a sandbox, by wazero.
//
// A [Host] compiles modules, after package meter rewrote them so that what they take is bounded: memory by pages, time by a count that makes them ask now and then
// whether they may go on. A [Plugin] is a module with its manifest; a [Loss] or a [Codec] is one with parameters, ready to be called, with an instance for each thread, so that
// threads share nothing.
//
// Nothing that a plugin does takes the process down. A trap, an overrun, a status, a number that is not finite or a pointer that leads nowhere is an [Error], which says
// what plugin did it, in which export and, of losses, in which row.
package plugins

import (
	"fmt"
	"strings"
	"time"

	"github.com/gsc-project/gsc/plugins/abi"
)

// Limits bound a plugin. A field of 0 stands for that of [DefaultLimits].
type Limits struct {
	MemoryBytes int64         // of each instance
	Time        time.Duration // of each call, and of making an instance
}

// DefaultLimits are far more than a loss needs.
var DefaultLimits = Limits{MemoryBytes: 32 << 20, Time: 10 * time.Second}

func (l Limits) orDefault() Limits {
	if l.MemoryBytes == 0 {
		l.MemoryBytes = DefaultLimits.MemoryBytes
	}
	if l.Time == 0 {
		l.Time = DefaultLimits.Time
	}
	return l
}

// Error is what a plugin did wrong.
type Error struct {
	Plugin string // its file, with its name once that is known
	Export string // empty: it is about the module
	Place  string // such as "row 12"; empty: none
	Err    error
}

func (e *Error) Error() string {
	parts := []string{"plugin " + e.Plugin}
	for _, part := range []string{e.Export, e.Place} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ") + ": " + e.Err.Error()
}

// Unwrap gives what went wrong.
func (e *Error) Unwrap() error { return e.Err }

// StatusError is a status that says that a call failed.
type StatusError struct{ Status abi.Status }

func (e StatusError) Error() string { return "it returned " + e.Status.String() }

// TrapError is a call that WebAssembly ended.
type TrapError struct{ Trap string }

func (e TrapError) Error() string { return "it trapped: " + e.Trap }

// TimeError is a call that took longer than it may.
type TimeError struct{ Limit time.Duration }

func (e TimeError) Error() string {
	return fmt.Sprintf("it takes longer than %v: give it more with time, or mend it", e.Limit)
}
