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
	if x.round != nil && edgeFloats+4*x.k > workerFloats { // no room for rounded rows
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
	round roundFunc // of the many; nil: none
	place dotPlace
}

// dotPlace says where the dot product of row i of the few and row j of the many goes, and which bias it gets:
// c[i*cFew + j*cMany] and bias[i*biasFew + j*biasMany].
type dotPlace struct{ cFew, cMany, biasFew, biasMany int }

// run computes the products with rows [from, to) of the many. out has room for those of one call, and, behind
// edgeFloats, for four rows that must be rounded.
func (x *dots) run(from, to int, out []float32) {
	for j := from; j < to; {
		cols := min(4, to-j)
		if cols < 4 {
			cols = 1
		}
		b := x.rows(j, cols, out)
		bRow := b.lane
		if cols == 1 { // the kernel reads one row four times
			bRow = 0
		}
		for i := 0; i < x.few; {
			rows, f := 1, x.t.dots1
			if x.few-i >= x.t.dotRows {
				rows, f = x.t.dotRows, x.t.dotsN
			}
			f(x.k, x.a.at(i, 0).data, x.a.lane, b.data, bRow, &out[0])
			for r := range rows {
				x.put(i+r, j, out[4*r:][:cols])
			}
			i += rows
		}
		j += cols
	}
}

// rows is rows [j, j+n) of the many, as they lie or rounded.
func (x *dots) rows(j, n int, out []float32) source {
	if x.round == nil {
		return x.b.at(j, 0)
	}
	room := out[edgeFloats:]
	for i := range n {
		x.round(room[i*x.k:][:x.k], unsafe.Slice(x.b.at(j+i, 0).data, x.k))
	}
	return source{&room[0], x.k, 1}
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

// dotKernel prepares the product of few rows with many, end being called for those of the many that are done.
func (x *matmul) dotKernel(few, many int, a, b source, place dotPlace, end func(from, to, worker int)) func() {
	p := &dots{t: x.d.tiles, few: few, k: x.k, b: b, c: x.c, bias: x.bias, add: x.add, round: x.round, place: place}
	var fetch func()
	p.a, fetch = x.fewRows(few, a, a.step != 1)
	each := up(max(4, skinnyPiece/x.k), 4)
	job := func(piece, worker int) {
		from, to := piece*each, min(many, (piece+1)*each)
		p.run(from, to, x.d.scratch.worker[worker])
		end(from, to, worker)
	}
	return func() {
		fetch()
		x.d.pool.run(ceilDiv(many, each), job)
	}
}

// fewRows says where the few rows are read, and what brings them there before each run: they are copied, one after
// another, where the kernel asks for it or they must be rounded.
func (x *matmul) fewRows(few int, a source, copied bool) (source, func()) {
	if !copied && x.round == nil {
		return a, func() {}
	}
	room := x.d.scratch.a[:few*x.k]
	return source{&room[0], x.k, 1}, func() {
		copyLanes(room, a, few, x.k)
		if x.round != nil {
			x.round(room, room)
		}
	}
}

// copyLanes copies lanes of k steps, one after another.
func copyLanes(dst []float32, src source, lanes, k int) {
	if src.step != 1 {
		scatterRows(dst, src, lanes, k)
		return
	}
	for i := range lanes {
		copy(dst[i*k:][:k], unsafe.Slice(src.at(i, 0).data, k))
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
	a, fetch := x.fewRows(x.m, x.a.source, false)
	job := func(piece, worker int) {
		from := piece * each
		to := min(x.n, from+each)
		x.stripe(a, from, to, x.d.scratch.worker[worker])
		x.end.finish(0, from, x.m, to-from, worker)
	}
	return func() {
		fetch()
		x.d.pool.run(ceilDiv(x.n, each), job)
	}
}

// stripe computes columns [from, to). room is for rows of b that must be rounded.
func (x *matmul) stripe(a source, from, to int, room []float32) {
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
			width := min(stripeCols, to-j)
			b := x.stripeRows(j, p, rows, width, room)
			for i := range x.m {
				f(width, at(x.c, i*x.cRow+j), a.at(i, p).data, a.step, b.data, b.step)
			}
			p += rows
		}
	}
}

// stripeRows is columns [j, j+width) of rows [p, p+rows) of b, as they lie or rounded.
func (x *matmul) stripeRows(j, p, rows, width int, room []float32) source {
	if x.round == nil {
		return x.b.at(j, p)
	}
	for r := range rows {
		x.round(room[r*stripeCols:][:width], unsafe.Slice(x.b.at(j, p+r).data, width))
	}
	return source{&room[0], 1, stripeCols}
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
