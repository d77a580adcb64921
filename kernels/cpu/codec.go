package cpu

import (
	"math"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

func bindEncode(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	if c.Attrs.Kind == kernels.TopK {
		return newTopK(d, c).run, nil
	}
	x, residual, scale, code, next := floats(c.Args[0]), floats(c.Args[1]), orOne(c.Args[2]), kernels.Slice[int32](c.Args[3]), floats(c.Args[4])
	return d.overPieces(len(x), pieceElements, func(_, lo, hi int) {
		by := float32(1 / *scale)
		for ; lo < hi; lo += kernels.CodeBlock {
			end := min(hi, lo+kernels.CodeBlock)
			encodeSigns(code[signWord(lo):][:1+(end-lo+31)/32], x[lo:end], residual[lo:end], by, next[lo:end])
		}
	}), nil
}

// signWord is where in a one-bit code the block of a number begins.
func signWord(i int) int { return i / kernels.CodeBlock * (1 + kernels.CodeBlock/32) }

// encodeSigns makes the code of a block.
func encodeSigns(code []int32, x, residual []float32, by float32, next []float32) {
	residual, next = residual[:len(x)], next[:len(x)]
	sum := 0.0
	for i, g := range x {
		v := float32(g*by) + residual[i]
		next[i] = v
		sum += math.Abs(float64(v))
	}
	s := float32(sum / float64(len(x)))
	code[0] = int32(math.Float32bits(s))
	signs := code[1:]
	clear(signs)
	for i, v := range next {
		if v < 0 {
			signs[i/32] |= 1 << (i % 32)
			next[i] = v + s
		} else {
			next[i] = v - s
		}
	}
}

// topK finds the k largest magnitudes by their digits, from the highest on: each pass counts those that agree with what is known of the smallest one that is kept.
type topK struct {
	x, residual, next []float32
	scale             *float64
	code              []int32
	k, pieces         int
	counts            []int32 // [pieces][TopKCounts]
	shift, bits       uint    // of the digit at hand
	least             uint32  // the magnitude of the smallest that is kept, as far as it is known
	left              int     // of those that agree with it, how many are kept

	add, count, rest, write kernels.Kernel
}

// digits are the bits of a magnitude, of which there are 31, from the highest on.
var digits = [...]struct{ shift, bits uint }{{20, 11}, {10, 10}, {0, 10}}

func newTopK(d *Device, c kernels.Call) *topK {
	t := &topK{x: floats(c.Args[0]), residual: floats(c.Args[1]), scale: orOne(c.Args[2]), code: kernels.Slice[int32](c.Args[3]), next: floats(c.Args[4])}
	t.k, t.pieces = len(t.code)/2, ceilDiv(len(t.x), kernels.SquaresPiece)
	t.counts = intsOf(floatsOf(c.Args[5], t.pieces*kernels.TopKCounts), t.pieces*kernels.TopKCounts)
	over := func(f func(counts []int32, lo, hi int)) kernels.Kernel {
		return d.overPieces(len(t.x), kernels.SquaresPiece, func(piece, lo, hi int) { f(t.counts[piece*kernels.TopKCounts:][:kernels.TopKCounts], lo, hi) })
	}
	t.add, t.count, t.rest, t.write = over(t.sumAndCount), over(t.countDigit), over(t.countRest), over(t.writePiece)
	return t
}

func (t *topK) run() {
	t.least, t.left = 0, t.k
	for i, digit := range digits {
		t.shift, t.bits = digit.shift, digit.bits
		if i == 0 {
			t.add()
		} else {
			t.count()
		}
		t.settle()
	}
	t.rest()
	t.share()
	t.write()
}

// magnitude orders floats by size; a NaN is larger than all others.
func magnitude(v float32) uint32 { return math.Float32bits(v) &^ (1 << 31) }

// sumAndCount sets next to what is to be sent, and counts its highest digits.
func (t *topK) sumAndCount(counts []int32, lo, hi int) {
	clear(counts)
	x, residual, next, by := t.x[lo:hi], t.residual[lo:hi], t.next[lo:hi], float32(1 / *t.scale)
	for i, g := range x {
		v := float32(g*by) + residual[i]
		next[i] = v
		counts[magnitude(v)>>20%kernels.TopKCounts]++
	}
}

// countDigit counts the next digit of what agrees in those before.
func (t *topK) countDigit(counts []int32, lo, hi int) {
	clear(counts)
	above, want, mask := t.shift+t.bits, t.least>>(t.shift+t.bits), uint32(1)<<t.bits-1
	for _, v := range t.next[lo:hi] {
		if m := magnitude(v); m>>above == want {
			counts[m>>t.shift&mask%kernels.TopKCounts]++
		}
	}
}

// settle finds the digit of the smallest that is kept: the one at which, from the highest down, as many are counted as are left.
func (t *topK) settle() {
	for digit := 1<<t.bits - 1; digit >= 0; digit-- {
		n := 0
		for piece := range t.pieces {
			n += int(t.counts[piece*kernels.TopKCounts+digit])
		}
		if n >= t.left {
			t.least |= uint32(digit) << t.shift
			return
		}
		t.left -= n
	}
}

// countRest counts what is larger than the smallest that is kept, and what is as large.
func (t *topK) countRest(counts []int32, lo, hi int) {
	larger, equal := int32(0), int32(0)
	for _, v := range t.next[lo:hi] {
		if m := magnitude(v); m > t.least {
			larger++
		} else if m == t.least {
			equal++
		}
	}
	counts[0], counts[1] = larger, equal
}

// share turns the counts of each piece into where its part of the code begins, and how many equal ones it keeps: the first ones.
func (t *topK) share() {
	at, left := int32(0), int32(t.left)
	for piece := range t.pieces {
		counts := t.counts[piece*kernels.TopKCounts:][:2]
		larger, equal := counts[0], min(counts[1], left)
		counts[0], counts[1] = at, equal
		at, left = at+larger+equal, left-equal
	}
}

// writePiece writes a piece's part of the code, and takes what it keeps out of next.
func (t *topK) writePiece(counts []int32, lo, hi int) {
	at, left := counts[0], counts[1]
	index, bits := t.code[:t.k], t.code[t.k:]
	for i, v := range t.next[lo:hi] {
		m := magnitude(v)
		if m < t.least || m == t.least && left == 0 {
			continue
		}
		if m == t.least {
			left--
		}
		index[at], bits[at] = int32(lo+i), int32(math.Float32bits(v))
		at++
		t.next[lo+i] = v - v // 0, or NaN
	}
}

func bindDecode(d *Device, c kernels.Call, sizes kernels.Sizes) (kernels.Kernel, error) {
	codes, place, scale, y := kernels.Slice[int32](c.Args[0]), scalar[int64](c.Args[1]), scalar[float64](c.Args[2]), floats(c.Args[3])
	ranks, words, add, v := sizes["R"], sizes["N"], addSigns, d.vector()
	if c.Attrs.Kind == kernels.TopK {
		add = addKept
	}
	return d.overPieces(len(y), pieceElements, func(_, lo, hi int) {
		from := lo
		if place != nil {
			from += int(*place) * len(y)
		}
		clear(y[lo:hi])
		for r := range ranks {
			add(y[lo:hi], codes[r*words:][:words], from)
		}
		if scale != nil {
			v.scale(y[lo:hi], y[lo:hi], float32(*scale))
		}
	}), nil
}

// addKept adds what a top-k code has of the numbers from one on.
func addKept(y []float32, code []int32, from int) {
	k := len(code) / 2
	first, _ := slices.BinarySearch(code[:k], int32(from))
	for p, i := range code[first:k] {
		at := int(i) - from
		if at >= len(y) {
			return
		}
		if at >= 0 {
			y[at] += math.Float32frombits(uint32(code[k+first+p]))
		}
	}
}

// addSigns adds what a one-bit code has of the numbers from one on.
func addSigns(y []float32, code []int32, from int) {
	for len(y) > 0 {
		at := from % kernels.CodeBlock
		block := y[:min(len(y), kernels.CodeBlock-at)]
		scale, signs := uint32(code[signWord(from)]), code[signWord(from)+1:]
		for i := range block {
			bit := uint32(signs[(at+i)/32]) >> ((at + i) % 32) & 1
			block[i] += math.Float32frombits(scale ^ bit<<31)
		}
		y, from = y[len(block):], from+len(block)
	}
}
