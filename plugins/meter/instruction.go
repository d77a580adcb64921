package meter

// The opcodes that the rewriter knows by name. Those behind the prefixes 0xfc and 0xfd have the prefix as their second byte.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32LeU       = 0x4d
	opI32GtU       = 0x4b
	opI64LtS       = 0x53
	opI64GtU       = 0x56
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32ShrU      = 0x76
	opI64Add       = 0x7c
	opI64Sub       = 0x7d
	opI64Shl       = 0x86
	opI64ExtendU   = 0xad
	opLastPlain    = 0xc4
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2

	prefixBulk   = 0xfc
	prefixVector = 0xfd

	opMemoryInit = prefixBulk<<8 | 8
	opDataDrop   = prefixBulk<<8 | 9
	opMemoryCopy = prefixBulk<<8 | 10
	opMemoryFill = prefixBulk<<8 | 11
	opTableInit  = prefixBulk<<8 | 12
	opElemDrop   = prefixBulk<<8 | 13
	opTableCopy  = prefixBulk<<8 | 14
	opTableGrow  = prefixBulk<<8 | 15
	opTableSize  = prefixBulk<<8 | 16
	opTableFill  = prefixBulk<<8 | 17
)

// instruction is one of a function's body. raw are its bytes, with its immediates; index is the first of these where it is one.
type instruction struct {
	op    uint32
	index uint32
	raw   []byte
}

// next reads an instruction of WebAssembly 2.0 (section 5.4 of the specification).
func (r *reader) next() instruction {
	start := r.at
	in := instruction{op: uint32(r.byte())}
	switch in.op {
	case prefixBulk:
		r.bulk(&in)
	case prefixVector:
		r.vector(&in)
	default:
		r.plain(&in)
	}
	if r.err == nil {
		in.raw = r.data[start:r.at]
	}
	return in
}

// plain reads the immediates of an opcode of one byte.
func (r *reader) plain(in *instruction) {
	switch op := in.op; {
	case op == opBlock, op == opLoop, op == opIf:
		r.s33()
	case op <= 0x01, op == opElse, op == opEnd, op == opReturn, op == opDrop, op == 0x1b, op == opRefIsNull, op >= 0x45 && op <= opLastPlain:
	case op == opBr, op == opBrIf, op == opCall, op >= opLocalGet && op <= opTableSet, op == opRefFunc:
		in.index = r.u32()
	case op == opBrTable:
		for range r.count("labels of a branch", 1<<16) + 1 {
			r.u32()
		}
	case op == opCallIndirect:
		r.u32()
		r.u32()
	case op == opSelectTyped:
		r.bytes(r.count("types of a select", 1))
	case op >= 0x28 && op <= 0x3e: // loads and stores: alignment, offset
		r.u32()
		r.u32()
	case op == opMemorySize, op == opMemoryGrow, op == opRefNull:
		r.byte()
	case op == opI32Const:
		r.skipLEB(5)
	case op == opI64Const:
		r.skipLEB(10)
	case op == opF32Const:
		r.bytes(4)
	case op == opF64Const:
		r.bytes(8)
	default:
		r.fail("the instruction %#02x is not of WebAssembly 2.0", op)
	}
}

// bulk reads what follows the prefix 0xfc: conversions that saturate, and what works on memory and tables at large.
func (r *reader) bulk(in *instruction) {
	sub := r.u32()
	if sub > 17 {
		r.fail("the instruction 0xfc %d is not of WebAssembly 2.0", sub)
		return
	}
	in.op = prefixBulk<<8 | sub
	switch in.op {
	case opMemoryInit, opMemoryCopy, opTableInit, opTableCopy:
		in.index = r.u32()
		r.u32()
	case opDataDrop, opMemoryFill, opElemDrop, opTableGrow, opTableSize, opTableFill:
		in.index = r.u32()
	}
}

// vector reads what follows the prefix 0xfd.
func (r *reader) vector(in *instruction) {
	sub := r.u32()
	if sub > 255 {
		r.fail("the instruction 0xfd %d is not of WebAssembly 2.0", sub)
		return
	}
	in.op = prefixVector<<8 | sub
	switch {
	case sub <= 11, sub == 92, sub == 93: // loads and stores
		r.u32()
		r.u32()
	case sub == 12, sub == 13: // a constant, a shuffle
		r.bytes(16)
	case sub >= 21 && sub <= 34: // lanes
		r.byte()
	case sub >= 84 && sub <= 91: // loads and stores of lanes
		r.u32()
		r.u32()
		r.byte()
	}
}

// price is what an instruction costs: 1, but for those that take many times as long as an addition.
func price(op uint32) int64 {
	switch {
	case op == opCall, op == opCallIndirect:
		return 4
	case op >= 0x6d && op <= 0x70, op >= 0x7f && op <= 0x82, op == 0x91, op == 0x95, op == 0x9f, op == 0xa3: // division, square roots
		return 8
	case op == prefixVector<<8|227, op == prefixVector<<8|231, op == prefixVector<<8|239, op == prefixVector<<8|243:
		return 8
	}
	return 1
}
