package main

// three is an instruction of three vectors, two of a pair; by its name, its arrangement and its code.
type three struct {
	name, arrangement string
	code              uint32
}

// The instructions that Go's assembler lacks. Source: Arm Architecture Reference Manual for A-profile, chapter C7.
var (
	fadd   = three{"fadd", "4s", 0x4E20D400}
	fsub   = three{"fsub", "4s", 0x4EA0D400}
	fmul   = three{"fmul", "4s", 0x6E20DC00}
	fdiv   = three{"fdiv", "4s", 0x6E20FC00}
	fmla   = three{"fmla", "4s", 0x4E20CC00}
	fmls   = three{"fmls", "4s", 0x4EA0CC00}
	fmax   = three{"fmax", "4s", 0x4E20F400} // NaN if either is
	fmin   = three{"fmin", "4s", 0x4EA0F400}
	fmaxnm = three{"fmaxnm", "4s", 0x4E20C400} // the other one if one is NaN
	faddp  = three{"faddp", "4s", 0x6E20D400}
	fcmgt  = three{"fcmgt", "4s", 0x6EA0E400}
	fcmeq  = three{"fcmeq", "4s", 0x4E20E400}
	addD   = three{"fadd", "2d", 0x4E60D400}
	mlaD   = three{"fmla", "2d", 0x4E60CC00}
	addS   = three{"add", "4s", 0x4EA08400}
	cmeq   = three{"cmeq", "4s", 0x6EA08C00}
	cmhs   = three{"cmhs", "4s", 0x6EA03C00}
	umull  = three{"umull", "2d, 2s", 0x2EA0C000}
	umull2 = three{"umull2", "2d, 4s", 0x6EA0C000}
	uzp1   = three{"uzp1", "4s", 0x4E801800}
	uzp2   = three{"uzp2", "4s", 0x4E805800}
	trn1   = three{"trn1", "4s", 0x4E802800}
	trn2   = three{"trn2", "4s", 0x4E806800}
	trn1D  = three{"trn1", "2d", 0x4EC02800}
	trn2D  = three{"trn2", "2d", 0x4EC06800}
	and    = three{"and", "16b", 0x4E201C00}
	orr    = three{"orr", "16b", 0x4EA01C00}
	eor    = three{"eor", "16b", 0x6E201C00}
	bic    = three{"bic", "16b", 0x4E601C00} // first and not second
	bsl    = three{"bsl", "16b", 0x6E601C00} // first where the destination has ones, else second
	bit    = three{"bit", "16b", 0x6EA01C00} // inserts first where second has ones
)

// two is an instruction of two vectors.
type two struct {
	name, arrangement string
	code              uint32
}

var (
	fneg     = two{"fneg", "4s", 0x6EA0F800}
	fabs     = two{"fabs", "4s", 0x4EA0F800}
	fsqrt    = two{"fsqrt", "4s", 0x6EA1F800}
	frintn   = two{"frintn", "4s", 0x4E218800} // to the nearest, the even one of two
	fcvtns   = two{"fcvtns", "4s", 0x4E21A800}
	positive = two{"fcmgt #0", "4s", 0x4EA0C800}
	isZero   = two{"fcmeq #0", "4s", 0x4EA0D800}
	fcvtl    = two{"fcvtl", "2d, 2s", 0x0E617800}
	fcvtl2   = two{"fcvtl2", "2d, 4s", 0x4E617800}
	sumD     = two{"faddp", "d, 2d", 0x7E70D800}
	topS     = two{"fmaxnmv", "s, 4s", 0x6E30C800}
	lowS     = two{"fmov", "s", 0x1E204000} // clears the other lanes
	shl23    = two{"shl #23", "4s", 0x4F005400 | (32+23)<<16}
	sshr31   = two{"sshr #31", "4s", 0x4F000400 | (64-31)<<16}
)

func (f *function) word32(code uint32, format string, args ...any) {
	f.inst("WORD $0x%08x // "+format, append([]any{code}, args...)...)
}

// three writes d = n op m; fmla, fmls, bsl and bit read d, too.
func (f *function) three(i three, d, n, m vec) {
	f.word32(i.code|uint32(m)<<16|uint32(n)<<5|uint32(d), "%s v%d, v%d, v%d (%s)", i.name, d, n, m, i.arrangement)
}

// two writes d = op n.
func (f *function) two(i two, d, n vec) {
	f.word32(i.code|uint32(n)<<5|uint32(d), "%s v%d, v%d (%s)", i.name, d, n, i.arrangement)
}

// mlaLane writes d += n·m[lane].
func (f *function) mlaLane(d, n, m vec, lane int) {
	l, h := uint32(lane&1), uint32(lane>>1)
	f.word32(0x4F801000|l<<21|uint32(m)<<16|h<<11|uint32(n)<<5|uint32(d), "fmla v%d.4s, v%d.4s, v%d.s[%d]", d, n, m, lane)
}

// dup sets every lane of d to the first of n.
func (f *function) dup(d, n vec) {
	f.word32(0x4E040400|uint32(n)<<5|uint32(d), "dup v%d.4s, v%d.s[0]", d, n)
}

// move copies n to d.
func (f *function) move(d, n vec) { f.three(orr, d, n, n) }

// load reads so many floats into the first lanes, and clears the others.
func (f *function) load(floats int, base gp, offset int, v vec) {
	f.inst("%s %d(%v), F%d", moves[floats], offset, base, v)
}

// next is load, and turns to what lies behind.
func (f *function) next(floats int, base gp, v vec) {
	f.inst("%s.P %d(%v), F%d", moves[floats], 4*floats, base, v)
}

func (f *function) store(floats int, v vec, base gp, offset int) {
	f.inst("%s F%d, %d(%v)", moves[floats], v, offset, base)
}

var moves = map[int]string{1: "FMOVS", 2: "FMOVD", 4: "FMOVQ"}
