package main

import "fmt"

// dots writes the products of some rows with four others, all of them dense. A single
// row has two sets of sums, so that additions need not wait for one another.
func dots(out *file, rows int) {
	f := out.begin(fmt.Sprintf("dots%dx4", rows), "func(k int, a *float32, aRow int, b *float32, bRow int, out *float32)",
		fmt.Sprintf("is a dotFunc for %d rows.", rows))
	d := &dotLoop{function: f, rows: rows, acc: f.take(max(8, 4*rows)), b: f.take(4), a: f.vec()}
	for _, v := range d.acc {
		f.three(eor, v, v, v)
	}
	d.k = f.pointer("k", "")
	d.aAt, d.bAt = f.rowPointers("a", f.stride("aRow"), rows), f.rowPointers("b", f.stride("bRow"), 4)
	for _, n := range []int{8, 4, 1} {
		d.loop(n)
	}
	d.end()
	f.ret()
}

type dotLoop struct {
	*function
	rows   int
	acc, b []vec // acc of row i of a and row j of b at 4i+j
	a      vec
	k      gp
	aAt    []gp
	bAt    []gp
}

// loop takes n elements of each row at a time.
func (d *dotLoop) loop(n int) {
	d.label(fmt.Sprintf("by%d", n))
	d.inst("CMP $%d, %v", n, d.k)
	d.inst("BLT under%d", n)
	for half := range max(1, n/4) {
		set := 0
		if d.rows == 1 {
			set = 4 * half
		}
		d.step(min(4, n), d.acc[set:])
	}
	d.inst("SUB $%d, %v", n, d.k)
	d.inst("B by%d", n)
	d.label(fmt.Sprintf("under%d", n))
}

// step adds one vector of each row.
func (d *dotLoop) step(floats int, acc []vec) {
	for j, v := range d.b {
		d.next(floats, d.bAt[j], v)
	}
	for i, at := range d.aAt {
		d.next(floats, at, d.a)
		for j, v := range d.b {
			d.three(fmla, acc[4*i+j], d.a, v)
		}
	}
}

// end adds up the lanes of each sum, by pairs, and writes the sums.
func (d *dotLoop) end() {
	out := d.pointer("out", "")
	if d.rows == 1 {
		for j := range 4 {
			d.three(fadd, d.acc[j], d.acc[j], d.acc[4+j])
		}
	}
	for i := range d.rows {
		acc := d.acc[4*i:]
		d.three(faddp, acc[0], acc[0], acc[1])
		d.three(faddp, acc[2], acc[2], acc[3])
		d.three(faddp, acc[0], acc[0], acc[2])
		d.store(4, acc[0], out, 16*i)
	}
}

// axpy writes the adding of some rows, each times its factor, to one row.
func axpy(out *file, rows int) {
	f := out.begin(fmt.Sprintf("axpy%d", rows), "func(n int, y, x *float32, xStep int, b *float32, bRow int)",
		fmt.Sprintf("is an axpyFunc for %d rows.", rows))
	x, step, factors := f.pointer("x", ""), f.stride("xStep"), f.take(rows)
	for _, v := range factors {
		f.load(1, x, 0, v)
		f.inst("ADD %v, %v", step, x)
	}
	n, y := f.pointer("n", ""), f.pointer("y", "")
	bs := f.rowPointers("b", f.stride("bRow"), rows)
	sums, v := f.take(4), f.take(4)
	for _, floats := range []int{16, 4, 1} {
		lanes, vectors := min(4, floats), max(1, floats/4)
		f.label(fmt.Sprintf("by%d", floats))
		f.inst("CMP $%d, %v", floats, n)
		f.inst("BLT under%d", floats)
		for j := range vectors {
			f.load(lanes, y, 16*j, sums[j])
		}
		for i, b := range bs {
			for j := range vectors {
				f.next(lanes, b, v[j])
				f.mlaLane(sums[j], v[j], factors[i], 0)
			}
		}
		for j := range vectors {
			f.store(lanes, sums[j], y, 16*j)
		}
		f.inst("ADD $%d, %v", 4*floats, y)
		f.inst("SUB $%d, %v", floats, n)
		f.inst("B by%d", floats)
		f.label(fmt.Sprintf("under%d", floats))
	}
	f.ret()
}
