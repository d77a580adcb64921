package main

const signBit = 1 << 31

// fields gives n vectors, each of four times one of the floats that p points to.
func (f *span) fields(n int) []vec {
	p, v := f.pointer("p", ""), f.take(n)
	for i := range v {
		f.load(1, p, 4*i, v[i])
		f.dup(v[i], v[i])
	}
	return v
}

// adam is the update of adamParams, whose fields p points to.
func adam(out *file) {
	f := newSpan(out, "adam", "func(w, g, m, v []float32, p *float32)", "updates w, m and v as adamParams says.", "w", "g", "m", "v")
	p := f.fields(8)
	factor, coupled, take1, take2, decay, rate, unbias, epsilon := p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
	f.each(2, func() {
		w, g, m, v, d := f.read("w"), f.read("g"), f.read("m"), f.read("v"), f.vec()
		f.three(fmul, g, g, factor)
		f.three(fmla, g, w, coupled)
		f.three(fsub, d, g, m)
		f.three(fmla, m, d, take1)
		f.write(m, "m")
		f.move(d, v)
		f.three(fmls, d, g, g) // v − g²
		f.three(fmls, v, d, take2)
		f.write(v, "v")
		f.three(fmul, v, v, unbias)
		f.two(fsqrt, v, v)
		f.three(fadd, v, v, epsilon)
		f.three(fmul, m, m, rate)
		f.three(fdiv, m, m, v)
		f.three(fmla, m, w, decay)
		f.three(fsub, w, w, m)
		f.write(w, "w")
	})
	f.ret()
}

// lion is the update of lionParams, whose fields p points to.
func lion(out *file) {
	f := newSpan(out, "lion", "func(w, g, m []float32, p *float32)", "updates w and m as lionParams says.", "w", "g", "m")
	p := f.fields(5)
	factor, take1, take2, decay, rate := p[0], p[1], p[2], p[3], p[4]
	one, sign := f.float(1), f.bits(signBit)
	f.each(2, func() {
		w, g, m, u := f.read("w"), f.read("g"), f.read("m"), f.vec()
		f.three(fmul, g, g, factor)
		f.three(fsub, g, g, m)
		f.move(u, m)
		f.three(fmla, u, g, take1)
		f.three(fmla, m, g, take2)
		f.write(m, "m")
		u = f.sign(u, one, sign)
		f.three(fmla, u, w, decay)
		f.three(fmls, w, u, rate)
		f.write(w, "w")
	})
	f.ret()
}

// sign gives −1, 0 or 1; a NaN stays one.
func (f *span) sign(x, one, bits vec) vec {
	s, number, zero := f.vec(), f.vec(), f.vec()
	f.three(and, s, x, bits)
	f.three(orr, s, s, one)
	f.three(fcmeq, number, x, x)
	f.two(isZero, zero, x)
	f.three(bic, number, number, zero)
	f.three(bsl, number, s, x)
	return number
}
