package main

// The multipliers of Philox4x32-10, as in package kernels.
const philoxM0, philoxM1 = 0xD2511F53, 0xCD9E8D57

// Fields of philoxParams and dropoutParams, by offset.
const (
	philoxStep, philoxStream = 0, 4
	philoxKeys               = 8 // two for each of ten rounds
	dropThreshold, dropScale = 96, 100
)

// dropout runs four blocks of Philox side by side, a lane each. The four words of their states stand in four vectors.
func dropout(out *file) {
	f := newSpan(out, "dropout", "func(y, x []float32, p *uint32, block uint64)",
		"is the loop of dropoutGeneric over whole sixteens; the low half of block must not overflow.", "y", "x")
	d := &dropoutLoop{span: f, p: f.pointer("p", ""), m0: f.bits(philoxM0), m1: f.bits(philoxM1), four: f.bits(4)}
	d.begin()
	f.loop(4, 4, d.round)
	f.ret()
}

type dropoutLoop struct {
	*span
	p                              gp
	m0, m1, four, threshold, scale vec
	counters, words                [4]vec
}

// begin sets the counters that the first four blocks begin with.
func (d *dropoutLoop) begin() {
	d.counters, d.words = d.vec4(), d.vec4()
	block, lane := d.pointer("block", ""), d.gp()
	d.inst("VDUP %v, V%d.S4", block, d.counters[0])
	for i := range 4 {
		d.inst("MOVD $%d, %v", i, lane)
		d.inst("VMOV %v, V%d.S[%d]", lane, d.words[0], i)
	}
	d.three(addS, d.counters[0], d.counters[0], d.words[0])
	d.inst("LSR $32, %v, %v", block, block)
	d.inst("VDUP %v, V%d.S4", block, d.counters[1])
	d.threshold, d.scale = d.vec(), d.vec()
	d.field(d.counters[2], philoxStep)
	d.field(d.counters[3], philoxStream)
	d.field(d.threshold, dropThreshold)
	d.field(d.scale, dropScale)
}

// field sets every lane of v to a word of the parameters.
func (d *dropoutLoop) field(v vec, offset int) {
	d.load(1, d.p, offset, v)
	d.dup(v, v)
}

// round does four vectors; as the body of a loop it is called for each, and does its work at the first.
func (d *dropoutLoop) round() {
	if d.step != 0 {
		return
	}
	for i, v := range d.words {
		d.move(v, d.counters[i])
	}
	for round := range 10 {
		d.scope(func() { d.philox(round) })
	}
	d.three(addS, d.counters[0], d.counters[0], d.four)
	for i, words := range d.transpose(d.words) { // those of one block side by side
		d.span.step = i
		d.keep(words)
	}
	d.span.step = 0
}

// philox is one round.
func (d *dropoutLoop) philox(round int) {
	w, p0, p1, q0, q1, key := d.words, d.vec(), d.vec(), d.vec(), d.vec(), d.vec()
	d.three(umull, p0, w[0], d.m0)
	d.three(umull2, p1, w[0], d.m0)
	d.three(umull, q0, w[2], d.m1)
	d.three(umull2, q1, w[2], d.m1)
	d.three(uzp2, w[0], q0, q1) // the high halves
	d.three(eor, w[0], w[0], w[1])
	d.field(key, philoxKeys+8*round)
	d.three(eor, w[0], w[0], key)
	d.three(uzp2, w[2], p0, p1)
	d.three(eor, w[2], w[2], w[3])
	d.field(key, philoxKeys+8*round+4)
	d.three(eor, w[2], w[2], key)
	d.three(uzp1, w[1], q0, q1)
	d.three(uzp1, w[3], p0, p1)
}

// keep writes a vector: x·scale where the word is at least the threshold, else 0.
func (d *dropoutLoop) keep(words vec) {
	x := d.read("x")
	d.three(cmhs, words, words, d.threshold)
	d.three(fmul, x, x, d.scale)
	d.three(and, x, x, words)
	d.write(x, "y")
}
