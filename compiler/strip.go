package compiler

import (
	"cmp"
	"slices"
)

// placed is where a unit lies for a stretch of a timeline.
type placed struct {
	offset, end int64
	span
}

// line holds what is placed in one timeline, by offset, in pieces that an insertion can move fast. Thousands of units are held against
// thousands of others, so that this is the compiler's innermost loop.
type line struct{ pieces [][]placed }

// pieceLen is how long a piece may be.
const pieceLen = 256

func (l *line) insert(p placed) {
	if len(l.pieces) == 0 {
		l.pieces = append(l.pieces, append(make([]placed, 0, pieceLen), p))
		return
	}
	i, _ := slices.BinarySearchFunc(l.pieces, p.offset, func(piece []placed, offset int64) int { return cmp.Compare(piece[len(piece)-1].offset, offset) })
	i = min(i, len(l.pieces)-1)
	piece := l.pieces[i]
	at, _ := slices.BinarySearchFunc(piece, p.offset, func(p placed, offset int64) int { return cmp.Compare(p.offset, offset) })
	piece = slices.Insert(piece, at, p)
	l.pieces[i] = piece
	if len(piece) < pieceLen {
		return
	}
	half := append(make([]placed, 0, pieceLen), piece[pieceLen/2:]...)
	l.pieces[i] = piece[:pieceLen/2]
	l.pieces = slices.Insert(l.pieces, i+1, half)
}

// above is the lowest place from offset on for so many bytes in a span.
func (l *line) above(offset, size int64, s span) int64 {
	for _, piece := range l.pieces {
		for i := range piece {
			p := &piece[i]
			if p.offset >= offset+size {
				return offset
			}
			if p.end > offset && p.meets(s) {
				offset = p.end
			}
		}
	}
	return offset
}

// lowest is the lowest place from base on that is free in all the lives of a unit.
func lowest(lines []line, lives []life, base, size int64) int64 {
	for offset := base; ; {
		before := offset
		for _, l := range lives {
			offset = lines[l.timeline].above(offset, size, l.span)
		}
		if offset == before || len(lives) == 1 {
			return offset
		}
	}
}
