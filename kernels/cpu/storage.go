package cpu

import "github.com/gsc-project/gsc/kernels"

func bindWiden(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, y, widen := kernels.Slice[uint16](c.Args[0]), floats(c.Args[1]), d.vector().widenBF16
	return d.overPieces(len(y), pieceElements, func(_, lo, hi int) { widen(y[lo:hi], x[lo:hi]) }), nil
}

func bindRound(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, y, vec := floats(c.Args[0]), kernels.Slice[uint16](c.Args[3]), d.vector()
	if c.Attrs.Rounding == "" {
		return d.overPieces(len(x), pieceElements, func(_, lo, hi int) { vec.narrowBF16(y[lo:hi], x[lo:hi]) }), nil
	}
	seed, step, p := scalar[int64](c.Args[1]), scalar[int64](c.Args[2]), philoxParams{stream: c.Attrs.Key}
	run := d.overPieces(len(x), pieceElements, func(_, lo, hi int) { // pieces are whole blocks of words
		vec.narrowByWords(y[lo:hi], x[lo:hi], &p, uint64(lo)/4)
	})
	return func() {
		p.set(uint64(*seed), uint32(*step))
		run()
	}, nil
}
