package main

import "math"

// queryTile is package cpu's constant of that name: the floats of one row of a tile of scores.
const queryTile = 32

// attention writes what attention does to a tile of scores, a row for each key and a lane for each query.
func attention(f *file) {
	softmaxTile(f)
	gradTile(f)
	scaleLanes(f)
	maskSegments(f)
}

// columns runs body for each vector of the tile's rows, down all its keys.
type columns struct {
	*function
	keys, left gp
	lanes      []gp // what holds a float for each lane, at the current vector
	tiles      []gp // the tiles' first row, at the current vector
	rowCount   gp
	rowAt      []gp
}

func newColumns(out *file, name, signature, doc string, tiles, lanes []string) *columns {
	c := &columns{function: out.begin(name, "func(keys, vectors int, "+signature+")", doc)}
	c.keys, c.left, c.rowCount = c.pointer("keys", ""), c.pointer("vectors", ""), c.gp()
	for _, name := range tiles {
		c.tiles, c.rowAt = append(c.tiles, c.pointer(name, "")), append(c.rowAt, c.gp())
	}
	for _, name := range lanes {
		c.lanes = append(c.lanes, c.pointer(name, ""))
	}
	c.table()
	return c
}

func (c *columns) each(body func()) {
	c.label("column")
	body()
	for _, at := range append(c.tiles, c.lanes...) {
		c.inst("ADD $16, %v", at)
	}
	c.inst("SUBS $1, %v", c.left)
	c.inst("BNE column")
	c.ret()
}

// rows runs body for the current vector of each row; at gives its place in each tile.
func (c *columns) rows(label string, body func(at []gp)) {
	for i, tile := range c.tiles {
		c.inst("MOVD %v, %v", tile, c.rowAt[i])
	}
	c.inst("MOVD %v, %v", c.keys, c.rowCount)
	c.label(label)
	c.scope(func() { body(c.rowAt) })
	for _, at := range c.rowAt {
		c.inst("ADD $%d, %v", 4*queryTile, at)
	}
	c.inst("SUBS $1, %v", c.rowCount)
	c.inst("BNE %s", label)
}

func softmaxTile(out *file) {
	c := newColumns(out, "softmaxTile", "s, max, sum, alpha *float32", "is scoreOps.softmax.",
		[]string{"s"}, []string{"max", "sum", "alpha"})
	e, m, sum, x := c.newExp2(), c.vec(), c.vec(), c.vec()
	maxima, sums, alphas := c.lanes[0], c.lanes[1], c.lanes[2]
	c.each(func() {
		c.load(4, maxima, 0, m)
		c.move(x, m)
		c.rows("max", func(at []gp) {
			s := c.vec()
			c.load(4, at[0], 0, s)
			c.three(fmax, m, m, s)
		})
		c.store(4, m, maxima, 0)
		c.load(4, sums, 0, sum)
		c.scope(func() {
			c.three(fsub, x, x, m)
			alpha := e.apply(x)
			c.store(4, alpha, alphas, 0)
			c.three(fmul, sum, sum, alpha)
		})
		c.rows("exp", func(at []gp) {
			s := c.vec()
			c.load(4, at[0], 0, s)
			c.three(fsub, s, s, m)
			s = e.apply(s)
			c.three(fadd, sum, sum, s)
			c.store(4, s, at[0], 0)
		})
		c.store(4, sum, sums, 0)
	})
}

func gradTile(out *file) {
	c := newColumns(out, "gradTile", "p, dp, lse, d *float32, scale float32", "is scoreOps.grad.",
		[]string{"p", "dp"}, []string{"lse", "d"})
	e, lse, d, scale := c.newExp2(), c.vec(), c.vec(), c.parameter("scale")
	c.each(func() {
		c.load(4, c.lanes[0], 0, lse)
		c.load(4, c.lanes[1], 0, d)
		c.rows("row", func(at []gp) {
			x, y := c.vec(), c.vec()
			c.load(4, at[0], 0, x)
			c.three(fsub, x, x, lse)
			x = e.apply(x)
			c.store(4, x, at[0], 0)
			c.load(4, at[1], 0, y)
			c.three(fsub, y, y, d)
			c.three(fmul, x, x, scale)
			c.three(fmul, y, y, x)
			c.store(4, y, at[1], 0)
		})
	})
}

func scaleLanes(out *file) {
	c := newColumns(out, "scaleLanes", "x, by *float32", "is scoreOps.scale.", []string{"x"}, []string{"by"})
	by, x := c.vec(), c.vec()
	c.each(func() {
		c.load(4, c.lanes[0], 0, by)
		c.rows("row", func(at []gp) {
			c.load(4, at[0], 0, x)
			c.three(fmul, x, x, by)
			c.store(4, x, at[0], 0)
		})
	})
}

func maskSegments(out *file) {
	c := newColumns(out, "maskSegments", "x *float32, q, k *int32", "is scoreOps.segments.", []string{"x"}, []string{"q"})
	keys, next := c.pointer("k", ""), c.gp()
	query, key, x, hidden := c.vec(), c.vec(), c.vec(), c.float(math.Inf(-1))
	c.each(func() {
		c.load(4, c.lanes[0], 0, query)
		c.inst("MOVD %v, %v", keys, next)
		c.rows("row", func(at []gp) {
			c.next(1, next, key)
			c.dup(key, key)
			c.three(cmeq, key, key, query)
			c.load(4, at[0], 0, x)
			c.three(bsl, key, x, hidden)
			c.store(4, key, at[0], 0)
		})
	})
}

// exp2 is the code of 2ˣ for x ≤ 127: with n the integer nearest to x, 2ⁿ·P(x−n), where
// P(f) = 1 + f·(c₅ + f·(… + f·c₀)) for |f| ≤ ½. What is below the least normal number gives 0, NaN gives NaN. Error: under 2 ulp.
//
// Source of the coefficients: Moshier, Cephes mathematical library, exp2f.
type exp2 struct {
	*function
	low vec
}

var exp2Poly = []float64{1, 6.931472028550421e-1, 2.402264791363012e-1, 5.550332471162809e-2,
	9.618437357674640e-3, 1.339887440266574e-3, 1.535336188319500e-4}

func (c *columns) newExp2() *exp2 { return &exp2{c.function, c.float(-126)} }

// apply gives 2ˣ. x is overwritten.
func (e *exp2) apply(x vec) vec {
	under, n := e.vec(), e.vec()
	e.three(fcmgt, under, e.low, x)
	e.three(fmax, x, x, e.low)
	e.two(frintn, n, x)
	e.three(fsub, x, x, n)
	p := e.horner(x, exp2Poly)
	e.power(p, n)
	e.three(bic, p, p, under)
	return p
}
