package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// queryTile is package cpu's constant of that name: the floats of one row of a tile of scores.
const queryTile = 32

// attention writes what attention does to a tile of scores, a row for each key and a lane for each query.
func attention() {
	for _, s := range levels {
		softmaxTile(s)
		gradTile(s)
		scaleLanes(s)
		maskSegments(s)
	}
}

// columns runs body for each vector of the tile's rows, down all its keys.
type columns struct {
	isa
	keys, vectors reg.GPVirtual
	at            reg.GPVirtual // byte offset of the current vector in arrays of lanes
}

func newColumns(s isa, name, signature, doc string) *columns {
	TEXT(name+s.name, NOSPLIT, "func(keys, vectors int, "+signature+")")
	Pragma("noescape")
	Doc(name + s.name + " " + doc)
	c := &columns{isa: s, keys: pointer("keys"), vectors: pointer("vectors"), at: GP64()}
	XORQ(c.at, c.at)
	return c
}

func (c *columns) each(body func()) {
	Label("column")
	body()
	ADDQ(Imm(uint64(c.bytes())), c.at)
	DECQ(c.vectors)
	JNZ(LabelRef("column"))
	VZEROUPPER()
	RET()
}

// lane is the current vector of an array of lanes.
func (c *columns) lane(base reg.GPVirtual) Mem { return Mem{Base: base, Index: c.at, Scale: 1} }

// rows runs body for the current vector of each row of the tiles, which begin at the bases.
func (c *columns) rows(label string, body func(at ...Mem), bases ...reg.GPVirtual) {
	n, at := GP64(), make([]Mem, len(bases))
	for i, base := range bases {
		row := GP64()
		LEAQ(c.lane(base), row)
		at[i] = Mem{Base: row}
	}
	MOVQ(c.keys, n)
	Label(label)
	body(at...)
	for _, m := range at {
		ADDQ(Imm(4*queryTile), m.Base)
	}
	DECQ(n)
	JNZ(LabelRef(label))
}

func softmaxTile(s isa) {
	c := newColumns(s, "softmaxTile", "s, max, sum, alpha *float32", "is scoreOps.softmax.")
	e := newExp2(s)
	tile, maxima, sums, alphas := pointer("s"), pointer("max"), pointer("sum"), pointer("alpha")
	m, sum, x := s.vector(), s.vector(), s.vector()
	c.each(func() {
		VMOVUPS(c.lane(maxima), m)
		VMOVAPS(m, x)
		c.rows("max", func(at ...Mem) { VMAXPS(at[0], m, m) }, tile)
		VMOVUPS(m, c.lane(maxima))
		VSUBPS(m, x, x)
		e.apply(x)
		VMOVUPS(x, c.lane(alphas))
		VMULPS(c.lane(sums), x, sum)
		c.rows("exp", func(at ...Mem) {
			VMOVUPS(at[0], x)
			VSUBPS(m, x, x)
			e.apply(x)
			VADDPS(x, sum, sum)
			VMOVUPS(x, at[0])
		}, tile)
		VMOVUPS(sum, c.lane(sums))
	})
}

func gradTile(s isa) {
	c := newColumns(s, "gradTile", "p, dp, lse, d *float32, scale float32", "is scoreOps.grad.")
	e := newExp2(s)
	p, dp, lses, ds := pointer("p"), pointer("dp"), pointer("lse"), pointer("d")
	lse, d, scale, x, y := s.vector(), s.vector(), s.vector(), s.vector(), s.vector()
	VBROADCASTSS(NewParamAddr("scale", 48), scale)
	c.each(func() {
		VMOVUPS(c.lane(lses), lse)
		VMOVUPS(c.lane(ds), d)
		c.rows("row", func(at ...Mem) {
			VMOVUPS(at[0], x)
			VSUBPS(lse, x, x)
			e.apply(x)
			VMOVUPS(x, at[0])
			VMOVUPS(at[1], y)
			VSUBPS(d, y, y)
			VMULPS(scale, x, x)
			VMULPS(x, y, y)
			VMOVUPS(y, at[1])
		}, p, dp)
	})
}

