// Package plugins runs plugins: WebAssembly modules that were written to the contract of package abi, in a sandbox, by wazero.
//
// A [Host] compiles modules, after package meter rewrote them so that what they take is bounded: memory by pages, time by a count that makes them ask now and then
// whether they may go on. A [Plugin] is a module with its manifest; a [Loss], a transform of [Records], a [RowTransform], a [Policy] and a [Codec] are one with parameters, ready to be called, with instances of their own
// for all that may call at the same time.
//
// What runtimes of languages import, a clock, random bytes, something to print on, a host gives them in a form that is the same in every instance and leads nowhere; [Host.Log] has what they print.
//
// Nothing that a plugin does takes the process down. A trap, an overrun, a status, a number that is not finite or a pointer that leads nowhere is an [Error], which says
// what plugin did it, in which export and in which row or record.
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
	Fuel        int64         // of each, too: instructions, as package meter counts them, so that a call ends at the same one on every machine; 0: any number
}

// DefaultLimits are far more than a loss needs. How many instructions a call takes nobody can guess, so that fuel has no bound of its own: time has.
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
type StatusError struct {
	Status abi.Status
	Said   string // as that of a [TrapError]
}

func (e StatusError) Error() string { return "it returned " + e.Status.String() + andSaid(e.Said) }

// TrapError is a call that WebAssembly ended.
type TrapError struct {
	Trap string
	Said string // the first line that the call printed as an error; empty: none
}

func (e TrapError) Error() string { return "it trapped: " + e.Trap + andSaid(e.Said) }

// ExitError is a plugin that ended itself, as runtimes of languages do when they fail.
type ExitError struct {
	Code uint32
	Said string // as that of a [TrapError]
}

func (e ExitError) Error() string {
	return fmt.Sprintf("it ended itself with the code %d", e.Code) + andSaid(e.Said)
}

func andSaid(line string) string {
	if line == "" {
		return ""
	}
	return ", and said: " + line
}

// TimeError is a call that took longer than it may.
type TimeError struct{ Limit time.Duration }

func (e TimeError) Error() string {
	return fmt.Sprintf("it takes longer than %v: give it more with time, or mend it", e.Limit)
}

// FuelError is a call that took more instructions than it may.
type FuelError struct{ Limit int64 }

func (e FuelError) Error() string {
	return fmt.Sprintf("it takes more than %d instructions: give it more with fuel, or mend it", e.Limit)
}
