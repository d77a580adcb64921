package meter

import (
	"bytes"
	"errors"
	"fmt"
)

// The sections of a module, by their numbers.
const (
	customSection = iota
	typeSection
	importSection
	functionSection
	tableSection
	memorySection
	globalSection
	exportSection
	startSection
	elementSection
	codeSection
	dataSection
	dataCountSection
)

var sectionNames = [...]string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code", "data", "data count"}

// order is the one in which sections stand; the number of a section is not its place.
var order = []byte{typeSection, importSection, functionSection, tableSection, memorySection, globalSection, exportSection, startSection, elementSection,
	dataCountSection, codeSection, dataSection}

// kinds of what is imported and exported.
const (
	kindFunction = iota
	kindTable
	kindMemory
	kindGlobal
)

const (
	valueI32 = 0x7f
	valueI64 = 0x7e
)

// Import is something that a module imports.
type Import struct {
	Module, Name string
	Kind         string // "function", "table", "memory" or "global"
}

var kindNames = [...]string{"function", "table", "memory", "global"}

// functype is a function's type. results is nil where there are none.
type functype struct{ params, results []byte }

// module is what the rewriter knows of a module. What is not changed stays as its section's bytes.
type module struct {
	limits    Limits
	sections  [len(sectionNames)][]byte
	has       [len(sectionNames)]bool
	types     []functype
	added     []functype // types, behind the module's own
	imports   []Import
	importing uint32   // functions among the imports
	functions []uint32 // the types of the module's own
	globals   uint32   // with those imported
	memories  int      // with those imported
	tables    int
}

// header is how a module of version 1 begins.
var header = []byte("\x00asm\x01\x00\x00\x00")

