package cpu

import "github.com/gsc-project/gsc/kernels"

func bindZero(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	switch c.Args[0].DType.Size() {
	case 8:
		return zero[int64](d, c.Args), nil
	case 1:
		return zero[int8](d, c.Args), nil
	}
	return zero[int32](d, c.Args), nil
}

func zero[T int8 | int32 | int64](d *Device, args []kernels.Tensor) kernels.Kernel {
	y := kernels.Slice[T](args[0])
	return d.overSpans(args, func(_, n int, at offsets) { clear(y[at[0]:][:n]) })
}

func bindCopy(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	switch c.Args[0].DType.Size() {
	case 8:
		return copyStrided[int64](d, c.Args), nil
	case 1:
		return copyStrided[int8](d, c.Args), nil
	}
	return copyStrided[int32](d, c.Args), nil
}

func copyStrided[T int8 | int32 | int64](d *Device, args []kernels.Tensor) kernels.Kernel {
	x, y := kernels.Slice[T](args[0]), kernels.Slice[T](args[1])
	return d.overSpans(args, func(_, n int, at offsets) { copy(y[at[1]:][:n], x[at[0]:][:n]) })
}

func bindIota(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	offset, y, width := scalar[int64](c.Args[0]), kernels.Slice[int32](c.Args[1]), s["T"]
	return func() {
		first := int32(0)
		if offset != nil {
			first = int32(*offset)
		}
		for i := range y {
			y[i] = first + int32(i%width)
		}
	}, nil
}

func bindShift(d *Device, c kernels.Call, _ kernels.Sizes) (kernels.Kernel, error) {
	x, place, y, index := kernels.Slice[int32](c.Args[0]), scalar[int64](c.Args[1]), kernels.Slice[int32](c.Args[2]), c.Attrs.Index
	return func() {
		by := int32(*place) * int32(index)
		for i, v := range x {
			y[i] = v - by
		}
	}, nil
}

func bindSelect(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	x, y, width := floats(c.Args[0]), floats(c.Args[1]), s["C"]
	step, first := s["T"]*width, c.Attrs.Index*width
	return d.overRows(s["B"], width, func(row, _ int) {
		copy(y[row*width:][:width], x[row*step+first:])
	}), nil
}

func bindSelectGrad(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	dy, dx, width := floats(c.Args[0]), floats(c.Args[1]), s["C"]
	step, first := s["T"]*width, c.Attrs.Index*width
	return d.overRows(s["B"], step, func(row, _ int) {
		all := dx[row*step:][:step]
		clear(all)
		copy(all[first:], dy[row*width:][:width])
	}), nil
}

func bindCacheWrite(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	x, offset, cache := floats(c.Args[0]), scalar[int64](c.Args[1]), floats(c.Args[2])
	in, times, length, heads, width := headStrides(c.Args[0]), s["T"], s["S"], s["G"], s["D"]
	return d.overRows(s["B"]*times, heads*width, func(row, _ int) {
		b, t := row/times, row%times
		place := *offset + int64(t)
		if place < 0 || place >= int64(length) {
			return
		}
		to := cache[(b*length+int(place))*heads*width:]
		for g := range heads {
			copy(to[g*width:][:width], x[b*in[0]+t*in[1]+g*in[2]:])
		}
	}), nil
}

func bindEmbedding(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	ids, table, y := kernels.Slice[int32](c.Args[0]), floats(c.Args[1]), floats(c.Args[2])
	vocabulary, width := s["V"], s["C"]
	return d.overRows(len(ids), width, func(row, _ int) {
		to := y[row*width:][:width]
		if id := int(ids[row]); id < 0 || id >= vocabulary {
			clear(to)
		} else {
			copy(to, table[id*width:])
		}
	}), nil
}

// How embedding_grad is cut: ranges of the vocabulary times ranges of columns.
const (
	embeddingColumns = 128
	embeddingRanges  = 16
)

// bindEmbeddingGrad chains the tokens of each id, in ascending order, and then sums each
// chain by itself, so that pieces share no row of the table. Sums are in
// float64: a frequent token adds up thousands of rows.
func bindEmbeddingGrad(d *Device, c kernels.Call, s kernels.Sizes) (kernels.Kernel, error) {
	e := &embeddingGrad{
		ids: kernels.Slice[int32](c.Args[0]), dy: floats(c.Args[1]), table: floats(c.Args[2]),
		vocabulary: s["V"], width: s["C"], accumulate: c.Attrs.Accumulate, vec: d.vector(),
		head: intsOf(d.scratch.a, s["V"]), next: intsOf(d.scratch.b, s["..."]), sums: d.workerDoubles(embeddingColumns),
	}
	columns := ceilDiv(e.width, embeddingColumns)
	run := d.spread(columns*embeddingRanges, e.width*(e.vocabulary+len(e.ids)), func(piece, worker int) {
		e.sum(piece/columns, piece%columns*embeddingColumns, worker)
	})
	return func() {
		e.chain()
		run()
	}, nil
}

type embeddingGrad struct {
	ids               []int32
	dy, table         []float32
	vocabulary, width int
	accumulate        bool
	vec               *vectorTable
	head              []int32 // 1 + the first token with an id, or 0
	next              []int32 // 1 + the next token with the same id, or 0
	sums              [][]float64
}

func (e *embeddingGrad) chain() {
	clear(e.head)
	for i := len(e.ids) - 1; i >= 0; i-- {
		if id := e.ids[i]; id >= 0 && int(id) < e.vocabulary {
			e.next[i] = e.head[id]
			e.head[id] = int32(i) + 1
		}
	}
}

// sum writes some columns, from first on, of the rows of one range of ids.
func (e *embeddingGrad) sum(part, first, worker int) {
	n := min(embeddingColumns, e.width-first)
	sums := e.sums[worker][:n]
	for id := e.vocabulary * part / embeddingRanges; id < e.vocabulary*(part+1)/embeddingRanges; id++ {
		to := e.table[id*e.width+first:][:n]
		token := e.head[id]
		if token == 0 {
			if !e.accumulate {
				clear(to)
			}
			continue
		}
		clear(sums)
		for ; token != 0; token = e.next[token-1] {
			e.vec.accumulate(sums, e.dy[int(token-1)*e.width+first:][:n])
		}
		writeSums(to, sums, e.accumulate)
	}
}

// writeSums rounds sums to y, or adds them to what y holds.
func writeSums(y []float32, sums []float64, accumulate bool) {
	for i, s := range sums {
		if accumulate {
			s += float64(y[i])
		}
		y[i] = float32(s)
	}
}
