package meter

import (
	"bytes"
	"fmt"
)

// Imports lists what a module imports.
func Imports(wasm []byte, limits Limits) ([]Import, error) {
	m, err := parse(wasm, limits.orDefault())
	if err != nil {
		return nil, err
	}
	return m.imports, nil
}

// Rewrite returns the module that does the same as wasm, counted and bounded as the package comment says.
func Rewrite(wasm []byte, limits Limits) ([]byte, error) {
	m, err := parse(wasm, limits.orDefault())
	if err != nil {
		return nil, err
	}
	if !m.has[globalSection] {
		m.readGlobals(&reader{data: []byte{0}})
	}
	code, err := m.code() // adds types
	if err != nil {
		return nil, err
	}
	m.sections[codeSection] = code
	for _, s := range []struct {
		number int
		write  func(*writer)
	}{{exportSection, m.exports}, {startSection, m.start}, {elementSection, m.elements}, {dataSection, m.data}} {
		if err := m.rewriteSection(s.number, s.write); err != nil {
			return nil, err
		}
	}
	if !m.has[exportSection] {
		m.sections[exportSection] = m.fuelExport(appendU32(nil, 1))
	}
	m.addImport()
	m.addFunctions()
	m.addTypes()
	return m.join(), nil
}

// join writes the sections that hold anything, in their order.
func (m *module) join() []byte {
	out := bytes.Clone(header)
	for _, number := range order {
		if body := m.sections[number]; body != nil {
			out = appendU32(append(out, number), uint32(len(body)))
			out = append(out, body...)
		}
	}
	return out
}

// rewriteSection puts what write makes of a section in its place.
func (m *module) rewriteSection(number int, write func(*writer)) error {
	return m.section(number, func(r *reader) {
		w := &writer{reader: r, module: m}
		write(w)
		m.replace(r, number, w.out)
	})
}

// code rewrites all bodies, and adds those of the functions that charge.
func (m *module) code() ([]byte, error) {
	var bodies [][]byte
	if len(m.functions) > 0 && !m.has[codeSection] {
		return nil, fmt.Errorf("it declares %d functions, but has no code", len(m.functions))
	}
	err := m.section(codeSection, func(r *reader) {
		if n := r.count("bodies", m.limits.Functions); r.err == nil && n != len(m.functions) {
			r.fail("%d functions have %d bodies", len(m.functions), n)
		}
		for i := 0; r.err == nil && i < len(m.functions); i++ {
			w := &writer{reader: &reader{data: r.bytes(int(r.u32()))}, module: m}
			if r.err != nil {
				return
			}
			if w.body(m.types[m.functions[i]]); w.err != nil {
				r.fail("%s: %w", m.functionName(i), w.err)
			}
			bodies = append(bodies, w.out)
		}
	})
	if err != nil {
		return nil, err
	}
	bodies = append(bodies, m.helpers()...)
	out := appendU32(nil, uint32(len(bodies)))
	for _, b := range bodies {
		out = append(appendU32(out, uint32(len(b))), b...)
	}
	return out, nil
}

func (m *module) exports(w *writer) {
	n := w.count("exports", m.limits.Functions)
	w.out = appendU32(w.out, uint32(n)+1)
	for range n {
		name, kind, index := w.name(), w.byte(), w.u32()
		var err error
		switch {
		case name == FuelExport:
			w.fail("it exports %s, which is the meter's", FuelExport)
		case kind == kindFunction:
			index, err = m.function(index)
		case kind == kindGlobal && index >= m.globals:
			w.fail("there is no global %d: there are %d", index, m.globals)
		}
		if err != nil {
			w.fail("%v", err)
		}
		w.out = appendU32(append(appendName(w.out, name), kind), index)
	}
	w.out = m.fuelExport(w.out)
}

func (m *module) fuelExport(to []byte) []byte {
	return appendU32(append(appendName(to, FuelExport), kindGlobal), m.fuel())
}