// parse cuts a module into sections and reads those that say how functions, globals, tables and memories are numbered.
func parse(wasm []byte, limits Limits) (*module, error) {
	m := &module{limits: limits}
	if len(wasm) > limits.ModuleBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(wasm), limits.ModuleBytes)
	}
	if !bytes.HasPrefix(wasm, header) {
		return nil, errors.New("it does not begin as a WebAssembly module of version 1 does")
	}
	if err := m.split(&reader{data: wasm, at: len(header)}); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		number int
		read   func(*reader)
	}{{typeSection, m.readTypes}, {importSection, m.readImports}, {functionSection, m.readFunctions}, {tableSection, m.readTables}, {memorySection, m.readMemories},
		{globalSection, m.readGlobals}} {
		if err := m.section(s.number, s.read); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// split finds the sections, each of which may stand once, in their order.
func (m *module) split(r *reader) error {
	place := 0
	for r.more() {
		number := r.byte()
		body := r.bytes(int(r.u32()))
		switch {
		case r.err != nil:
		case number == customSection:
		case int(number) >= len(sectionNames):
			r.fail("it has a section of the unknown kind %d", number)
		default:
			next := bytes.IndexByte(order[place:], number)
			if next < 0 {
				r.fail("section %s stands twice, or out of order", sectionNames[number])
				break
			}
			place += next + 1
			m.sections[number], m.has[number] = body, true
		}
	}
	return r.err
}

// section reads a section to its end.
func (m *module) section(number int, read func(*reader)) error {
	if !m.has[number] {
		return nil
	}
	r := &reader{data: m.sections[number]}
	read(r)
	if r.err == nil && r.at != len(r.data) {
		r.fail("it is longer than what it says it holds")
	}
	if r.err != nil {
		return fmt.Errorf("section %s: %w", sectionNames[number], r.err)
	}
	return nil
}

func (m *module) readTypes(r *reader) {
	for range r.count("types", m.limits.Functions) {
		if form := r.byte(); form != 0x60 {
			r.fail("a type is none of a function (%#x)", form)
		}
		t := functype{params: r.bytes(r.count("parameters", m.limits.Locals))}
		t.results = r.bytes(r.count("results", m.limits.Locals))
		m.types = append(m.types, t)
	}
}

func (m *module) readImports(r *reader) {
	for range r.count("imports", m.limits.Functions) {
		module, name, kind := r.name(), r.name(), r.byte()
		switch kind {
		case kindFunction:
			r.u32()
			m.importing++
		case kindTable:
			r.byte()
			r.limits()
			m.tables++
		case kindMemory:
			r.limits()
			m.memories++
		case kindGlobal:
			r.bytes(2)
			m.globals++
		default:
			r.fail("%s.%s is of the unknown kind %d", module, name, kind)
		}
		if r.err != nil {
			return
		}
		m.imports = append(m.imports, Import{module, name, kindNames[kind]})
	}
}

func (m *module) readFunctions(r *reader) {
	for range r.count("functions", m.limits.Functions) {
		t := r.u32()
		if int64(t) >= int64(len(m.types)) {
			r.fail("a function has the type %d of %d", t, len(m.types))
			return
		}
		m.functions = append(m.functions, t)
	}
}

// bounds are the limits of a memory or table.
type bounds struct {
	least, most uint32
	bounded     bool
}

func (r *reader) limits() bounds {
	var b bounds
	switch flag := r.byte(); flag {
	case 0:
		b.least = r.u32()
	case 1:
		b.least, b.most, b.bounded = r.u32(), r.u32(), true
	default:
		r.fail("limits of the kind %d are not of WebAssembly 2.0", flag)
	}
	return b
}

// lower writes limits that allow no more than most.
func (b bounds) lower(r *reader, to []byte, what string, most uint32) []byte {
	if b.least > most {
		r.fail("it asks for %d %s, more than %d", b.least, what, most)
	}
	if b.bounded && b.most < b.least {
		r.fail("it asks for %d %s, and for %d at most", b.least, what, b.most)
	}
	if b.bounded {
		most = min(most, b.most)
	}
	return appendU32(appendU32(append(to, 1), b.least), most)
}

// readTables lowers what tables may grow to.
func (m *module) readTables(r *reader) {
	n := r.count("tables", m.limits.Tables)
	out := appendU32(nil, uint32(n))
	for range n {
		out = append(out, r.byte())
		out = r.limits().lower(r, out, "entries of a table", m.limits.TableEntries)
		m.tables++
	}
	m.replace(r, tableSection, out)
}

// readMemories lowers what the memory may grow to.
func (m *module) readMemories(r *reader) {
	n := r.count("memories", 1)
	out := appendU32(nil, uint32(n))
	for range n {
		out = r.limits().lower(r, out, "pages of 64 KiB of memory", m.limits.MemoryPages)
		m.memories++
	}
	m.replace(r, memorySection, out)
}

// replace puts other bytes in a section's place, once all of it is read.
func (m *module) replace(r *reader, number int, body []byte) {
	if r.err == nil && r.at == len(r.data) {
		m.sections[number] = body
	}
}

// readGlobals counts them; their values are rewritten later.
func (m *module) readGlobals(r *reader) {
	n := r.count("globals", m.limits.Globals)
	imported := m.globals
	m.globals += uint32(n)
	w := &writer{reader: r, module: m}
	for range n {
		w.out = append(w.out, r.bytes(2)...)
		w.expression(imported)
	}
	// The last is the fuel.
	body := appendU32(nil, uint32(n)+1)
	body = append(append(body, w.out...), valueI64, 1, 0x42, 0, opEnd)
	m.replace(r, globalSection, body)
}

// funcs is the number of functions that the module knows: its imports and its own.
func (m *module) funcs() uint32 { return m.importing + uint32(len(m.functions)) }

// function is the number that a function has after the import was added.
func (m *module) function(i uint32) (uint32, error) {
	switch {
	case i >= m.funcs():
		return 0, fmt.Errorf("there is no function %d: it has %d", i, m.funcs())
	case i >= m.importing:
		return i + 1, nil
	}
	return i, nil
}

// The functions and the global that are added.
func (m *module) refill() uint32  { return m.importing }
func (m *module) charge() uint32  { return m.funcs() + 1 }
func (m *module) fill() uint32    { return m.funcs() + 2 }
func (m *module) copying() uint32 { return m.funcs() + 3 }
func (m *module) fuel() uint32    { return m.globals }
func (m *module) hasMemory() bool { return m.memories > 0 }

// typeOf finds or adds a type.
func (m *module) typeOf(t functype) uint32 {
	for i, known := range m.added {
		if bytes.Equal(known.params, t.params) && bytes.Equal(known.results, t.results) {
			return uint32(len(m.types) + i)
		}
	}
	m.added = append(m.added, t)
	return uint32(len(m.types) + len(m.added) - 1)
}
