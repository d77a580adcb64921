package meter

import "fmt"

// outline is what a first look at a function's body finds.
type outline struct {
	outside int64   // price of what stands outside of loops
	loops   []int64 // prices of a turn of each loop, in the order in which they begin
}

// outlineOf prices a body, whose last instruction is the end of the function.
func outlineOf(r *reader) outline {
	var o outline
	regions := []int{-1} // the loop that each open block is in; -1: none
	for len(regions) > 0 && r.err == nil {
		in := r.next()
		region := regions[len(regions)-1]
		switch in.op {
		case opLoop:
			o.loops = append(o.loops, 0)
			region = len(o.loops) - 1
			regions = append(regions, region)
		case opBlock, opIf:
			regions = append(regions, region)
		case opEnd:
			regions = regions[:len(regions)-1]
		}
		if region < 0 {
			o.outside += price(in.op)
		} else {
			o.loops[region] += price(in.op)
		}
	}
	if r.err == nil && r.at != len(r.data) {
		r.fail("a function goes on behind its end")
	}
	return o
}

// writer copies code with its functions renumbered and its execution counted.
type writer struct {
	*reader
	module *module
	out    []byte
	locals uint32      // of the function, with its parameters; what follows them is its fuel
	cached bool        // the function keeps its fuel in a local
	around []loopFrame // of the open blocks: what was put around them
}

// loopFrame is what was put around a block: nothing, or the blocks of a loop that leaves itself to ask for fuel.
type loopFrame struct {
	labels uint32 // that branches from within to what is outside must pass
	price  int64
}

func (w *writer) emit(code ...byte) { w.out = append(w.out, code...) }

// with emits an instruction with an index.
func (w *writer) with(op byte, index uint32) { w.out = appendU32(append(w.out, op), index) }

func (w *writer) constI64(value int64) { w.out = appendS64(append(w.out, opI64Const), value) }
func (w *writer) constI32(value int32) { w.out = appendS64(append(w.out, opI32Const), int64(value)) }

// expression copies a constant expression, which may read so many globals.
func (w *writer) expression(globals uint32) {
	for w.err == nil {
		in := w.next()
		switch in.op {
		case opI32Const, opI64Const, opF32Const, opF64Const, prefixVector<<8 | 12, opRefNull, opEnd:
			w.emit(in.raw...)
		case opGlobalGet:
			if in.index >= globals {
				w.fail("a constant expression reads the global %d, of which %d are imported", in.index, globals)
			}
			w.emit(in.raw...)
		case opRefFunc:
			w.function(in)
		default:
			w.fail("the instruction %#02x does not make a constant expression of WebAssembly 2.0", in.op)
		}
		if in.op == opEnd {
			return
		}
	}
}

// function copies an instruction whose immediate is a function.
func (w *writer) function(in instruction) {
	i, err := w.module.function(in.index)
	if err != nil {
		w.fail("%v", err)
	}
	w.with(byte(in.op), i)
}

// body rewrites a function's locals and code.
func (w *writer) body(t functype) {
	w.readLocals(len(t.params))
	if w.err != nil {
		return
	}
	look := reader{data: w.data, at: w.at}
	o := outlineOf(&look)
	if w.err = look.err; w.err != nil {
		return
	}
	w.cached = len(o.loops) > 0
	w.enter(o.outside)
	if w.cached {
		w.block(t.results)
	}
	w.code(o.loops)
	if w.cached { // the block's end was the function's
		w.leave()
		w.emit(opEnd)
	}
}

// readLocals copies the declarations of locals, and adds one for the fuel.
func (w *writer) readLocals(params int) {
	groups := w.count("groups of locals", w.module.limits.Locals)
	total := uint64(params)
	start := w.at
	for range groups {
		total += uint64(w.u32())
		w.byte()
	}
	if total > uint64(w.module.limits.Locals) {
		w.fail("a function has %d locals, more than %d", total, w.module.limits.Locals)
	}
	if w.err != nil {
		return
	}
	w.locals = uint32(total)
	w.out = appendU32(w.out, uint32(groups)+1)
	w.emit(w.data[start:w.at]...)
	w.emit(1, valueI64)
}

// block opens one that stands for the function, so that what leaves the function goes on behind it.
func (w *writer) block(results []byte) {
	w.emit(opBlock)
	switch len(results) {
	case 0:
		w.emit(0x40)
	case 1:
		w.emit(results[0])
	default:
		w.out = appendS64(w.out, int64(w.module.typeOf(functype{results: results})))
	}
}

// enter charges a function's own instructions.
func (w *writer) enter(price int64) {
	if w.cached {
		w.with(opGlobalGet, w.module.fuel())
		w.pay(price)
		return
	}
	w.with(opGlobalGet, w.module.fuel())
	w.constI64(price)
	w.emit(opI64Sub)
	w.with(opGlobalSet, w.module.fuel())
	w.ask()
}

// ask refills the global where it is below 0.
func (w *writer) ask() {
	fuel := w.module.fuel()
	w.with(opGlobalGet, fuel)
	w.constI64(0)
	w.emit(opI64LtS, opIf, 0x40)
	w.with(opGlobalGet, fuel)
	w.with(opCall, w.module.refill())
	w.with(opGlobalSet, fuel)
	w.emit(opEnd)
}

// pay takes a price of the fuel on the stack, keeps what is left in the local, and refills that where it is below 0.
func (w *writer) pay(price int64) {
	w.constI64(price)
	w.emit(opI64Sub)
	w.with(opLocalTee, w.locals)
	w.constI64(0)
	w.emit(opI64LtS, opIf, 0x40)
	w.with(opLocalGet, w.locals)
	w.with(opCall, w.module.refill())
	w.with(opLocalSet, w.locals)
	w.emit(opEnd)
}

