package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"unicode/utf16"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// system is all that an instance has of a computer: a clock that goes by how often it is read, random numbers that are the same in every instance, and something to print on.
type system struct {
	budget  *budget
	now     uint64 // nanoseconds, as its clock shows them
	random  *rand.ChaCha8
	printed transcript
}

type systemKey struct{}

func newSystem(ctx context.Context, p *Plugin, b *budget) (*system, context.Context) {
	s := &system{budget: b, random: rand.NewChaCha8(sha256.Sum256([]byte(p.Digest)))}
	s.printed = transcript{tell: func(line string) { p.host.say(p.name + ": " + line) }, left: maxPrinted}
	return s, context.WithValue(ctx, systemKey{}, s)
}

// begin is the beginning of a call.
func (s *system) begin() {
	s.budget.begin()
	s.printed.failing = s.printed.failing[:0]
}

// imported is a function that a module may import. params are its arguments, i: i32, I: i64; its result is that of run, unless it has none.
type imported struct {
	params string
	result api.ValueType // 0: none
	run    func(c *systemCall) uint64
}

// systemCall is a call of a function that a module imports.
type systemCall struct {
	*system
	name   string
	memory api.Memory
	args   []uint64
}

// ended is how such a function ends its guest.
type ended struct{ error }

const (
	wasiModule = "wasi_snapshot_preview1"
	envModule  = "env"
)

// offered are the modules of functions that a plugin may import: what the runtimes of languages need, and no more.
var offered = map[string]map[string]imported{wasiModule: wasi, envModule: env}

// env are what AssemblyScript's modules import by this name.
var env = map[string]imported{
	"abort": {params: "iiii", run: abort},
	"seed":  {result: api.ValueTypeF64, run: func(c *systemCall) uint64 { return math.Float64bits(rand.New(c.random).Float64()) }},
}

// offer makes these modules.
func (h *Host) offer(ctx context.Context) error {
	for module, functions := range offered {
		b := h.runtime.NewHostModuleBuilder(module)
		for name, f := range functions {
			b.NewFunctionBuilder().WithGoModuleFunction(f.bind(module, name), f.types(), f.results()).Export(name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f imported) types() []api.ValueType {
	list := make([]api.ValueType, len(f.params))
	for i, p := range f.params {
		list[i] = api.ValueTypeI32
		if p == 'I' {
			list[i] = api.ValueTypeI64
		}
	}
	return list
}

func (f imported) results() []api.ValueType {
	if f.result == 0 {
		return nil
	}
	return []api.ValueType{f.result}
}

// bind makes the function that a module calls. It looks at the clock, since a guest that does nothing but call it uses no fuel to speak of.
func (f imported) bind(module, name string) api.GoModuleFunc {
	full := module + "." + name
	return func(ctx context.Context, m api.Module, stack []uint64) {
		s := ctx.Value(systemKey{}).(*system)
		s.budget.ask()
		result := f.run(&systemCall{system: s, name: full, memory: m.Memory(), args: stack[:len(f.params)]})
		if f.result != 0 {
			stack[0] = result
		}
	}
}

// allowed refuses a module that imports anything else.
func allowed(module, name, kind string) error {
	if _, ok := offered[module][name]; ok && kind == "function" {
		return nil
	}
	return fmt.Errorf("it imports the %s %s.%s: a plugin may import only what the runtimes of languages need, which package plugins/abi lists", kind, module, name)
}

// fitting refuses a module that imports a function by another type.
func fitting(code wazero.CompiledModule) error {
	for _, d := range code.ImportedFunctions() {
		module, name, _ := d.Import()
		f, ok := offered[module][name]
		if !ok { // the meter's
			continue
		}
		if !slices.Equal(d.ParamTypes(), f.types()) || !slices.Equal(d.ResultTypes(), f.results()) {
			return fmt.Errorf("it imports %s.%s as %s, but it is %s", module, name, typeText(d.ParamTypes(), d.ResultTypes()), typeText(f.types(), f.results()))
		}
	}
	return nil
}

func (c *systemCall) u32(i int) uint32 { return uint32(c.args[i]) }

// bytes are some of the guest's memory. A pointer that leads out of it ends the guest.
func (c *systemCall) bytes(at uint32, size uint64) []byte {
	view, err := region(c.memory, at, size)
	if err != nil {
		panic(ended{fmt.Errorf("%s: %w", c.name, err)})
	}
	return view
}

func (c *systemCall) putU32(at, value uint32) { binary.LittleEndian.PutUint32(c.bytes(at, 4), value) }
func (c *systemCall) putU64(at uint32, value uint64) {
	binary.LittleEndian.PutUint64(c.bytes(at, 8), value)
}

// region is a part of a memory, as it lies there.
func region(m api.Memory, at uint32, size uint64) ([]byte, error) {
	if size <= math.MaxUint32 {
		if view, ok := m.Read(at, uint32(size)); ok {
			return view, nil
		}
	}
	return nil, fmt.Errorf("its pointer %#x to %d bytes leads out of its memory, which has %d", at, size, m.Size())
}

// longestText is as much as is read of a text that says why a guest ends.
const longestText = 400

// abort(message, file, line, column) is how AssemblyScript ends a program: both texts are in UTF-16, with their bytes counted in the word before them.
func abort(c *systemCall) uint64 {
	text := func(at uint32) string {
		size, ok := c.memory.ReadUint32Le(at - 4)
		view, inside := c.memory.Read(at, min(size, longestText)&^1)
		if at == 0 || !ok || !inside {
			return "?"
		}
		units := make([]uint16, len(view)/2)
		for i := range units {
			units[i] = binary.LittleEndian.Uint16(view[2*i:])
		}
		return printable(string(utf16.Decode(units)))
	}
	panic(ended{TrapError{Trap: fmt.Sprintf("abort: %s (%s:%d:%d)", text(c.u32(0)), text(c.u32(1)), c.u32(2), c.u32(3))}})
}