func (m *module) start(w *writer) {
	i, err := m.function(w.u32())
	if err != nil {
		w.fail("%v", err)
	}
	w.out = appendU32(w.out, i)
}

// elements copies segments of tables, of which there are eight forms: bit 0 says that a segment is not put into a table at once, bit 1 that it names the
// table, or is only declared, bit 2 that its elements are expressions.
func (m *module) elements(w *writer) {
	n := w.count("element segments", m.limits.Functions)
	w.out = appendU32(w.out, uint32(n))
	for i := 0; i < n && w.err == nil; i++ {
		form := w.u32()
		if form > 7 {
			w.fail("an element segment has the unknown form %d", form)
			return
		}
		w.out = appendU32(w.out, form)
		if form&3 == 2 {
			w.out = appendU32(w.out, w.u32())
		}
		if form&1 == 0 {
			w.expression(m.importedGlobals())
		}
		if form&3 != 0 {
			w.emit(w.byte())
		}
		count := w.count("elements", int(m.limits.TableEntries))
		w.out = appendU32(w.out, uint32(count))
		for j := 0; j < count && w.err == nil; j++ {
			m.element(w, form&4 != 0)
		}
	}
}

func (m *module) element(w *writer, expression bool) {
	if expression {
		w.expression(m.importedGlobals())
		return
	}
	i, err := m.function(w.u32())
	if err != nil {
		w.fail("%v", err)
	}
	w.out = appendU32(w.out, i)
}

func (m *module) importedGlobals() uint32 {
	n := uint32(0)
	for _, i := range m.imports {
		if i.Kind == kindNames[kindGlobal] {
			n++
		}
	}
	return n
}

func (m *module) data(w *writer) {
	n := w.count("data segments", m.limits.ModuleBytes)
	w.out = appendU32(w.out, uint32(n))
	for i := 0; i < n && w.err == nil; i++ {
		form := w.u32()
		if form > 2 {
			w.fail("a data segment has the unknown form %d", form)
			return
		}
		w.out = appendU32(w.out, form)
		if form == 2 {
			w.out = appendU32(w.out, w.u32())
		}
		if form != 1 {
			w.expression(m.importedGlobals())
		}
		size := w.count("bytes of data", m.limits.ModuleBytes)
		w.out = append(appendU32(w.out, uint32(size)), w.bytes(size)...)
	}
}

// addImport puts the meter's import behind the module's own, so that the numbers of imports stay.
func (m *module) addImport() {
	old := &reader{data: m.sections[importSection]}
	if len(old.data) == 0 {
		old.data = []byte{0}
	}
	n := old.u32()
	body := append(appendU32(nil, n+1), old.data[old.at:]...)
	body = append(appendName(appendName(body, RefillModule), RefillName), kindFunction)
	m.sections[importSection] = appendU32(body, m.typeOf(functype{params: []byte{valueI64}, results: []byte{valueI64}}))
}

func (m *module) addFunctions() {
	list := append([]uint32(nil), m.functions...)
	list = append(list, m.typeOf(functype{params: []byte{valueI32}, results: []byte{valueI32}}))
	if m.hasMemory() {
		three := m.typeOf(functype{params: []byte{valueI32, valueI32, valueI32}})
		list = append(list, three, three)
	}
	body := appendU32(nil, uint32(len(list)))
	for _, t := range list {
		body = appendU32(body, t)
	}
	m.sections[functionSection] = body
}

func (m *module) addTypes() {
	old := &reader{data: m.sections[typeSection]}
	if len(old.data) == 0 {
		old.data = []byte{0}
	}
	old.u32()
	body := append(appendU32(nil, uint32(len(m.types)+len(m.added))), old.data[old.at:]...)
	for _, t := range m.added {
		body = append(appendU32(append(body, 0x60), uint32(len(t.params))), t.params...)
		body = append(appendU32(body, uint32(len(t.results))), t.results...)
	}
	m.sections[typeSection] = body
}
