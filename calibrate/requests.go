package calibrate

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// settings are values for the attributes of all operations.
var settings = kernels.Attrs{Alpha: 1, Cap: 1, Epsilon: 1e-5, Rate: 0.1, Key: 1, Theta: 1e4, IgnoreIndex: -100, Beta1: 0.9, Beta2: 0.95,
	Momentum: 0.9, Decay: 0.01, RateScale: 1, MaxNorm: 1, MaxRMS: 1, Epsilon2: 1e-3, Steps: 5, Pattern: "elements"}

// attrs are the settings that an operation takes.
func attrs(op kernels.Op) (a kernels.Attrs) {
	fields := map[string]any{}
	text, err := json.Marshal(settings)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		panic(err) // as below
	}
	for name := range fields {
		if !kernels.Contracts[op].Takes(name) {
			delete(fields, name)
		}
	}
	if text, err = json.Marshal(fields); err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		panic(err) // attributes are read from plans, and written into them, in this way
	}
	return a
}

// vocabulary is the height of the table that an embedding reads from.
const vocabulary = 16384

// request is a call of an operation whose largest operand has so many rows of such a width, by the contract's
// patterns: "..." are the rows, and the last letter is the width; of the letters between, the last are the rows. Optional operands
// are there, but for those that stand for others.
func (b *bench) request(op kernels.Op, a kernels.Attrs, rows, width int) *request {
	r := &request{op: op, attrs: a, limit: width}
	lengths := letters(op, a, rows, width)
	for _, p := range kernels.Contracts[op].Params {
		if p.Optional && (p.Name == "variance" || p.Name == "place") {
			r.args = append(r.args, kernels.Tensor{})
			continue
		}
		if p.Class == kernels.Bytes {
			r.args = append(r.args, b.workspace(op, lengths, a))
			continue
		}
		t := kernels.Tensor{DType: b.dtype(p.Class)}
		for _, letter := range strings.Fields(p.Shape) {
			if n, ok := lengths[letter]; ok {
				t.Shape = append(t.Shape, n)
			} else if n, err := strconv.Atoi(letter); err == nil && p.Shape != "1" {
				t.Shape = append(t.Shape, n)
			}
		}
		r.args = append(r.args, t)
	}
	if v, ok := lengths["V"]; ok {
		r.limit = v
	}
	return r
}

func (b *bench) dtype(c kernels.Class) kernels.DType {
	if t := c.DType(); t != kernels.Invalid {
		return t
	}
	return b.kind.Compute
}

// workspace is what the device kind asks for; absent when that is nothing.
func (b *bench) workspace(op kernels.Op, s kernels.Sizes, a kernels.Attrs) kernels.Tensor {
	if n := b.kind.Workspace(op, s, a); n > 0 {
		return kernels.Tensor{DType: kernels.U8, Shape: []int{int(n)}}
	}
	return kernels.Tensor{}
}

// letters gives the letters of a contract's patterns their lengths.
func letters(op kernels.Op, a kernels.Attrs, rows, width int) kernels.Sizes {
	s := kernels.Sizes{"...": rows}
	switch {
	case op == kernels.EmbeddingGrad && !a.Accumulate:
		return kernels.Sizes{"...": max(1, rows/8), "V": rows, "C": width}
	case op == kernels.Embedding || op == kernels.EmbeddingGrad:
		return kernels.Sizes{"...": rows, "V": vocabulary, "C": width}
	case op == kernels.SelectGrad:
		return kernels.Sizes{"B": rows, "T": 1, "C": width}
	case op == kernels.RotaryTable:
		return kernels.Sizes{"B": 1, "T": rows, "R": width}
	}
	for _, p := range kernels.Contracts[op].Params {
		list := strings.Fields(p.Shape)
		for i, letter := range list {
			n := 1
			switch {
			case letter == "..." || letter == "*" || letter[0] >= '0' && letter[0] <= '9':
				continue
			case i == len(list)-1 && len(list) > 1:
				n = width
			case i == min(1, len(list)-2):
				n = rows
			}
			if _, known := s[letter]; !known {
				s[letter] = n
			}
		}
	}
	return s
}

// product is a call of a matrix product, at m, n, k.
func (b *bench) product(op kernels.Op, a kernels.Attrs, at []float64) *request {
	lengths := map[string]int{"M": int(at[0]), "N": int(at[1]), "K": int(at[2])}
	r := &request{op: op, attrs: a}
	for _, p := range kernels.Contracts[op].Params {
		t := kernels.Tensor{}
		if !p.Optional {
			t.DType = b.dtype(p.Class)
			for _, letter := range strings.Fields(p.Shape) {
				t.Shape = append(t.Shape, lengths[letter])
			}
			if p.Swap == "trans_a" && a.TransA || p.Swap == "trans_b" && a.TransB {
				slices.Reverse(t.Shape)
			}
		}
		r.args = append(r.args, t)
	}
	return r
}

// headsOfOne is how many heads one row of a batch has, where there are more in all.
const headsOfOne = 12

// attention is a call of attention or its gradient, at heads, length and width, on views of a fused projection.
func (b *bench) attention(op kernels.Op, a kernels.Attrs, row bool, at []float64) *request {
	heads, length, width := int(at[0]), int(at[1]), int(at[2])
	batch := max(1, heads/headsOfOne)
	heads /= batch
	queries := length
	if row {
		queries = 1
	}
	a.Scale = 0.125
	r := &request{op: op, attrs: a, limit: 1}
	lengths := kernels.Sizes{"B": batch, "H": heads, "T": queries, "S": length, "G": heads, "D": width}
	for _, p := range kernels.Contracts[op].Params {
		t := kernels.Tensor{DType: b.dtype(p.Class)}
		needed := a.Rate > 0 && (p.Name == "seed" || p.Name == "step" || p.Name == "origin")
		switch {
		case p.Class == kernels.Bytes:
			t = b.workspace(op, lengths, a)
		case p.Optional && !needed:
			t = kernels.Tensor{}
		case p.Shape != "1":
			for _, letter := range strings.Fields(p.Shape) {
				t.Shape = append(t.Shape, lengths[letter])
			}
		}
		if fused := len(t.Shape) == 4 && p.Name != "o" && p.Name != "do" && !row; fused {
			c := 3 * heads * width
			t.Strides = []int{t.Shape[1] * c, c, width, 1}
		}
		r.args = append(r.args, t)
	}
	return r
}
