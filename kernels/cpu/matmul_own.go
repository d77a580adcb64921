package cpu

import "unsafe"

// Operands that the worker of a piece packs for itself, panel by panel, in its part of the scratch. Each panel is multiplied with
// the first lanes of the other operand as soon as it is packed, and the tiles that do that ask for the next one.

// ownPanels is the worker's room for the panels of a piece: at most [ownLanes] and a panel, [kBlock] elements each, padded by a third, which take
// about a quarter of the worker's part. Its lower half is the tiles' and the epilogue's.
func (x *matmul) ownPanels(o *operand, k, worker int) panels {
	return panels{&x.d.scratch.worker[worker][workerFloats/2], o.stride * x.t.elements(k), 1, o.stride}
}

// packAndCompute packs all panels of a piece, which are o's, and computes m rows and n columns of it from its first row and column, (i, j), on.
func (x *matmul) packAndCompute(o *operand, number, piece, i, j, m, n int, a, b panels, worker int) {
	s, t, edge, next := &x.slabs[number], x.t, x.d.scratch.worker[worker][:edgeFloats], &x.next[worker]
	y := x.block(s, i, j, m, n, a, b)
	own, lane, count := y.a, s.i+i, m
	if o == &x.b {
		own, lane, count = y.b, s.j+j, n
	}
	for q := 0; q < count; q += o.lanes {
		if left := count - q - o.lanes; left > 0 {
			*next = o.linesOf(lane+q+o.lanes, s.p, min(o.lanes, left), s.k)
		} else {
			*next = x.after(o, number, piece)
		}
		panel, done := own.from(q/o.lanes), 0 // rows of the tiles that are beside the panel
		if x.packsInTile(o) && count-q >= t.cols && m >= t.rows {
			from := o.at(lane+q, s.p)
			t.packTile(y.k, y.a.data, y.a.lane, y.a.step, from.data, from.step, at(y.c, q), y.cRow, y.biasAt(q), y.add, panel.data)
			done = t.rows
		} else {
			x.packPanel(o, panel, lane+q, s.p, min(o.lanes, count-q), s.k, t.aheadTile != nil)
		}
		if o == &x.a {
			for v := 0; v < n; v += t.cols {
				t.tileAhead(&y, q, v, edge, next)
			}
			continue
		}
		for u := done; u < m; u += t.rows {
			t.tileAhead(&y, u, q, edge, next)
		}
	}
	for v := 0; v < n; v += pieceCols {
		for u := 0; u < m; u += pieceRows {
			x.finish(s, i+u, j+v, min(pieceRows, m-u), min(pieceCols, n-v), worker)
		}
	}
}

// packsInTile says whether a tile can read the operand where it lies and pack it.
func (x *matmul) packsInTile(o *operand) bool {
	return o == &x.b && x.t.packTile != nil && o.lane == 1 && x.round == nil
}

// after is the first panel of the piece that this worker will probably do next, if all take turns.
func (x *matmul) after(o *operand, number, piece int) lines {
	piece += x.d.pool.threads
	for ; number < len(x.slabs); number++ {
		s := &x.slabs[number]
		if piece >= s.compute {
			piece -= s.compute
			continue
		}
		if o == &x.a {
			i := piece * x.rows
			return o.linesOf(s.i+i, s.p, min(o.lanes, s.m-i), s.k)
		}
		j := piece * x.cols
		return o.linesOf(s.j+j, s.p, min(o.lanes, s.n-j), s.k)
	}
	return lines{}
}

// lines are the cache lines of a part of an operand, row by row of the matrix. Tiles that ask for them know its layout.
type lines struct {
	next    uintptr // the next one
	left    int     // of the current row
	jump    int     // bytes from the end of a row's last line to the row below
	eachRow int
	end     uintptr // the row below the last
	_       [3]int  // one for each worker: keep them on lines of their own
}

// linesOf is the lines of lanes [lane, lane+n) in steps [p, p+k).
func (o *operand) linesOf(lane, p, n, k int) lines {
	row, rows, width := 4*o.lane, n, 4*k
	if o.lane == 1 {
		row, rows, width = 4*o.step, k, 4*n
	}
	first := uintptr(unsafe.Pointer(o.at(lane, p).data))
	each := ceilDiv(width, lineBytes)
	if (int(first)|row)%lineBytes != 0 {
		each++
	}
	return lines{next: first, left: each, jump: row - each*lineBytes, eachRow: each, end: first + uintptr(rows*row)}
}

// tileAhead computes a tile of the block that asks for the next lines, if there are any.
func (t *tileSet) tileAhead(x *block, i, j int, edge []float32, next *lines) {
	if t.aheadTile == nil || next.next >= next.end || x.m-i < t.rows || x.n-j < t.cols {
		t.tile(x, i, j, edge)
		return
	}
	t.aheadTile(x.k, at(x.a.data, i/t.rows*x.a.panel), x.a.lane, x.a.step, at(x.b.data, j/t.cols*x.b.panel), x.b.step,
		at(x.c, i*x.cRow+j), x.cRow, x.biasAt(j), x.add, (*byte)(unsafe.Pointer(next)))
}
