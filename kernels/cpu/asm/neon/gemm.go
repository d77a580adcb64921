package main

import "fmt"

// gemm writes the kernels of matrix products: tiles of every height and width,
// the packing of panels, and the products of skinny shapes.
func gemm(f *file) {
	for _, rows := range []int{1, 2, 4, 8} {
		for _, vectors := range []int{1, 2} {
			writeTile(f, rows, vectors)
		}
	}
	dots(f, 1)
	dots(f, 4)
	axpy(f, 1)
	axpy(f, 8)
	transpose4(f)
	copyStrip8(f)
}

// tile is a kernel that keeps a tile of c in registers while it runs over k. A value
// of a is a lane of a vector, which the multiplication picks; so a is read in
// whole vectors, along the rows of the tile or along k, whichever lie side by side.
type tile struct {
	*function
	rows, vectors     int
	acc, a, b         []vec // acc row by row
	k, aAt, bAt       gp
	aRow, aStep, bRow gp
}

func writeTile(out *file, rows, vectors int) {
	f := out.begin(fmt.Sprintf("tile%dx%d", rows, 4*vectors),
		"func(k int, a *float32, aRow, aStep int, b *float32, bStep int, c *float32, cRow int, bias *float32, add bool)",
		fmt.Sprintf("is a tileFunc for %d rows and %d columns.", rows, 4*vectors))
	t := &tile{function: f, rows: rows, vectors: vectors}
	t.acc, t.a, t.b = f.take(rows*vectors), f.take(rows), f.take(vectors)
	t.k, t.aAt, t.bAt = f.pointer("k", ""), f.pointer("a", ""), f.pointer("b", "")
	t.aRow, t.aStep, t.bRow = f.stride("aRow"), f.stride("aStep"), f.stride("bStep")
	t.start()
	t.inst("CBZ %v, end", t.k)
	t.inst("CMP $4, %v", t.aStep)
	t.inst("BEQ alongK")
	t.alongRows()
	t.inst("B end")
	t.label("alongK")
	t.alongK()
	t.label("end")
	t.end()
	t.ret()
}

func (f *function) take(n int) []vec {
	v := make([]vec, n)
	for i := range v {
		v[i] = f.vec()
	}
	return v
}

// start sets the accumulators to the bias, or to zero.
func (t *tile) start() {
	bias := t.pointer("bias", "")
	t.inst("CBZ %v, zero", bias)
	for i, acc := range t.acc {
		t.load(4, bias, i%t.vectors*16, acc)
	}
	t.inst("B begin")
	t.label("zero")
	for _, acc := range t.acc {
		t.three(eor, acc, acc, acc)
	}
	t.label("begin")
}

// alongRows is the loop for rows of a that lie side by side.
func (t *tile) alongRows() {
	t.label("rows")
	for i := 0; i < t.rows; i += 4 {
		t.load(min(4, t.rows), t.aAt, 4*i, t.a[i/4])
	}
	t.step(func(row int) (vec, int) { return t.a[row/4], row % 4 })
	t.inst("ADD %v, %v", t.aStep, t.aAt)
	t.inst("SUBS $1, %v", t.k)
	t.inst("BNE rows")
}

// alongK is the loop for rows of a whose steps lie side by side: four steps at a time, then one.
func (t *tile) alongK() {
	rows := []gp{t.aAt}
	for range t.rows - 1 {
		rows = append(rows, t.gp())
		t.inst("ADD %v, %v, %v", t.aRow, rows[len(rows)-2], rows[len(rows)-1])
	}
	for _, n := range []int{4, 1} {
		t.label(fmt.Sprintf("steps%d", n))
		t.inst("CMP $%d, %v", n, t.k)
		t.inst("BLT under%d", n)
		for i, row := range rows {
			t.next(n, row, t.a[i])
		}
		for lane := range n {
			t.step(func(row int) (vec, int) { return t.a[row], lane })
		}
		t.inst("SUB $%d, %v", n, t.k)
		t.inst("B steps%d", n)
		t.label(fmt.Sprintf("under%d", n))
	}
}

