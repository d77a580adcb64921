package ref

import (
	"cmp"
	"math"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

func encode(c *call) {
	x, residual, next := c.floats("x").data, c.floats("residual").data, c.floats("next").data
	code, scale := c.indices("code").data, c.floats("scale").or(0, 1)
	v, rounded := make([]float64, len(x)), make([]float32, len(x))
	for i := range v {
		v[i] = x[i]/scale + residual[i]
		rounded[i] = float32(v[i])
	}
	if c.Kind == kernels.TopK {
		encodeTopK(code, rounded)
	} else {
		encodeSigns(code, rounded)
	}
	sent := make([]float64, len(v))
	c.decodeOne(sent, code, 0, len(v))
	for i := range v {
		next[i] = v[i] - sent[i]
	}
}

// magnitude orders floats by size; a NaN is larger than all others.
func magnitude(v float32) uint32 { return math.Float32bits(v) &^ (1 << 31) }

func encodeTopK(code []int32, v []float32) {
	order := make([]int32, len(v))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(i, j int32) int { return cmp.Compare(magnitude(v[j]), magnitude(v[i])) })
	k := len(code) / 2
	kept := order[:k]
	slices.Sort(kept)
	for p, i := range kept {
		code[p], code[k+p] = i, int32(math.Float32bits(v[i]))
	}
}

func encodeSigns(code []int32, v []float32) {
	clear(code)
	word := 0
	for block := range slices.Chunk(v, kernels.CodeBlock) {
		sum := 0.0
		for _, x := range block {
			sum += math.Abs(float64(x))
		}
		code[word] = int32(math.Float32bits(float32(sum / float64(len(block)))))
		for i, x := range block {
			if x < 0 {
				code[word+1+i/32] |= 1 << (i % 32)
			}
		}
		word += 1 + (len(block)+31)/32
	}
}

func decode(c *call) {
	y := c.floats("y").data
	codes, n, from := c.indices("codes"), c.Of, 0
	if n > 0 {
		from = int(c.counter("place")) * len(y)
	} else {
		n = len(y)
	}
	clear(y)
	for r := range codes.shape[0] {
		c.decodeOne(y, codes.row(r), from, n)
	}
	scale := c.floats("scale").or(0, 1)
	for i := range y {
		y[i] *= scale
	}
}

// decodeOne adds to y, the numbers from one on, what a code of n numbers says.
func (c *call) decodeOne(y []float64, code []int32, from, n int) {
	if c.Kind == kernels.TopK {
		k := len(code) / 2
		for p, i := range code[:k] {
			if at := int(i) - from; i >= 0 && at >= 0 && at < len(y) {
				y[at] += float64(math.Float32frombits(uint32(code[k+p])))
			}
		}
		return
	}
	for i := range y {
		if i+from >= n {
			return
		}
		block, at := (i+from)/kernels.CodeBlock, (i+from)%kernels.CodeBlock
		word := block * (1 + kernels.CodeBlock/32)
		s := float64(math.Float32frombits(uint32(code[word])))
		if code[word+1+at/32]>>(at%32)&1 != 0 {
			s = -s
		}
		y[i] += s
	}
}
