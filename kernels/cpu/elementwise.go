package cpu

import "github.com/gsc-project/gsc/kernels"

func bindAdd(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, y, z, add := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2]), d.vector().add
	return d.overSpans(c.Args, func(_, n int, at offsets) {
		add(z[at[2]:][:n], x[at[0]:][:n], y[at[1]:][:n])
	}), nil
}

// bindAddBias works on a run of rows at a time.
func bindAddBias(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	x, bias, y, width, add := floats(c.Args[0]), floats(c.Args[1]), floats(c.Args[2]), s["N"], d.vector().add
	return d.overRows(s["..."], width, func(row, _ int) {
		add(y[row*width:][:width], x[row*width:][:width], bias)
	}), nil
}

func bindScale(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, y, alpha, scale := floats(c.Args[0]), floats(c.Args[1]), float32(c.Attrs.Alpha), d.vector().scale
	return d.overSpans(c.Args, func(_, n int, at offsets) {
		scale(y[at[1]:][:n], x[at[0]:][:n], alpha)
	}), nil
}

func bindDropout(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, y := floats(c.Args[0]), floats(c.Args[5])
	seed, step, origin := scalar[int64](c.Args[1]), scalar[int64](c.Args[2]), scalar[int64](c.Args[3])
	if c.Attrs.Of > 0 {
		return d.dropoutOfPart(c, x, y), nil
	}
	entry := len(x) // elements of one entry of the first dim
	if shape := c.Args[0].Shape; len(shape) > 0 {
		entry = kernels.Elements(shape[1:])
	}
	// The kernel writes the parameters before its workers read them.
	p := newDropoutParams(c.Attrs.Key, c.Attrs.Rate)
	vec := d.vector()
	var base uint64
	run := d.overPieces(len(x), pieceElements, func(_, lo, hi int) {
		vec.dropAt(y[lo:hi], x[lo:hi], &p, base+uint64(lo))
	})
	return func() {
		p.set(uint64(*seed), uint32(*step))
		base = uint64(*origin) * uint64(entry)
		run()
	}, nil
}

// dropoutOfPart is dropout on a part of the logical tensor: each of its runs, which are as long as the part is neighbouring there, begins
// at a word of its own.
func (d *Device) dropoutOfPart(c kernels.Call, x, y []float32) kernels.Kernel {
	seed, step, origin, place := scalar[int64](c.Args[1]), scalar[int64](c.Args[2]), scalar[int64](c.Args[3]), scalar[int64](c.Args[4])
	shape, dim := c.Args[0].Shape, c.Attrs.Dim
	n := kernels.Elements(shape[dim:])
	whole := uint64(c.Attrs.Of * kernels.Elements(shape[dim+1:]))
	each := kernels.Elements(shape[1:dim]) // runs of one entry of the first dim
	p := newDropoutParams(c.Attrs.Key, c.Attrs.Rate)
	vec := d.vector()
	var first, at uint64
	run := d.overRows(kernels.Elements(shape[:dim]), n, func(row, _ int) {
		vec.dropAt(y[row*n:][:n], x[row*n:][:n], &p, (first+uint64(row))*whole+at)
	})
	return func() {
		p.set(uint64(*seed), uint32(*step))
		first, at = uint64(*origin)*uint64(each), 0
		if place != nil {
			at = uint64(*place) * uint64(n)
		}
		run()
	}
}

// dropAt is dropout on elements that begin at word index of the logical tensor, which may lie inside a block of four.
func (v *vectorTable) dropAt(y, x []float32, p *dropoutParams, index uint64) {
	if skip := int(index % 4); skip != 0 {
		words := p.words(index / 4)
		n := min(4-skip, len(y))
		for i := range n {
			y[i] = p.drop(x[i], words[skip+i])
		}
		y, x, index = y[n:], x[n:], index+uint64(n)
	}
	if len(y) > 0 {
		v.dropout(y, x, p, index/4)
	}
}

// Sums over rows: pieces of at least sumRowsPiece rows, at most sumRowsPieces of them, times ranges of columns.
const (
	sumRowsPiece  = 64
	sumRowsPieces = 16
	columnRange   = 4096
)

// bindSumRows adds up rows in float64: each piece its share of the rows, then
// the pieces in order.
func bindSumRows(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	x, y, rows, width, vec := floats(c.Args[0]), floats(c.Args[1]), s["..."], s["N"], d.vector()
	at := newSpans(true, c.Args[0])
	if rows == 0 {
		return clearUnless(c.Attrs.Accumulate, y), nil
	}
	each := max(sumRowsPiece, ceilDiv(rows, sumRowsPieces))
	pieces, columns := ceilDiv(rows, each), ceilDiv(width, columnRange)
	partial := doublesOf(d.scratch.a, pieces*width)
	first := d.spread(pieces*columns, rows*width, func(piece, _ int) {
		piece, lo := piece/columns, piece%columns*columnRange
		hi := min(width, lo+columnRange)
		sums := partial[piece*width:][lo:hi]
		clear(sums)
		for row := piece * each; row < min(rows, (piece+1)*each); row++ {
			vec.accumulate(sums, x[at.at(0, row)+lo:][:hi-lo])
		}
	})
	return func() {
		first()
		for p := 1; p < pieces; p++ {
			for i, v := range partial[p*width:][:width] {
				partial[i] += v
			}
		}
		writeSums(y, partial[:width], c.Attrs.Accumulate)
	}, nil
}

func clearUnless(accumulate bool, y []float32) kernels.Kernel {
	if accumulate {
		return func() {}
	}
	return func() { clear(y) }
}