// step multiplies a step's vectors of b by the values of a that stand in the lanes that of gives.
func (t *tile) step(of func(row int) (vec, int)) {
	for j, v := range t.b {
		t.load(4, t.bAt, 16*j, v)
	}
	t.inst("ADD %v, %v", t.bRow, t.bAt)
	for i := range t.rows {
		for j, v := range t.b {
			a, lane := of(i)
			t.mlaLane(t.acc[i*t.vectors+j], v, a, lane)
		}
	}
}

// end writes the tile, with add the sum of it and what is there.
func (t *tile) end() {
	c, row, add := t.pointer("c", ""), t.stride("cRow"), t.gp()
	t.inst("MOVBU %s, %v", t.arg("add", ""), add)
	for i := range t.rows {
		acc := t.acc[i*t.vectors:][:t.vectors]
		t.inst("CBZ %v, store%d", add, i)
		for j, v := range acc {
			t.load(4, c, 16*j, t.b[j])
			t.three(fadd, v, v, t.b[j])
		}
		t.label(fmt.Sprintf("store%d", i))
		for j, v := range acc {
			t.store(4, v, c, 16*j)
		}
		t.inst("ADD %v, %v", row, c)
	}
}

// transpose4 writes the transposition of four rows, four steps at a time.
func transpose4(out *file) {
	f := out.begin("transpose4", "func(k int, dst *float32, dstStep int, src *float32, srcRow int)",
		"sets dst[p*dstStep+i] = src[i*srcRow+p] for i < 4 and p < k, k a multiple of 4.")
	k, dst, step, row := f.pointer("k", ""), f.pointer("dst", ""), f.stride("dstStep"), f.stride("srcRow")
	rows := f.rowPointers("src", row, 4)
	v := f.vec4()
	f.label("loop")
	f.inst("CBZ %v, end", k)
	for i, at := range rows {
		f.next(4, at, v[i])
	}
	f.scope(func() {
		for _, column := range f.transpose(v) {
			f.store(4, column, dst, 0)
			f.inst("ADD %v, %v", step, dst)
		}
	})
	f.inst("SUB $4, %v", k)
	f.inst("B loop")
	f.label("end")
	f.ret()
}

// transpose gives the columns of the matrix whose rows are v.
func (f *function) transpose(v [4]vec) [4]vec {
	a, columns := f.vec4(), f.vec4()
	f.three(trn1, a[0], v[0], v[1])
	f.three(trn2, a[1], v[0], v[1])
	f.three(trn1, a[2], v[2], v[3])
	f.three(trn2, a[3], v[2], v[3])
	f.three(trn1D, columns[0], a[0], a[2])
	f.three(trn1D, columns[1], a[1], a[3])
	f.three(trn2D, columns[2], a[0], a[2])
	f.three(trn2D, columns[3], a[1], a[3])
	return columns
}

// rowPointers gives the first n rows of a matrix.
func (f *function) rowPointers(param string, row gp, n int) []gp {
	rows := []gp{f.pointer(param, "")}
	for len(rows) < n {
		next := f.gp()
		f.inst("ADD %v, %v, %v", row, rows[len(rows)-1], next)
		rows = append(rows, next)
	}
	return rows
}

// copyStrip8 writes the copying of rows of eight floats.
func copyStrip8(out *file) {
	f := out.begin("copyStrip8", "func(k int, dst *float32, dstStep int, src *float32, srcStep int)",
		"copies k rows of 8 floats.")
	k, dst, src := f.pointer("k", ""), f.pointer("dst", ""), f.pointer("src", "")
	to, from := f.stride("dstStep"), f.stride("srcStep")
	a, b := f.vec(), f.vec()
	f.label("loop")
	f.inst("CBZ %v, end", k)
	for i, v := range []vec{a, b} {
		f.load(4, src, 16*i, v)
	}
	for i, v := range []vec{a, b} {
		f.store(4, v, dst, 16*i)
	}
	f.inst("ADD %v, %v", from, src)
	f.inst("ADD %v, %v", to, dst)
	f.inst("SUB $1, %v", k)
	f.inst("B loop")
	f.label("end")
	f.ret()
}
