package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

func bindLayerNorm(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	width, vec, epsilon := s["C"], d.vector(), c.Attrs.Epsilon
	x, weight, bias := floats(c.Args[0]), orConstant(c.Args[1], width, 1), orConstant(c.Args[2], width, 0)
	y, mean, rstd := floats(c.Args[3]), floats(c.Args[4]), floats(c.Args[5])
	return d.overRows(s["..."], width, func(row, _ int) {
		in := x[row*width:][:width]
		m, r := meanRstd(vec, in, epsilon)
		mean[row], rstd[row] = m, r
		vec.layerNorm(y[row*width:][:width], in, weight, bias, m, r)
	}), nil
}

// meanRstd is one pass: Σ(x−mean)² = Σx² − C·mean². What the difference cancels is far below float32's precision
// unless the mean is a million times the deviation, where x has no digits left either.
func meanRstd(vec *vectorTable, x []float32, epsilon float64) (mean, rstd float32) {
	n := float64(len(x))
	sum, squares := vec.moments(x)
	variance := max(0, squares/n-(sum/n)*(sum/n))
	return float32(sum / n), float32(1 / math.Sqrt(variance+epsilon))
}

func bindRMSNorm(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	width, vec, epsilon := s["C"], d.vector(), c.Attrs.Epsilon
	x, y, rstd := floats(c.Args[0]), floats(c.Args[2]), floats(c.Args[3])
	weight, offset := normWeight(c.Args[1], c.Attrs, width)
	return d.overRows(s["..."], width, func(row, _ int) {
		in := x[row*width:][:width]
		_, squares := vec.moments(in)
		r := float32(1 / math.Sqrt(squares/float64(width)+epsilon))
		rstd[row] = r
		vec.rmsNorm(y[row*width:][:width], in, weight, r, offset)
	}), nil
}

// normWeight gives the weight and the offset added to it; an absent weight makes the factor 1.
func normWeight(t kernels.Tensor, a kernels.Attrs, width int) (weight []float32, offset float32) {
	if t.Absent() {
		return orConstant(t, width, 1), 0
	}
	return floats(t), float32(a.Offset)
}

// normGrad is what the gradients of both norms share. RMSNorm is LayerNorm
// with mean 0 and without the term Σg/C.
type normGrad struct {
	vec                *vectorTable
	rows, width        int
	dy, x, weight, dx  []float32
	mean, rstd         []float32 // mean is nil for RMSNorm
	offset             float32
	dweight, dbias     []float32 // nil when not wanted
	partial            []float32 // dweight, then dbias, of each piece of rows
	accumulate         bool
	sums               [][]float64 // of each worker
	pieces, perPartial int
}

func bindLayerNormGrad(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	g := &normGrad{
		dy: floats(c.Args[0]), x: floats(c.Args[1]), weight: orConstant(c.Args[2], s["C"], 1),
		mean: floats(c.Args[3]), rstd: floats(c.Args[4]), dx: floats(c.Args[5]),
		dweight: floats(c.Args[6]), dbias: floats(c.Args[7]),
	}
	return g.bind(d, c, s, c.Args[8]), nil
}

func bindRMSNormGrad(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	weight, offset := normWeight(c.Args[2], c.Attrs, s["C"])
	g := &normGrad{
		dy: floats(c.Args[0]), x: floats(c.Args[1]), weight: weight, offset: offset,
		rstd: floats(c.Args[3]), dx: floats(c.Args[4]), dweight: floats(c.Args[5]),
	}
	return g.bind(d, c, s, c.Args[6]), nil
}

func (g *normGrad) bind(d *Device, c kernels.Call, s kernels.Sizes, workspace kernels.Tensor) kernels.Kernel {
	g.vec, g.rows, g.width, g.accumulate = d.vector(), s["..."], s["C"], c.Attrs.Accumulate
	g.pieces, g.perPartial = ceilDiv(g.rows, kernels.RowPiece), 2*g.width
	if g.mean == nil {
		g.perPartial = g.width
	}
	g.partial = floatsOf(workspace, g.pieces*g.perPartial)
	g.sums = d.workerDoubles(columnRange)
	rows := d.spread(g.pieces, g.rows*g.width, g.piece)
	columns := ceilDiv(g.width, columnRange)
	combine := d.spread(columns*g.perPartial/max(1, g.width), g.pieces*g.perPartial, func(piece, worker int) {
		g.combine(piece/columns, piece%columns*columnRange, worker)
	})
	return func() {
		rows()
		combine()
	}
}

// piece does RowPiece rows, and sums their share of dweight and dbias.
func (g *normGrad) piece(piece, _ int) {
	partial := g.partial[piece*g.perPartial:][:g.perPartial]
	clear(partial)
	dw, db := partial[:g.width], partial[g.width:]
	for row := piece * kernels.RowPiece; row < min(g.rows, (piece+1)*kernels.RowPiece); row++ {
		lo, hi := row*g.width, (row+1)*g.width
		if g.mean == nil {
			g.rmsRow(row, g.dx[lo:hi], g.dy[lo:hi], g.x[lo:hi], dw)
		} else {
			g.layerRow(row, g.dx[lo:hi], g.dy[lo:hi], g.x[lo:hi], dw, db)
		}
	}
}

func (g *normGrad) layerRow(row int, dx, dy, x, dw, db []float32) {
	mean, rstd, n := g.mean[row], g.rstd[row], float64(g.width)
	sg, sgx := g.vec.normSums(dy, x, g.weight, mean, rstd, 0)
	g.vec.layerGrad(dx, dy, x, g.weight, dw, db, mean, rstd, float32(sg/n), float32(sgx/n))
}

func (g *normGrad) rmsRow(row int, dx, dy, x, dw []float32) {
	rstd := g.rstd[row]
	_, sgx := g.vec.normSums(dy, x, g.weight, 0, rstd, g.offset)
	g.vec.rmsGrad(dx, dy, x, g.weight, dw, rstd, g.offset, float32(sgx/float64(g.width)))
}

// combine adds up the pieces, in order, for a range of columns of dweight (which = 0) or dbias (1).
func (g *normGrad) combine(which, first, worker int) {
	to := g.dweight
	if which == 1 {
		to = g.dbias
	}
	if to == nil {
		return
	}
	n := min(columnRange, g.width-first)
	sums := g.sums[worker][:n]
	clear(sums)
	for p := range g.pieces {
		g.vec.accumulate(sums, g.partial[p*g.perPartial+which*g.width+first:][:n])
	}
	writeSums(to[first:][:n], sums, g.accumulate)
}
