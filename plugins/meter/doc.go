// Package meter rewrites a WebAssembly module so that its execution is counted, and stops to ask whenever the count is used up.
//
// A module that was rewritten keeps its fuel in a global of its own, which it exports as [FuelExport] and which begins at 0. It is charged where execution can come again: at
// the entry of a function, what the function holds outside of loops; at the head of a loop, what one turn of the loop holds outside of loops within it. The charge is the number
// of instructions, whether or not a branch skips some: each instruction that is carried out has been paid for. Where fuel falls below 0 the module calls the import
// [RefillModule].[RefillName] with what is left, a negative number, and goes on with what that returns; a host that returns nothing but panics stops it. The charges depend on the
// module and its arguments alone, so a module stops at the same instruction on every machine.
//
// What a loop costs beside its own work is a subtraction and a branch that is not taken: a function with loops keeps its fuel in a local, hence in a register, and
// hands it over through the global around calls, and where it returns.
//
// Instructions whose work grows with an operand are charged by it. memory.fill and memory.copy become calls of functions that work in pieces of [PieceBytes]; memory.init, memory.grow and
// what works on tables are charged by their length before they begin.
//
// Memory and tables are bounded by the module's own declarations, which are lowered to the [Limits]: growing beyond them fails as the specification lets it (memory.grow
// and table.grow give −1).
//
// The rewriter takes WebAssembly 2.0 (https://www.w3.org/TR/wasm-core-2/) with its vector instructions, and refuses what else there is. It checks what its own changes would otherwise
// hide, indices of functions, globals, locals and labels, and leaves all other validation to the engine, which must compile nothing but what [Rewrite] returned.
// Custom sections, names and debugging information among them, are dropped.
package meter

// What a rewritten module exports, and imports beside its own imports.
const (
	FuelExport   = "gsc:fuel"  // global, mutable i64
	RefillModule = "gsc:meter" // func refill(left i64) i64
	RefillName   = "refill"
)

// PieceBytes is how much of memory.fill and memory.copy is done at a time, and bytesShift gives its price: one instruction for 16 bytes.
const (
	PieceBytes = 1 << 20
	bytesShift = 4
)

// Limits bound what a module may take. A field of 0 stands for the value of [DefaultLimits].
type Limits struct {
	ModuleBytes  int    // of the module itself
	MemoryPages  uint32 // of 64 KiB
	TableEntries uint32 // of each table
	Tables       int
	Functions    int
	Globals      int
	Locals       int // of a function
}

// DefaultLimits are wide for any plugin: Go's own compiler makes modules of 2 MB with 3,000 functions.
var DefaultLimits = Limits{ModuleBytes: 32 << 20, MemoryPages: 1024, TableEntries: 1 << 17, Tables: 16, Functions: 1 << 16, Globals: 1 << 14, Locals: 1 << 12}

func (l Limits) orDefault() Limits {
	d := DefaultLimits
	for _, p := range []struct{ set, to *int }{{&l.ModuleBytes, &d.ModuleBytes}, {&l.Tables, &d.Tables}, {&l.Functions, &d.Functions}, {&l.Globals, &d.Globals}, {&l.Locals, &d.Locals}} {
		if *p.set == 0 {
			*p.set = *p.to
		}
	}
	for _, p := range []struct{ set, to *uint32 }{{&l.MemoryPages, &d.MemoryPages}, {&l.TableEntries, &d.TableEntries}} {
		if *p.set == 0 {
			*p.set = *p.to
		}
	}
	return l
}
