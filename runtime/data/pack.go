package data

import "math/bits"

// piece is a part of a record that one packed row holds.
type piece struct {
	start  int64 // place in the split's tokens
	length int32
	record int32
}

// packing says which pieces each packed row holds.
type packing struct {
	pieces []piece // row by row
	first  []int32 // of each row in pieces, and the end
}

func (p *packing) rows() int64 { return int64(max(len(p.first)-1, 0)) }

func (p *packing) row(r int64) []piece { return p.pieces[p.first[r]:p.first[r+1]] }

func (p *packing) sizeBytes() int64 { return 16*int64(cap(p.pieces)) + 4*int64(cap(p.first)) }

// pack cuts records of the given lengths into pieces of at most length tokens, in order, and
// puts each into the fullest row that has room for it, or a new one. Rows keep the order in which they were begun,
// and pieces theirs within a row.
func pack(lengths []int64, length int) *packing {
	var pieces []piece
	var rowOf []int32
	open := newRooms(length)
	rows, start := int32(0), int64(0)
	for record, n := range lengths {
		for end := start + n; start < end; {
			size := min(end-start, int64(length))
			row, room, ok := open.take(int(size))
			if !ok {
				row, room = rows, length
				rows++
			}
			open.put(row, room-int(size))
			pieces = append(pieces, piece{start, int32(size), int32(record)})
			rowOf = append(rowOf, row)
			start += size
		}
	}
	return byRow(pieces, rowOf, int(rows))
}

// byRow sorts the pieces by their rows, keeping their order within each.
func byRow(pieces []piece, rowOf []int32, rows int) *packing {
	first := make([]int32, rows+1)
	for _, row := range rowOf {
		first[row+1]++
	}
	for i := range rows {
		first[i+1] += first[i]
	}
	sorted := make([]piece, len(pieces))
	place := make([]int32, rows)
	copy(place, first)
	for i, row := range rowOf {
		sorted[place[row]] = pieces[i]
		place[row]++
	}
	return &packing{pieces: sorted, first: first}
}

// rooms holds rows by the room they have left, and finds the fullest with enough of it.
type rooms struct {
	rows [][]int32 // by room; the row begun last is taken first
	set  []uint64  // bit r: rows[r] is not empty
}

func newRooms(length int) *rooms {
	return &rooms{rows: make([][]int32, length+1), set: make([]uint64, length/64+1)}
}

func (o *rooms) put(row int32, room int) {
	if room == 0 {
		return
	}
	o.rows[room] = append(o.rows[room], row)
	o.set[room/64] |= 1 << (room % 64)
}

// take removes the fullest row with room for size.
func (o *rooms) take(size int) (row int32, room int, ok bool) {
	for word := size / 64; word < len(o.set); word++ {
		mask := o.set[word]
		if word == size/64 {
			mask &= ^uint64(0) << (size % 64)
		}
		if mask == 0 {
			continue
		}
		room = word*64 + bits.TrailingZeros64(mask)
		list := o.rows[room]
		row = list[len(list)-1]
		o.rows[room] = list[:len(list)-1]
		if len(list) == 1 {
			o.set[word] &^= 1 << (room % 64)
		}
		return row, room, true
	}
	return 0, 0, false
}