func scaleLanes(s isa) {
	c := newColumns(s, "scaleLanes", "x, by *float32", "is scoreOps.scale.")
	x, by, v, w := pointer("x"), pointer("by"), s.vector(), s.vector()
	c.each(func() {
		VMOVUPS(c.lane(by), v)
		c.rows("row", func(at ...Mem) {
			VMULPS(at[0], v, w)
			VMOVUPS(w, at[0])
		}, x)
	})
}

func maskSegments(s isa) {
	c := newColumns(s, "maskSegments", "x *float32, q, k *int32", "is scoreOps.segments.")
	x, q, k := pointer("x"), pointer("q"), pointer("k")
	seg, key, hidden, v := s.vector(), s.vector(), s.vector(), s.vector()
	broadcast(math.Float32bits(float32(math.Inf(-1))), hidden)
	c.each(func() {
		VMOVUPS(c.lane(q), seg)
		next := GP64()
		MOVQ(k, next)
		c.rows("row", func(at ...Mem) {
			VPBROADCASTD(Mem{Base: next}, key)
			if s.lanes == 16 {
				same := K()
				VPCMPD(Imm(4), key, seg, same) // not equal
				VMOVUPS(hidden, same, at[0])
			} else {
				VPCMPEQD(key, seg, key)
				VMOVUPS(at[0], v)
				VBLENDVPS(key, v, hidden, v)
				VMOVUPS(v, at[0])
			}
			ADDQ(Imm(4), next)
		}, x)
	})
}

// broadcast sets every lane of v to the float with these bits.
func broadcast(bits uint32, v reg.VecVirtual) {
	r := GP32()
	MOVL(U32(bits), r)
	VMOVD(r, v.AsX())
	VPBROADCASTD(v.AsX(), v)
}

// exp2 is the code of 2ˣ for x ≤ 127: with n the integer nearest to x, 2ⁿ·P(x−n), where
// P(f) = 1 + f·(c₅ + f·(… + f·c₀)) for |f| ≤ ½. What is below the least normal number gives 0 (AVX2) or
// the rounded subnormal (AVX-512), −Inf gives 0, NaN gives NaN. Error: under 2 ulp.
//
// Source of the coefficients: Moshier, Cephes mathematical library, exp2f.
type exp2 struct {
	isa
	c            []reg.VecVirtual
	low, one     reg.VecVirtual
	n, p, hidden reg.VecVirtual
}

func newExp2(s isa) *exp2 {
	e := &exp2{isa: s, low: s.vector(), one: s.vector(), n: s.vector(), p: s.vector(), hidden: s.vector()}
	least := float32(-126)
	if s.lanes == 16 {
		least = -151
	}
	broadcast(math.Float32bits(least), e.low)
	broadcast(math.Float32bits(1), e.one)
	for _, c := range []float32{1.535336188319500e-4, 1.339887440266574e-3, 9.618437357674640e-3,
		5.550332471162809e-2, 2.402264791363012e-1, 6.931472028550421e-1} {
		v := s.vector()
		broadcast(math.Float32bits(c), v)
		e.c = append(e.c, v)
	}
	return e
}

// apply sets x to 2ˣ.
func (e *exp2) apply(x reg.VecVirtual) {
	if e.lanes == 8 {
		VCMPPS(Imm(17), e.low, x, e.hidden) // x < low
	}
	VMAXPS(x, e.low, x) // in this order a NaN stays
	if e.lanes == 16 {
		VRNDSCALEPS(Imm(8), x, e.n)
	} else {
		VROUNDPS(Imm(8), x, e.n)
	}
	VSUBPS(e.n, x, x)
	VMOVAPS(e.c[0], e.p)
	for _, c := range append(e.c[1:len(e.c):len(e.c)], e.one) {
		VFMADD213PS(c, x, e.p)
	}
	if e.lanes == 16 {
		VSCALEFPS(e.n, e.p, x)
		return
	}
	VCVTPS2DQ(e.n, e.n)
	VPSLLD(Imm(23), e.n, e.n)
	VPADDD(e.n, e.p, e.p)
	VANDNPS(e.p, e.hidden, x)
}
