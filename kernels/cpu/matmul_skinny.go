package cpu

import "unsafe"

// Products with few rows (or few columns) are bound by the reading of their large operand. They read it once, where it
// lies: as dot products where its lanes run along k, by tiles where they lie side by side.

const (
	skinnyLanes = 16      // rows up to which a product is skinny
	skinnyPiece = 1 << 16 // elements of the large operand that one piece reads, about
	stripeCols  = 512     // columns of eight rows of the large operand: they stay in the first cache
)

// skinny chooses the kernel for a product with few rows or columns; nil when it has many of both.
func (x *matmul) skinny() func() {
	small := min(x.m, x.n)
	if small > skinnyLanes || small == 0 || x.k == 0 || small*x.k > panelFloats {
		return nil
	}
	switch {
	case x.m <= x.n && x.b.step == 1:
		return x.dotKernel(x.m, x.n, x.a.source, x.b.source, dotPlace{x.cRow, 1, 0, 1}, func(from, to, worker int) {
			x.end.finish(0, from, x.m, to-from, worker)
		})
	case x.n < x.m && x.a.step == 1:
		return x.dotKernel(x.n, x.m, x.b.source, x.a.source, dotPlace{1, x.cRow, 1, 0}, func(from, to, worker int) {
			x.end.finish(from, 0, to-from, x.n, worker)
		})
	case x.m <= x.n:
		return x.stripeKernel()
	}
	return nil
}

// dotFunc sets out[4*i+j] = Σ_p a[i*aRow+p]·b[j*bRow+p] for p < k, each row i of those it is for, and j < 4.
type dotFunc func(k int, a *float32, aRow int, b *float32, bRow int, out *float32)

// dots is a product of few rows with many, all dense along k.
type dots struct {
	t     *tileSet
	few   int
	k     int
	a, b  source
	c     *float32
	bias  *float32 // nil: none
	add   bool
	place dotPlace
}

// dotPlace says where the dot product of row i of the few and row j of the many goes, and which bias it gets:
// c[i*cFew + j*cMany] and bias[i*biasFew + j*biasMany].
type dotPlace struct{ cFew, cMany, biasFew, biasMany int }

// run computes the products with rows [from, to) of the many. out has room for those of one call.
func (x *dots) run(from, to int, out []float32) {
	for j := from; j < to; {
		cols, bRow := 4, x.b.lane
		if to-j < 4 { // one row, which the kernel reads four times
			cols, bRow = 1, 0
		}
		for i := 0; i < x.few; {
			rows, f := 1, x.t.dots1
			if x.few-i >= x.t.dotRows {
				rows, f = x.t.dotRows, x.t.dotsN
			}
			f(x.k, x.a.at(i, 0).data, x.a.lane, x.b.at(j, 0).data, bRow, &out[0])
			for r := range rows {
				x.put(i+r, j, out[4*r:][:cols])
			}
			i += rows
		}
		j += cols
	}
}

// put writes the products of row i with rows j and on.
func (x *dots) put(i, j int, sums []float32) {
	for s, v := range sums {
		if x.bias != nil {
			v += *at(x.bias, i*x.place.biasFew+(j+s)*x.place.biasMany)
		}
		c := at(x.c, i*x.place.cFew+(j+s)*x.place.cMany)
		if x.add {
			v += *c
		}
		*c = v
	}
}

// dotKernel prepares the product of few rows with many, end being called for those of the many that are done. The few
// are packed first where they are not dense.
func (x *matmul) dotKernel(few, many int, a, b source, place dotPlace, end func(from, to, worker int)) func() {
	p := &dots{t: x.d.tiles, few: few, k: x.k, a: a, b: b, c: x.c, bias: x.bias, add: x.add, place: place}
	if a.step != 1 {
		p.a = source{&x.d.scratch.a[0], x.k, 1}
	}
	each := up(max(4, skinnyPiece/x.k), 4)
	job := func(piece, worker int) {
		from, to := piece*each, min(many, (piece+1)*each)
		p.run(from, to, x.d.scratch.worker[worker])
		end(from, to, worker)
	}
	return func() {
		if a.step != 1 {
			scatterRows(x.d.scratch.a, a, few, x.k)
		}
		x.d.pool.run(ceilDiv(many, each), job)
	}
}

// scatterRows copies lanes that lie side by side into dense rows of k.
func scatterRows(dst []float32, src source, lanes, k int) {
	for p := range k {
		for i, v := range unsafe.Slice(src.at(0, p).data, lanes) {
			dst[i*k+p] = v
		}
	}
}

// axpyFunc adds rows of b, those that it is for, to a row: y[j] += Σ_p x[p*xStep]·b[p*bRow+j] for j < n, n ≥ 1.
type axpyFunc func(n int, y, x *float32, xStep int, b *float32, bRow int)

// stripeKernel prepares a product of few rows with a matrix b whose rows run along n. A piece is a stripe of columns,
// down which the rows of b are added to those of c.
func (x *matmul) stripeKernel() func() {
	each := max(stripeCols, skinnyPiece/x.k)
	job := func(piece, worker int) {
		from := piece * each
		to := min(x.n, from+each)
		x.stripe(from, to)
		x.end.finish(0, from, x.m, to-from, worker)
	}
	return func() { x.d.pool.run(ceilDiv(x.n, each), job) }
}

// stripe computes columns [from, to).
func (x *matmul) stripe(from, to int) {
	n := to - from
	for i := range x.m {
		x.start(unsafe.Slice(at(x.c, i*x.cRow+from), n), from)
	}
	for j := from; j < to; j += stripeCols {
		for p := 0; p < x.k; {
			rows, f := 1, x.d.tiles.axpy1
			if x.k-p >= 8 {
				rows, f = 8, x.d.tiles.axpy8
			}
			for i := range x.m {
				f(min(stripeCols, to-j), at(x.c, i*x.cRow+j), x.a.at(i, p).data, x.a.step, x.b.at(j, p).data, x.b.step)
			}
			p += rows
		}
	}
}

// start sets a part of a row of c to what the products are added to.
func (x *matmul) start(c []float32, j int) {
	if !x.add {
		clear(c)
	}
	if x.bias != nil {
		for i, v := range unsafe.Slice(at(x.bias, j), len(c)) {
			c[i] += v
		}
	}
}
