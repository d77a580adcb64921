package main

import "math"

// vectors writes the loops of package cpu's vectorTable.
func vectors(f *file) {
	binary(f, "add", "sets z = x + y.", fadd)
	binary(f, "mul", "sets z = x·y.", fmul)
	scale(f)
	maximum(f)
	sum(f)
	moments(f)
	accumulate(f)
	expSum(f)
	expScale(f)
	for _, a := range activations {
		a.write(f)
	}
	layerNorm(f)
	rmsNorm(f)
	normSums(f)
	normGrad(f, true)
	normGrad(f, false)
	rotate(f)
	dropout(f)
	adam(f)
	lion(f)
}

func binary(out *file, name, doc string, op three) {
	f := newSpan(out, name, "func(z, x, y []float32)", doc, "z", "x", "y")
	f.each(4, func() {
		x, y := f.read("x"), f.read("y")
		f.three(op, x, x, y)
		f.write(x, "z")
	})
	f.ret()
}

func scale(out *file) {
	f := newSpan(out, "scale", "func(y, x []float32, alpha float32)", "sets y = alpha·x.", "y", "x")
	alpha := f.parameter("alpha")
	f.each(4, func() {
		x := f.read("x")
		f.three(fmul, x, x, alpha)
		f.write(x, "y")
	})
	f.ret()
}

// maximum: a single element fills all lanes, where it does no harm.
func maximum(out *file) {
	f := newSpan(out, "max", "func(x []float32) float32", "gives the largest of x that is no NaN, or −Inf.", "x")
	acc := f.take(4)
	for _, v := range acc {
		f.set(v, math.Inf(-1))
	}
	f.each(4, func() {
		x := f.read("x")
		if f.one {
			f.dup(x, x)
		}
		f.three(fmaxnm, acc[f.step], acc[f.step], x)
	})
	top := f.fold(fmaxnm, acc)
	f.two(topS, top, top)
	f.inst("FMOVS F%d, %s", top, f.arg("ret", ""))
	f.ret()
}

func sum(out *file) {
	f := newSpan(out, "sum", "func(x []float32) float64", "gives Σ x.", "x")
	acc := f.zeros(8)
	f.each(4, func() {
		lo, hi := f.widen(f.read("x"))
		f.three(addD, acc[2*f.step], acc[2*f.step], lo)
		f.three(addD, acc[2*f.step+1], acc[2*f.step+1], hi)
	})
	f.total(f.fold(addD, acc), "ret")
	f.ret()
}

func moments(out *file) {
	f := newSpan(out, "moments", "func(x []float32) (sum, squares float64)", "gives Σ x and Σ x², in float64.", "x")
	acc, squares := f.zeros(4), f.zeros(4)
	f.each(2, func() {
		lo, hi := f.widen(f.read("x"))
		for i, v := range []vec{lo, hi} {
			f.three(addD, acc[2*f.step+i], acc[2*f.step+i], v)
			f.three(mlaD, squares[2*f.step+i], v, v)
		}
	})
	f.total(f.fold(addD, acc), "sum")
	f.total(f.fold(addD, squares), "squares")
	f.ret()
}

func accumulate(out *file) {
	f := newSpan(out, "accumulate", "func(sums []float64, x []float32)", "adds x to sums.", "sums", "x")
	f.size["sums"] = 8
	f.each(2, func() {
		lo, hi := f.widen(f.read("x"))
		floats, vectors := 4, []vec{lo, hi}
		if f.one { // a double is as wide as two floats
			floats, vectors = 2, vectors[:1]
		}
		for i, v := range vectors {
			s, at := f.vec(), 32*f.step+16*i
			f.load(floats, f.base["sums"], at, s)
			f.three(addD, s, s, v)
			f.store(floats, s, f.base["sums"], at)
		}
	})
	f.ret()
}

func expSum(out *file) {
	f := newSpan(out, "expSum", "func(x []float32, shift float32) float64", "gives Σ e^(x−shift), in float32 lanes.", "x")
	shift, acc := f.parameter("shift"), f.zeros(4)
	e := f.newExp()
	f.each(4, func() {
		x := f.read("x")
		f.three(fsub, x, x, shift)
		f.three(fadd, acc[f.step], acc[f.step], f.counted(e.any(x)))
	})
	f.totalFloats(f.fold(fadd, acc), "ret")
	f.ret()
}

func expScale(out *file) {
	f := newSpan(out, "expScale", "func(y, x []float32, shift, k, b float32)", "sets y = k·e^(x−shift) + b.", "y", "x")
	shift, k, b := f.parameter("shift"), f.parameter("k"), f.parameter("b")
	e := f.newExp()
	f.each(2, func() {
		x, y := f.read("x"), f.vec()
		f.three(fsub, x, x, shift)
		f.move(y, b)
		f.three(fmla, y, k, e.any(x))
		f.write(y, "y")
	})
	f.ret()
}

