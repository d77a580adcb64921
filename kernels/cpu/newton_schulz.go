package cpu

import (
	"math"

	"github.com/gsc-project/gsc/kernels"
)

// newtonSchulz is a bound iteration. x and its successor lie in the workspace, rows × cols with rows ≤ cols, then A
// and B, rows × rows; the step writes
//
//	A = x·xᵀ;  B = c·(A·A + b/c·A);  next = B·x + a·x
//
// and x and next change places.
type newtonSchulz struct {
	d          *Device
	round      roundFunc // of the operands of products; nil: none
	bf16       bool      // the processor rounds them
	in, out    []float32
	rows, cols int // of x
	swapped    bool
	epsilon    float64
	x          [2][]float32
	a, b       []float32
	gram       [2]kernels.Kernel // A = x·xᵀ for each place of x
	square     kernels.Kernel    // B += A·A
	apply      [2]kernels.Kernel // next += B·x
	squares    []float64         // Σ x² of each piece
	steps      int

	y, of      []float32 // of the current scaling
	by         float32
	scalePiece func(piece, worker int)
	sumPiece   func(piece, worker int)
	turnPiece  func(piece, worker int)
	turned     source // what turnPiece transposes into y
}

// The coefficients of the iteration.
const newtonA, newtonB, newtonC = 3.4445, -4.7750, 2.0315

// turnLanes is the number of rows that one piece transposes.
const turnLanes = 32

func bindNewtonSchulz(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	m, n := s["M"], s["N"]
	if m*n == 0 {
		return func() {}, nil
	}
	x := &newtonSchulz{d: d, round: d.rounding(c.Attrs.Compute), bf16: c.Attrs.Compute == "bf16" && d.bf16 != nil, in: floats(c.Args[0]), out: floats(c.Args[1]), rows: min(m, n), cols: max(m, n),
		swapped: m > n, epsilon: c.Attrs.Epsilon, steps: c.Attrs.Steps}
	area, square := x.rows*x.cols, x.rows*x.rows
	part := floatsOf(c.Args[2], 2*area+2*square)
	x.x = [2][]float32{part[:area], part[area : 2*area]}
	x.a, x.b = part[2*area:][:square], part[2*area+square:][:square]
	x.squares = make([]float64, ceilDiv(area, kernels.SquaresPiece))
	for i := range x.x {
		this, next := x.x[i], x.x[1-i]
		x.gram[i] = x.product(x.rows, x.rows, x.cols, source{&this[0], x.cols, 1}, source{&this[0], x.cols, 1}, x.a, false)
		x.apply[i] = x.product(x.rows, x.cols, x.rows, source{&x.b[0], x.rows, 1}, source{&this[0], 1, x.cols}, next, true)
	}
	x.square = x.product(x.rows, x.rows, x.rows, source{&x.a[0], x.rows, 1}, source{&x.a[0], 1, x.rows}, x.b, true)
	x.scalePiece, x.sumPiece, x.turnPiece = x.scaleOne, x.sumOne, x.turnOne
	return x.run, nil
}

func (x *newtonSchulz) product(m, n, k int, a, b source, c []float32, add bool) kernels.Kernel {
	p := newMatMul(x.d, m, n, k, a, b)
	p.c, p.cRow, p.add, p.round = &c[0], n, add, x.round
	if x.bf16 {
		p.use(x.d.bf16)
	}
	p.cut()
	return p.run
}

func (x *newtonSchulz) run() {
	if x.swapped {
		x.turn(x.x[0], source{&x.in[0], x.rows, 1}, x.cols)
	} else {
		copy(x.x[0], x.in)
	}
	x.scale(x.x[0], x.x[0], 1/math.Max(x.norm(), x.epsilon))
	for step := range x.steps {
		this, next := x.x[step%2], x.x[1-step%2]
		x.gram[step%2]()
		x.scale(x.b, x.a, newtonB/newtonC)
		x.square()
		x.scale(x.b, x.b, newtonC)
		x.scale(next, this, newtonA)
		x.apply[step%2]()
	}
	last := x.x[x.steps%2]
	if x.swapped {
		x.turn(x.out, source{&last[0], x.cols, 1}, x.rows)
	} else {
		copy(x.out, last)
	}
}

// norm is ‖x‖ of what is about to be iterated.
func (x *newtonSchulz) norm() float64 {
	x.d.pool.run(len(x.squares), x.sumPiece)
	total := 0.0
	for _, s := range x.squares {
		total += s
	}
	return math.Sqrt(total)
}

func (x *newtonSchulz) sumOne(piece, _ int) {
	sum, from := 0.0, piece*kernels.SquaresPiece
	for _, v := range x.x[0][from:min(len(x.x[0]), from+kernels.SquaresPiece)] {
		sum += float64(v) * float64(v)
	}
	x.squares[piece] = sum
}

// scale sets y = by·of.
func (x *newtonSchulz) scale(y, of []float32, by float64) {
	x.y, x.of, x.by = y, of, float32(by)
	x.d.pool.run(ceilDiv(len(y), pieceElements), x.scalePiece)
}

func (x *newtonSchulz) scaleOne(piece, _ int) {
	from := piece * pieceElements
	to := min(len(x.y), from+pieceElements)
	x.d.vector().scale(x.y[from:to], x.of[from:to], x.by)
}

// turn sets y to the transpose of the matrix with so many rows.
func (x *newtonSchulz) turn(y []float32, of source, rows int) {
	x.y, x.turned = y, of
	x.d.pool.run(ceilDiv(rows, turnLanes), x.turnPiece)
}

func (x *newtonSchulz) turnOne(piece, _ int) {
	cols := x.turned.lane
	rows := len(x.y) / cols
	first := piece * turnLanes
	x.d.tiles.packAcross(x.y[first:], rows, x.turned.at(first, 0), min(turnLanes, rows-first), cols, false)
}