// leave hands the fuel over to whoever goes on, and back takes it again.
func (w *writer) leave() {
	if w.cached {
		w.with(opLocalGet, w.locals)
		w.with(opGlobalSet, w.module.fuel())
	}
}

func (w *writer) back() {
	if w.cached {
		w.with(opGlobalGet, w.module.fuel())
		w.with(opLocalSet, w.locals)
	}
}

// code copies instructions to the end of the function.
func (w *writer) code(loops []int64) {
	for w.err == nil && w.at < len(w.data) {
		in := w.next()
		if w.err != nil {
			return
		}
		switch in.op {
		case opBlock, opIf:
			w.around = append(w.around, loopFrame{})
			w.emit(in.raw...)
		case opLoop:
			w.loop(in, loops[0])
			loops = loops[1:]
		case opEnd:
			w.emit(opEnd)
			w.endLoop()
		case opBr, opBrIf:
			w.with(byte(in.op), w.label(in.index))
		case opBrTable:
			w.branches(in)
		case opReturn:
			w.leaveFunction()
		case opLocalGet, opLocalSet, opLocalTee:
			w.within("local", in, w.locals)
		case opGlobalGet, opGlobalSet:
			w.within("global", in, w.module.globals)
		case opRefFunc:
			w.function(in)
		default:
			w.costly(in)
		}
	}
}

// loop begins one, which is charged at its head. What is called to ask for fuel stands outside of it, in a loop of its own,
//
//	block $done loop $again block $spent loop … end br $done end ask br $again end unreachable end
//
// since an engine keeps what is live beside a call in memory, and would do so in every turn. A loop with parameters asks where it is.
func (w *writer) loop(in instruction, price int64) {
	frame := loopFrame{}
	if kind := in.raw[1:]; len(kind) == 1 && kind[0]&0x40 != 0 { // no type of the module's
		frame = loopFrame{labels: 3, price: price}
		w.emit(opBlock, kind[0], opLoop, 0x40, opBlock, 0x40)
	}
	w.around = append(w.around, frame)
	w.emit(in.raw...)
	w.with(opLocalGet, w.locals)
	if frame.labels == 0 {
		w.pay(price)
		return
	}
	w.constI64(price)
	w.emit(opI64Sub)
	w.with(opLocalTee, w.locals)
	w.constI64(0)
	w.emit(opI64LtS)
	w.with(opBrIf, 1)
}

// endLoop closes what was put around the block that ends here. The head charges again, so that the price is given back.
func (w *writer) endLoop() {
	if len(w.around) == 0 { // the function's end, which is the last
		return
	}
	frame := w.around[len(w.around)-1]
	w.around = w.around[:len(w.around)-1]
	if frame.labels == 0 {
		return
	}
	w.with(opBr, 2)
	w.emit(opEnd)
	w.with(opLocalGet, w.locals)
	w.with(opCall, w.module.refill())
	w.constI64(frame.price)
	w.emit(opI64Add)
	w.with(opLocalSet, w.locals)
	w.with(opBr, 0)
	w.emit(opEnd, opUnreachable, opEnd)
}

// label is what a branch to a block out of so many open ones must name now. The outermost is the function; one further out would be the block that stands for it.
func (w *writer) label(index uint32) uint32 {
	inner := w.around
	if uint64(index) > uint64(len(inner)) {
		w.fail("a branch leads out of %d blocks, more than the %d there are", uint64(index)+1, len(inner)+1)
	}
	if n := uint64(len(inner)); uint64(index) < n {
		inner = inner[n-uint64(index):]
	}
	for _, frame := range inner {
		index += frame.labels
	}
	return index
}

// branches copies a table of branches.
func (w *writer) branches(in instruction) {
	r := &reader{data: in.raw, at: 1}
	n := r.u32()
	w.out = appendU32(append(w.out, opBrTable), n)
	for range n + 1 {
		w.out = appendU32(w.out, w.label(r.u32()))
	}
}

// within copies an instruction whose index must be below a number, lest it reach what was added.
func (w *writer) within(what string, in instruction, below uint32) {
	if in.index >= below {
		w.fail("there is no %s %d: there are %d", what, in.index, below)
	}
	w.emit(in.raw...)
}

// leaveFunction copies a return: as a branch to the end of the block that stands for the function, if there is one.
func (w *writer) leaveFunction() {
	if w.cached {
		w.with(opBr, w.label(uint32(len(w.around))))
		return
	}
	w.emit(opReturn)
}

// costly copies what calls, what takes the longer the larger its operand, and all that is neither.
func (w *writer) costly(in instruction) {
	switch in.op {
	case opCall:
		w.leave()
		w.function(in)
		w.back()
	case opCallIndirect:
		w.leave()
		w.emit(in.raw...)
		w.back()
	case opMemoryFill:
		w.instead(w.module.fill())
	case opMemoryCopy:
		w.instead(w.module.copying())
	case opMemoryInit, opMemoryGrow, opTableInit, opTableCopy, opTableGrow, opTableFill:
		w.leave()
		w.with(opCall, w.module.charge()) // the length is the last operand of each
		w.back()
		w.emit(in.raw...)
	default:
		w.emit(in.raw...)
	}
}

// instead calls one of the functions that were added.
func (w *writer) instead(function uint32) {
	if !w.module.hasMemory() {
		w.fail("it works on memory, but has none")
		return
	}
	w.leave()
	w.with(opCall, function)
	w.back()
}

// functionName is how errors call a function: by its number in the module as it was.
func (m *module) functionName(i int) string { return fmt.Sprintf("function %d", int(m.importing)+i) }