func layerNorm(out *file) {
	f := newSpan(out, "layerNorm", "func(y, x, w, b []float32, mean, rstd float32)", "sets y = (x−mean)·rstd·w + b.", "y", "x", "w", "b")
	mean, rstd := f.parameter("mean"), f.parameter("rstd")
	f.each(2, func() {
		x, y := f.read("x"), f.read("b")
		f.three(fsub, x, x, mean)
		f.three(fmul, x, x, rstd)
		f.three(fmla, y, x, f.read("w"))
		f.write(y, "y")
	})
	f.ret()
}

func rmsNorm(out *file) {
	f := newSpan(out, "rmsNorm", "func(y, x, w []float32, rstd, offset float32)", "sets y = x·rstd·(w + offset).", "y", "x", "w")
	rstd, offset := f.parameter("rstd"), f.parameter("offset")
	f.each(2, func() {
		x, w := f.read("x"), f.read("w")
		f.three(fadd, w, w, offset)
		f.three(fmul, x, x, rstd)
		f.three(fmul, x, x, w)
		f.write(x, "y")
	})
	f.ret()
}

// normSums: in lanes without an element dy is 0, and so is what they add.
func normSums(out *file) {
	f := newSpan(out, "normSums", "func(dy, x, w []float32, mean, rstd, offset float32) (sg, sgx float64)",
		"gives Σ g and Σ g·x̂ with g = dy·(w + offset), x̂ = (x−mean)·rstd.", "dy", "x", "w")
	mean, rstd, offset := f.parameter("mean"), f.parameter("rstd"), f.parameter("offset")
	sg, sgx := f.zeros(4), f.zeros(4)
	f.each(4, func() {
		g, x, w := f.read("dy"), f.read("x"), f.read("w")
		f.three(fadd, w, w, offset)
		f.three(fmul, g, g, w)
		f.three(fsub, x, x, mean)
		f.three(fmul, x, x, rstd)
		f.three(fadd, sg[f.step], sg[f.step], g)
		f.three(fmla, sgx[f.step], g, x)
	})
	f.totalFloats(f.fold(fadd, sg), "sg")
	f.totalFloats(f.fold(fadd, sgx), "sgx")
	f.ret()
}

// normGrad has a form with the sum of dy, for LayerNorm, and one without, for RMSNorm.
func normGrad(out *file, bias bool) {
	name, slices := "rmsGrad", []string{"dx", "dy", "x", "w", "dw"}
	signature := "func(dx, dy, x, w, dw []float32, rstd, offset, b float32)"
	doc := "sets dx = rstd·(g − x̂·b) and dw += dy·x̂ with g = dy·(w + offset), x̂ = x·rstd."
	if bias {
		name, slices = "layerGrad", append(slices, "db")
		signature = "func(dx, dy, x, w, dw, db []float32, mean, rstd, a, b float32)"
		doc = "sets dx = rstd·(g − a − x̂·b), dw += dy·x̂ and db += dy with g = dy·w, x̂ = (x−mean)·rstd."
	}
	f := newSpan(out, name, signature, doc, slices...)
	rstd, b := f.parameter("rstd"), f.parameter("b")
	var mean, a, offset vec
	if bias {
		mean, a = f.parameter("mean"), f.parameter("a")
	} else {
		offset = f.parameter("offset")
	}
	f.each(2, func() {
		dy, x, g, dw := f.read("dy"), f.read("x"), f.read("w"), f.read("dw")
		if bias {
			db := f.read("db")
			f.three(fadd, db, db, dy)
			f.write(db, "db")
			f.three(fsub, x, x, mean)
		} else {
			f.three(fadd, g, g, offset)
		}
		f.three(fmul, x, x, rstd)
		f.three(fmla, dw, dy, x)
		f.write(dw, "dw")
		f.three(fmul, g, g, dy)
		if bias {
			f.three(fsub, g, g, a)
		}
		f.three(fmls, g, x, b)
		f.three(fmul, g, g, rstd)
		f.write(g, "dx")
	})
	f.ret()
}

func rotate(out *file) {
	f := newSpan(out, "rotate", "func(y1, y2, x1, x2, cos, sin []float32, sign float32)",
		"sets y1 = x1·cos − x2·sin and y2 = x2·cos + x1·sin, sin multiplied by sign.", "y1", "y2", "x1", "x2", "cos", "sin")
	sign := f.parameter("sign")
	f.each(1, func() {
		x1, x2, cos, sin := f.read("x1"), f.read("x2"), f.read("cos"), f.read("sin")
		y1, y2 := f.vec(), f.vec()
		f.three(fmul, sin, sin, sign)
		f.three(fmul, y1, x1, cos)
		f.three(fmul, y2, x2, cos)
		f.three(fmls, y1, x2, sin)
		f.three(fmla, y2, x1, sin)
		f.write(y1, "y1")
		f.write(y2, "y2")
	})
	f.ret()
}
