package meter

// helpers are the bodies of the functions that are added, in the order of their numbers.
func (m *module) helpers() [][]byte {
	list := [][]byte{m.chargeBody()}
	if m.hasMemory() {
		list = append(list, m.pieces(false), m.pieces(true))
	}
	return list
}

// chargeBody is charge(n i32) i32: it takes n of the fuel, and returns n.
func (m *module) chargeBody() []byte {
	w := &writer{module: m}
	w.emit(0) // locals
	w.with(opGlobalGet, m.fuel())
	w.with(opLocalGet, 0)
	w.emit(opI64ExtendU, opI64Sub)
	w.with(opGlobalSet, m.fuel())
	w.ask()
	w.with(opLocalGet, 0)
	w.emit(opEnd)
	return w.out
}

// The operands of memory.fill and memory.copy.
const (
	operandTo   = 0
	operandFrom = 1 // the byte, of a fill
	operandLen  = 2
)

// pieces is the body of fill(to, byte, n) or of copy(to, from, n). What lies outside of memory, or is no larger than a piece, is left to the
// instruction itself, which traps before it writes anything. A copy to a higher place goes from its end to its beginning, since the two may overlap.
func (m *module) pieces(copying bool) []byte {
	w := &writer{module: m}
	w.emit(0, opBlock, 0x40)
	w.unlessPieces(operandTo)
	if !copying {
		w.forward(opMemoryFill)
	} else {
		w.unlessPieces(operandFrom)
		w.with(opLocalGet, operandTo)
		w.with(opLocalGet, operandFrom)
		w.emit(opI32LeU, opIf, 0x40)
		w.forward(opMemoryCopy)
		w.emit(opElse)
		w.backward()
		w.emit(opEnd)
	}
	w.emit(opEnd)
	w.with(opLocalGet, operandLen)
	w.bulkPrice()
	w.with(opLocalGet, operandTo)
	w.with(opLocalGet, operandFrom)
	w.with(opLocalGet, operandLen)
	if copying {
		w.bulkOp(opMemoryCopy)
	} else {
		w.bulkOp(opMemoryFill)
	}
	w.emit(opEnd)
	return w.out
}

// unlessPieces leaves the block where there is no more than a piece to do, or where the bytes at an operand end outside of memory.
func (w *writer) unlessPieces(at uint32) {
	w.with(opLocalGet, operandLen)
	w.constI32(PieceBytes)
	w.emit(opI32LeU)
	w.with(opBrIf, 0)
	w.with(opLocalGet, at)
	w.emit(opI64ExtendU)
	w.with(opLocalGet, operandLen)
	w.emit(opI64ExtendU, opI64Add, opMemorySize, 0, opI64ExtendU)
	w.constI64(16)
	w.emit(opI64Shl, opI64GtU)
	w.with(opBrIf, 0)
}

// forward does pieces from the beginning while more than one is left.
func (w *writer) forward(op uint32) {
	w.emit(opLoop, 0x40)
	w.constI32(PieceBytes)
	w.bulkPrice()
	w.with(opLocalGet, operandTo)
	w.with(opLocalGet, operandFrom)
	w.constI32(PieceBytes)
	w.bulkOp(op)
	w.move(operandTo, opI32Add)
	if op == opMemoryCopy {
		w.move(operandFrom, opI32Add)
	}
	w.move(operandLen, opI32Sub)
	w.again()
}

// backward does pieces from the end while more than one is left.
func (w *writer) backward() {
	w.emit(opLoop, 0x40)
	w.constI32(PieceBytes)
	w.bulkPrice()
	w.move(operandLen, opI32Sub)
	for _, operand := range []uint32{operandTo, operandFrom} {
		w.with(opLocalGet, operand)
		w.with(opLocalGet, operandLen)
		w.emit(opI32Add)
	}
	w.constI32(PieceBytes)
	w.bulkOp(opMemoryCopy)
	w.again()
}

// again goes back to the loop's head while more than a piece is left.
func (w *writer) again() {
	w.with(opLocalGet, operandLen)
	w.constI32(PieceBytes)
	w.emit(opI32GtU)
	w.with(opBrIf, 0)
	w.emit(opEnd)
}

// move changes an operand by a piece.
func (w *writer) move(operand uint32, op byte) {
	w.with(opLocalGet, operand)
	w.constI32(PieceBytes)
	w.emit(op)
	w.with(opLocalSet, operand)
}

// bulkPrice charges for as many bytes as the stack says.
func (w *writer) bulkPrice() {
	w.constI32(bytesShift)
	w.emit(opI32ShrU)
	w.with(opCall, w.module.charge())
	w.emit(opDrop)
}

func (w *writer) bulkOp(op uint32) {
	w.emit(prefixBulk, byte(op), 0)
	if op == opMemoryCopy {
		w.emit(0)
	}
}
