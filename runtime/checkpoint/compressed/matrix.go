package compressed

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/checkpoint"
)

// matrix is a weight as whole numbers, by output and input.
type matrix struct {
	of     *plan.Compression
	groups int
	q      []int8    // [out, in]
	scale  []float32 // [out, groups]
	zero   []int8    // [out, groups]; nil: none
	zeros  int       // elements that are 0
}

// read reads a quantised weight of a checkpoint and finds the numbers that it was rounded to.
func read(saved *checkpoint.Saved, p *plan.Plan, c *plan.Compression) (*matrix, error) {
	weights, err := values(saved, p.Tensor(c.Tensor))
	if err != nil {
		return nil, err
	}
	scale, err := values(saved, p.Tensor(c.Tensor+plan.SuffixScale))
	if err != nil {
		return nil, err
	}
	zero := make([]float64, len(scale))
	if t := p.Tensor(c.Tensor + plan.SuffixZero); t != nil {
		if zero, err = values(saved, t); err != nil {
			return nil, err
		}
	}
	m := &matrix{of: c, groups: len(scale) / c.Out, q: make([]int8, len(weights)), scale: make([]float32, len(scale))}
	if !c.Symmetric {
		m.zero = make([]int8, len(scale))
	}
	width, top := c.In/m.groups, math.Exp2(float64(c.Bits-1))
	for o := range c.Out {
		for i := range c.In {
			at, g := m.place(o, i, c.In), m.place(o, i/width, m.groups)
			q := 0.0
			if scale[g] > 0 {
				q = math.RoundToEven(weights[at]/scale[g]) + zero[g]
			}
			if far := math.Abs(weights[at] - (q-zero[g])*scale[g]); !(far <= 1e-4*scale[g]) || q < -top || q >= top {
				return nil, fmt.Errorf("%s: output %d, input %d is %g, which is none of the numbers that %d bits stand for: the checkpoint is of a step before weights are quantised, or altered", c.Tensor, o, i, weights[at], c.Bits)
			}
			m.q[o*c.In+i] = int8(q)
			m.scale[o*m.groups+i/width] = float32(scale[g])
			if m.zero != nil {
				m.zero[o*m.groups+i/width] = int8(zero[g])
			}
			if weights[at] == 0 {
				m.zeros++
			}
		}
	}
	return m, nil
}

// place is where something of an output, number i of so many, lies in a tensor as gsc keeps it.
func (m *matrix) place(out, i, n int) int {
	if m.of.Across {
		return i*m.of.Out + out
	}
	return out*n + i
}

// values reads a tensor's floats.
func values(saved *checkpoint.Saved, t *plan.Tensor) ([]float64, error) {
	size := t.DType.Size()
	raw := make(buffer, kernels.Elements(t.Shape())*size)
	if err := saved.Read(t.Name, raw); err != nil {
		return nil, err
	}
	list := make([]float64, len(raw)/size)
	for i := range list {
		if size == 8 {
			list[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[i*size:]))
		} else {
			list[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[i*size:])))
		}
	}
	return list, nil
}

// buffer is memory that is written at offsets.
type buffer []byte

// WriteAt is io.WriterAt's.
func (b buffer) WriteAt(p []byte, offset int64) (int, error) {
	if offset < 0 || offset+int64(len(p)) > int64(len(b)) {
		return 0, io.ErrShortWrite
	}
	return copy(b[offset:], p), nil
}

// pack puts numbers of so many bits side by side, row by row of n, each row from a new word on.
func pack(q []int8, n, bits int) []byte {
	words := (n*bits + 31) / 32
	out := make([]byte, len(q)/n*words*4)
	for row := range len(q) / n {
		for i, v := range q[row*n:][:n] {
			unsigned, bit := uint64(int(v)+1<<(bits-1)), i*bits
			at := out[(row*words+bit/32)*4:]
			for k := 0; k < 8 && k < len(at); k++ { // a number may go on in the next word
				at[k] |= byte(unsigned << (bit % 32) >> (8 * k))
			}
		}
	}
	return out
}

// turned is a matrix with its rows as columns.
func turned(q []int8, rows, columns int) []int8 {
	out := make([]int8, len(q))
	for r := range rows {
		for c := range columns {
			out[c*rows+r] = q[r*columns+c]
		}
	}
	return out
}
